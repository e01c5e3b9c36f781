"""What the page of a comparison is told of images that changed, and their pictures in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from segloom.report.embed import Embedded, embed_picture

__all__ = ["ChangedFigure", "ChangedImage", "ChangedPair", "embed_changed"]

PICTURE_BUDGET = 6_000_000
"""Bytes for all pictures together before base64."""
LARGEST = 300_000
"""Bytes of one picture."""


@dataclass(frozen=True)
class ChangedImage:
    """An image that two networks see differently."""

    id: str
    without: float
    """Its mIoU without the variant, 0 to 1."""
    with_it: float
    path: Path
    """The picture: image, truth, both predictions and what flipped."""


@dataclass(frozen=True)
class ChangedPair:
    """The images that a variant changed most, the most improved first; or why there are none."""

    recipe: str
    architecture: str
    encoder: str
    variant: str
    seed: int
    images: tuple[ChangedImage, ...] = ()
    cause: str = ""


@dataclass(frozen=True)
class ChangedFigure:
    """One picture as the page holds it."""

    image: ChangedImage
    picture: Embedded | None

    @property
    def change(self) -> float:
        """Difference of the image's mIoU, -1 to 1."""
        return self.image.with_it - self.image.without


def embed_changed(pairs: Sequence[ChangedPair]) -> list[tuple[ChangedPair, list[ChangedFigure]]]:
    """Compress the pictures so that all of them together keep the page small."""
    count = sum(len(pair.images) for pair in pairs)
    limit = min(LARGEST, PICTURE_BUDGET // max(count, 1))
    return [
        (pair, [ChangedFigure(i, embed_picture(i.path, limit=limit)) for i in pair.images])
        for pair in pairs
    ]
