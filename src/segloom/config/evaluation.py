"""Options of evaluation and prediction."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Literal

from pydantic import Field, field_validator

from segloom.config.base import Section, pairs
from segloom.types import Blend

__all__ = ["Blend", "EvalConfig", "InferenceConfig"]


def read_options(text: str) -> dict[str, object]:
    """Read options as the command line gives them, a mapping of YAML.

    Raises:
        ValueError: It is something else.
    """
    import yaml

    try:
        options = yaml.safe_load(text)
    except yaml.YAMLError:
        options = text
    if not isinstance(options, dict):
        raise ValueError(f"options are a mapping such as {{min_area: 5}} or {{}}, not {text}")
    return options


class InferenceConfig(Section):
    """How one image becomes scores; evaluation and prediction share it."""

    window: tuple[int, int] | None = None
    """Height and width of a sliding window; None sees the whole image at once."""
    overlap: float = Field(0.5, ge=0, lt=1)
    """Share of a window that it has in common with the next."""
    blend: Blend = "smooth"
    """Windows evenly spaced and weighted by the distance from their centre, or (average) at a fixed
    step, the last one moved back to the border, and averaged, as papers on Cityscapes do."""
    scales: tuple[float, ...] = Field((1.0,), min_length=1)
    """Scales of the image whose scores are averaged."""
    flip: bool = False
    """Average with the scores of the mirrored image."""
    average: Literal["probabilities", "logits"] = "probabilities"
    """What is averaged over scales and mirror images; SFNet's scripts average logits."""
    precision: Literal["fp32", "bf16"] = "fp32"
    device: Literal["auto", "cpu", "cuda"] = "auto"

    @field_validator("window")
    @classmethod
    def _check_window(cls, value: tuple[int, int] | None) -> tuple[int, int] | None:
        if value is not None and min(value) < 1:
            raise ValueError(f"a window needs at least 1 pixel each way, not {value}")
        return value

    @field_validator("scales")
    @classmethod
    def _check_scales(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if not all(0.05 <= scale <= 20 for scale in value):
            raise ValueError(f"scales lie between 0.05 and 20, not {value}")
        return value


class EvalConfig(Section):
    """What is measured."""

    split: Literal["train", "val", "test"] = "test"
    """Which images."""
    boundary_tolerances: tuple[float, ...] = (0.0075, 0.02)
    """Widths of the boundary band, as shares of the image diagonal; empty skips the boundary."""
    davis_tolerances: tuple[float, ...] = ()
    """Slack of the boundary F of DAVIS: below 1 shares of the image diagonal, as papers on
    Cityscapes use 0.00375, else pixels; empty skips it."""
    size_limits: tuple[int, ...] = (256, 1024, 4096)
    """Areas in pixels between which object-size buckets lie; empty skips the sizes."""
    measures: Annotated[dict[str, dict[str, object]], pairs(read_options, "NAME OPTIONS")] = Field(
        default_factory=dict
    )
    """Measures of other packages by name, each with its options, such as {min_area: 5}."""
    bootstrap: int = Field(2000, ge=0, le=100_000)
    """Resamples of the images for the 95 % intervals; 0 gives none."""
    montages: int = Field(6, ge=0)
    """How many of the best and of the worst images are drawn."""
    predictions: bool = False
    """Keep every predicted label map as a PNG of class ids."""
    inference: InferenceConfig = InferenceConfig()

    @field_validator("boundary_tolerances")
    @classmethod
    def _check_tolerances(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if not all(0 < tolerance <= 0.25 for tolerance in value):
            raise ValueError(f"a tolerance is a share of the diagonal up to 0.25, not {value}")
        return value

    @field_validator("davis_tolerances")
    @classmethod
    def _check_davis(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        for tolerance in value:
            if not (0 < tolerance <= 0.25 or (1 <= tolerance <= 100 and tolerance % 1 == 0)):
                raise ValueError(
                    "a tolerance is a share of the diagonal up to 0.25, or 1 to 100 whole pixels, "
                    f"not {value}"
                )
        return value

    @field_validator("size_limits")
    @classmethod
    def _check_limits(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if any(limit < 1 for limit in value) or any(a >= b for a, b in pairwise(value)):
            raise ValueError(f"areas must be positive and rise, not {value}")
        return value
