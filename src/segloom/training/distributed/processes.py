"""Training in several processes: starting them on this machine.

Every process runs the same program on the run directory's config.yaml, so nothing is pickled and
no script of the user is run twice.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from types import FrameType

from segloom import errors
from segloom.errors import ConfigError, TrainingError, UnknownNameError
from segloom.files import parse_json

__all__ = [
    "STOPPED",
    "run_processes",
    "stop_signals",
]

STOPPED = 130
"""Exit code of a process that a signal stopped after it saved its state."""


def run_processes(run: Path, num_processes: int, *, show_progress: bool) -> bool:
    """Train the run in several processes on this machine and wait for them.

    Signals that stop a training are handed on to all of them.

    Returns:
        False if a signal stopped them.

    Raises:
        SegloomError: What one of them raised, or that it ended without a word.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        children = [
            _start(run, rank, num_processes, port, Path(folder), show_progress)
            for rank in range(num_processes)
        ]
        codes, was_signalled = _wait(children)
        _raise_first(Path(folder), [] if was_signalled else codes)
    return not any(codes)


def _start(
    run: Path, rank: int, num_processes: int, port: int, folder: Path, show_progress: bool
) -> subprocess.Popen[bytes]:
    # The words of torchrun, so that processes of ours and of torchrun find each other alike.
    environment = {
        **os.environ,
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "GROUP_RANK": "0",
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(num_processes),
        "LOCAL_WORLD_SIZE": str(num_processes),
    }
    words = [str(run), str(folder / f"{rank}.json"), *(["progress"] if show_progress else [])]
    # A session of their own: Ctrl-C reaches them through this process alone, once.
    return subprocess.Popen(
        [sys.executable, "-m", "segloom.training.distributed.worker", *words],
        env=environment,
        start_new_session=True,
    )


def _wait(children: list[subprocess.Popen[bytes]]) -> tuple[list[int], bool]:
    """Wait for all; return their exit codes, and whether a signal was handed on to them.

    A process that has not begun to train dies of that signal, with nothing to save.
    """
    received: list[int] = []

    def hand_on(number: int, frame: FrameType | None) -> None:
        received.append(number)
        for child in children:
            if child.poll() is None:
                child.send_signal(number)

    previous = {number: signal.signal(number, hand_on) for number in stop_signals()}
    try:
        while any(child.poll() is None for child in children):
            if not received and _has_failed(children):
                _end(children)
            for child in children:
                with suppress(subprocess.TimeoutExpired):
                    child.wait(timeout=0.2)
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
    return [child.returncode for child in children], bool(received)


def _has_failed(children: list[subprocess.Popen[bytes]]) -> bool:
    return any(child.poll() not in (None, 0, STOPPED) for child in children)


def _end(children: list[subprocess.Popen[bytes]]) -> None:
    """End the others when one failed: they would wait for it for half an hour."""
    for child in children:
        try:
            child.wait(timeout=5)
        except subprocess.TimeoutExpired:
            child.kill()


def _raise_first(folder: Path, codes: list[int]) -> None:
    for file in sorted(folder.glob("*.json")):
        report = parse_json(file.read_text())
        kind = getattr(errors, report["kind"], TrainingError)
        # The sentence is whole already; an unknown name would build it anew.
        raise (ConfigError if kind is UnknownNameError else kind)(report["message"])
    for rank, code in enumerate(codes):
        if code not in (0, STOPPED):
            raise TrainingError(
                f"training process {rank} ended with code {code}; its own message is above."
            )


def stop_signals() -> tuple[signal.Signals, ...]:
    """Signals that stop a training after it has saved its state."""
    return (signal.SIGINT, signal.SIGTERM)
