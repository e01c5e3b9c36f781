"""Servers that run in a thread, and a model without a network, so that tests are quick."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import httpx
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from segloom.serve.app import create_app
from segloom.serve.limits import Limits
from segloom.serve.models import Model
from segloom.serve.server import Server, bind
from segloom.types import LabelSet

LABELS = LabelSet(("dark", "bright", "red"), ((0, 0, 90), (250, 250, 160), (220, 20, 60)))


@dataclass
class Brightness:
    """Names pixels by their brightness, reddish ones red."""

    label_map: NDArray[np.uint8]
    probabilities: NDArray[np.float32]


def by_brightness(image: NDArray[np.uint8]) -> Brightness:
    grey = image.astype(np.float32).mean(2) / 255
    red = (image[..., 0].astype(int) - image[..., 1:3].max(2).astype(int)) > 50
    values = np.stack([(1 - grey) * ~red, grey * ~red, red]).astype(np.float32)
    return Brightness(values.argmax(0).astype(np.uint8), values)


def slowly(seconds: float, started: Callable[[], Any] | None = None) -> Callable[[Any], Any]:
    def segment(image: NDArray[np.uint8]) -> Brightness:
        if started is not None:
            started()
        time.sleep(seconds)
        return by_brightness(image)

    return segment


def a_model(segment: Callable[[Any], Any] = by_brightness, name: str = "brightness") -> Model:
    return Model(name, LABELS, segment, platform="numpy")


def picture(height: int = 40, width: int = 60) -> NDArray[np.uint8]:
    """A dark left half, a bright right half, and a red square in the middle."""
    image = np.full((height, width, 3), 20, np.uint8)
    image[:, width // 2 :] = 230
    image[height // 4 : height // 2, width // 4 : 3 * width // 4] = (200, 10, 10)
    return image


def png(image: NDArray[np.uint8]) -> bytes:
    buffer = BytesIO()
    Image.fromarray(image).save(buffer, "PNG")
    return buffer.getvalue()


def pixels(content: bytes) -> NDArray[Any]:
    return np.asarray(Image.open(BytesIO(content)))


@contextmanager
def running(
    models: Sequence[Model], limits: Limits | None = None, **options: Any
) -> Iterator[httpx.Client]:
    """Serve in a thread; gives a client of it and ends it in order."""
    listener = bind("127.0.0.1", 0)
    server = Server(create_app(models, limits, **options), limits or Limits())
    thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.005)
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    try:
        with httpx.Client(base_url=url, timeout=30, trust_env=False) as client:
            client.server = server  # type: ignore[attr-defined]
            yield client
    finally:
        server.should_exit = True
        thread.join(30)
        listener.close()
    assert not thread.is_alive()


def when_ready(port: int, act: Callable[[httpx.Client], Any] | None = None) -> threading.Thread:
    """Wait in a thread until this process serves, ask what ``act`` asks, and end it by SIGTERM.

    The signal waits for the server's handler: without one it would end the process of the tests.
    """
    before = signal.getsignal(signal.SIGTERM)

    def wait() -> None:
        wait_for_handler(before)
        url = f"http://127.0.0.1:{port}"
        with httpx.Client(base_url=url, trust_env=False, timeout=30) as client:
            while True:
                try:
                    client.get("/health/ready")
                    break
                except httpx.ConnectError:
                    time.sleep(0.05)
            try:
                if act is not None:
                    act(client)
            finally:
                os.kill(os.getpid(), signal.SIGTERM)

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    return thread


def wait_for_handler(before: Any) -> None:
    """Wait until this process answers SIGTERM by another handler than ``before``."""
    while signal.getsignal(signal.SIGTERM) is before:
        time.sleep(0.02)


def free_port() -> int:
    with bind("127.0.0.1", 0) as free:
        port: int = free.getsockname()[1]
    return port
