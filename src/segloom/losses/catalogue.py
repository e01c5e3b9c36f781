"""Losses by name: ours below, others by `segloom.plugins`.

Region losses are those of segmentation-models-pytorch (SMP); pixel losses are torch's, averaged so
that the void rule holds. A builder that takes ``mode`` also builds the form for classes that
overlap; the other losses need classes of which each pixel has one. A plug-in names a builder.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import nn

from segloom.errors import ConfigError, UnknownNameError
from segloom.losses.cross_entropy import (
    BinaryCrossEntropy,
    BoundaryCrossEntropy,
    CrossEntropy,
    Focal,
    HardPixels,
)
from segloom.losses.multilabel import MultilabelCrossEntropy, MultilabelFocal, PerClass
from segloom.losses.void import SkipEmpty, VoidRule
from segloom.plugins import find_plugin, plugin_places
from segloom.types import IGNORE_INDEX, Mode

__all__ = ["LOSSES", "build_loss", "list_losses"]


def bce(class_weights: Sequence[float] | None = None, mode: Mode = "multiclass") -> nn.Module:
    """Binary cross-entropy, a yes or no per class."""
    return FORMS[mode].bce(class_weights)


def focal(
    class_weights: Sequence[float] | None = None, gamma: float = 2.0, mode: Mode = "multiclass"
) -> nn.Module:
    """Focal loss, of softmax or, for classes that overlap, of one sigmoid per class."""
    return FORMS[mode].focal(class_weights, gamma=gamma)


def dice(mode: Mode = "multiclass") -> nn.Module:
    """1 - Dice, the mean over classes (Milletari et al., 3DV 2016)."""
    return _region("DiceLoss", mode)


def log_dice(mode: Mode = "multiclass") -> nn.Module:
    """-log(Dice): a steeper slope for classes that are missed."""
    return _region("DiceLoss", mode, log_loss=True)


def jaccard(mode: Mode = "multiclass") -> nn.Module:
    """1 - IoU, the mean over classes (Rahman and Wang, ISVC 2016)."""
    return _region("JaccardLoss", mode)


def log_jaccard(mode: Mode = "multiclass") -> nn.Module:
    """-log(IoU): a steeper slope for classes that are missed."""
    return _region("JaccardLoss", mode, log_loss=True)


def tversky(alpha: float = 0.3, beta: float = 0.7, mode: Mode = "multiclass") -> nn.Module:
    """Dice with false positives weighed by alpha, misses by beta (Salehi et al., MLMI 2017)."""
    if min(alpha, beta) < 0 or alpha + beta == 0:
        raise ConfigError(f"tversky: alpha and beta are positive; got {alpha} and {beta}.")
    return _region("TverskyLoss", mode, alpha=alpha, beta=beta)


def lovasz() -> nn.Module:
    """Lovasz-Softmax, a convex surrogate of the IoU (Berman et al., CVPR 2018)."""
    return _region("LovaszLoss", "multiclass")


def sigmoid_focal(gamma: float = 2.0, mode: Mode = "multiclass") -> nn.Module:
    """Focal loss of one sigmoid per class (Lin et al., ICCV 2017)."""
    if gamma < 1:
        raise ConfigError(f"sigmoid_focal: gamma must be at least 1; got {gamma}.")
    return FORMS[mode].sigmoid_focal(gamma)


def _region(name: str, mode: Mode, **options: object) -> nn.Module:
    from segmentation_models_pytorch import losses

    form = FORMS[mode]
    loss = getattr(losses, name)(form.smp_mode, ignore_index=IGNORE_INDEX, **options)
    return SkipEmpty(form.wrap(loss))


@dataclass(frozen=True)
class Forms:
    """What losses are made of, by what the channels of a network mean."""

    bce: Callable[..., nn.Module]
    focal: Callable[..., nn.Module]
    sigmoid_focal: Callable[[float], nn.Module]
    smp_mode: str
    """Of SMP's losses; one logit comes as two."""
    wrap: Callable[[nn.Module], nn.Module]
    """Around one of SMP's losses."""
    usual: str
    """Name of the loss that one would begin with."""
    takes_all: bool
    """Losses that take no mode are of this form."""


ONE_CLASS = Forms(
    bce=BinaryCrossEntropy,
    focal=Focal,
    sigmoid_focal=lambda gamma: _region("FocalLoss", "multiclass", gamma=gamma),
    smp_mode="multiclass",
    wrap=lambda loss: loss,
    usual="cross_entropy",
    takes_all=True,
)
ANY_CLASSES = Forms(
    bce=MultilabelCrossEntropy,
    focal=MultilabelFocal,
    sigmoid_focal=lambda gamma: MultilabelFocal(gamma=gamma),  # SMP's fails there on void
    smp_mode="multilabel",
    wrap=PerClass,
    usual="bce",
    takes_all=False,
)
FORMS: dict[Mode, Forms] = {
    "binary": ONE_CLASS,
    "multiclass": ONE_CLASS,
    "multilabel": ANY_CLASSES,
}


LOSSES: dict[str, Callable[..., nn.Module]] = {
    "bce": bce,
    "boundary": BoundaryCrossEntropy,
    "cross_entropy": CrossEntropy,
    "dice": dice,
    "focal": focal,
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
    """Name every loss, those of other installed packages too."""
    return [*LOSSES, *sorted(plugin_places("losses").keys() - LOSSES.keys())]


def build_loss(name: str, *, mode: Mode = "multiclass", **options: object) -> nn.Module:
    """Build a loss that obeys the void rule: ``loss(logits, target) -> scalar``.

    Args:
        name: As in `list_losses`.
        mode: ``multilabel`` for a sigmoid per class and targets of bits (`segloom.labels.bits`).
        **options: Those of the loss, for example ``gamma=3`` for focal.

    Raises:
        UnknownNameError: No loss or no option has this name; the nearest one is suggested.
        ConfigError: The value of an option is out of range, or the loss needs classes that exclude
            each other and the mode is multilabel.
    """
    return VoidRule(build_term(name, None, options, mode))


def build_term(
    name: str, class_weights: Sequence[float] | None, options: dict[str, object], mode: Mode
) -> nn.Module:
    """Build a loss that expects masked logits; class weights go to those that take them."""
    parameters = _parameters(name)
    known = parameters - {"mode"}
    for option in options:
        if option not in known:
            raise UnknownNameError(f"option of loss {name}", option, known or {"(none)"})
    if "class_weights" in known and class_weights is not None:
        options = {"class_weights": class_weights, **options}
    if "mode" in parameters:
        options = {**options, "mode": mode}
    elif not FORMS[mode].takes_all:
        fitting = ", ".join(name for name in list_losses() if "mode" in _parameters(name))
        raise ConfigError(
            f"loss {name} needs classes that exclude each other, but the mode is multilabel; take "
            f"one of {fitting} in loss.terms."
        )
    return _builder(name)(**options)


def _parameters(name: str) -> set[str]:
    return set(inspect.signature(_builder(name)).parameters)


def _builder(name: str) -> Callable[..., nn.Module]:
    if name in LOSSES:
        return LOSSES[name]
    build: Callable[..., nn.Module] | None = find_plugin("losses", name)
    if build is not None:
        return build
    raise UnknownNameError("loss", name, list_losses())
