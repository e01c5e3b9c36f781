"""What all routes share: the models, the queue, the limits and the counters."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from starlette.requests import ClientDisconnect, Request

from segloom.errors import UnknownNameError
from segloom.serve.body import Reader, Refusal
from segloom.serve.limits import Limits
from segloom.serve.metrics import RequestMetrics
from segloom.serve.models import Answer, Model
from segloom.serve.scheduler import QueueFullError, Scheduler, TooLateError

__all__ = ["Service"]

Result = TypeVar("Result")


class Service:
    """Answers for requests of every protocol.

    Args:
        models: What is served; the first is the default.
        limits: What is refused.
        has_token: Requests need a token.
    """

    def __init__(self, models: Sequence[Model], limits: Limits, *, has_token: bool) -> None:
        self.has_token = has_token
        self.models = {model.name: model for model in models}
        self.default = models[0]
        self.limits = limits
        self.scheduler = Scheduler(queue=limits.queue, workers=limits.workers)
        self.reader = Reader(limits)
        self.metrics = RequestMetrics(self.scheduler, self.reader)
        self.is_draining = False
        self._one_network = threading.Lock()

    def model(self, name: str | None) -> Model:
        """Find a model by name; None is the default.

        Raises:
            Refusal: There is none of that name.
        """
        if name is None:
            return self.default
        if name not in self.models:
            raise Refusal(404, str(UnknownNameError("model", name, self.models)))
        return self.models[name]

    def answer(self, model: Model, image: NDArray[np.uint8], *, with_probabilities: bool) -> Answer:
        """Run a network in this thread; one image at a time, since it uses all cores.

        Args:
            model: The network.
            image: uint8 ``(H, W, C)``.
            with_probabilities: Compute these as well.
        """
        with self._one_network:
            start = time.perf_counter()
            answer = model.segment(image)
            if with_probabilities:
                _ = answer.probabilities
            height, width = answer.label_map.shape
        self.metrics.inference_seconds.labels(model.name).observe(time.perf_counter() - start)
        self.metrics.pixels.labels(model.name).inc(height * width)
        return answer

    async def run(self, request: Request, work: Callable[[], Result]) -> Result:
        """Queue work for a client; if the client goes away, work that has not begun is dropped.

        Raises:
            Refusal: The queue is full, or the time limit has passed.
            ClientDisconnect: The client has gone.
        """
        task = asyncio.create_task(
            self.scheduler.run(work, timeout=self.limits.timeout), name="work"
        )
        gone = asyncio.create_task(_gone(request), name="gone")
        try:
            await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                raise ClientDisconnect
            return await task
        except QueueFullError as error:
            raise self.full(error) from None
        except TooLateError as error:
            raise self._late(error) from None
        finally:
            task.cancel()
            gone.cancel()

    def check_room(self) -> None:
        """Refuse early, before a body is read.

        Raises:
            Refusal: The queue is full.
        """
        try:
            self.scheduler.check_room()
        except QueueFullError as error:
            raise self.full(error) from None

    @staticmethod
    def full(error: QueueFullError) -> Refusal:
        """Tell a client when to come back."""
        return Refusal(429, str(error), {"Retry-After": str(error.retry_after)})

    def _late(self, error: TooLateError) -> Refusal:
        seconds = f"{self.limits.timeout:g} s"
        if error.was_started:
            sentence = f"the image took longer than {seconds}; scale it down or raise the limit."
            return Refusal(504, sentence)
        retry = {"Retry-After": str(self.scheduler.retry_after)}
        return Refusal(503, f"the request waited longer than {seconds}; try again.", retry)


async def _gone(request: Request) -> None:
    message: Mapping[str, object] = {}
    while message.get("type") != "http.disconnect":
        message = await request.receive()
