"""What a measure tells the rest of the program: what it counts, and what follows from the counts.

    count      a predicted and a true label map -> integers, which add over images
    summarize  the counts of all images -> its part of metrics.json
    scores     the counts again, by image, for intervals and comparisons
    tables     its part -> CSV files
    section    its part -> what the program prints and the report shows

Axes: N images, R resamples, V scores.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from segloom.config.base import Section as Options
from segloom.config.evaluation import EvalConfig
from segloom.config.problems import describe_problem
from segloom.errors import ConfigError
from segloom.metrics.by_space import Measures, measures_of
from segloom.metrics.resampling import Resampling
from segloom.metrics.scores import Numbers
from segloom.metrics.statistics import bootstrap_interval
from segloom.types import ALONE, LabelSet, Place, Region

__all__ = [
    "ImageCounts",
    "Measure",
    "Options",
    "Pair",
    "ScoreGroup",
    "Shown",
    "SplitCounts",
    "Table",
    "intervals_of",
    "number_or_none",
]

Content: TypeAlias = str | int | float | Sequence[float] | None
"""Of a shown table: words, a number, a share from 0 to 1, the ends of an interval, or nothing."""


@dataclass(frozen=True)
class Pair:
    """The label maps of one image."""

    prediction: NDArray[np.integer]
    """``(H, W)``, class ids, or bits where classes overlap."""
    truth: NDArray[np.integer]
    """``(H, W)``, the same and 255 for void."""
    num_classes: int
    overlaps: bool = False

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        height, width = self.truth.shape
        return height, width

    @property
    def measures(self) -> Measures:
        """What is counted in such maps."""
        return measures_of(self.overlaps)


@dataclass(frozen=True)
class ImageCounts:
    """What one image contributes to an evaluation: integers, so that images simply add."""

    id: str
    """Name of the sample."""
    counts: Mapping[str, NDArray[np.int64]]
    """By the name of the array, see `Measure.shapes`."""
    place: Place = ALONE
    """Which other images it depends on."""

    @property
    def confusion(self) -> NDArray[np.int64]:
        """``(K, K)``; rows truth, columns prediction. Of classes that may overlap ``(K, 2, 2)``."""
        return self.counts[self.measures.key]

    @property
    def is_multilabel(self) -> bool:
        """Whether the classes may overlap."""
        return measures_of(True).key in self.counts

    @property
    def measures(self) -> Measures:
        """What the counts are of."""
        return measures_of(self.is_multilabel)


@dataclass(frozen=True)
class SplitCounts:
    """All that was counted on a split."""

    images: Sequence[ImageCounts]
    labels: LabelSet
    regions: Sequence[Region] = ()
    """Classes that are scored together."""
    cases: Sequence[str] = ()
    """To which case each image belongs, empty for one of its own."""
    resamples: int = 0
    """Of the images, for intervals; 0 gives none."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Their names."""
        return self.labels.classes

    def stack(self, name: str) -> NDArray[np.int64]:
        """Stack the counts of all images, ``(N, ...)``."""
        return np.stack([image.counts[name] for image in self.images])

    def sum(self, name: str) -> NDArray[np.int64]:
        """Add the counts of all images."""
        total: NDArray[np.int64] = np.sum([image.counts[name] for image in self.images], axis=0)
        return total


class ScoreGroup(NamedTuple):
    """Scores and what they follow from, so that images can be drawn again."""

    names: Sequence[str]
    """V of them, such as ``mIoU``, ``IoU.road``, ``bIoU@0.02``."""
    counts: Numbers
    """``(N, ...)``; they add over images."""
    statistic: Callable[[Numbers], NDArray[np.float64]]
    """From sums ``(R, ...)`` to scores ``(R, V)``, NaN where a score does not exist."""
    is_compared: bool = True
    """Whether comparisons of runs look at them."""


@dataclass(frozen=True)
class Table:
    """A CSV file; tables of one file by several measures become one."""

    columns: Sequence[str]
    rows: Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Shown:
    """A table that the program prints, and the report shows where it has no section of its own."""

    title: str
    """Also heads the first column."""
    columns: Sequence[str]
    """Of numbers, beside the first."""
    rows: Sequence[Sequence[Content]]
    definition: str = ""
    """What the numbers mean."""
    num_words: int = field(default=1)
    """Columns from the left that hold words."""

    def to_json(self) -> dict[str, Any]:
        """Return values for JSON."""
        return asdict(self)


class Measure(ABC):
    """One kind of number about predictions; `MEASURES` or an entry point names a subclass."""

    name: ClassVar[str]
    """By which ``eval.measures`` asks for it."""
    Options: ClassVar[type[Options]] = Options
    """What a user can set, in ``eval.measures.NAME``."""
    files: ClassVar[tuple[str, ...]] = ()
    """Names of its CSV files."""

    def __init__(self, options: Any = None) -> None:
        self.options = options if options is not None else self.Options()

    @classmethod
    def configured(cls, config: EvalConfig) -> Measure | None:
        """Make the measure that a configuration asks for; None if it asks for none.

        Raises:
            ConfigError: An option is unknown or has a value that is refused.
        """
        if cls.name not in config.measures:
            return None
        try:
            return cls(cls.Options.model_validate(config.measures[cls.name]))
        except ValidationError as error:
            beginning = f"eval.measures.{cls.name}"
            problems = (
                describe_problem(problem, ".".join((beginning, *map(str, problem["loc"]))))
                for problem in error.errors()
            )
            raise ConfigError("; ".join(problems)) from error

    def shapes(self, num_classes: int, overlaps: bool) -> dict[str, tuple[int, ...]]:
        """Return the shapes of the arrays that `count` gives, by a name that no other has."""
        return {}

    def count(self, pair: Pair) -> dict[str, NDArray[np.int64]]:
        """Count one image.

        Raises:
            DataError: The maps hold a value that is no class.
        """
        return {}

    @abstractmethod
    def summarize(self, counted: SplitCounts) -> dict[str, object]:
        """Make keys of metrics.json; a measure of another package has an object of its own."""

    def scores(self, counted: SplitCounts) -> Sequence[ScoreGroup]:
        """Return every score that has an interval."""
        return ()

    @classmethod
    def tables(cls, metrics: Mapping[str, object]) -> dict[str, Table]:
        """Make CSV files by name from what `summarize` gave."""
        return {}

    @classmethod
    def section(cls, metrics: Mapping[str, object]) -> Shown | None:
        """Show what `summarize` gave; None if nothing was measured."""
        return None


def intervals_of(
    groups: Sequence[ScoreGroup], resamples: int, resampling: Resampling
) -> dict[str, list[float]]:
    """Resample the images for every score; one that is never defined gets no interval."""
    named: dict[str, NDArray[np.float64]] = {}
    for names, counts, statistic, _ in groups:
        ends = bootstrap_interval(counts, statistic, resamples=resamples, resampling=resampling)
        named.update(zip(names, ends, strict=True))
    return {name: ends.tolist() for name, ends in named.items() if not np.isnan(ends).any()}


def number_or_none(value: Any) -> float | None:
    """Turn a number into what JSON can hold: NaN is None."""
    number = float(value)
    return None if np.isnan(number) else number
