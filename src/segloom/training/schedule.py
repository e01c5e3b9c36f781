"""Learning-rate schedules: pure functions of the step, so that a resumed run meets them again."""

from __future__ import annotations

from math import cos, pi

from segloom.config.training import OptimConfig

__all__ = ["rate_factor"]

WARMUP_START = 0.01
"""Factor at the first step of a warm-up."""
CYCLE_START = 1 / 25
"""Factor at the first step of one-cycle (Smith and Topin, 2019; torch's default)."""
CYCLE_END = CYCLE_START / 1e4
"""Factor at the last step of one-cycle (torch's default)."""
CYCLE_RISE = 0.3
"""Share of one-cycle's steps over which the rate rises, if no warm-up is given."""


def rate_factor(config: OptimConfig, step: int, num_steps: int, epochs: int = 1) -> float:
    """Compute by what the learning rates are multiplied at one step.

    Args:
        config: Names the schedule: ``constant``; ``poly``, ``(1 - t) ** power`` (Liu et al.,
            ParseNet, 2015); ``cosine``, half a cosine to 0 (Loshchilov and Hutter, SGDR, ICLR
            2017); ``onecycle``, half a cosine up and half a cosine down.
        step: Optimiser steps already taken, from 0.
        num_steps: Optimiser steps of the whole training.
        epochs: Of the whole training; a poly schedule may move with these, see
            `OptimConfig.poly_by`.

    Returns:
        A factor from 0 to 1; it is 1 at the end of the warm-up.
    """
    warmup = config.warmup or (CYCLE_RISE if config.schedule == "onecycle" else 0.0)
    rise = round(warmup * num_steps)
    if config.schedule == "onecycle":
        if step < rise:
            return _cosine(CYCLE_START, 1.0, step / rise)
        return _cosine(1.0, CYCLE_END, _share(step - rise, num_steps - 1 - rise))
    if step < rise:
        return WARMUP_START + (1 - WARMUP_START) * step / rise
    if config.schedule == "poly" and config.poly_by != "step":
        per_epoch = max(1, num_steps // epochs)
        step = (step // per_epoch + (config.poly_by == "epoch_ahead")) * per_epoch
    done = max(0.0, _share(step - rise, num_steps - rise))
    if config.schedule == "poly":
        return float((1 - done) ** config.power)
    return _cosine(1.0, 0.0, done) if config.schedule == "cosine" else 1.0


def _share(part: int, whole: int) -> float:
    return min(1.0, part / whole) if whole > 0 else 1.0


def _cosine(start: float, end: float, done: float) -> float:
    return end + (start - end) * (1 + cos(pi * done)) / 2
