"""A bounded queue in front of a few worker threads.

What is accepted is answered, also while the server drains; what cannot be accepted is refused at
once, so that a client learns within milliseconds that it should come back.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeVar

__all__ = ["QueueFullError", "Scheduler", "TooLateError"]

Result = TypeVar("Result")

SMOOTHING = 0.1  # weight of the newest piece of work in the mean that Retry-After is made of
LONGEST_RETRY = 60  # seconds


class QueueFullError(Exception):
    """There is no room in the queue.

    Args:
        retry_after: Seconds until there probably is.
    """

    def __init__(self, retry_after: int) -> None:
        super().__init__(f"the queue is full; try again in {retry_after} s.")
        self.retry_after = retry_after


class TooLateError(Exception):
    """The time limit passed.

    Args:
        was_started: The work had begun; if not, it still waited.
    """

    def __init__(self, was_started: bool) -> None:
        super().__init__()
        self.was_started = was_started


@dataclass
class _Job:
    work: Callable[[], object]
    done: asyncio.Future[Any]
    was_started: bool = field(default=False)


class Scheduler:
    """Runs work in threads, in the order of its arrival.

    Args:
        queue: Most pieces of work that wait.
        workers: Pieces of work at a time.
    """

    def __init__(self, *, queue: int, workers: int) -> None:
        self.size, self.workers = queue, workers
        self.running = 0
        """Pieces of work that have begun and not ended."""
        self._mean_seconds = 0.0

    def start(self) -> None:
        """Start the workers, within a running event loop."""
        self._queue: asyncio.Queue[_Job] = asyncio.Queue(self.size)
        self._pool = ThreadPoolExecutor(self.workers, thread_name_prefix="segloom")
        self._tasks = [asyncio.create_task(self._work()) for _ in range(self.workers)]

    async def stop(self) -> None:
        """Let what was begun end, and stop the workers."""
        await self._queue.join()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._pool.shutdown()

    @property
    def waiting(self) -> int:
        """Pieces of work in the queue."""
        return self._queue.qsize()

    def check_room(self) -> None:
        """Refuse before a body is read what would be refused after it.

        Raises:
            QueueFullError: The queue is full.
        """
        if self._queue.full():
            raise QueueFullError(self.retry_after)

    @property
    def retry_after(self) -> int:
        """Seconds in which the queue as it is will probably be empty, one at least."""
        seconds = self._mean_seconds * (self.waiting + 1) / self.workers
        return min(max(1, math.ceil(seconds)), LONGEST_RETRY)

    async def run(self, work: Callable[[], Result], *, timeout: float) -> Result:
        """Wait for a worker and for its result.

        Work whose waiting caller is cancelled is not begun.

        Raises:
            QueueFullError: There is no room.
            TooLateError: ``timeout`` seconds have passed. Work that has begun goes on.
        """
        self.check_room()
        job = _Job(work, asyncio.get_running_loop().create_future())
        self._queue.put_nowait(job)
        try:
            result: Result = await asyncio.wait_for(job.done, timeout)
        except TimeoutError:
            raise TooLateError(job.was_started) from None
        return result

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            job = await self._queue.get()
            try:
                if job.done.cancelled():
                    continue
                job.was_started = True
                self.running += 1
                start = time.perf_counter()
                try:
                    result = await loop.run_in_executor(self._pool, job.work)
                except Exception as error:  # for the caller, who knows what it means
                    if not job.done.done():
                        job.done.set_exception(error)
                else:
                    if not job.done.done():
                        job.done.set_result(result)
                finally:
                    self.running -= 1
                    self._note(time.perf_counter() - start)
            finally:
                self._queue.task_done()

    def _note(self, seconds: float) -> None:
        old = self._mean_seconds or seconds
        self._mean_seconds = old + SMOOTHING * (seconds - old)
