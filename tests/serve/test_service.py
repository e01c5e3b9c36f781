"""What the routes of a server share: models by name, counters, and who is refused with what."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from starlette.requests import ClientDisconnect, Request
from support.servers import a_model, by_brightness

from segloom.serve.body import Refusal
from segloom.serve.limits import Limits
from segloom.serve.scheduler import QueueFullError
from segloom.serve.service import Service

IMAGE = np.zeros((2, 3, 3), np.uint8)


def service(*models, **limits) -> Service:
    return Service(models or [a_model()], Limits(**limits), has_token=False)


def request(*, gone: bool = False) -> Request:
    """A request whose client waits, or has gone."""

    async def receive():
        if not gone:
            await asyncio.Event().wait()
        return {"type": "http.disconnect"}

    return Request({"type": "http"}, receive)


def within(found: Service, test) -> None:
    """Run ``test`` in a loop while the scheduler works."""

    async def inside():
        found.scheduler.start()
        await test()
        await found.scheduler.stop()

    asyncio.run(asyncio.wait_for(inside(), 30))


def test_the_first_model_is_the_default_and_an_unknown_one_is_404() -> None:
    first, second = a_model(name="first"), a_model(name="second")
    found = service(first, second)
    assert found.model(None) is first
    assert found.model("second") is second
    with pytest.raises(Refusal, match="unknown model 'secnd': did you mean 'second'") as refused:
        found.model("secnd")
    assert refused.value.status == 404


@pytest.mark.parametrize(("with_probabilities", "computed"), [(False, 0), (True, 1)])
def test_probabilities_are_computed_only_where_they_are_asked_for(
    with_probabilities: bool, computed: int
) -> None:
    seen = []

    class Lazy:
        label_map = np.zeros((2, 3), np.uint8)

        @property
        def probabilities(self):
            seen.append(1)
            return np.zeros((3, 2, 3), np.float32)

    model = a_model(lambda image: Lazy())
    service(model).answer(model, IMAGE, with_probabilities=with_probabilities)
    assert len(seen) == computed


def test_every_answer_counts_its_pixels_and_its_time() -> None:
    found = service(a_model(name="first"), a_model(name="second"))
    for name in ("first", "first", "second"):
        found.answer(found.model(name), IMAGE, with_probabilities=False)
    assert samples(found.metrics.pixels, "_total") == {"first": 12, "second": 6}
    assert samples(found.metrics.inference_seconds, "_count") == {"first": 2, "second": 1}


def samples(metric, end: str) -> dict[str, float]:
    (family,) = metric.collect()
    return {s.labels["model"]: s.value for s in family.samples if s.name.endswith(end)}


def test_one_image_at_a_time_is_computed() -> None:
    together, most, lock = [0], [0], threading.Lock()
    both = threading.Event()

    def segment(image):
        with lock:
            together[0] += 1
            most[0] = max(most[0], together[0])
        both.wait(0.05)  # a second one would come in now
        with lock:
            together[0] -= 1
        return by_brightness(image)

    models = [a_model(segment, "first"), a_model(segment, "second")]
    found = service(*models)
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda m: found.answer(m, IMAGE, with_probabilities=False), models))
    assert most == [1]


def test_work_is_answered_and_its_own_error_comes_through() -> None:
    found = service()

    async def test():
        assert await found.run(request(), lambda: 7) == 7
        with pytest.raises(ZeroDivisionError):
            await found.run(request(), lambda: 1 / 0)

    within(found, test)


def test_a_client_that_goes_away_while_its_work_waits_is_not_worked_for() -> None:
    found, may_end, done = service(workers=1), threading.Event(), []

    async def test():
        busy = asyncio.create_task(found.run(request(), lambda: may_end.wait(20)))
        await asyncio.sleep(0)
        with pytest.raises(ClientDisconnect):
            await found.run(request(gone=True), lambda: done.append(1))
        may_end.set()
        assert await busy

    within(found, test)
    assert done == []


@pytest.mark.parametrize(
    ("is_busy", "status", "sentence", "has_retry"),
    [
        (False, 504, "the image took longer than 0.1 s; scale it down or raise the limit.", False),
        (True, 503, "the request waited longer than 0.1 s; try again.", True),
    ],
)
def test_whoever_waited_may_come_back_and_a_slow_image_may_not(
    is_busy: bool, status: int, sentence: str, has_retry: bool
) -> None:
    found, may_end = service(workers=1, timeout=0.1), threading.Event()

    async def test():
        waiting = [found.scheduler.run(lambda: may_end.wait(20), timeout=30)] if is_busy else []
        before = asyncio.gather(*waiting)
        await asyncio.sleep(0)
        with pytest.raises(Refusal) as refused:
            await found.run(request(), lambda: may_end.wait(20))
        may_end.set()
        await before
        assert (refused.value.status, str(refused.value)) == (status, sentence)
        assert ("Retry-After" in refused.value.headers) == has_retry

    within(found, test)


def test_a_full_queue_says_when_to_come_back() -> None:
    refusal = Service.full(QueueFullError(17))
    assert (refusal.status, refusal.headers) == (429, {"Retry-After": "17"})
    assert str(refusal) == "the queue is full; try again in 17 s."


def test_no_room_is_known_before_a_body_is_read() -> None:
    found, may_end = service(workers=1, queue=1), threading.Event()

    async def test():
        found.check_room()
        tasks = [asyncio.create_task(found.run(request(), lambda: may_end.wait(20)))]
        while not found.scheduler.running:
            await asyncio.sleep(0.01)
        tasks.append(asyncio.create_task(found.run(request(), lambda: 1)))
        while not found.scheduler.waiting:
            await asyncio.sleep(0.01)
        with pytest.raises(Refusal) as early:
            found.check_room()
        with pytest.raises(Refusal) as late:
            await found.run(request(), lambda: 2)
        assert [early.value.status, late.value.status] == [429, 429]
        may_end.set()
        assert await asyncio.gather(*tasks) == [True, 1]

    within(found, test)
