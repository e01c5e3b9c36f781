"""The 29 classes that DLSE reads off the colour label maps of Cityscapes.

DLSE is the program github.com/SatishKumarAnbalagan/Semantic-Segmentation. Every colour of
``*_gtFine_color.png`` is a class of its own there, and void is one too, "neutral", which also takes
every colour that is in no list. The program's table is in BGR order; this one is RGB.
"""

from __future__ import annotations

from segloom.types import LabelSet

__all__ = ["DLSE_CLASSES", "DLSE_LABEL_MAP", "DLSE_NEUTRAL"]

_COLORS: dict[str, tuple[int, int, int]] = {
    "road": (128, 64, 128),
    "vegetation": (107, 142, 35),
    "building": (70, 70, 70),
    "neutral": (0, 0, 0),
    "car": (0, 0, 142),
    "sidewalk": (244, 35, 232),
    "parking": (250, 170, 160),
    "sign": (220, 220, 0),
    "person": (220, 20, 60),
    "rider": (255, 0, 0),
    "sky": (70, 130, 180),
    "dynamic": (111, 74, 0),
    "bicycle": (119, 11, 32),
    "rail track": (230, 150, 140),
    "ground": (81, 0, 81),
    "fence": (190, 153, 153),
    "traffic light": (250, 170, 30),
    "truck": (0, 0, 70),
    "motorcycle": (0, 0, 230),
    "bus": (0, 60, 100),
    "train": (0, 80, 100),
    "terrain": (152, 251, 152),
    "trailer": (0, 0, 110),
    "pole": (153, 153, 153),
    "tunnel": (150, 120, 90),
    "caravan": (0, 0, 90),
    "guard rail": (180, 165, 180),
    "wall": (102, 102, 156),
    "bridge": (150, 100, 100),
}

DLSE_CLASSES = LabelSet(tuple(_COLORS), tuple(_COLORS.values()))
"""Names and RGB colours in the order of their ids."""

DLSE_NEUTRAL = DLSE_CLASSES.classes.index("neutral")
"""The class of void and of every unknown colour: `DatasetSource.unknown` of such a reader."""

DLSE_LABEL_MAP = {"1,1,1": DLSE_NEUTRAL}
"""What the colours of `DLSE_CLASSES` leave out; an option `label_map` of a reader of colours."""
