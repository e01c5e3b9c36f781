"""The process: its socket, its end, and what it does not import."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from support.servers import a_model, picture, pixels, png, running

from segloom.errors import ConfigError
from segloom.serve.server import bind

PROGRAM = """
import sys
sys.path[:0] = sys.argv[1:]
from support.servers import a_model, slowly
from segloom.serve.limits import Limits
from segloom.serve.server import bind, serve
listener = bind("127.0.0.1", 0)
print(listener.getsockname()[1], flush=True)
serve([a_model(slowly(0.2))], listener, limits=Limits(queue=8))
print("ended;", "torch" in sys.modules, flush=True)
"""


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_what_was_accepted_before_sigterm_is_answered(stop: signal.Signals) -> None:
    folders = [str(Path(__file__).parents[1]), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *folders], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    url = f"http://127.0.0.1:{process.stdout.readline().strip()}"
    with httpx.Client(base_url=url, trust_env=False, timeout=30) as client:
        end = time.monotonic() + 30
        while time.monotonic() < end:
            try:
                client.get("/health/ready")
                break
            except httpx.ConnectError:
                time.sleep(0.05)
        image = png(picture())
        with ThreadPoolExecutor(6) as pool:
            asked = [
                pool.submit(client.post, "/v1/segment?output=label", content=image)
                for _ in range(6)
            ]
            while "segloom_queue_length 4.0" not in client.get("/metrics").text:
                time.sleep(0.01)
            process.send_signal(stop)
            answers = [future.result() for future in asked]
    assert [answer.status_code for answer in answers] == [200] * 6
    assert all(pixels(answer.content).shape == (40, 60) for answer in answers)
    output, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    assert output == "ended; False\n"
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{url}/health/live", trust_env=False)


def test_an_address_that_is_taken_is_told_with_the_fix() -> None:
    with bind("127.0.0.1", 0) as taken:
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=f"cannot listen on 127.0.0.1 port {port} .*--port"):
            bind("127.0.0.1", port)
    with pytest.raises(ConfigError, match=r"cannot listen on 203\.0\.113\.1 port 0"):
        bind("203.0.113.1", 0)
    with pytest.raises(ConfigError, match=r"cannot listen on 127\.0\.0\.1 port 70000"):
        bind("127.0.0.1", 70000)


def test_answers_do_not_wait_for_delayed_acknowledgements() -> None:
    with bind("127.0.0.1", 0) as listener:
        assert listener.proto == socket.IPPROTO_TCP  # by which asyncio switches Nagle's rule off


def test_two_servers_in_one_program_count_for_themselves() -> None:
    with running([a_model()]) as first, running([a_model()]) as second:
        first.post("/v1/segment", content=png(picture()))
        assert 'segloom_pixels_total{model="brightness"}' in first.get("/metrics").text
        assert 'segloom_pixels_total{model="brightness"}' not in second.get("/metrics").text
