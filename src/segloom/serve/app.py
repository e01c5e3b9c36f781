"""The application: routes, the token, errors in one form, and what is counted.

It is ASGI, so that another program can mount it: ``create_app(models)``.
"""

from __future__ import annotations

import hmac
import logging
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from segloom.errors import ConfigError, DataError, ImageTooLargeError
from segloom.serve import openapi, pages, protocol, segment
from segloom.serve.body import Refusal
from segloom.serve.limits import Limits
from segloom.serve.models import Model
from segloom.serve.service import Service

__all__ = ["create_app"]

LOGGER = logging.getLogger("segloom.serve")

OPEN_PATHS = frozenset(
    {f"{start}/health/{kind}" for start in ("", "/v2") for kind in ("live", "ready")}
    | {"/docs", "/openapi.json"}
    | pages.PATHS
)
"""Paths without the token: what a load balancer, a reader of the API and a browser ask for."""
HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
    (b"cache-control", b"no-store"),
)


def create_app(
    models: Sequence[Model],
    limits: Limits | None = None,
    *,
    token: str | None = None,
    hosts: Sequence[str] = (),
) -> Starlette:
    """Make the ASGI application that serves models.

    Args:
        models: What is served; the first is the default.
        limits: What is refused.
        token: If given, requests need ``Authorization: Bearer TOKEN``.
        hosts: If given, names by which requests may call the server; with these a page that
            visits 127.0.0.1 under a name of its own (DNS rebinding) is refused.
    """
    service = Service(models, limits or Limits(), has_token=token is not None)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        service.scheduler.start()
        yield
        await service.scheduler.stop()

    middleware = [Middleware(_Gate, service=service, token=token)]
    if hosts:
        trusted = Middleware(TrustedHostMiddleware, allowed_hosts=list(hosts), www_redirect=False)
        middleware.insert(0, trusted)
    app = Starlette(
        routes=[
            *(Route(f"{start}/health/live", live) for start in ("", "/v2")),
            *(Route(f"{start}/health/ready", ready) for start in ("", "/v2")),
            Route("/metrics", metrics),
            *segment.ROUTES,
            *protocol.ROUTES,
            *openapi.ROUTES,
            *pages.ROUTES,
        ],
        middleware=middleware,
        lifespan=lifespan,
        exception_handlers={
            Refusal: _refused,
            HTTPException: _not_found,
            DataError: _no_image,
            ConfigError: _bad_wish,
            MemoryError: _no_memory,
            ClientDisconnect: _gone,
        },
    )
    app.state.service = service
    return app


async def live(request: Request) -> Response:
    """Tell that the process runs."""
    return JSONResponse({"live": True})


async def ready(request: Request) -> Response:
    """Return whether new requests should come here: not while the server drains."""
    service: Service = request.app.state.service
    status = 503 if service.is_draining else 200
    return JSONResponse({"ready": not service.is_draining}, status_code=status)


async def metrics(request: Request) -> Response:
    """Write the counters for Prometheus."""
    service: Service = request.app.state.service
    return Response(service.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")


async def _refused(request: Request, refusal: Any) -> Response:
    service: Service = request.app.state.service
    headers = dict(refusal.headers)
    if request.method == "POST":
        # What is left of the body would be taken for the next request.
        headers["Connection"] = "close"
        if refusal.status != 408:
            await service.reader.discard(request)
    return _sentence(refusal.status, refusal.sentence, headers)


async def _not_found(request: Request, error: Any) -> Response:
    status, headers = error.status_code, dict(error.headers or {})
    if status == 404:
        return _sentence(404, f"there is nothing at {request.url.path}; see /docs.", headers)
    if status == 405:
        allowed = f"{request.url.path} takes {headers.get('Allow', 'another method')}"
        return _sentence(405, f"{allowed}, not {request.method}.", headers)
    return _sentence(status, error.detail, headers)


async def _no_image(request: Request, error: Exception) -> Response:
    return _sentence(413 if isinstance(error, ImageTooLargeError) else 422, str(error))


async def _bad_wish(request: Request, error: Exception) -> Response:
    return _sentence(400, str(error))


async def _no_memory(request: Request, error: Exception) -> Response:
    return _sentence(413, "the image is too large for this machine's memory; scale it down.")


async def _gone(request: Request, error: Exception) -> Response:
    return Response(status_code=499)  # nobody reads it; the metrics count it


def _sentence(status: int, sentence: str, headers: dict[str, str] | None = None) -> Response:
    return JSONResponse({"error": sentence}, status_code=status, headers=headers)


class _Gate:
    """Asks for the token, adds headers to every answer and counts it."""

    def __init__(self, app: ASGIApp, service: Service, token: str | None) -> None:
        self.app, self.service, self.token = app, service, token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        start, status = time.perf_counter(), HTTPStatus.INTERNAL_SERVER_ERROR.value

        async def send_on(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], *HEADERS]
            await send(message)

        try:
            await self._answer(scope, receive, send_on)
        finally:
            endpoint = getattr(scope.get("endpoint"), "func", scope.get("endpoint"))  # of a partial
            route = getattr(endpoint, "__name__", "none")
            found = self.service.metrics
            found.requests.labels(route, status).inc()
            found.request_seconds.labels(route).observe(time.perf_counter() - start)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not self._may_pass(scope):
            sentence = "this server needs a token: send Authorization: Bearer TOKEN."
            refused = _sentence(401, sentence, {"WWW-Authenticate": "Bearer"})
            await refused(scope, receive, send)
            return
        try:
            await self.app(scope, receive, send)
        except Exception:  # handled here, since uvicorn would close the connection
            LOGGER.exception("%s %s", scope["method"], scope["path"])
            failed = _sentence(500, "the server failed at this request; its log says why.")
            await failed(scope, receive, send)

    def _may_pass(self, scope: Scope) -> bool:
        if self.token is None or scope["path"] in OPEN_PATHS:
            return True
        given = dict(scope["headers"]).get(b"authorization", b"")
        kind, _, value = given.partition(b" ")
        # Both sides as bytes: compare_digest takes no other text than ASCII.
        is_token = hmac.compare_digest(value.strip(), self.token.encode())
        return kind.lower() == b"bearer" and is_token
