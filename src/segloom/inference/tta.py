"""Averaging a network's scores over scales and mirror images of a picture.

Axes: B batch, C image channels, K classes, H W image size.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["average_views"]


def average_views(
    image: Tensor,
    logits: Callable[[Tensor], Tensor],
    *,
    scales: Sequence[float] = (1.0,),
    flip: bool = False,
    activate: Callable[[Tensor], Tensor] | None = None,
) -> Tensor:
    """Average the scores of resized and left-right mirrored views.

    Logits are resized back, bilinearly, before they become anything else.

    Args:
        image: uint8 ``(B, C, H, W)``.
        logits: Turns such an image of any size into float ``(B, K, h, w)`` of its size.
        scales: Of the image; 0.5 shows the network an image of half the height and width.
        flip: Take the mirror image of every scale as well.
        activate: Turns float32 logits into what is averaged, such as probabilities; None leaves
            them as they are.

    Returns:
        float32 ``(B, K, H, W)``.
    """
    views = _logits_of_views(image, logits, scales, flip)
    if activate is not None:
        views = map(activate, views)
    total = next(views).clone()
    for scores in views:
        total.add_(scores)
    return total.div_(len(scales) * (2 if flip else 1))


def _logits_of_views(
    image: Tensor, logits: Callable[[Tensor], Tensor], scales: Sequence[float], flip: bool
) -> Iterator[Tensor]:
    size = image.shape[-2:]
    for scale in scales:
        zoomed = _zoom(image, scale)
        for mirrored in (False, True) if flip else (False,):
            scores = logits(zoomed.flip(-1)).flip(-1) if mirrored else logits(zoomed)
            if scores.shape[-2:] != size:
                scores = F.interpolate(scores.float(), size, mode="bilinear", align_corners=False)
            yield scores.float()


def _zoom(image: Tensor, scale: float) -> Tensor:
    """Resize uint8 ``(B, C, H, W)``, smoothed where it shrinks, to at least one pixel."""
    if scale == 1:
        return image
    height, width = (max(1, round(side * scale)) for side in image.shape[-2:])
    zoomed = F.interpolate(
        image.float(), (height, width), mode="bilinear", align_corners=False, antialias=True
    )
    return zoomed.round().clamp_(0, 255).to(torch.uint8)
