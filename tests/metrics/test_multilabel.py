"""Tables, objects and outlines of overlapping classes against plain sums per class."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import jaccard_score, precision_score, recall_score

from segloom.errors import DataError
from segloom.labels.bits import pack
from segloom.metrics import count_tables, multilabel_scores
from segloom.metrics.boundary import count_boundary
from segloom.metrics.multilabel import multilabel_boundary, multilabel_sizes
from segloom.metrics.size_buckets import count_sizes

K = 3


def draw(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    truth, prediction = (
        rng.integers(0, 2**K, (6, 8), np.uint8).repeat(3, axis=0).repeat(3, axis=1) for _ in "ab"
    )
    prediction[rng.random(truth.shape) < 0.1] = 0
    truth[:4] = 255
    return prediction, truth


def alone(labels: np.ndarray, k: int) -> np.ndarray:
    return np.where(labels == 255, 255, labels // 2**k % 2).astype(np.uint8)


def test_scores_are_those_of_each_class_by_itself():
    prediction, truth = draw()
    tables = count_tables(prediction, truth, K)
    result = multilabel_scores(tables)
    known = truth != 255
    for k in range(K):
        y, p = alone(truth, k)[known], alone(prediction, k)[known]
        assert tables[k].tolist() == [
            [int(((y == a) & (p == b)).sum()) for b in (0, 1)] for a in (0, 1)
        ]
        assert result.IoU[k] == pytest.approx(jaccard_score(y, p))
        assert result.precision[k] == pytest.approx(precision_score(y, p))
        assert result.accuracy[k] == pytest.approx(recall_score(y, p))
        assert result.Dice[k] == pytest.approx(2 * result.IoU[k] / (1 + result.IoU[k]))
        assert result.pixels[k] == pytest.approx(y.mean())
    assert result.mIoU == pytest.approx(result.IoU.mean())
    equal = [alone(truth, k)[known] == alone(prediction, k)[known] for k in range(K)]
    assert result.aAcc == pytest.approx(np.mean(equal))


def test_a_class_that_is_nowhere_has_no_score_and_one_only_predicted_has_zero():
    truth = np.array([[1, 1, 0, 255]], np.uint8)
    prediction = np.array([[3, 1, 0, 4]], np.uint8)
    result = multilabel_scores(count_tables(prediction, truth, K))
    assert result.IoU[:2].tolist() == [1, 0]
    assert np.isnan(result.IoU[2])
    assert result.mIoU == 0.5


def test_objects_and_outlines_are_those_of_the_binary_maps():
    prediction, truth = draw(1)
    sizes = multilabel_sizes(prediction, truth, K, (20, 60))
    outlines = multilabel_boundary(prediction, truth, K, (0.02, 0.1))
    assert sizes.shape == (K, 3, 5)
    assert outlines.shape == (2, K, 7)
    for k in range(K):
        pair = alone(prediction, k), alone(truth, k)
        np.testing.assert_array_equal(sizes[k], count_sizes(*pair, 2, (20, 60))[1])
        np.testing.assert_array_equal(outlines[:, k], count_boundary(*pair, 2, (0.02, 0.1))[:, 1])


def test_a_bit_of_no_class_is_refused():
    with pytest.raises(DataError, match="the truth holds the label 8"):
        count_tables(np.zeros((1, 1), np.uint8), np.full((1, 1), 8, np.uint8), K)


@pytest.mark.parametrize(("num_classes", "dtype"), [(9, np.int32), (30, np.int64)])
def test_many_classes_are_counted_each_by_itself(num_classes, dtype):
    """More than seven classes have wider maps, whose lowest byte holds nothing but void."""
    rng = np.random.default_rng(1)
    present = [rng.random((num_classes, 10, 12)) < 0.3 for _ in "ab"]
    prediction, truth = (pack(maps) for maps in present)
    assert prediction.dtype == truth.dtype == dtype
    truth[:2] = 255
    prediction[:2] = -1  # anything may stand where the truth is void
    tables = count_tables(prediction, truth, num_classes)
    for k in range(num_classes):
        p, y = present[0][k, 2:], present[1][k, 2:]
        assert tables[k].tolist() == [
            [int(((y == a) & (p == b)).sum()) for b in (False, True)] for a in (False, True)
        ]


@pytest.mark.parametrize("wrong", ["prediction", "truth", "both"])
def test_wide_maps_of_another_type_are_refused(wrong):
    maps = {
        name: np.zeros((2, 2), np.int64 if wrong in (name, "both") else np.int32)
        for name in ("prediction", "truth")
    }
    with pytest.raises(DataError, match=r"of 9 classes that may overlap are int32; got .*int64"):
        count_tables(maps["prediction"], maps["truth"], 9)


def test_wide_maps_of_another_size_or_with_a_bit_of_no_class_are_refused():
    plain = np.zeros((2, 2), np.int32)
    with pytest.raises(DataError, match=r"one shape; got \(2, 2\) and \(2, 3\)"):
        count_tables(plain, np.zeros((2, 3), np.int32), 9)
    stray = plain.copy()
    stray[1, 1] = 1 << 17
    for prediction, truth, name in ((stray, plain, "prediction"), (plain, stray, "truth")):
        message = f"the {name} holds the label {1 << 17}, which is no set of 9 classes"
        with pytest.raises(DataError, match=message):
            count_tables(prediction, truth, 9)
