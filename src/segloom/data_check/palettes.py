"""Colours that say which data set label maps come from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict

from segloom.data.sets.camvid import CAMVID, COLORS
from segloom.data_check.contents import spell
from segloom.types import IGNORE_INDEX

__all__ = ["KnownPalette", "known_palette"]

CITYSCAPES = {
    "road": (128, 64, 128), "sidewalk": (244, 35, 232), "building": (70, 70, 70),
    "wall": (102, 102, 156), "fence": (190, 153, 153), "pole": (153, 153, 153),
    "traffic light": (250, 170, 30), "traffic sign": (220, 220, 0),
    "vegetation": (107, 142, 35), "terrain": (152, 251, 152), "sky": (70, 130, 180),
    "person": (220, 20, 60), "rider": (255, 0, 0), "car": (0, 0, 142), "truck": (0, 0, 70),
    "bus": (0, 60, 100), "train": (0, 80, 100), "motorcycle": (0, 0, 230),
    "bicycle": (119, 11, 32),
}  # fmt: skip
"""Colours of the 19 classes of Cityscapes that are evaluated."""


class KnownPalette(TypedDict):
    """Options of `DataConfig` that read such label maps."""

    classes: list[str]
    palette: list[list[int]]
    label_map: dict[str, int]


def known_palette(colors: Sequence[tuple[int, int, int]]) -> KnownPalette | None:
    """Recognise the colours of CamVid or Cityscapes; black is void in both.

    Args:
        colors: That occur in label maps.

    Returns:
        None if fewer than three occur, or one that neither of them has.
    """
    found = set(colors) - {(0, 0, 0)}
    black = {"0,0,0": IGNORE_INDEX}
    if len(found) < 3:
        return None
    if found <= set(CITYSCAPES.values()):
        palette = [list(color) for color in CITYSCAPES.values()]
        return {"classes": list(CITYSCAPES), "palette": palette, "label_map": black}
    original = {color: name for color, name in COLORS.values() if name is not None}
    if found <= set(original) | set(CAMVID.palette):
        merged = {
            spell(color): CAMVID.classes.index(name)
            for color, name in original.items()
            if color not in CAMVID.palette
        }
        palette = [list(color) for color in CAMVID.palette]
        return {
            "classes": list(CAMVID.classes),
            "palette": palette,
            "label_map": {**black, **merged},
        }
    return None
