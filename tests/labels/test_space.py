"""What channels and values mean: labels of probabilities, counts, colours, and refusals."""

from __future__ import annotations

import numpy as np
import pytest

from segloom.errors import ConfigError, DataError, UnknownNameError
from segloom.labels.palette import NO_CLASS
from segloom.labels.space import (
    MODES,
    Exclusive,
    OneLogit,
    Overlapping,
    network_space,
    space_of,
)
from segloom.types import LabelSet

PALETTE = [(10, 0, 0), (0, 100, 0), (0, 0, 201)]


def probabilities(*pixels):
    """Give ``(K, 1, number of pixels)`` from the probabilities of every pixel."""
    return np.array(pixels, np.float32).T[:, None]


@pytest.mark.parametrize("kind", [Exclusive, OneLogit])
def test_classes_that_exclude_each_other_take_the_most_probable_first(kind):
    labels = kind(2).decide(probabilities((0.2, 0.8), (0.7, 0.3), (0.5, 0.5)))
    assert labels.dtype == kind(2).label_type == "uint8"
    assert labels.tolist() == [[1, 0, 0]]


def test_classes_that_overlap_take_every_one_from_a_half_on():
    space = Overlapping(3)
    below = np.nextafter(np.float32(0.5), np.float32(0))
    labels = space.decide(probabilities((0.5, below, 0.9), (0.1, 0.2, 0.3), (1, 1, 1)))
    assert labels.tolist() == [[0b101, 0, 0b111]]
    assert [Overlapping(k).label_type for k in (7, 8, 24)] == ["uint8", "int32", "int64"]


def test_pixels_of_exclusive_classes_are_counted_once():
    found = Exclusive(3).count(np.array([[0, 2, 2], [255, 0, 255]], np.uint8))
    assert found.classes.tolist() == [2, 0, 2]
    assert (found.labelled, found.void) == (4, 2)


def test_pixels_of_overlapping_classes_are_counted_for_each():
    found = Overlapping(3).count(np.array([[0b111, 0b010, 0], [255, 0b001, 255]], np.uint8))
    assert found.classes.tolist() == [2, 2, 1]
    assert (found.labelled, found.void) == (4, 2)


def test_exclusive_classes_are_painted_by_their_colour():
    painted = Exclusive(3).paint(np.array([[0, 2, 255]], np.uint8), PALETTE)
    assert painted.dtype == np.uint8
    assert painted[0, :2].tolist() == [[10, 0, 0], [0, 0, 201]]
    assert painted[0, 2].tolist() not in ([10, 0, 0], [0, 0, 0])  # class 0 is nearly black


def test_overlapping_classes_are_painted_in_the_mean_of_their_colours():
    labels = np.array([[0b001, 0b110, 0b111, 0, 255]], np.uint8)
    painted = Overlapping(3).paint(labels, PALETTE)[0].tolist()
    assert painted[:3] == [[10, 0, 0], [0, 50, 100], [3, 33, 67]]
    assert painted[3] == list(NO_CLASS)
    assert painted[4] not in painted[:4]


def test_what_is_no_set_of_classes_is_not_painted():
    labels = np.array([[1, 8, 255]], np.uint8)
    with pytest.raises(DataError, match="holds 8, which is no set of 3 classes that may overlap"):
        Overlapping(3).paint(labels, PALETTE)


def test_modes_know_their_names_channels_and_words():
    assert {mode: kind(2).num_channels for mode, kind in MODES.items()} == {
        "binary": 1,
        "multiclass": 2,
        "multilabel": 2,
    }
    assert [kind.overlaps for kind in MODES.values()] == [False, False, True]
    assert {kind.words for kind in MODES.values()} == {"exclude each other", "overlap"}


def test_a_network_says_what_its_channels_mean():
    assert network_space("auto", 1) == OneLogit(2)
    assert network_space("auto", 2) == Exclusive(2)
    assert network_space("auto", 1) != Exclusive(2)
    assert network_space("binary", 1) == OneLogit(2)
    assert network_space("multiclass", 5) == Exclusive(5)
    assert network_space("multilabel", 1) == Overlapping(1)
    assert network_space("multilabel", 55) == Overlapping(55)


@pytest.mark.parametrize(
    ("mode", "channels", "message"),
    [
        ("binary", 2, "one logit for two classes, but classes is 2; set classes=1"),
        ("multiclass", 1, "two at least, but classes is 1; take mode binary"),
        ("multilabel", 56, "1 to 55 classes"),
    ],
)
def test_channels_that_do_not_fit_the_mode_are_refused(mode, channels, message):
    with pytest.raises(ConfigError, match=message):
        network_space(mode, channels)


def test_a_mode_that_does_not_exist_is_refused_with_those_that_do():
    with pytest.raises(UnknownNameError, match=r"'multilable'.*multilabel"):
        network_space("multilable", 3)


@pytest.mark.parametrize(("overlaps", "kind"), [(False, Exclusive), (True, Overlapping)])
def test_a_data_set_says_what_its_values_mean(overlaps, kind):
    names = ("a", "b", "c")
    labels = LabelSet(names, tuple(PALETTE), is_multilabel=overlaps)
    assert space_of(labels) == kind(3)
