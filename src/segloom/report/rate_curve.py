"""A learning-rate range test as a table and as one picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from segloom.files import atomic_path, write_csv
from segloom.report.curves import COLORS, INK, PALE

__all__ = ["write_rate_test"]


def write_rate_test(
    folder: Path,
    rates: Sequence[float],
    losses: Sequence[float],
    smoothed: Sequence[float],
    suggestion: float | None,
) -> tuple[Path, Path]:
    """Write ``find_lr.csv`` and draw ``find_lr.png``; return their paths.

    Args:
        folder: Where; nothing else in it is touched.
        rates: Learning rate of every step.
        losses: Loss of every step.
        smoothed: The same without scatter.
        suggestion: A rate to mark, if there is one.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    table, picture = folder / "find_lr.csv", folder / "find_lr.png"
    columns = ("step", "lr", "loss", "smoothed")
    rows = enumerate(zip(rates, losses, smoothed, strict=True), start=1)
    write_csv(
        table,
        columns,
        (dict(zip(columns, (step, *row), strict=True)) for step, row in rows),
    )
    figure = Figure(figsize=(6.4, 4.0), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.plot(rates, losses, ".", color=COLORS[4], markersize=4, label="every step")
    axes.plot(rates, smoothed, color=COLORS[0], label="smoothed")
    axes.set_xscale("log")
    # A loss that runs away would leave a flat line of all others.
    span = max(smoothed) - min(smoothed) or 1.0
    axes.set_ylim(min(losses) - 0.1 * span, max(smoothed) + 0.3 * span)
    axes.set_title("Learning-rate range test", loc="left", color=INK, fontweight="bold")
    axes.set_xlabel("learning rate", color=INK)
    axes.set_ylabel("loss", color=INK)
    axes.grid(color=PALE, linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    text = "no fall found"
    if suggestion is not None:
        axes.axvline(suggestion, color=COLORS[5], linestyle="--", label="steepest fall")
        text = f"falls fastest at {suggestion:.1e}"
    axes.text(0.99, 1.02, text, transform=axes.transAxes, ha="right", va="bottom")
    axes.legend(frameon=False, fontsize="small")
    with atomic_path(picture) as temporary:
        figure.savefig(temporary)
    return table, picture
