"""What a training is assembled from."""

from __future__ import annotations

import numpy as np
import pytest

import segloom
from segloom.config import RunConfig
from segloom.data import build_dataset
from segloom.training.assembly import _class_weights


@pytest.mark.parametrize(
    ("scheme", "num_classes", "power", "expected"),
    [
        ("auto", 2, 1.0, None),
        ("auto", 3, 1.0, 0.5),
        ("auto", 3, 0.5, 0.25),
        ("log", 2, 1.0, 1.0),
        ("log", 3, 0.5, 0.5),
        ("none", 3, 1.0, None),
    ],
)
def test_classes_are_weighed_by_a_power_of_log(
    scheme: str, num_classes: int, power: float, expected: float | None
) -> None:
    masks = np.zeros((2, 8, 8), np.uint8)
    masks[0, :2, :4], masks[1, :4] = num_classes - 1, 1
    pair = (np.zeros((2, 8, 8, 3), np.uint8), masks)
    data = segloom.in_memory(train=pair, val=pair, classes=("a", "b", "c")[:num_classes])
    config = RunConfig(data=data).override(loss_class_weights=scheme, loss_class_weight_power=power)
    found = _class_weights(config, build_dataset(config.data, "train"))
    if expected is None:
        assert found is None
        return
    shares = np.bincount(masks.ravel(), minlength=num_classes) / masks.size
    np.testing.assert_allclose(found, (1 / np.log(1.02 + shares)) ** expected, rtol=1e-12)
