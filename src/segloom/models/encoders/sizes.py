"""Whether an encoder of timm takes images of any size, found by trying it."""

from __future__ import annotations

import torch

from segloom.models.encoders.encoder import Encoder
from segloom.models.encoders.facts import encoder_facts

__all__ = ["settle_image_size"]


def settle_image_size(encoder: Encoder, name: str, in_channels: int) -> None:
    """Let an encoder say to which multiple of pixels images must be padded.

    Models with windows or grids of a fixed number of tokens take multiples of their own image size
    alone; those with fixed positions take no other size at all.

    Args:
        encoder: With ``output_stride``; gets ``input_multiple``.
        name: timm's name, without ``tu-``.
        in_channels: Channels of its image.

    Raises:
        ValueError: It takes a single size.
    """
    facts = encoder_facts(name)
    if not facts.is_fixed:
        return
    step = int(getattr(encoder, "input_multiple", encoder.output_stride))
    # A step that one window fits into works by chance at a multiple of the window.
    for multiple in (step, facts.image_size):
        if multiple % step == 0 and all(
            _runs(encoder, in_channels, (rows * multiple, columns * multiple))
            for rows, columns in (((1, 2), (2, 1)) if multiple > step else ((3, 5), (4, 2)))
        ):
            encoder.input_multiple = multiple
            return
    raise ValueError(
        f"{name} takes images of {facts.image_size}x{facts.image_size} pixels alone, and timm has "
        "no way to resample it."
    )


def _runs(encoder: Encoder, in_channels: int, size: tuple[int, int]) -> bool:
    was_training = encoder.training
    encoder.eval()  # running statistics must not see this image
    try:
        with torch.no_grad():
            encoder(torch.zeros(1, in_channels, *size))
    except (AssertionError, IndexError, RuntimeError, TypeError, ValueError):
        return False
    finally:
        encoder.train(was_training)
    return True
