"""The labels of Cityscapes: ids, training ids and colours.

Cordts et al., "The Cityscapes Dataset for Semantic Urban Scene Understanding", CVPR 2016, and the
table of its tools. A label without a training id is void: it is neither trained nor measured.
"""

from __future__ import annotations

from typing import NamedTuple

from segloom.data.sets.dlse_classes import DLSE_CLASSES, DLSE_LABEL_MAP, DLSE_NEUTRAL
from segloom.types import IGNORE_INDEX, LabelSet

__all__ = ["CITYSCAPES", "LABELS", "LABEL_IDS", "CityLabel", "dlse_map", "train_map"]


class CityLabel(NamedTuple):
    """One label of the release."""

    name: str
    train_id: int | None
    """Place among the 19 classes; None is void."""
    color: tuple[int, int, int]


LABELS = (
    CityLabel("unlabeled", None, (0, 0, 0)),
    CityLabel("ego vehicle", None, (0, 0, 0)),
    CityLabel("rectification border", None, (0, 0, 0)),
    CityLabel("out of roi", None, (0, 0, 0)),
    CityLabel("static", None, (0, 0, 0)),
    CityLabel("dynamic", None, (111, 74, 0)),
    CityLabel("ground", None, (81, 0, 81)),
    CityLabel("road", 0, (128, 64, 128)),
    CityLabel("sidewalk", 1, (244, 35, 232)),
    CityLabel("parking", None, (250, 170, 160)),
    CityLabel("rail track", None, (230, 150, 140)),
    CityLabel("building", 2, (70, 70, 70)),
    CityLabel("wall", 3, (102, 102, 156)),
    CityLabel("fence", 4, (190, 153, 153)),
    CityLabel("guard rail", None, (180, 165, 180)),
    CityLabel("bridge", None, (150, 100, 100)),
    CityLabel("tunnel", None, (150, 120, 90)),
    CityLabel("pole", 5, (153, 153, 153)),
    CityLabel("polegroup", None, (153, 153, 153)),
    CityLabel("traffic light", 6, (250, 170, 30)),
    CityLabel("traffic sign", 7, (220, 220, 0)),
    CityLabel("vegetation", 8, (107, 142, 35)),
    CityLabel("terrain", 9, (152, 251, 152)),
    CityLabel("sky", 10, (70, 130, 180)),
    CityLabel("person", 11, (220, 20, 60)),
    CityLabel("rider", 12, (255, 0, 0)),
    CityLabel("car", 13, (0, 0, 142)),
    CityLabel("truck", 14, (0, 0, 70)),
    CityLabel("bus", 15, (0, 60, 100)),
    CityLabel("caravan", None, (0, 0, 90)),
    CityLabel("trailer", None, (0, 0, 110)),
    CityLabel("train", 16, (0, 80, 100)),
    CityLabel("motorcycle", 17, (0, 0, 230)),
    CityLabel("bicycle", 18, (119, 11, 32)),
)
"""The labels in the order of their ids, 0 to 33. Licence plates, id -1, are not drawn."""

_TRAINED = [label for label in LABELS if label.train_id is not None]

CITYSCAPES = LabelSet(
    classes=tuple(label.name for label in _TRAINED),
    palette=tuple(label.color for label in _TRAINED),
)
"""The 19 classes that are trained and measured, in the order of their training ids."""

LABEL_IDS = tuple(LABELS.index(label) for label in _TRAINED)
"""Label id of each training id, which is what the test server reads."""


def train_map(*, colors: bool) -> dict[str, int]:
    """Map label ids, or colours, as label files hold them to training ids.

    Pole groups (void) have the colour of poles, and licence plates (void) that of cars, so that
    colours give a few pixels a class which ids do not.
    """
    found = {_spell(number, label, colors): IGNORE_INDEX for number, label in enumerate(LABELS)}
    for train_id, number in enumerate(LABEL_IDS):
        found[_spell(number, LABELS[number], colors)] = train_id
    return found


def dlse_map(*, colors: bool) -> dict[str, int]:
    """Map label ids, or colours, as label files hold them to the 29 classes of DLSE.

    These are defined by colours; an id has the class of its colour.
    """
    classes = {color: class_id for class_id, color in enumerate(DLSE_CLASSES.palette)}
    found = {
        _spell(number, label, colors): classes.get(label.color, DLSE_NEUTRAL)
        for number, label in enumerate(LABELS)
    }
    return found | (DLSE_LABEL_MAP if colors else {})


def _spell(number: int, label: CityLabel, colors: bool) -> str:
    return ",".join(map(str, label.color)) if colors else str(number)
