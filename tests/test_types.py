"""Values between the rooms: checks of label sets, levels of an encoder, places and files."""

from __future__ import annotations

from pathlib import Path

import pytest

from segloom.errors import ConfigError
from segloom.types import ALONE, FeatureSpec, LabelSet, ModelShape, Place, Record

RED, BLUE = (255, 0, 0), (0, 0, 255)


def test_a_label_set_has_a_colour_per_class():
    assert LabelSet(("a", "b"), (RED, BLUE)).ignore_index == 255
    with pytest.raises(ConfigError, match="2 classes but 1 colours in the palette; give one"):
        LabelSet(("a", "b"), (RED,))


@pytest.mark.parametrize("number", [0, 256])
def test_a_label_set_has_1_to_255_classes(number):
    with pytest.raises(ConfigError, match="needs 1 to 255 classes"):
        LabelSet(("a",) * number, (RED,) * number)


def test_as_many_classes_as_a_byte_names_beside_void_are_taken():
    assert len(LabelSet(tuple(map(str, range(255))), (RED,) * 255).classes) == 255


@pytest.mark.parametrize("name", ["ro\x1b[31mad", "road\n", "\x00"])
def test_control_characters_in_a_name_are_refused(name):
    with pytest.raises(ConfigError, match="holds control characters; rename it in"):
        LabelSet(("a", name), (RED, BLUE))


SHAPE = ModelShape(
    3,
    2,
    (FeatureSpec(0, 3, 1), FeatureSpec(1, 0, 2), FeatureSpec(2, 64, 4), FeatureSpec(3, 9, 4)),
    16,
)


@pytest.mark.parametrize(("level", "index"), [(0, 0), (2, 2), (3, 3)])
def test_a_level_is_found_by_its_number_not_by_its_stride(level, index):
    assert SHAPE.level(level) == (index, SHAPE.features[index])


@pytest.mark.parametrize("level", [1, 4, -1])
def test_a_level_without_channels_is_refused_with_those_that_have_some(level):
    with pytest.raises(ConfigError, match=rf"at level {level}; take one of its levels 0, 2, 3, or"):
        SHAPE.level(level)


@pytest.mark.parametrize(
    ("fields", "place"),
    [
        ({}, ALONE),
        ({"group": "film", "order": 7}, Place("film", 7)),
        ({"group": "film", "order": 7, "case": "p1", "part": 3}, Place("film", 7)),
        ({"case": "p1", "part": 3}, Place("p1", 3)),
        ({"case": "p1"}, Place("p1", None)),
        ({"order": 7, "part": 3}, Place("", 7)),
    ],
)
def test_a_sample_depends_on_its_group_or_else_on_its_case(fields, place):
    assert Record("a", Path("a.png"), **fields).place == place


def test_the_files_of_a_sample_are_those_that_it_has_the_image_first():
    a, b, c, d = map(Path, "abcd")
    assert Record("x", a).files == (a,)
    assert Record("x", a, mask=b, edge=c).files == (a, b, c)
    assert Record("x", a, edge=c, class_masks=((), (d, b), ())).files == (a, c, d, b)
