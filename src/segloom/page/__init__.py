"""The page that shows a photograph with its classes; `read` gives its files.

page.html, page.css, page.js   what is seen and done, with whatever answers
server.js                      answers come from `segloom serve`
local.js, worker.js            answers come from a network in the page itself
polygons.js                    their outlines, which the server would have traced
"""

from __future__ import annotations

from importlib.resources import files

__all__ = ["read"]


def read(name: str) -> str:
    """Read a file of the page."""
    return (files(__name__) / name).read_text(encoding="utf-8")
