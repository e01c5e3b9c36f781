"""Every measure of label maps exists for both kinds of classes, and its counts lead to scores."""

from __future__ import annotations

import numpy as np
import pytest

from segloom.metrics.by_space import measures_of

CLASSES = 3


def maps(overlaps):
    rng = np.random.default_rng(3)
    high = 2**CLASSES if overlaps else CLASSES
    return (rng.integers(0, high, (2, 12, 15)).astype(np.uint8) for _ in range(2))


@pytest.mark.parametrize("overlaps", [False, True])
def test_the_scores_of_a_data_set_are_those_of_its_summed_counts(overlaps):
    measures = measures_of(overlaps)
    assert measures.mode == ("multilabel" if overlaps else "multiclass")
    assert measures.key == ("tables" if overlaps else "confusion")
    prediction, truth = maps(overlaps)
    images = [measures.count(p, t, CLASSES) for p, t in zip(prediction, truth, strict=True)]
    assert images[0].shape == ((CLASSES, 2, 2) if overlaps else (CLASSES, CLASSES))
    together = measures.count(prediction.reshape(-1, 15), truth.reshape(-1, 15), CLASSES)
    assert (sum(images) == together).all()
    whole = measures.scores(together)
    compact = measures.compact_scores(sum(measures.compact(image) for image in images))
    for name in measures.names:
        score = float(getattr(whole, name))
        assert 0 < score < 1
        assert float(getattr(compact, name)) == pytest.approx(score)


def test_a_perfect_prediction_has_perfect_scores_and_a_policy_that_names_them():
    for overlaps in (False, True):
        measures = measures_of(overlaps)
        _, truth = maps(overlaps)
        found = measures.scores(measures.count(truth[0], truth[0], CLASSES))
        assert found.mIoU == found.mDice == 1
        assert measures.policy
        assert len(set(measures.names)) == len(measures.names)
