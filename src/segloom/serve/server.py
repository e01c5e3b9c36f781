"""The process: a socket, time limits of connections, and an orderly end on SIGTERM."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any

import uvicorn
from starlette.applications import Starlette
from uvicorn.protocols.http.h11_impl import H11Protocol

from segloom.errors import ConfigError
from segloom.serve.app import create_app
from segloom.serve.limits import Limits
from segloom.serve.models import Model

__all__ = ["Server", "bind", "is_local", "serve"]

LOGGER = logging.getLogger("segloom.serve")
STOPPING = (signal.SIGTERM, signal.SIGINT)


def is_local(host: str) -> bool:
    """Return whether only this machine can reach an address."""
    return host in ("localhost", "::1") or host.startswith("127.")


def bind(host: str, port: int) -> socket.socket:
    """Take an address, so that one that is taken is told before a network is loaded.

    Args:
        host: Name or address.
        port: 0 takes any that is free.

    Raises:
        ConfigError: It is taken, not allowed or not of this machine.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Without the protocol's name asyncio does not switch Nagle's algorithm off, and every answer
    # waits 40 ms for the client's delayed acknowledgement.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except (OSError, OverflowError) as error:
        listener.close()
        reason = getattr(error, "strerror", None) or str(error)
        raise ConfigError(
            f"cannot listen on {host} port {port} ({reason}); choose another --port or --host."
        ) from error
    return listener


def serve(
    models: Sequence[Model],
    listener: socket.socket,
    *,
    limits: Limits | None = None,
    token: str | None = None,
    hosts: Sequence[str] = (),
) -> None:
    """Serve until SIGTERM or SIGINT; what was accepted by then is answered first.

    Args:
        models: What is served; the first is the default.
        listener: From `bind`.
        limits: What is refused.
        token: If given, requests need it.
        hosts: Names by which requests may call a server that only this machine can reach.
    """
    limits = limits or Limits()
    host = listener.getsockname()[0]
    known = ["127.0.0.1", "localhost", "::1", "[::1]", host, *hosts] if is_local(host) else hosts
    app = create_app(models, limits, token=token, hosts=known)
    Server(app, limits).run([listener])


class Server(uvicorn.Server):
    """Uvicorn with limits for slow clients, and an end that is no error.

    Args:
        app: From `create_app`.
        limits: Times and numbers.
    """

    def __init__(self, app: Starlette, limits: Limits) -> None:
        drain = int(limits.timeout + limits.body_timeout) + 1
        super().__init__(
            uvicorn.Config(
                app,
                http=_protocol(limits),
                ws="none",
                lifespan="on",
                log_config=None,
                log_level="warning",
                access_log=False,
                server_header=False,
                proxy_headers=False,
                limit_concurrency=limits.connections,
                timeout_keep_alive=max(1, int(limits.idle_timeout)),
                timeout_graceful_shutdown=drain,
            )
        )
        self.service = app.state.service

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Answer SIGTERM and SIGINT with an orderly end and code 0; uvicorn raises them again."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        old = {kind: signal.signal(kind, self.handle_exit) for kind in STOPPING}
        try:
            yield
        finally:
            for kind, handler in old.items():
                signal.signal(kind, handler)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to drain; a second SIGINT ends at once."""
        self.service.is_draining = True
        if not self.should_exit:
            waiting = self.service.scheduler.waiting + self.service.scheduler.running
            LOGGER.warning("segloom: stopping; %d requests left", waiting)
        super().handle_exit(sig, frame)


def _protocol(limits: Limits) -> type[H11Protocol]:
    """Make uvicorn's HTTP protocol with the time limits that it lacks."""

    class Limited(H11Protocol):
        """Drops connections that send no request, or take no answer."""

        _idle: asyncio.TimerHandle | None = None
        _stuck: asyncio.TimerHandle | None = None

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self._idle = self.loop.call_later(limits.idle_timeout, self._drop_idle)

        def data_received(self, data: bytes) -> None:
            before = self.cycle
            super().data_received(data)
            if self.cycle is not before and self._idle is not None:  # a head is complete
                self._idle.cancel()
                self._idle = None

        def on_response_complete(self) -> None:
            super().on_response_complete()
            if not self.transport.is_closing() and self.cycle.response_complete:
                self._idle = self.loop.call_later(limits.idle_timeout, self._drop_idle)

        def pause_writing(self) -> None:
            super().pause_writing()
            self._stuck = self.loop.call_later(limits.body_timeout, self.transport.abort)

        def resume_writing(self) -> None:
            super().resume_writing()
            if self._stuck is not None:
                self._stuck.cancel()

        def connection_lost(self, exc: Exception | None) -> None:
            super().connection_lost(exc)
            for timer in (self._idle, self._stuck):
                if timer is not None:
                    timer.cancel()

        def _drop_idle(self) -> None:
            if self.transport.get_write_buffer_size():  # an answer is still on its way
                self._idle = self.loop.call_later(limits.idle_timeout, self._drop_idle)
            elif self.cycle is None or self.cycle.response_complete:
                self.transport.abort()

    return Limited
