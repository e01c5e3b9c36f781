"""A connection to a Ray cluster, or to one that is started on this machine."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import ModuleType

from segloom.errors import ConfigError, TrainingError

__all__ = ["connection", "last_line"]

STORE = 512 * 2**20
"""Bytes of the object store of a Ray that is started here."""
CONNECT_SECONDS = 10


@contextmanager
def connection(address: str | None) -> Iterator[ModuleType]:
    """Connect to a cluster, or start one on this machine; a connection of the caller's stays.

    Args:
        address: auto (the one of this machine), HOST:PORT or ray://HOST:PORT; None starts one.

    Raises:
        ConfigError: Ray is not installed, or the cluster does not answer.
        TrainingError: The connection was lost.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ImportError as error:
        raise ConfigError(
            "--engine ray needs Ray, which is not installed; install it with "
            "`pip install 'segloom[ray]'`."
        ) from error
    if ray.is_initialized():
        with _told_when_lost(ray):
            yield ray
        return
    options: dict[str, object] = {"address": address, "log_to_driver": False}
    if address is None:
        options |= {"address": "local", "include_dashboard": False, "object_store_memory": STORE}
    elif address != "auto":
        _reach(address)
    try:
        ray.init(logging_level="ERROR", **options)
    except (OSError, RuntimeError, ValueError) as error:
        where = "on this machine" if address in (None, "auto") else f"at {address}"
        raise ConfigError(
            f"there is no Ray cluster to use {where}: {last_line(error)}; start one with "
            "`ray start --head`, name another with --address, or set RAY_AUTH_MODE=token and "
            "RAY_AUTH_TOKEN if it asks for a token."
        ) from error
    try:
        with _told_when_lost(ray):
            yield ray
    finally:
        ray.shutdown()


@contextmanager
def _told_when_lost(ray: ModuleType) -> Iterator[None]:
    try:
        yield
    except (ray.exceptions.RayError, ConnectionError) as error:
        raise TrainingError(
            f"the Ray cluster was lost ({last_line(error)}); when it is there again, the same "
            "command goes on."
        ) from error


def _reach(address: str) -> None:
    """Say at once that nothing answers: Ray itself would try for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    try:
        with suppress(OverflowError), socket.create_connection((host, int(port)), CONNECT_SECONDS):
            return
        raise OSError("there is no such port")
    except OSError as error:
        raise ConfigError(
            f"no Ray cluster answers at {address} ({error.strerror or error}); check --address, or "
            "leave it out to start one on this machine."
        ) from error


def last_line(error: BaseException) -> str:
    """Shorten the message of an error of Ray to its last line, where the cause is."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[-1].strip().rstrip(".")[:300]
