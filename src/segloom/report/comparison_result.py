"""The content of ``comparison.json``, typed: the comparison writes it, tables and page read it.

Shares are 0 to 1; what does not exist is None. Files of version 1, which know neither moderated
variances nor the general gain, are read too.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

from pydantic import TypeAdapter, ValidationError

from segloom.errors import DataError

__all__ = [
    "ComparedGroup",
    "ComparedPair",
    "ComparedResampling",
    "ComparedRow",
    "ComparisonResult",
    "CoursePoint",
    "GeneralGain",
    "MissingRun",
    "Placed",
    "PlainDifference",
    "RunPlace",
    "ScoreDifference",
    "ScoreSummary",
    "VarianceShares",
    "read_comparison",
]


class Placed(Protocol):
    """What belongs to a group: the same data, architecture and encoder."""

    @property
    def recipe(self) -> str: ...  # noqa: D102
    @property
    def architecture(self) -> str: ...  # noqa: D102
    @property
    def encoder(self) -> str: ...  # noqa: D102


@dataclass
class PlainDifference:
    """The same difference with the spread of its own seeds alone."""

    interval: list[float] | None
    standard_error: float | None
    degrees: float | None
    p_value: float | None
    holm_p_value: float | None = None
    detectable: float | None = None


@dataclass
class ScoreDifference:
    """A score with minus the score without."""

    difference: float | None
    per_seed: list[float | None]
    interval: list[float] | None
    standard_error: float | None
    degrees: float | None
    seed_share: float | None
    p_value: float | None
    sign_flip_p_value: float | None
    effect_size: float | None
    holm_p_value: float | None = None
    detectable: float | None = None
    """Smallest gain that would be found; None where not even a gain of 1 would."""
    equal_interval: list[float] | None = None
    """90 %, of the two one-sided tests."""
    equal_p_value: float | None = None
    """That the gain is not within the smallest gain of interest, adjusted by Holm."""
    plain: PlainDifference | None = None
    """None where the spread is that of the own seeds anyway."""


@dataclass
class VarianceShares:
    """Where the variance of a gain in mIoU comes from; together 1."""

    seeds: float
    """What is seen between the seeds."""
    images: float
    """The choice of the images, one by one."""
    groups: float
    """What images of a group (film, patient) have in common; 0 where images have no groups."""


@dataclass
class ComparedPair:
    """A variant against the baseline of its group."""

    variant: str
    baseline: str
    seeds: list[int]
    scores: dict[str, ScoreDifference]
    verdict: str = "not compared"
    """helps, hurts, practically equal, undecided, one seed or not compared."""
    is_less_than_asked: bool = False
    """It helps, but its whole 90 % interval lies below the smallest gain of interest."""
    by_group: dict[str, float | None] = field(default_factory=dict)
    """Difference in mIoU inside every group of images, such as a film."""
    seed_correlation: float | None = None
    """Of the mIoU of both networks over the seeds: what pairing the seeds removes."""
    variance: VarianceShares | None = None
    """None with one seed, and where nothing varies."""
    has_converged: bool | None = None
    """Whether the baseline has; None where its course is not known."""
    further_seeds: int | None = None
    """Of an undecided pair: seeds with which the smallest gain would be found; None if too many."""


@dataclass
class ScoreSummary:
    """A score over the seeds."""

    mean: float | None
    spread: float | None
    values: list[float | None]


@dataclass
class CoursePoint:
    """A validation of all runs of a kind."""

    epoch: int
    mean: float
    """Of mIoU over the seeds."""
    low: float
    """The lowest of a seed."""
    high: float
    """The highest."""


@dataclass
class RunPlace:
    """A run that was compared."""

    name: str
    seed: int
    path: str


@dataclass
class MissingRun:
    """A run that came to nothing."""

    name: str
    seed: int
    state: str
    cause: str


@dataclass
class ComparedRow:
    """A variant of a group."""

    variant: str
    seeds: list[int]
    runs: list[RunPlace]
    scores: dict[str, ScoreSummary]
    cost: dict[str, float | None]
    missing: list[MissingRun]
    course: list[CoursePoint] = field(default_factory=list)
    """Validation during training, where every run has kept its own."""


@dataclass
class ComparedResampling:
    """What the intervals of a group draw again."""

    unit: str
    """image, group (of images) or block (of neighbours in a group)."""
    degrees: float
    """Degrees of freedom of the part that comes from the images."""
    groups: list[str]
    """Names of the groups of images, such as films."""
    rule: str
    """The same as a sentence."""
    trained_groups: str | None
    """How many images come from groups that were trained on, as a sentence."""


@dataclass
class ComparedGroup:
    """What has the same data, architecture and encoder."""

    recipe: str
    architecture: str
    encoder: str
    classes: list[str]
    num_images: int
    image_size: Any
    rows: list[ComparedRow]
    pairs: list[ComparedPair]
    late_gain: float | None = None
    """Rise of the baseline's best validation mIoU in the last quarter of its training."""
    resampling: ComparedResampling | None = None
    """None in files of before images had groups: they were drawn one by one."""


@dataclass
class GeneralGain:
    """A variant over all groups, by random-effects meta-analysis."""

    variant: str
    num_networks: int
    difference: float
    interval: list[float]
    standard_error: float
    degrees: float
    p_value: float
    holm_p_value: float
    tau: float
    """Standard deviation of the true gain between networks."""
    tau_interval: list[float]
    prediction: list[float] | None
    """Where the gain on another network would lie, 95 %."""
    verdict: str


@dataclass
class ComparisonResult:
    """A whole comparison."""

    version: int
    baseline: str
    primary: str
    rule: str
    level: float
    power: float
    resamples: int
    conditions: dict[str, Any]
    groups: list[ComparedGroup]
    spread: str = "plain"
    """moderated or plain: whose seeds the spread is estimated from."""
    smallest_gain: float | None = None
    """Of interest, named before the cells ran."""
    general: list[GeneralGain] = field(default_factory=list)

    def as_json(self) -> dict[str, object]:
        """Return plain JSON values."""
        return asdict(self)


@lru_cache(maxsize=1)
def _adapter() -> TypeAdapter[ComparisonResult]:
    return TypeAdapter(ComparisonResult)


def read_comparison(path: Path) -> ComparisonResult:
    """Read ``comparison.json``.

    Raises:
        DataError: It cannot be read, or lacks what every comparison has.
    """
    try:
        return _adapter().validate_json(path.read_bytes())
    except OSError as error:
        raise DataError(f"{path} cannot be read; name the folder of a comparison.") from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise DataError(
            f"{path} holds no comparison: {place or 'the file'}: {first['msg']}."
        ) from error
