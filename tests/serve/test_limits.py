"""What is too much, too slow or broken is refused, and the server lives on."""

from __future__ import annotations

import socket
import struct
import threading
import time
import zlib
from concurrent.futures import ThreadPoolExecutor

import httpx
import numpy as np
import pytest
from support.servers import a_model, by_brightness, picture, pixels, png, running, slowly

from segloom.errors import ConfigError
from segloom.serve.limits import Limits

IMAGE = png(picture())


def bomb(width: int, height: int) -> bytes:
    """A PNG of a few hundred bytes whose header claims any size."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + content))
        return struct.pack(">I", len(content)) + kind + content + check

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = [(b"IHDR", header), (b"IDAT", zlib.compress(b"\0" * 10_000)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)


def test_a_full_queue_answers_429_and_loses_nothing_that_it_took() -> None:
    limits = Limits(queue=4, workers=2)
    with running([a_model(slowly(0.05))], limits) as client, ThreadPoolExecutor(40) as pool:

        def ask(number: int) -> httpx.Response:
            return client.post("/v1/segment?output=label", content=IMAGE)

        answers = list(pool.map(ask, range(80)))
        codes = [answer.status_code for answer in answers]
        assert set(codes) == {200, 429}
        assert codes.count(200) >= 6
        for answer in answers:
            if answer.status_code == 429:
                assert int(answer.headers["retry-after"]) >= 1
                assert "the queue is full; try again in" in answer.json()["error"]
            else:
                assert pixels(answer.content).shape == (40, 60)
        assert client.post("/v1/segment", content=IMAGE).status_code == 200


def test_large_bodies_and_images_are_413() -> None:
    limits = Limits(max_bytes=100_000, max_pixels=3000)
    with running([a_model()], limits) as client:
        declared = client.post("/v1/segment", content=bytes(100_001))
        streamed = client.post("/v1/segment", content=(bytes(10_000) for _ in range(11)))
        for answer in (declared, streamed):
            assert answer.status_code == 413
            assert "the body has more than 100,000 bytes" in answer.json()["error"]
        for image in (png(picture(60, 51)), bomb(30_000, 30_000), bomb(2**31 - 1, 2**31 - 1)):
            answer = client.post("/v1/segment", content=image)
            assert answer.status_code == 413
            assert "the image has more than 3,000 pixels" in answer.json()["error"]
        assert client.post("/v1/segment", content=IMAGE).status_code == 200


def test_a_thousand_broken_files_are_sentences() -> None:
    rng = np.random.default_rng(0)
    good = [png(rng.integers(0, 256, (24, 30, 3), np.uint8)), IMAGE]
    with running([a_model()]) as client:
        for number in range(1000):
            content = bytearray(good[number % 2])
            for place in rng.integers(0, len(content), 1 + number % 5):
                content[place] = rng.integers(0, 256)
            cut = rng.integers(0, len(content)) if number % 3 == 0 else len(content)
            answer = client.post("/v1/segment", content=bytes(content[:cut]))
            assert answer.status_code in (200, 413, 422)
            assert answer.status_code == 200 or answer.json()["error"].startswith("the image ")
        assert client.post("/v1/segment", content=IMAGE).status_code == 200


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "the image is empty; send the bytes of an image file."),
        (b"no image", "the image is not an image of a known format"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n", "of a known format"),
        (IMAGE[:-30], "the image is damaged or cut short"),
    ],
)
def test_what_is_no_image_is_422(content: bytes, sentence: str) -> None:
    with running([a_model()]) as client:
        answer = client.post("/v1/segment", content=content)
        assert answer.status_code == 422
        assert sentence in answer.json()["error"]


def test_time_limits_tell_waiting_from_working() -> None:
    started = threading.Event()
    limits = Limits(timeout=0.3, workers=1)
    with running([a_model(slowly(0.9, started.set))], limits) as client:
        with ThreadPoolExecutor(1) as pool:
            first = pool.submit(httpx.post, f"{client.base_url}/v1/segment", content=IMAGE)
            assert started.wait(5)
            waited = client.post("/v1/segment", content=IMAGE)
            worked = first.result()
        assert (worked.status_code, waited.status_code) == (504, 503)
        assert "took longer than 0.3 s" in worked.json()["error"]
        assert "waited longer than 0.3 s" in waited.json()["error"]
        assert "retry-after" in waited.headers


def test_work_of_clients_that_have_gone_is_not_begun() -> None:
    begun: list[float] = []
    started = threading.Event()

    def segment(image):
        begun.append(time.monotonic())
        started.set()
        time.sleep(0.5)
        return by_brightness(image)

    with running([a_model(segment)], Limits(workers=1)) as client:
        with ThreadPoolExecutor(1) as pool:
            first = pool.submit(httpx.post, f"{client.base_url}/v1/segment", content=IMAGE)
            assert started.wait(5)
            with pytest.raises(httpx.ReadTimeout):
                httpx.post(f"{client.base_url}/v1/segment", content=IMAGE, timeout=0.1)
            assert first.result().status_code == 200
        assert client.post("/v1/segment", content=IMAGE).status_code == 200
        assert len(begun) == 2


def _connect(client: httpx.Client) -> socket.socket:
    connection = socket.create_connection((client.base_url.host, client.base_url.port), timeout=10)
    connection.settimeout(10)
    return connection


def _is_closed(connection: socket.socket) -> bool:
    try:
        return connection.recv(1) == b""
    except ConnectionResetError:
        return True
    finally:
        connection.close()


def test_slow_clients_are_dropped_and_hold_up_nobody() -> None:
    limits = Limits(body_timeout=0.5, idle_timeout=0.5, queue=2, workers=1)
    with running([a_model()], limits) as client:
        slow_heads = [_connect(client) for _ in range(20)]
        for connection in slow_heads:
            connection.sendall(b"POST /v1/segment HTTP/1.1\r\nHost: a\r\n")
        slow_bodies = [_connect(client) for _ in range(20)]
        for connection in slow_bodies:
            connection.sendall(
                b"POST /v1/segment HTTP/1.1\r\nHost: a\r\nContent-Length: 50000\r\n\r\nabc"
            )
        for _ in range(5):
            assert client.post("/v1/segment", content=IMAGE).status_code == 200
        for connection in slow_bodies:
            text = connection.recv(4096).decode()
            assert text.startswith("HTTP/1.1 408 ")
            connection.close()
        for connection in slow_heads:
            assert _is_closed(connection)
        assert client.server.service.reader.held == 0


def test_a_client_that_takes_no_answer_is_dropped() -> None:
    rng = np.random.default_rng(0)
    image = png(rng.integers(0, 256, (1200, 1200, 3), np.uint8))
    with running([a_model()], Limits(body_timeout=0.5, idle_timeout=0.5)) as client:
        connection = socket.socket()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.connect((client.base_url.host, client.base_url.port))
        head = (
            f"POST /v1/segment?output=overlay HTTP/1.1\r\nHost: a\r\nContent-Length: {len(image)}"
        )
        connection.sendall(f"{head}\r\n\r\n".encode() + image)
        state = client.server.server_state
        end = time.monotonic() + 20
        while not state.connections and time.monotonic() < end:
            time.sleep(0.01)
        while state.connections and time.monotonic() < end:
            time.sleep(0.05)
        assert not state.connections
        connection.close()


def test_bodies_together_stay_within_their_limit() -> None:
    limits = Limits(held_bytes=150_000, max_bytes=100_000, body_timeout=5)
    with running([a_model()], limits) as client:
        first = _connect(client)
        first.sendall(
            b"POST /v1/segment HTTP/1.1\r\nHost: a\r\nContent-Length: 90001\r\n\r\n" + bytes(90_000)
        )
        end = time.monotonic() + 5
        while client.server.service.reader.held < 90_000 and time.monotonic() < end:
            time.sleep(0.01)
        answer = client.post("/v1/segment", content=bytes(80_000))
        assert answer.status_code == 429
        assert "receives too much at once" in answer.json()["error"]
        first.close()
        while client.server.service.reader.held and time.monotonic() < end:
            time.sleep(0.01)
        assert client.post("/v1/segment", content=bytes(80_000)).status_code == 422


def test_a_fault_of_the_model_is_500_and_the_next_image_is_answered(caplog) -> None:
    def segment(image):
        if image.shape[0] == 7:
            raise RuntimeError("no luck")
        return by_brightness(image)

    with running([a_model(segment)]) as client:
        answer = client.post("/v1/segment", content=png(picture(7, 9)))
        assert answer.status_code == 500
        assert answer.json()["error"] == "the server failed at this request; its log says why."
        assert client.post("/v1/segment", content=IMAGE).status_code == 200
    assert "no luck" in caplog.text


@pytest.mark.parametrize("name", ["queue", "workers", "max_bytes", "timeout"])
def test_limits_are_above_zero(name: str) -> None:
    with pytest.raises(ConfigError, match=f"--limits.{name.replace('_', '-')} is 0; give a number"):
        Limits(**{name: 0})
