"""``segloom compare --dry-run``: what the cells will take, and the seeds that the plan needs."""

from __future__ import annotations

import tempfile
from pathlib import Path

from segloom.comparison.cells.budget import budgeted_cells, kind, probe_cells
from segloom.comparison.cells.plan import make_cells, settle_recipes
from segloom.config.comparison import ComparisonPlan

__all__ = ["dry_run"]


def dry_run(plan: ComparisonPlan, folder: Path, *, workers: int, spread_from: Path | None) -> int:
    """Print what every cell will take; nothing of the comparison is written."""
    plan = settle_recipes(plan)
    with tempfile.TemporaryDirectory() as scratch:
        probes = probe_cells(make_cells(plan, folder), Path(scratch))
        cells = budgeted_cells(plan, Path(scratch))
    total, peak = 0.0, 0.0
    for cell in cells:
        found = probes[kind(cell)]
        if isinstance(found, str):
            print(f"{cell.id:<60} cannot run: {found}")
            continue
        seconds = found.seconds(cell.config)
        total, peak = total + seconds, max(peak, found.memory_gib or 0)
        memory = "" if found.memory_gib is None else f"{found.memory_gib:.1f} GiB"
        print(f"{cell.id:<60} {seconds / 60:7.1f} min  {memory}")
    print(
        f"{len(cells)} cells, about {total / 3600:.1f} hours of work; with {workers} worker(s) at "
        f"once {total / 3600 / workers:.1f} hours and {peak * workers:.1f} GiB, if each has cores "
        "of its own"
    )
    _print_power(plan, folder, spread_from, total)
    return 0 if total else 1


def _print_power(
    plan: ComparisonPlan, folder: Path, spread_from: Path | None, seconds: float
) -> None:
    """Say which gain the plan finds, and the seeds and time for its smallest gain."""
    from segloom.comparison.statistics.power import find_seeds, read_spread, smallest_found

    source = spread_from or folder
    if spread_from is None and not (folder / "comparison.json").is_file():
        print(
            "how many seeds it needs: name an earlier study of the recipe with --spread-from DIR, "
            "or let the first seeds finish and ask again"
        )
        return
    spread = read_spread(source)
    groups = sum(max(1, len(plan.architectures)) * max(1, len(plan.encoders)) for _ in plan.recipes)
    comparisons = max(1, groups * (len(plan.enhancements) - 1))
    found = smallest_found(spread, max(2, len(plan.seeds)), comparisons)
    print(
        f"spread of {source}: {100 * spread.seed_variance**0.5:.2f} points between seeds, "
        f"{100 * spread.image_variance**0.5:.2f} from the images. {max(2, len(plan.seeds))} seeds "
        f"find a gain of {100 * found:.1f} points with a probability of 0.8, for {comparisons} "
        "comparisons"
    )
    needed = find_seeds(spread, comparisons, plan.smallest_gain / 100)
    gain = f"a gain of {plan.smallest_gain:g} points"
    if needed is None:
        print(f"{gain} is not found by more seeds alone; it takes more test images")
    else:
        hours = seconds / 3600 / len(plan.seeds) * needed
        print(f"{gain} takes {needed} seeds, about {hours:.1f} hours of work in all")
