"""Options of the data are checked where they are given."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from segloom.config.data import AugmentConfig, DataConfig


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"label_map": {"red": 1}}, 'neither a value like "7" nor a colour'),
        ({"label_map": {"1,2": 1}}, "neither a value"),
        ({"label_map": {"7": 256}}, "maps to 256"),
        ({"palette": [(0, 0, 256)]}, "is no colour"),
        ({"classes": ["a", "b"], "palette": [(0, 0, 0)]}, "2 classes but 1 colours"),
        ({"classes": ["a", "a"]}, "holds a name twice"),
        ({"crop": (0, 8)}, "at least one pixel"),
        ({"split_shares": (0.5, 0.5, 0.5)}, "must add up to 1"),
        ({"split_shares": (1.5, -0.5, 0)}, "must add up to 1"),
        ({"mask_format": "rgb"}, "'auto', 'index', 'color', 'binary' or 'multilabel'"),
    ],
)
def test_what_cannot_be_meant_is_refused(options, message):
    with pytest.raises(ValidationError, match=message):
        DataConfig(**options)


@pytest.mark.parametrize("scale", [(2, 1), (0, 1), (0.5, 100)])
def test_zooms_must_be_a_range_of_sane_numbers(scale):
    with pytest.raises(ValidationError, match="scale goes from low to high"):
        AugmentConfig(scale=scale)


def test_spaces_in_colours_are_allowed():
    assert DataConfig(label_map={"128, 64, 0": 3}).label_map
