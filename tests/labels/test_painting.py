"""Pictures by what a data set's values mean: background is bare, void has a colour of its own."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from segloom.errors import DataError
from segloom.labels.painting import comparison, draw_outlines, legend_of, paint, tint, void_of
from segloom.labels.palette import (
    CLEAR,
    _oklab,
    background_of,
    class_palette,
    default_palette,
    void_color,
)
from segloom.types import LabelSet

NUCLEI = LabelSet(("background", "nucleus"), class_palette(("background", "nucleus")))
IMAGE = np.full((9, 9, 3), 40, np.uint8)
SQUARE = np.zeros((9, 9), np.uint8)
SQUARE[2:7, 2:7] = 1


def simulate(colors: np.ndarray, kind: str) -> np.ndarray:
    """Colours ``(N, 3)`` as a dichromat sees them (Vienot, Brettel and Mollon, 1999)."""
    linear = (colors / 255) ** 2.2
    to_lms = np.array(
        [[17.8824, 43.5161, 4.11935], [3.45565, 27.1554, 3.86714], [0.0299566, 0.184309, 1.46709]]
    )
    loss = np.eye(3)
    loss[{"protan": 0, "deutan": 1}[kind]] = {
        "protan": (0, 2.02344, -2.52581),
        "deutan": (0.494207, 0, 1.24827),
    }[kind]
    rgb = linear @ to_lms.T @ loss.T @ np.linalg.inv(to_lms).T
    return (np.clip(rgb, 0, 1) ** (1 / 2.2) * 255).round().astype(np.uint8)


@pytest.mark.parametrize("kind", ["protan", "deutan"])
def test_few_classes_differ_for_every_kind_of_colour_vision(kind: str) -> None:
    seen = _oklab(simulate(np.array([*CLEAR, (0, 0, 0)]), kind))
    assert min(np.linalg.norm(a - b) for a, b in combinations(seen, 2)) > 0.06


def test_background_is_black_in_masks_and_bare_over_the_image() -> None:
    assert NUCLEI.palette == ((0, 0, 0), default_palette(1)[0])
    assert class_palette(("leaf", "Background", "stem"))[1] == (0, 0, 0)
    assert class_palette(("sky", "road")) == default_palette(2)
    assert class_palette(("background",)) == ((0, 0, 0),)
    assert background_of(("sky", "road")) is None
    tinted = tint(IMAGE, SQUARE, NUCLEI, 1.0)
    assert (tinted[SQUARE == 0] == 40).all()
    assert (tinted[SQUARE == 1] == NUCLEI.palette[1]).all()


def test_a_colour_that_the_user_gives_the_background_is_painted_but_never_tints() -> None:
    labels = LabelSet(("background", "nucleus"), ((250, 250, 0), (0, 0, 250)))
    assert (paint(SQUARE, labels)[0, 0] == (250, 250, 0)).all()
    assert (tint(IMAGE, SQUARE, labels)[0, 0] == 40).all()


def test_void_is_like_no_class() -> None:
    assert void_color(default_palette(12)) == (0, 0, 0)
    assert void_color(NUCLEI.palette) == (224, 224, 192)
    assert void_color([(0, 0, 0), (225, 225, 190)]) == (128, 128, 128)
    truth = SQUARE.copy()
    truth[0] = 255
    painted = paint(truth, NUCLEI)
    assert (painted[0] == (224, 224, 192)).all()
    assert (painted[1] == 0).all()
    shown = comparison(IMAGE, truth, SQUARE, NUCLEI).reshape(-1, 3)
    assert (224, 224, 192) in set(map(tuple, shown.tolist()))


def test_the_legend_has_void_only_where_a_map_has() -> None:
    assert [name for name, _ in legend_of(NUCLEI, SQUARE)] == ["background", "nucleus"]
    truth = np.full((2, 2), 255, np.uint8)
    assert legend_of(NUCLEI, SQUARE, truth)[-1] == ("void", void_of(NUCLEI))


def test_overlapping_classes_keep_none_and_void_apart() -> None:
    labels = LabelSet(("a", "b"), ((0, 0, 0), (0, 0, 255)), is_multilabel=True)
    names, colors = zip(*legend_of(labels, np.array([[255]])), strict=True)
    assert names == ("a", "b", "none", "void")
    assert len(set(colors)) == 4
    assert tuple(paint(np.array([[255]], np.uint8), labels)[0, 0]) == colors[-1]


def test_outlines_run_along_the_inside_of_objects() -> None:
    drawn = draw_outlines(IMAGE, SQUARE, NUCLEI)
    edge = SQUARE.astype(bool)
    edge[3:6, 3:6] = False
    assert (drawn[edge] == NUCLEI.palette[1]).all()
    assert (drawn[~edge] == 40).all()
    assert (IMAGE == 40).all(), "the image itself is not drawn on"
    with pytest.raises(DataError, match="differ in size"):
        draw_outlines(IMAGE, SQUARE[:3], NUCLEI)


def test_outlines_of_overlapping_classes_are_drawn_each() -> None:
    labels = LabelSet(("a", "b"), ((200, 0, 0), (0, 0, 200)), is_multilabel=True)
    bits = SQUARE * 3
    bits[0] = 255
    bits[4, 4] = 1
    drawn = draw_outlines(IMAGE, bits, labels)
    assert (drawn[2, 2] == (0, 0, 200)).all(), "the later class is drawn over the earlier"
    assert (drawn[0] == 40).all()
