"""Finished programs' label maps of two images of 2 x 2 pixels, compared; and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segloom.comparison.finished import compare_runs
from segloom.config.data import DataConfig
from segloom.config.evaluation import EvalConfig
from segloom.errors import ConfigError

CONFIG = EvalConfig(bootstrap=20, size_limits=(), boundary_tolerances=())
TRUTH = ([[0, 0], [1, 1]], [[0, 1], [0, 1]])


def save(folder: Path, maps: tuple[list[list[int]], ...]) -> Path:
    folder.mkdir(parents=True)
    for number, values in enumerate(maps):
        Image.fromarray(np.array(values, np.uint8)).save(folder / f"{number}.png")
    return folder


@pytest.fixture
def data(tmp_path: Path) -> DataConfig:
    for split in ("train", "val", "test"):
        save(tmp_path / "data" / split / "masks", TRUTH)
        save(
            tmp_path / "data" / split / "images", tuple(np.zeros((2, 2, 3)).tolist() for _ in TRUTH)
        )
    return DataConfig(
        name="folder", root=tmp_path / "data", classes=("a", "b"), mask_format="index", cache=False
    )


@pytest.fixture
def runs(tmp_path: Path) -> dict[str, list[Path]]:
    """All right, and one pixel of eight wrong: a is 4 of 5 then, and b 3 of 4."""
    wrong = ([[0, 0], [1, 0]], TRUTH[1])
    return {
        "right": [save(tmp_path / "right", TRUTH)],
        "wrong": [save(tmp_path / "wrong", wrong)],
    }


def test_the_first_kind_is_the_baseline_unless_another_is_named(runs, data, tmp_path) -> None:
    for baseline, gain in ((None, -1), ("wrong", 1)):
        out = tmp_path / f"out{gain}"
        found = compare_runs(
            runs, out, data=data, config=CONFIG, baseline=baseline, pictures=0
        ).result
        (pair,) = found.groups[0].pairs
        assert (pair.baseline, pair.seeds) == (found.baseline, [0])
        assert pair.scores["mIoU"].difference == pytest.approx(gain * (1 - (4 / 5 + 3 / 4) / 2))


def test_runs_of_one_name_are_its_seeds_and_a_name_may_come_before_the_folder(
    runs, data, tmp_path
) -> None:
    right, wrong = runs["right"][0], runs["wrong"][0]
    words = [f"x={right}", f"y={wrong}", f"x={wrong}", f"y={right}"]
    found = compare_runs(words, tmp_path / "out", data=data, config=CONFIG, pictures=0).result
    (pair,) = found.groups[0].pairs
    assert (pair.variant, pair.baseline, pair.seeds) == ("y", "x", [0, 1])
    assert pair.scores["mIoU"].per_seed == pytest.approx([-0.225, 0.225])


def test_a_kind_that_is_not_there_is_refused_with_those_that_are(runs, data, tmp_path) -> None:
    with pytest.raises(ConfigError) as error:
        compare_runs(runs, tmp_path / "out", data=data, config=CONFIG, baseline="best")
    assert str(error.value) == "there is no run of the kind best; there are right, wrong."


def test_label_maps_without_their_truth_are_refused(runs, tmp_path) -> None:
    with pytest.raises(ConfigError, match="right is no run of segloom; for label PNGs name the"):
        compare_runs(runs, tmp_path / "out", config=CONFIG)


def test_the_tables_of_a_comparison_of_cells_are_not_replaced(runs, data, tmp_path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "plan.yaml").touch()
    with pytest.raises(ConfigError, match="would replace; choose another folder with --out"):
        compare_runs(runs, tmp_path / "out", data=data, config=CONFIG)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["plan.yaml"]
