"""Data-set counts as torchmetrics metrics, which add over batches and DDP processes.

What they count is in `segloom.metrics.confusion` and `segloom.metrics.multilabel`.

Axes: B batch, H height, W width, K classes.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchmetrics import Metric

from segloom.errors import ConfigError, DataError
from segloom.labels.bits import check_number, label_type
from segloom.labels.space import LabelSpace
from segloom.metrics.confusion import count_confusion
from segloom.metrics.multilabel import count_tables
from segloom.types import IGNORE_INDEX

__all__ = ["ConfusionMatrix", "MultilabelTables", "metric_of", "to_uint8"]


class ConfusionMatrix(Metric):
    """The data-set confusion matrix as a torchmetrics metric; it adds over DDP processes.

    Args:
        num_classes: K, 1 to 255.

    Raises:
        ConfigError: ``num_classes`` is out of range.
    """

    full_state_update = False
    higher_is_better = None
    is_differentiable = False
    matrix: Tensor

    def __init__(self, num_classes: int, **kwargs: object) -> None:
        super().__init__(**kwargs)
        if not 1 <= num_classes <= IGNORE_INDEX:
            raise ConfigError(f"a confusion matrix has 1 to 255 classes, not {num_classes}.")
        self.num_classes = num_classes
        empty = torch.zeros((num_classes, num_classes), dtype=torch.int64)
        self.add_state("matrix", default=empty, dist_reduce_fx="sum")

    def update(self, prediction: Tensor, target: Tensor) -> None:
        """Add a batch.

        Args:
            prediction: Integers ``(B, H, W)`` (any shape), class ids; uint8 is the fast way.
            target: Integers of the same shape, class ids and 255 for void.

        Raises:
            DataError: As `check_labels`, or a value outside 0 to 255.
        """
        counts = count_confusion(to_uint8(prediction), to_uint8(target), self.num_classes)
        self.matrix += torch.from_numpy(counts).to(self.matrix.device)

    def compute(self) -> Tensor:
        """Return int64 ``(K, K)``; rows are the truth, columns the prediction."""
        return self.matrix


def to_uint8(labels: Tensor) -> NDArray[np.uint8]:
    """View a tensor of labels as a uint8 array; a CPU uint8 tensor is not copied."""
    if labels.dtype != torch.uint8:
        if labels.is_floating_point() or labels.is_complex() or labels.dtype == torch.bool:
            raise DataError(f"label maps are integers; got {labels.dtype} (take the argmax first).")
        if labels.numel() and not 0 <= int(labels.min()) <= int(labels.max()) <= IGNORE_INDEX:
            raise DataError(
                f"labels lie in 0 to 255; got {int(labels.min())} to {int(labels.max())}."
            )
        labels = labels.to(torch.uint8)
    array: NDArray[np.uint8] = labels.detach().cpu().numpy()
    return array


def _to_bits(labels: Tensor, dtype: str) -> NDArray[np.integer]:
    if dtype == "uint8":
        return to_uint8(labels)
    array: NDArray[np.integer] = labels.detach().cpu().numpy().astype(dtype, copy=False)
    return array


class MultilabelTables(Metric):
    """The data-set tables as a torchmetrics metric; they add over DDP processes.

    Args:
        num_classes: K, 1 to 55.

    Raises:
        ConfigError: ``num_classes`` is out of range.
    """

    full_state_update = False
    higher_is_better = None
    is_differentiable = False
    tables: Tensor

    def __init__(self, num_classes: int, **kwargs: object) -> None:
        super().__init__(**kwargs)
        check_number(num_classes)
        self.num_classes = num_classes
        empty = torch.zeros((num_classes, 2, 2), dtype=torch.int64)
        self.add_state("tables", default=empty, dist_reduce_fx="sum")

    def update(self, prediction: Tensor, target: Tensor) -> None:
        """Add a batch: integers ``(B, H, W)``, bits, and 255 for void in the target.

        Raises:
            DataError: A bit of no class.
        """
        dtype = label_type(self.num_classes)
        maps = _to_bits(prediction, dtype), _to_bits(target, dtype)
        counts = count_tables(*maps, self.num_classes)
        self.tables += torch.from_numpy(counts).to(self.tables.device)

    def compute(self) -> Tensor:
        """Return int64 ``(K, 2, 2)``: class, truth, prediction."""
        return self.tables


METRICS: dict[str, type[ConfusionMatrix] | type[MultilabelTables]] = {
    "multilabel": MultilabelTables
}


def metric_of(space: LabelSpace) -> ConfusionMatrix | MultilabelTables:
    """Build the metric that counts label maps of a space."""
    return METRICS.get(space.mode, ConfusionMatrix)(space.num_classes)
