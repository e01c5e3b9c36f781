"""The counts of an image survive their line in a file, and a damaged line is refused."""

from __future__ import annotations

import json

import numpy as np
import pytest

from segloom.config.evaluation import EvalConfig
from segloom.evaluation.image_counts import count_image, counts_from_json, counts_to_json
from segloom.evaluation.measures import configured_measures
from segloom.evaluation.measures.base import ImageCounts
from segloom.types import Place

CLASSES = 3


def maps(overlaps):
    rng = np.random.default_rng(0)
    high = 2**CLASSES if overlaps else CLASSES
    truth = np.repeat(np.repeat(rng.integers(0, high, (4, 5)), 6, 0), 6, 1).astype(np.uint8)
    prediction = np.roll(truth, 2, axis=1)
    truth[:3] = 255
    return prediction, truth


@pytest.fixture
def config():
    return EvalConfig()


@pytest.mark.parametrize("overlaps", [False, True])
def test_counts_come_back_from_their_line(overlaps, config):
    measures = configured_measures(config)
    counted = count_image("street_7", *maps(overlaps), CLASSES, config, is_multilabel=overlaps)
    assert counted.is_multilabel is overlaps
    line = json.loads(json.dumps(counts_to_json(counted)))
    found = counts_from_json(line, CLASSES, measures)
    assert found.id == "street_7"
    assert found.place == Place()
    assert found.counts.keys() == counted.counts.keys()
    for name, array in counted.counts.items():
        assert found.counts[name].dtype == np.int64
        assert found.counts[name].shape == array.shape, name
        assert (found.counts[name] == array).all(), name
    assert found.counts[found.measures.key].sum() > 0
    assert found.is_multilabel is overlaps


def test_every_array_has_the_shape_that_its_measure_names(config):
    for overlaps in (False, True):
        counted = count_image("a", *maps(overlaps), CLASSES, config, is_multilabel=overlaps)
        named = {}
        for measure in configured_measures(config):
            named |= measure.shapes(CLASSES, overlaps)
        assert {name: array.shape for name, array in counted.counts.items()} == named


def test_only_counts_that_are_not_0_are_kept_by_their_place():
    counts = {"confusion": np.array([[0, 7], [0, 2]]), "row": np.array([0, 4, 0])}
    assert counts_to_json(ImageCounts("a", counts)) == {
        "id": "a",
        "confusion": [[1, 3], [7, 2]],
        "row": [0, 4, 0],
    }


def test_the_group_of_an_image_is_kept(config):
    counted = count_image("a", *maps(False), CLASSES, config)
    line = counts_to_json(ImageCounts("a", counted.counts, Place("film 1", 4)))
    assert line["place"] == ["film 1", 4]
    found = counts_from_json(line, CLASSES, configured_measures(config))
    assert found.place == Place("film 1", 4)
    assert "place" not in counts_to_json(counted)


def broken(change):
    """Change a good line."""
    config = EvalConfig()
    line = counts_to_json(count_image("a", *maps(False), CLASSES, config))
    change(line)
    return line


@pytest.mark.parametrize(
    "change",
    [
        lambda line: line.pop("id"),
        lambda line: line.pop("confusion"),
        lambda line: line.update(confusion=[[0, 1], [5]]),
        lambda line: line.update(confusion=[[-1], [5]]),
        lambda line: line.update(confusion=[[9], [5]]),
        lambda line: line.update(confusion=[[0], [5], [6]]),
        lambda line: line.update(confusion=[["x"], [5]]),
        lambda line: line.update(confusion=3),
    ],
)
def test_a_damaged_line_is_refused(change, config):
    with pytest.raises((ValueError, TypeError, KeyError, IndexError)):
        counts_from_json(broken(change), CLASSES, configured_measures(config))


def test_counts_of_other_classes_are_refused(config):
    with pytest.raises((ValueError, IndexError)):
        counts_from_json(broken(lambda line: None), CLASSES - 1, configured_measures(config))
