"""The queue in front of the workers: order, room, time limits, and work that nobody awaits."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from segloom.serve.scheduler import LONGEST_RETRY, QueueFullError, Scheduler, TooLateError

LONG = 30.0
"""Seconds after which a test has failed."""


def run(test, *, queue=2, workers=1):
    """Run ``test(scheduler)`` in a loop of its own; whatever hangs ends after `LONG` seconds."""

    async def inside():
        scheduler = Scheduler(queue=queue, workers=workers)
        scheduler.start()
        await test(scheduler)
        await scheduler.stop()

    asyncio.run(asyncio.wait_for(inside(), LONG))


class Gate:
    """Work that begins, says so, and waits to be let through."""

    def __init__(self):
        self.began, self.may_end = threading.Event(), threading.Event()

    def __call__(self):
        self.began.set()
        assert self.may_end.wait(LONG)
        return "done"

    async def until_it_began(self):
        with ThreadPoolExecutor(1) as pool:
            assert await asyncio.get_running_loop().run_in_executor(pool, self.began.wait, LONG)


def test_results_and_errors_come_back():
    async def test(scheduler):
        assert await scheduler.run(lambda: 7, timeout=LONG) == 7
        with pytest.raises(ZeroDivisionError):
            await scheduler.run(lambda: 1 / 0, timeout=LONG)
        assert await scheduler.run(lambda: 8, timeout=LONG) == 8
        assert (scheduler.running, scheduler.waiting) == (0, 0)

    run(test)


def test_one_worker_takes_work_in_the_order_of_its_arrival():
    async def test(scheduler):
        seen = []
        await asyncio.gather(
            *(scheduler.run(lambda n=n: seen.append(n), timeout=LONG) for n in range(5))
        )
        assert seen == list(range(5))

    run(test, queue=5)


def test_what_does_not_fit_is_refused_at_once_and_what_was_taken_is_answered():
    async def test(scheduler):
        gate = Gate()
        first = asyncio.create_task(scheduler.run(gate, timeout=LONG))
        await gate.until_it_began()
        others = [asyncio.create_task(scheduler.run(lambda n=n: n, timeout=LONG)) for n in (1, 2)]
        await asyncio.sleep(0)  # lets both enter
        assert (scheduler.running, scheduler.waiting) == (1, 2)
        with pytest.raises(QueueFullError, match="the queue is full; try again in 1 s") as refused:
            await scheduler.run(lambda: 3, timeout=LONG)
        assert refused.value.retry_after == 1
        with pytest.raises(QueueFullError):
            scheduler.check_room()
        gate.may_end.set()
        assert await asyncio.gather(first, *others) == ["done", 1, 2]
        scheduler.check_room()

    run(test)


def test_late_work_that_waited_is_not_begun():
    async def test(scheduler):
        gate, begun = Gate(), []
        first = asyncio.create_task(scheduler.run(gate, timeout=LONG))
        await gate.until_it_began()
        with pytest.raises(TooLateError) as late:
            await scheduler.run(lambda: begun.append(1), timeout=0.01)
        assert not late.value.was_started
        gate.may_end.set()
        await first
        await scheduler.run(lambda: None, timeout=LONG)  # after it in the queue
        assert begun == []

    run(test)


def test_late_work_that_had_begun_goes_on_without_its_caller():
    async def test(scheduler):
        gate = Gate()
        with pytest.raises(TooLateError) as late:
            await asyncio.gather(scheduler.run(gate, timeout=0.5), gate.until_it_began())
        assert late.value.was_started
        assert scheduler.running == 1
        gate.may_end.set()
        assert await scheduler.run(lambda: 4, timeout=LONG) == 4
        assert scheduler.running == 0

    run(test)


def test_stopping_waits_for_what_was_taken():
    gate, seen = Gate(), []

    async def test(scheduler):
        task = asyncio.create_task(scheduler.run(gate, timeout=LONG))
        await gate.until_it_began()
        after = asyncio.create_task(scheduler.run(lambda: seen.append("last"), timeout=LONG))
        await asyncio.sleep(0)
        stopping = asyncio.create_task(scheduler.stop())
        await asyncio.sleep(0)
        assert not stopping.done()
        gate.may_end.set()
        await asyncio.gather(task, after, stopping)

    run(test)
    assert seen == ["last"]


@pytest.mark.parametrize(
    ("seconds", "waiting", "workers", "expected"),
    [
        (0.0, 0, 1, 1),
        (2.0, 0, 1, 2),
        (2.0, 3, 1, 8),
        (2.0, 3, 4, 2),
        (2.1, 0, 1, 3),
        (50, 9, 1, 60),
    ],
)
def test_the_time_to_come_back_is_that_of_the_queue(seconds, waiting, workers, expected):
    async def test():
        scheduler = Scheduler(queue=10, workers=workers)
        scheduler._queue = asyncio.Queue(10)
        scheduler._note(seconds)
        for _ in range(waiting):
            scheduler._queue.put_nowait(None)
        assert scheduler.retry_after == expected <= LONGEST_RETRY

    asyncio.run(test())


def test_the_mean_follows_new_work_slowly():
    scheduler = Scheduler(queue=1, workers=1)
    for seconds in (10.0, 20.0, 0.0):
        scheduler._note(seconds)
    assert scheduler._mean_seconds == pytest.approx(0.9 * (10 + 0.1 * 10))
