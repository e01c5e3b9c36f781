"""What every label space answers, on maps of a few pixels: files, bare pixels, networks."""

from __future__ import annotations

import numpy as np
import pytest

from segloom.errors import ConfigError
from segloom.labels.space import Exclusive, OneLogit, Overlapping
from segloom.types import Region

IDS = np.array([[0, 1, 2], [255, 1, 0]], np.uint8)
BITS = np.array([[0, 1, 2], [255, 3, 4]], np.uint8)


@pytest.mark.parametrize(
    ("space", "channels", "dtype"),
    [
        (Exclusive(3), 3, "uint8"),
        (OneLogit(2), 1, "uint8"),
        (Overlapping(1), 1, "uint8"),
        (Overlapping(7), 7, "uint8"),
        (Overlapping(8), 8, "int32"),
    ],
)
def test_a_network_has_a_channel_per_class_but_for_one_logit(space, channels, dtype):
    assert (space.num_channels, space.label_type) == (channels, dtype)


def test_spaces_of_one_kind_and_number_are_equal():
    assert Exclusive(3) == Exclusive(3)
    assert Exclusive(3) != Exclusive(2)
    assert Exclusive(2) != OneLogit(2)
    assert hash(Overlapping(2)) == hash(Overlapping(2))


def test_the_pixels_of_a_class():
    assert Exclusive(3).where(IDS, 1).tolist() == [[False, True, False], [False, True, False]]
    assert Overlapping(3).where(BITS, 1).tolist() == [[False, False, True], [False, True, False]]
    assert Overlapping(3).where(BITS, 2).tolist() == [[False, False, False], [False, False, True]]


@pytest.mark.parametrize(
    ("space", "labels", "background", "expected"),
    [
        (Exclusive(3), IDS, None, [[0, 0, 0], [1, 0, 0]]),
        (Exclusive(3), IDS, 0, [[1, 0, 0], [1, 0, 1]]),
        (Exclusive(3), IDS, 1, [[0, 1, 0], [1, 1, 0]]),
        (Overlapping(3), BITS, 1, [[1, 0, 0], [1, 0, 0]]),
    ],
)
def test_void_background_and_pixels_of_no_class_stay_bare(space, labels, background, expected):
    assert space.bare(labels, background).astype(int).tolist() == expected


def test_files_hold_ids_or_a_map_per_class_and_come_back():
    (file,) = Exclusive(3).pixels_of_files(IDS)
    assert file.tolist() == IDS.tolist()
    known = np.where(BITS == 255, 0, BITS)
    files = Overlapping(3).pixels_of_files(known)
    assert [file.tolist() for file in files] == [
        [[0, 255, 0], [0, 255, 0]],
        [[0, 0, 255], [0, 255, 0]],
        [[0, 0, 0], [0, 0, 255]],
    ]
    assert Exclusive(3).join_files([file]).tolist() == IDS.tolist()
    assert Overlapping(3).join_files(files).tolist() == known.tolist()
    assert Overlapping(3).join_files([file // 255 for file in files]).tolist() == known.tolist()


def test_only_overlapping_classes_mix():
    assert not Exclusive(3).mixes(IDS)
    assert not Exclusive(3).mixes(np.array([[3]], np.uint8))
    assert Overlapping(3).mixes(BITS)
    assert not Overlapping(3).mixes(np.array([[0, 1, 2, 4, 255]], np.uint8))


def test_what_is_scored_against_all_else():
    assert Exclusive(2).usual_regions(("sky", "sea")) == (Region("sea", (1,)),)
    assert Exclusive(3).usual_regions(("a", "b", "c")) == ()
    assert Overlapping(2).usual_regions(("a", "b")) == (Region("a", (0,)), Region("b", (1,)))


def test_probabilities_and_how_sure_they_are():
    logits = np.log(np.array([[[1, 6]], [[3, 1]], [[4, 1]]], np.float32))
    exclusive = Exclusive(3).activate(logits)
    np.testing.assert_allclose(exclusive[:, 0, 0], [1 / 8, 3 / 8, 1 / 2], rtol=1e-6)
    np.testing.assert_allclose(Exclusive(3).confidence(exclusive), [[1 / 2, 3 / 4]], rtol=1e-6)
    assert Exclusive(3).decide_logits(logits).tolist() == [[2, 0]]
    overlapping = Overlapping(3).activate(logits)
    np.testing.assert_allclose(overlapping[:, 0, 0], [1 / 2, 3 / 4, 4 / 5], rtol=1e-6)
    np.testing.assert_allclose(Overlapping(3).confidence(overlapping), [[1 / 2, 1 / 2]], rtol=1e-6)
    assert Overlapping(3).decide(overlapping).tolist() == [[7, 7]]


def test_logits_far_from_zero_do_not_overflow():
    logits = np.array([[[1000]], [[-1000]]], np.float32)
    for space in (Exclusive(2), Overlapping(2)):
        with np.errstate(over="raise", invalid="raise"):
            assert space.activate(logits).ravel().tolist() == [1, 0]


@pytest.mark.parametrize(
    ("space", "mode", "channels", "expected"),
    [
        (Exclusive(2), "auto", None, Exclusive(2)),
        (Exclusive(2), "auto", 2, Exclusive(2)),
        (Exclusive(2), "auto", 1, OneLogit(2)),
        (Exclusive(2), "binary", None, OneLogit(2)),
        (Exclusive(2), "binary", 1, OneLogit(2)),
        (Exclusive(2), "multiclass", 2, Exclusive(2)),
        (Exclusive(3), "auto", 3, Exclusive(3)),
        (Overlapping(2), "auto", None, Overlapping(2)),
        (Overlapping(1), "multilabel", 1, Overlapping(1)),
    ],
)
def test_a_network_is_settled_by_its_mode_and_channels(space, mode, channels, expected):
    assert space.for_network(mode, channels) == expected


@pytest.mark.parametrize(
    ("space", "mode", "channels", "sentence"),
    [
        (Exclusive(3), "auto", 1, "model.classes is 1 but the data has 3 classes; leave"),
        (Exclusive(3), "auto", 4, "model.classes is 4 but the data has 3 classes; leave"),
        (Exclusive(3), "multilabel", None, "model.mode is multilabel, but the data's label maps"),
        (Exclusive(3), "binary", None, "one logit for two classes, but the data has 3; leave one"),
        (Exclusive(2), "binary", 2, "one logit for two classes, but model.classes is 2; leave"),
        (
            Exclusive(2),
            "multiclass",
            1,
            "model.mode is multiclass but model.classes is 1, a single",
        ),
        (Overlapping(2), "multiclass", None, "model.mode is multiclass, but the data has classes"),
        (Overlapping(2), "auto", 1, "model.classes is 1 but the data has 2 classes; leave"),
    ],
)
def test_a_network_that_cannot_learn_the_data_is_refused(space, mode, channels, sentence):
    with pytest.raises(ConfigError) as caught:
        space.for_network(mode, channels)
    assert sentence in str(caught.value)
