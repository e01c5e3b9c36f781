"""Which images are shown, and what their pictures hold."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from support.comparisons import measured
from support.squares import SIZE, write_squares

from segloom.comparison.cells.plan import Group
from segloom.comparison.statistics.changes import choose_changed, draw_changes
from segloom.config.data import DataConfig
from segloom.labels.pictures import MENDED, SPOILED, write_label_png


def test_the_largest_changes_come_first_and_void_images_never():
    without = np.array([0.5, 0.5, np.nan, 0.5, 0.5, 0.5, 0.5])
    with_it = np.array([0.6, 0.4, 0.9, 0.9, 0.1, 0.5, np.nan])
    assert choose_changed(without, with_it, 2) == ([3, 0], [4, 1])
    assert choose_changed(without, with_it, 1) == ([3], [4])
    assert choose_changed(without, with_it, 9) == ([3, 0], [4, 1])
    assert choose_changed(without, without, 3) == ([], [])


@pytest.fixture
def squares(tmp_path):
    """Two kinds of predictions of three squares: right, then all ground, and the other way."""
    write_squares(tmp_path / "data", {"test": 3})
    data = DataConfig(
        name="folder", root=tmp_path / "data", classes=("ground", "square"), cache=False
    )
    scores = {"none": [1.0, 0.3, 0.5], "afma": [0.3, 1.0, 0.5]}
    runs = []
    for variant, values in scores.items():
        folder = tmp_path / variant
        for index, value in enumerate(values):
            truth = np.asarray(Image.open(tmp_path / "data/test/masks" / f"{index}.png"))
            guess = np.where(truth == 255, 0, truth) if value == 1.0 else np.zeros_like(truth)
            write_label_png(folder / f"{index}.png", guess.astype(np.uint8))
        runs += [
            measured(
                variant,
                seed,
                0.5,
                ids=("0", "1", "2"),
                image_miou=np.array(values),
                predictions=folder,
                data=data,
            )
            for seed in (4, 2)
        ]
    return runs


def test_pictures_show_what_was_mended_and_what_was_spoiled(squares, tmp_path):
    (pair,) = draw_changes(tmp_path / "drawn", squares, baseline="none", number=2)
    assert (pair.architecture, pair.variant, pair.seed, pair.cause) == ("unet", "afma", 2, "")
    better, worse = pair.images
    assert (better.id, better.without, better.with_it) == ("1", 0.3, 1.0)
    assert (worse.id, worse.without, worse.with_it) == ("0", 1.0, 0.3)
    for image, color, other in ((better, MENDED, SPOILED), (worse, SPOILED, MENDED)):
        drawn = np.asarray(Image.open(image.path).convert("RGB"))
        panels = drawn[: 5 * SIZE + 20]  # without the legend, which has every colour
        assert (panels == color).all(2).sum() >= 25 * (SIZE // 2) ** 2 * 0.5
        assert not (panels == other).all(2).any()


def test_pairs_follow_the_comparison_and_need_a_common_seed(squares, tmp_path):
    other = Group("streets", "fpn", "resnet18")
    lonely = measured("celt", 7, 0.5)
    alone = measured("afma", 2, 0.5, group=other)
    runs = [*squares, lonely, alone]
    pairs = draw_changes(tmp_path / "drawn", runs, baseline="none", number=1)
    assert [(pair.architecture, pair.variant) for pair in pairs] == [("unet", "afma")]


def test_pairs_that_cannot_be_drawn_say_why(squares, tmp_path):
    from dataclasses import replace

    def cause(**changes):
        runs = [*squares[:2], *(replace(run, **changes) for run in squares[2:])]
        (pair,) = draw_changes(tmp_path / "drawn", runs, baseline="none", number=1)
        assert pair.images == ()
        return pair.cause

    assert "afma-seed2 were not kept; `segloom eval" in cause(predictions=None)
    assert "1.png is missing" in cause(predictions=tmp_path)
    assert "no longer holds b" in cause(ids=("a", "b", "c"))
    moved = squares[0].data.model_copy(update={"root": tmp_path / "gone"})
    assert "gone" in cause(data=moved)
