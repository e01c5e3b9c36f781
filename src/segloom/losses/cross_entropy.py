"""Losses that average something over pixels: cross-entropy and what is built on it.

Own code where torch's mean is 0 / 0 on a batch of void, and where its CUDA kernel has no
deterministic mean.
Papers: focal: Lin et al., "Focal Loss for Dense Object Detection", ICCV 2017. Online hard example
mining: Shrivastava et al., CVPR 2016, in the form of a threshold with a least share of pixels.
Axes: B batch, K classes, H W image size.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segloom.errors import ConfigError
from segloom.losses.void import mean_over_pixels
from segloom.types import IGNORE_INDEX

__all__ = ["BinaryCrossEntropy", "BoundaryCrossEntropy", "CrossEntropy", "Focal", "HardPixels"]


class CrossEntropy(nn.Module):
    """Cross-entropy over classes, a mean over pixels weighted by their class.

    Args:
        class_weights: One per class; None weighs all alike.
        label_smoothing: Share of the target spread evenly over the classes, 0 to 1.
    """

    class_weights: Tensor | None

    def __init__(
        self, class_weights: Sequence[float] | None = None, *, label_smoothing: float = 0.0
    ) -> None:
        super().__init__()
        weights = None if class_weights is None else torch.tensor(class_weights).float()
        # Not persistent: it follows from the data and is no weight of the network.
        self.register_buffer("class_weights", weights, persistent=False)
        self.label_smoothing = label_smoothing

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Compute the loss of logits ``(B, K, H, W)`` for int64 labels ``(B, H, W)``."""
        return self.mean(self.per_pixel(logits, target), self.pixel_weights(target))

    def per_pixel(self, logits: Tensor, target: Tensor) -> Tensor:
        """Compute weighted losses ``(B, H, W)``; 0 for void."""
        return F.cross_entropy(
            logits,
            target,
            weight=self.class_weights,
            ignore_index=IGNORE_INDEX,
            reduction="none",
            label_smoothing=self.label_smoothing,
        )

    def pixel_weights(self, target: Tensor) -> Tensor:
        """Look up float32 ``(B, H, W)``: the weight of each pixel's class; 0 for void."""
        valid = target != IGNORE_INDEX
        if self.class_weights is None:
            return valid.float()
        return self.class_weights[target.masked_fill(~valid, 0)] * valid

    def mean(self, values: Tensor, weights: Tensor) -> Tensor:
        """Average per-pixel losses ``(B, H, W)``; in training over all processes."""
        return mean_over_pixels(values, weights, over_processes=self.training)


class Focal(CrossEntropy):
    """Cross-entropy that counts a pixel less the surer the network is of its true class.

    Args:
        class_weights: One per class; None weighs all alike.
        gamma: Strength, at least 1; 2 in the paper.

    Raises:
        ConfigError: ``gamma`` is less than 1, which has an infinite slope at a sure pixel.
    """

    def __init__(self, class_weights: Sequence[float] | None = None, *, gamma: float = 2.0) -> None:
        super().__init__(class_weights)
        if gamma < 1:
            raise ConfigError(f"focal: gamma must be at least 1; got {gamma}.")
        self.gamma = gamma

    def per_pixel(self, logits: Tensor, target: Tensor) -> Tensor:
        """Compute weighted losses ``(B, H, W)``; 0 for void."""
        surprise = F.cross_entropy(logits, target, ignore_index=IGNORE_INDEX, reduction="none")
        # -expm1 keeps 1 - p exact for sure pixels.
        return (-torch.expm1(-surprise)) ** self.gamma * surprise * self.pixel_weights(target)


class HardPixels(CrossEntropy):
    """Cross-entropy of the hard pixels alone (OHEM).

    A pixel is hard if its true class has at most the probability ``threshold``; if fewer than
    ``keep`` of the pixels are, the hardest ``keep`` of them count, and all that are as hard as the
    last of these.

    Args:
        class_weights: One per class; None weighs all alike.
        threshold: Probability, 0 to 1.
        keep: Least share of the labelled pixels of a batch that count.
        min_kept: In the place of ``keep``, how many pixels of a batch count at least (100 000 in
            SFNet and FENet); where fewer are labelled, all of them count.

    Raises:
        ConfigError: A value is out of range.
    """

    def __init__(
        self,
        class_weights: Sequence[float] | None = None,
        *,
        threshold: float = 0.7,
        keep: float = 1 / 16,
        min_kept: int | None = None,
    ) -> None:
        super().__init__(class_weights)
        if not (0 < threshold <= 1 and 0 < keep <= 1):
            raise ConfigError(
                f"ohem: threshold and keep lie in 0 to 1; got {threshold} and {keep}."
            )
        if min_kept is not None and min_kept < 1:
            raise ConfigError(f"ohem: min_kept must be 1 or more; got {min_kept}.")
        self.threshold, self.keep, self.min_kept = threshold, keep, min_kept

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Compute the loss of logits ``(B, K, H, W)`` for int64 labels ``(B, H, W)``."""
        with torch.no_grad():
            surprise = F.cross_entropy(logits, target, ignore_index=IGNORE_INDEX, reduction="none")
            valid = target != IGNORE_INDEX
            surprise = surprise.masked_fill(~valid, -1.0)
            labelled = int(valid.sum())
            least = max(1, int(self.keep * labelled)) if self.min_kept is None else self.min_kept
            least = max(1, min(least, labelled))
            limit = -torch.log(torch.tensor(self.threshold, device=logits.device))
            hardest = surprise.flatten().topk(least).values[-1]
            hard = valid & (surprise >= torch.minimum(limit, hardest))
        values = self.per_pixel(logits, target)
        return self.mean(values * hard, self.pixel_weights(target) * hard)


class BoundaryCrossEntropy(CrossEntropy):
    """Cross-entropy of the pixels near a border between two classes.

    A pixel counts if the square of ``2 * width + 1`` pixels around it holds two classes; a border
    to void is none.

    Args:
        class_weights: One per class; None weighs all alike.
        width: Of the band on either side, in pixels.

    Raises:
        ConfigError: ``width`` is less than 1.
    """

    def __init__(self, class_weights: Sequence[float] | None = None, *, width: int = 3) -> None:
        super().__init__(class_weights)
        if width < 1:
            raise ConfigError(f"boundary: width must be at least 1 pixel; got {width}.")
        self.width = width

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Compute the loss of logits ``(B, K, H, W)`` for int64 labels ``(B, H, W)``."""
        near = self.band(target)
        return self.mean(self.per_pixel(logits, target) * near, self.pixel_weights(target) * near)

    def band(self, target: Tensor) -> Tensor:
        """Find the pixels that count: bool ``(B, H, W)``."""
        valid = target != IGNORE_INDEX
        labels = target.float()
        size = 2 * self.width + 1

        def highest(values: Tensor) -> Tensor:
            return F.max_pool2d(values.unsqueeze(1), size, stride=1, padding=self.width).squeeze(1)

        # Void must be neither the highest nor the lowest label of a square.
        top = highest(labels.masked_fill(~valid, -1.0))
        bottom = -highest(-labels.masked_fill(~valid, IGNORE_INDEX))
        return valid & (top > bottom)


class BinaryCrossEntropy(CrossEntropy):
    """One sigmoid per class, each a yes or no: the mean over classes of binary cross-entropies."""

    def per_pixel(self, logits: Tensor, target: Tensor) -> Tensor:
        """Compute weighted losses ``(B, H, W)``; 0 for void."""
        valid = target != IGNORE_INDEX
        labels = target.masked_fill(~valid, 0)
        truth = torch.zeros_like(logits).scatter_(1, labels.unsqueeze(1), 1.0)
        losses = F.binary_cross_entropy_with_logits(logits, truth, reduction="none")
        return losses.mean(dim=1) * self.pixel_weights(target)
