"""Options of evaluation and prediction."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from segloom.config.base import Section

__all__ = ["EvalConfig", "InferenceConfig"]


class InferenceConfig(Section):
    """How one image becomes scores; evaluation and prediction share it."""

    window: tuple[int, int] | None = None
    """Height and width of a sliding window; None sees the whole image at once."""
    overlap: float = Field(0.5, ge=0, lt=1)
    """Share of a window that it has in common with the next."""
    scales: tuple[float, ...] = (1.0,)
    """Zooms whose scores are averaged."""
    flip: bool = False
    """Average with the scores of the mirrored image."""
    precision: Literal["fp32", "bf16"] = "fp32"
    device: Literal["auto", "cpu", "cuda"] = "auto"


class EvalConfig(Section):
    """What is measured."""

    split: Literal["train", "val", "test"] = "test"
    boundary_tolerances: tuple[float, ...] = (0.0075, 0.02)
    """Widths of the boundary band, as shares of the image diagonal."""
    size_limits: tuple[int, ...] = (256, 1024, 4096)
    """Areas in pixels between which object-size buckets lie."""
    bootstrap: int = Field(2000, ge=0)
    """Resamples of the images for the 95 % intervals; 0 gives none."""
    montages: int = Field(6, ge=0)
    """How many of the best and of the worst images are drawn."""
    inference: InferenceConfig = InferenceConfig()
