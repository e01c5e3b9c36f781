"""Limits of the options of the data, at both sides, and options that exclude one another."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from segloom.config.data import AugmentConfig, DataConfig


@pytest.mark.parametrize(
    "options",
    [
        {"label_map": {"7": 0, "65535": 255, "1,2,3": 4}},
        {"palette": [(0, 0, 0), (255, 255, 255)]},
        {"value_range": (0, 0.5)},
        {"value_range": "full"},
        {"bands": ("B02", "B03")},
        {"bands": ()},
        {"picture_bands": (1, 1, 1)},
        {"hu_window": (-100000, 100000)},
        {"split_shares": (1, 0, 0)},
        {"split_shares": (0.1, 0.2, 0.7)},
        {"crop": (0, 0)},
        {"crop": (1, 1)},
        {"class_uniform": 1.0, "class_uniform_coarse": ("car",), "class_uniform_until": 1},
        {"class_uniform_tile": 16},
        {"fold": 2},
        {"batch_size": 0},
        {"classes": ("a", "A")},
        {"mask_format": "multilabel", "ignore_values": (255,)},
    ],
)
def test_what_lies_at_a_limit_is_taken(options):
    found = DataConfig(**options)
    for name, value in options.items():
        given = tuple(value) if isinstance(value, list) else value
        assert getattr(found, name) == given


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"label_map": {"-1": 0}}, '"-1" is neither a value like "7" nor a colour "128,64,0"'),
        ({"label_map": {"1,2,3,4": 0}}, '"1,2,3,4" is neither a value'),
        ({"label_map": {"1,,3": 0}}, '"1,,3" is neither a value'),
        ({"label_map": {"7": -1}}, '"7" maps to -1; class ids go from 0, 255 is void'),
        ({"palette": [(-1, 0, 0)]}, "(-1, 0, 0) is no colour; red, green and blue go from 0 to"),
        ({"palette": [(0, 0, 256)]}, "(0, 0, 256) is no colour"),
        ({"value_range": (3, 3)}, "a range goes from the black to the white value, not from (3.0,"),
        ({"value_range": (4, 3)}, "a range goes from the black to the white value"),
        ({"bands": ("B02",)}, "bands names two bands or more, each once, not B02"),
        ({"bands": ("B02", "B03", "B02")}, "each once, not B02, B03, B02"),
        ({"bands": ("B02", "x/B03")}, "'x/B03' is no name of a band in a file's name"),
        ({"bands": ("B02", "x\\B03")}, "'x\\B03' is no name of a band in a file's name"),
        ({"bands": ("B02", "")}, "'' is no name of a band in a file's name"),
        ({"picture_bands": (0, 1, 2)}, "bands count from 1, so picture_bands cannot be (0, 1, 2)"),
        ({"hu_window": (1, 1)}, "a window goes from low to high Hounsfield units, not from (1.0"),
        ({"hu_window": (-100001, 0)}, "a window goes from low to high Hounsfield units"),
        ({"hu_window": (0, 100001)}, "a window goes from low to high Hounsfield units"),
        ({"split_shares": (0.5, 0.5, 0.001)}, "the shares of train, val and test must add up to 1"),
        ({"split_shares": (1.5, -0.5, 0)}, "the shares of train, val and test must add up to 1"),
        ({"crop": (8, 0)}, "at least one pixel"),
        (
            {"class_uniform_coarse": ("a",)},
            "class_uniform_coarse adds to class_uniform, which is 0",
        ),
        (
            {"class_uniform": 0.5, "class_uniform_until": 3},
            "class_uniform_until ends the crops of class_uniform_coarse, which is empty",
        ),
        (
            {
                "class_uniform": 0.5,
                "class_uniform_coarse": ("a",),
                "class_uniform_until": 3,
                "coarse": True,
            },
            "with coarse the coarse set is part of the training set in every epoch",
        ),
        ({"classes": ("a", "b", "a")}, "classes holds a name twice: a, b, a"),
        ({"classes": ("a",), "palette": [(0, 0, 0)] * 2}, "1 classes but 2 colours in palette"),
    ],
)
def test_what_lies_beyond_a_limit_is_one_sentence(options, sentence):
    with pytest.raises(ValidationError) as caught:
        DataConfig(**options)
    assert sentence in str(caught.value)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"class_uniform": 0.5}, "class_uniform draws crops by the one class of a pixel"),
        ({"edges": "{split}/edges"}, "edges beside folders of masks per class are not read"),
        ({"label_map": {"7": 0}}, "with mask_format multilabel the folder is the class; leave it"),
        ({"ignore_values": (255, 0)}, "0 in ignore_values would leave no background; leave it out"),
    ],
)
def test_classes_that_overlap_leave_some_options_without_a_meaning(options, sentence):
    DataConfig(mask_format="index", **options)
    with pytest.raises(ValidationError) as caught:
        DataConfig(mask_format="multilabel", **options)
    assert sentence in str(caught.value)


@pytest.mark.parametrize(
    ("name", "least", "most", "step"),
    [
        ("class_uniform", 0, 1, 0.01),
        ("class_uniform_tile", 16, None, 1),
        ("class_uniform_until", 1, None, 1),
        ("fold", 0, 2, 1),
        ("batch_size", 0, None, 1),
        ("workers", 0, None, 1),
    ],
)
def test_numbers_outside_their_range_are_refused(name, least, most, step):
    for value in (least - step, *(() if most is None else (most + step,))):
        with pytest.raises(ValidationError, match=name):
            DataConfig(**{name: value})


@pytest.mark.parametrize(
    ("name", "most"), [("flip", 1), ("rotate", 180), ("jitter", 1), ("blur", 1)]
)
def test_strengths_of_changes_have_both_ends(name, most):
    assert getattr(AugmentConfig(**{name: 0}), name) == 0
    assert getattr(AugmentConfig(**{name: most}), name) == most
    for value in (-0.01, most + 0.01):
        with pytest.raises(ValidationError, match=name):
            AugmentConfig(**{name: value})


def test_a_range_of_zooms_may_be_one_number():
    assert AugmentConfig(scale=(1, 1)).scale == (1, 1)
