"""The training of a run as curves, and as one picture for a page or a slide."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from math import isclose
from pathlib import Path

from segloom.errors import DataError
from segloom.files import atomic_path
from segloom.report.read import read_history
from segloom.run_directory import RunDirectory

__all__ = ["Curves", "training_curves", "write_curves"]

MAX_CURVES = 6
COLORS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00")
"""Okabe and Ito, "Color universal design" (2008): told apart by every kind of colour vision."""
INK, PALE = "#202428", "#d5dae0"


@dataclass(frozen=True)
class Curves:
    """Curves over the epochs that share an axis."""

    title: str
    points: Mapping[str, Sequence[tuple[float, float]]]
    """Epoch and value by name."""
    are_shares: bool = False
    """Whether values are shares, written in per cent."""
    mark: tuple[float, float, str] | None = None
    """Epoch, value and text of a point to point out."""


def training_curves(history: Sequence[Mapping[str, float | None]]) -> list[Curves]:
    """Choose what to show of a training: losses, validation scores and learning rates.

    Args:
        history: One row per epoch, by column of metrics.csv.

    Returns:
        What has any point. A loss term that is all of the total has no curve of its own.
    """
    columns = list(dict.fromkeys(chain.from_iterable(history)))
    losses = _losses(history, columns)
    scores = [name for name in ("val/mIoU", "val/mAcc", "val/aAcc") if name in columns]
    rates = [name for name in columns if name == "lr" or name.startswith("lr/")]
    points = {name: _points(history, name) for name in (*losses, *scores, *rates)}

    def choose(names: Sequence[str]) -> dict[str, list[tuple[float, float]]]:
        return {name: points[name] for name in names[:MAX_CURVES] if points[name]}

    groups = [
        Curves("Loss", choose(losses)),
        Curves(
            "Validation", choose(scores), are_shares=True, mark=_best(points.get("val/mIoU", []))
        ),
        Curves("Learning rate", choose(rates)),
    ]
    return [group for group in groups if group.points]


def _losses(history: Sequence[Mapping[str, float | None]], columns: Sequence[str]) -> list[str]:
    """Choose the columns of losses, the totals first."""
    losses = [name for name in columns if name == "val/loss" or name.startswith("train/")]
    losses = [name for name in losses if not _is_whole_total(history, name)]
    return sorted(losses, key=lambda name: (name != "train/total", name != "val/loss"))


def _best(points: Sequence[tuple[float, float]]) -> tuple[float, float, str] | None:
    """Point out the highest share; None where there is none."""
    if not points:
        return None
    epoch, value = max(points, key=lambda point: point[1])
    return epoch, value, f"best {value * 100:.1f} %, epoch {epoch:g}"


def _is_whole_total(history: Sequence[Mapping[str, float | None]], name: str) -> bool:
    """Return whether a loss term is the total in every epoch, so that one curve hides the other."""
    if name in ("train/total", "val/loss"):
        return False
    term, total = _points(history, name), _points(history, "train/total")
    return len(term) == len(total) and all(
        isclose(one, other, rel_tol=1e-4) for (_, one), (_, other) in zip(term, total, strict=True)
    )


def _points(history: Sequence[Mapping[str, float | None]], name: str) -> list[tuple[float, float]]:
    pairs = [(row["epoch"], row.get(name)) for row in history]
    return sorted((x, y) for x, y in pairs if x is not None and y is not None)


def write_curves(run: Path) -> Path:
    """Draw ``curves.png`` of a run, its charts side by side; return its path.

    Raises:
        DataError: The run has no history of a training.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator, PercentFormatter

    directory = RunDirectory(run)
    groups = training_curves(read_history(directory.history))
    if not groups:
        raise DataError(
            f"{directory.history} tells of no epoch; give the folder that `segloom train` wrote."
        )
    figure = Figure(figsize=(5.4 * len(groups), 4.0), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    for number, group in enumerate(groups, start=1):
        axes = figure.add_subplot(1, len(groups), number)
        for color, (name, points) in zip(COLORS, group.points.items(), strict=False):
            epochs, values = zip(*points, strict=True)
            marker = "o" if len(points) <= 30 else ""  # a lone point has no line
            axes.plot(epochs, values, color=color, label=name, marker=marker, markersize=3.5)
        axes.set_title(group.title, loc="left", color=INK, fontweight="bold")
        axes.set_xlabel("epoch", color=INK)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axes.grid(color=PALE, linewidth=0.6)
        axes.spines[["top", "right"]].set_visible(False)
        axes.margins(y=0.12)
        if group.are_shares:
            axes.yaxis.set_major_formatter(PercentFormatter(xmax=1, symbol=" %"))
        if group.mark is not None:
            epoch, value, text = group.mark
            axes.scatter([epoch], [value], s=60, facecolors="none", edgecolors=INK, zorder=3)
            axes.text(0.99, 1.02, text, transform=axes.transAxes, ha="right", va="bottom")
        if len(group.points) > 1:
            axes.legend(frameon=False, fontsize="small")
    with atomic_path(directory.curves) as temporary:
        figure.savefig(temporary)
    return directory.curves
