"""Runs without names are named by the one option in which they differ."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from segloom.comparison.statistics.naming import name_by_difference
from segloom.config import RunConfig
from segloom.config.load import dump_config
from segloom.run_directory import RunDirectory


def write(path: Path, **options: Any) -> Path:
    path.mkdir()
    RunDirectory(path).config.write_text(dump_config(RunConfig().override(**options)))
    return path


@pytest.mark.parametrize(
    ("first", "second", "names"),
    [
        (
            {"loss_class_weights": "log"},
            {"loss_class_weights": "none", "seed": 3, "out": "x"},
            ["class_weights=log", "class_weights=none"],
        ),
        ({"crop": (64, 96)}, {}, ["crop=64,96", "crop=None"]),
        (
            {"loss_terms": {"dice": 0.5, "bce": 1}},
            {},
            ["terms=dice:0.5+bce:1", "terms=cross_entropy:1"],
        ),
        ({"lr": 0.1}, {"lr": 0.2, "epochs": 9}, ["", ""]),
        ({"enhancements": ["afma"]}, {}, ["", ""]),
        ({"seed": 1}, {"seed": 2}, ["", ""]),
    ],
)
def test_names(
    first: dict[str, Any], second: dict[str, Any], names: list[str], tmp_path: Path
) -> None:
    runs = [("", write(tmp_path / "a", **first)), ("", write(tmp_path / "b", **second))]
    assert [name for name, _ in name_by_difference(runs)] == names


def test_names_that_are_given_and_foreign_runs_stay(tmp_path: Path) -> None:
    own = write(tmp_path / "a", lr=0.1)
    other = write(tmp_path / "b", lr=0.2)
    assert name_by_difference([("x", own), ("", other)]) == [("x", own), ("", other)]
    foreign = [("", own), ("", tmp_path / "labels")]
    assert name_by_difference(foreign) == foreign
