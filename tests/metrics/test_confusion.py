"""The confusion matrix against scikit-learn and the Cityscapes formula, and its invariances."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import confusion_matrix

from segloom.errors import DataError
from segloom.metrics import count_confusion, scores


def draw(seed, num_classes, shape=(17, 23), void=0.2):
    random = np.random.default_rng(seed)
    truth = random.integers(0, num_classes, shape, dtype=np.uint8)
    truth[random.random(shape) < void] = 255
    return random.integers(0, num_classes, shape, dtype=np.uint8), truth


cases = given(seed=st.integers(0, 2**32 - 1), num_classes=st.sampled_from([1, 2, 11, 15, 16, 255]))
few = settings(max_examples=25, deadline=None)


@pytest.mark.filterwarnings("ignore:A single label was found:UserWarning")
@few
@cases
def test_counts_equal_scikit_learn_exactly(seed, num_classes):
    prediction, truth = draw(seed, num_classes)
    known = truth != 255
    expected = confusion_matrix(truth[known], prediction[known], labels=np.arange(num_classes))
    counts = count_confusion(prediction, truth, num_classes)
    assert counts.dtype == np.int64
    np.testing.assert_array_equal(counts, expected)


@few
@cases
def test_counts_add_over_images(seed, num_classes):
    prediction, truth = draw(seed, num_classes, (4, 9, 7))
    parts = sum(count_confusion(p, t, num_classes) for p, t in zip(prediction, truth, strict=True))
    np.testing.assert_array_equal(parts, count_confusion(prediction, truth, num_classes))


@few
@cases
def test_permuting_the_classes_permutes_the_matrix(seed, num_classes):
    prediction, truth = draw(seed, num_classes)
    order = np.random.default_rng(seed).permutation(num_classes).astype(np.uint8)
    table = np.append(order, np.full(256 - num_classes, 255, np.uint8))
    before = count_confusion(prediction, truth, num_classes)
    after = count_confusion(table[prediction], table[truth], num_classes)
    np.testing.assert_array_equal(after[np.ix_(order, order)], before)
    assert scores(after).mIoU == pytest.approx(scores(before).mIoU)


@few
@cases
def test_predictions_on_void_change_nothing(seed, num_classes):
    prediction, truth = draw(seed, num_classes)
    noise = np.random.default_rng(seed + 1).integers(0, 256, truth.shape, dtype=np.uint8)
    changed = np.where(truth == 255, noise, prediction)
    np.testing.assert_array_equal(
        count_confusion(changed, truth, num_classes),
        count_confusion(prediction, truth, num_classes),
    )


@few
@cases
def test_a_perfect_prediction_scores_one(seed, num_classes):
    _, truth = draw(seed, num_classes)
    result = scores(count_confusion(truth, truth, num_classes))
    assert result.mIoU == result.aAcc == result.mAcc == result.mDice == 1
    assert result.fwIoU == pytest.approx(1)


def test_more_pixels_than_float32_can_count_are_counted_exactly():
    truth = np.zeros((1, (1 << 24) + 3), np.uint8)
    assert count_confusion(truth, truth, 2).tolist() == [[(1 << 24) + 3, 0], [0, 0]]


def test_a_strided_view_counts_like_its_copy():
    prediction, truth = draw(0, 5, (20, 30))
    np.testing.assert_array_equal(
        count_confusion(prediction[::2, ::-3], truth[::2, ::-3], 5),
        count_confusion(prediction[::2, ::-3].copy(), truth[::2, ::-3].copy(), 5),
    )


def test_inputs_are_left_as_they_are():
    prediction, truth = draw(3, 4)
    prediction[truth == 255] = 200
    copies = prediction.copy(), truth.copy()
    count_confusion(prediction, truth, 4)
    np.testing.assert_array_equal(prediction, copies[0])
    np.testing.assert_array_equal(truth, copies[1])


def test_no_pixel_counts_nothing():
    empty = np.zeros((0, 5), np.uint8)
    assert count_confusion(empty, empty, 3).sum() == 0


@pytest.mark.parametrize(
    ("prediction", "truth", "message"),
    [
        ([[3]], [[0]], "the prediction holds the label 3, but there are 3 classes"),
        ([[255]], [[0]], "void cannot be predicted"),
        ([[0]], [[3]], "the truth holds the label 3, but there are 3 classes"),
        ([[0]], [[254]], "map it in data.label_map"),
        ([[0, 0]], [[0]], "must have one shape"),
    ],
)
def test_labels_that_are_no_classes_are_refused(prediction, truth, message):
    with pytest.raises(DataError, match=message):
        count_confusion(np.array(prediction, np.uint8), np.array(truth, np.uint8), 3)


def test_other_dtypes_are_refused_by_the_array_function():
    with pytest.raises(DataError, match="label maps are uint8; got int64"):
        count_confusion(np.zeros((2, 2), np.int64), np.zeros((2, 2), np.uint8), 3)


def test_matrix_and_iou_equal_those_of_sfnet(recorded):
    """Fixture sf_eval_misc."""
    data = recorded("sf_eval_misc")
    num_classes, truth = len(data["out.iou"]), data.array("in.gt")
    truth = np.where(truth < num_classes, truth, 255).astype(np.uint8)
    matrix = count_confusion(data.array("in.pred").astype(np.uint8), truth, num_classes)
    data.compare(matrix, "out.hist", 0, kind="score")
    data.compare(scores(matrix).IoU, "out.iou", 1e-12, kind="score")


@pytest.mark.parametrize("name", ["afma_gold_loss_d1_64", "afma_gold_loss_d3_96"])
def test_counts_and_scores_are_those_of_afma(recorded, name):
    """Its program drops the last class, whose pixels (and void) stay as false positives."""
    data = recorded(name)
    label, predicted = data.array("label"), data["logits"].argmax(1).numpy()
    truth = np.where(label == 255, 11, label).astype(np.uint8)
    matrix = count_confusion(predicted.astype(np.uint8), truth, 12)
    right = matrix.diagonal()[:11]
    false, missed = matrix.sum(0)[:11] - right, matrix.sum(1)[:11] - right
    rest = matrix.sum() - right - false - missed
    found = np.stack([right, false, missed, rest], axis=1)
    data.compare(found, "confusion_tp_fp_fn_tn", 0, kind="score")
    data.compare(scores(matrix).IoU[:11].mean(), "mean_iou", 1e-6, kind="score")
    union = (right + false + missed).sum()
    data.compare(right.sum() / union, "global_iou", 1e-6, kind="score")
    accuracy = ((right + rest) / matrix.sum()).mean()
    data.compare(accuracy, "mean_binary_accuracy", 1e-6, kind="score")
