"""The table and the picture of a learning-rate range test."""

from __future__ import annotations

import csv

import numpy as np
import pytest
from PIL import Image

from segloom.report import write_rate_test


@pytest.mark.parametrize("suggestion", [1e-3, None])
def test_table_holds_the_steps_and_the_picture_marks_the_suggestion(tmp_path, suggestion):
    rates = np.geomspace(1e-5, 1, 30).tolist()
    losses = [*np.linspace(2, 1, 29).tolist(), 1e9]
    table, picture = write_rate_test(tmp_path, rates, losses, [1.5] * 30, suggestion)
    with table.open() as file:
        rows = list(csv.DictReader(file))
    assert [float(row["lr"]) for row in rows] == rates
    assert [float(row["loss"]) for row in rows] == losses
    pixels = np.asarray(Image.open(picture).convert("RGB"))
    vermilion = (pixels == (0xD5, 0x5E, 0x00)).all(axis=-1)
    assert bool(vermilion.any()) == (suggestion is not None)
