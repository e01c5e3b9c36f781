"""The answer to one image: arrays, polygons and pictures that agree with its label map."""

from __future__ import annotations

import subprocess
import sys
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from segloom.errors import DataError, UnknownNameError
from segloom.prediction.segmentation import Segmentation
from segloom.types import LabelSet

LABELS = LabelSet(("background", "leaf", "stem"), ((0, 0, 0), (0, 200, 0), (200, 0, 0)))
IMAGE = np.full((12, 20, 3), 100, np.uint8)


def label_map() -> np.ndarray:
    labels = np.zeros((12, 20), np.uint8)
    labels[2:6, 3:9] = 1
    labels[4, 5] = 0
    labels[8:10, 12:18] = 2
    return labels


def test_masks_shares_and_polygons_are_those_of_the_label_map() -> None:
    result = Segmentation(IMAGE, label_map(), LABELS)
    assert result.classes == ("background", "leaf", "stem")
    np.testing.assert_array_equal(result.mask("leaf"), label_map() == 1)
    assert result.shares() == {
        "background": pytest.approx(205 / 240, abs=1e-6),
        "leaf": pytest.approx(23 / 240, abs=1e-6),
        "stem": pytest.approx(12 / 240, abs=1e-6),
    }
    polygons = result.polygons()
    assert {name: [p.area for p in found] for name, found in polygons.items()} == {
        "leaf": [23],
        "stem": [12],
    }
    assert len(polygons["leaf"][0].holes) == 1
    assert polygons["stem"][0].box == (12, 8, 6, 2)
    assert result.polygons(min_area=20)["stem"] == []


def test_confidence_is_the_largest_probability() -> None:
    values = np.random.default_rng(0).dirichlet((1, 1, 1), (12, 20)).transpose(2, 0, 1)
    result = Segmentation(IMAGE, values.argmax(0).astype(np.uint8), LABELS, values.astype("f4"))
    assert result.confidence is not None
    np.testing.assert_array_equal(result.confidence, values.astype("f4").max(0))
    assert Segmentation(IMAGE, label_map(), LABELS).confidence is None


def test_overlapping_classes_are_masks_of_their_bits() -> None:
    labels = LabelSet(("a", "b"), ((255, 0, 0), (0, 0, 255)), is_multilabel=True)
    bits = np.array([[0, 1, 2, 3, 255]], np.uint8)
    result = Segmentation(np.zeros((1, 5, 3), np.uint8), bits, labels)
    assert result.mask("a").tolist() == [[False, True, False, True, False]]
    assert result.mask("b").tolist() == [[False, False, True, True, False]]
    assert result.shares() == {"a": 0.5, "b": 0.5}
    assert [p.area for p in result.polygons()["b"]] == [2]


@pytest.mark.parametrize("channels", [1, 3, 5])
def test_notebook_picture_shows_the_classes_colours(channels: int) -> None:
    image = np.repeat(IMAGE[..., :1], channels, axis=2)
    result = Segmentation(image, label_map(), LABELS)
    with Image.open(BytesIO(result._repr_png_())) as picture:
        shown = np.asarray(picture.convert("RGB")).reshape(-1, 3)
    assert {(0, 200, 0), (200, 0, 0), (100, 100, 100)} <= set(map(tuple, shown.tolist()))


def test_plot_has_three_panels_and_a_legend() -> None:
    figure = Segmentation(IMAGE, label_map(), LABELS).plot()
    assert [axes.get_title() for axes in figure.axes] == ["image", "classes", "overlay"]
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert names == ["background", "leaf", "stem"]
    figure.savefig(content := BytesIO(), format="png")
    assert content.getvalue().startswith(b"\x89PNG")


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(DataError, match=r"height and width, not shape \(3, 4\)"):
        Segmentation(IMAGE, np.zeros((3, 4), np.uint8), LABELS)
    with pytest.raises(DataError, match=r"shape \(3, 12, 20\) here, not \(2, 12, 20\)"):
        Segmentation(IMAGE, label_map(), LABELS, np.zeros((2, 12, 20), np.float32))
    with pytest.raises(UnknownNameError, match="did you mean 'leaf'"):
        Segmentation(IMAGE, label_map(), LABELS).mask("leav")


def test_it_is_read_without_torch() -> None:
    code = "import sys, segloom.prediction.segmentation; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
