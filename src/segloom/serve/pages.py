"""``/``: the page, files that come with the package; nothing is loaded from elsewhere."""

from __future__ import annotations

from functools import partial

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from segloom.page import read

__all__ = ["PATHS", "ROUTES"]

FILES = {
    "/": ("page.html", "text/html; charset=utf-8"),
    "/page.css": ("page.css", "text/css; charset=utf-8"),
    "/server.js": ("server.js", "text/javascript; charset=utf-8"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
}
PATHS = frozenset(FILES)
"""Open without a token: the page asks for it."""

POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data: blob:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
"""The page runs its own script and speaks to its own server, whatever a class may be called."""


async def page(request: Request, name: str, kind: str) -> Response:
    """Return a file of the page."""
    return Response(read(name), media_type=kind, headers={"Content-Security-Policy": POLICY})


ROUTES = tuple(
    Route(path, partial(page, name=name, kind=kind)) for path, (name, kind) in FILES.items()
)
