"""Losses by name.

Region losses are those of segmentation-models-pytorch (SMP); pixel losses are torch's, averaged so
that the void rule holds.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

from torch import nn

from segloom.errors import ConfigError, UnknownNameError
from segloom.losses.cross_entropy import (
    BinaryCrossEntropy,
    BoundaryCrossEntropy,
    CrossEntropy,
    Focal,
    HardPixels,
)
from segloom.losses.void import SkipEmpty, VoidRule
from segloom.types import IGNORE_INDEX

__all__ = ["LOSSES", "build_loss", "list_losses"]


def dice() -> nn.Module:
    """1 - Dice, the mean over classes (Milletari et al., 3DV 2016)."""
    return _region("DiceLoss")


def log_dice() -> nn.Module:
    """-log(Dice): a steeper slope for classes that are missed."""
    return _region("DiceLoss", log_loss=True)


def jaccard() -> nn.Module:
    """1 - IoU, the mean over classes (Rahman and Wang, ISVC 2016)."""
    return _region("JaccardLoss")


def log_jaccard() -> nn.Module:
    """-log(IoU): a steeper slope for classes that are missed."""
    return _region("JaccardLoss", log_loss=True)


def tversky(alpha: float = 0.3, beta: float = 0.7) -> nn.Module:
    """Dice with false positives weighed by alpha, misses by beta (Salehi et al., MLMI 2017)."""
    if min(alpha, beta) < 0 or alpha + beta == 0:
        raise ConfigError(f"tversky: alpha and beta are positive; got {alpha} and {beta}.")
    return _region("TverskyLoss", alpha=alpha, beta=beta)


def lovasz() -> nn.Module:
    """Lovasz-Softmax, a convex surrogate of the IoU (Berman et al., CVPR 2018)."""
    return _region("LovaszLoss")


def sigmoid_focal(gamma: float = 2.0) -> nn.Module:
    """Focal loss of one sigmoid per class (Lin et al., ICCV 2017)."""
    if gamma < 1:
        raise ConfigError(f"sigmoid_focal: gamma must be at least 1; got {gamma}.")
    return _region("FocalLoss", gamma=gamma)


def _region(name: str, **options: Any) -> nn.Module:
    from segmentation_models_pytorch import losses

    return SkipEmpty(getattr(losses, name)("multiclass", ignore_index=IGNORE_INDEX, **options))


LOSSES: dict[str, Callable[..., nn.Module]] = {
    "bce": BinaryCrossEntropy,
    "boundary": BoundaryCrossEntropy,
    "cross_entropy": CrossEntropy,
    "dice": dice,
    "focal": Focal,
    "jaccard": jaccard,
    "log_dice": log_dice,
    "log_jaccard": log_jaccard,
    "lovasz": lovasz,
    "ohem": HardPixels,
    "sigmoid_focal": sigmoid_focal,
    "tversky": tversky,
}
"""Name to what builds it."""


def list_losses() -> list[str]:
    """Name every loss."""
    return list(LOSSES)


def build_loss(name: str, **options: Any) -> nn.Module:
    """Build a loss that obeys the void rule: ``loss(logits, target) -> scalar``.

    Args:
        name: As in `list_losses`.
        **options: Those of the loss, for example ``gamma=3`` for focal.

    Raises:
        UnknownNameError: No loss or no option has this name; the nearest one is suggested.
        ConfigError: The value of an option is out of range.
    """
    return VoidRule(build_term(name, None, options))


def build_term(
    name: str, class_weights: Sequence[float] | None, options: dict[str, Any]
) -> nn.Module:
    """Build a loss that expects masked logits; class weights go to those that take them."""
    if name not in LOSSES:
        raise UnknownNameError("loss", name, LOSSES)
    known = set(inspect.signature(LOSSES[name]).parameters)
    for option in options:
        if option not in known:
            raise UnknownNameError(f"option of loss {name}", option, known or {"(none)"})
    if "class_weights" in known and class_weights is not None:
        options = {"class_weights": class_weights, **options}
    return LOSSES[name](**options)
