"""Pictures inside the HTML file: shrunk, compressed as WebP, written as data addresses."""

from __future__ import annotations

import base64
import io
import warnings
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

__all__ = ["Embedded", "embed_picture"]

STEPS = ((2000, 86), (1600, 80), (1200, 76), (900, 70), (640, 60), (420, 40))
"""Greatest width in pixels and WebP quality, tried in this order until the picture is small."""
MAX_PIXELS = 100_000_000


@dataclass(frozen=True)
class Embedded:
    """A picture as the page holds it."""

    address: str
    """``data:image/webp;base64,...``"""
    width: int
    height: int


def embed_picture(path: Path, *, limit: int) -> Embedded | None:
    """Compress a picture to about ``limit`` bytes; None if it is missing, broken or too large.

    Six sizes are tried; the last is taken even if it passes the limit, and has at most 420 x 420
    pixels.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # MAX_PIXELS decides
            with Image.open(path) as file:
                if file.width * file.height > MAX_PIXELS:
                    return None
                image = file.convert("RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None
    return _compress(image, limit)


def _compress(image: Image.Image, limit: int) -> Embedded:
    content, small = b"", image
    for side, quality in STEPS:
        small = image.copy()
        small.thumbnail((side, side), Image.Resampling.LANCZOS)
        buffer = io.BytesIO()
        small.save(buffer, "WEBP", quality=quality, method=4)
        content = buffer.getvalue()
        if len(content) <= limit:
            break
    text = base64.b64encode(content).decode("ascii")
    return Embedded(f"data:image/webp;base64,{text}", small.width, small.height)
