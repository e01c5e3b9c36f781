"""What came of a search: its trials as a table, and the configuration of the best."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from segloom.config.load import dump_config, read_config
from segloom.config.tuning import Axis, TuningPlan
from segloom.files import write_csv, write_text
from segloom.text import markdown_cell

if TYPE_CHECKING:
    from optuna import Study

__all__ = ["TrialResult", "Tuning", "read_trials", "trials_markdown", "write_results"]

STATES = {"COMPLETE": "done", "PRUNED": "pruned", "FAIL": "failed", "RUNNING": "running"}


@dataclass(frozen=True)
class TrialResult:
    """One trial."""

    number: int
    state: str
    """done, pruned, failed or running."""
    miou: float | None
    """Best on the validation images, 0 to 1; of a trial that is not done, of its epochs so far."""
    epochs: int
    seconds: float | None
    """Time of these; None while it runs."""
    options: Mapping[str, object]
    """Option to what it was set to, a choice as the search names it."""
    cause: str
    """Why it failed."""


@dataclass(frozen=True)
class Tuning:
    """A search so far."""

    folder: Path
    plan: TuningPlan
    axes: Sequence[Axis]
    trials: Sequence[TrialResult]

    @property
    def best(self) -> TrialResult | None:
        """The best trial that is done, of equals the first; None if none is."""
        done = [trial for trial in self.trials if trial.state == "done"]
        return max(done, key=lambda trial: trial.miou or 0.0, default=None)

    @property
    def verdict(self) -> str:
        """Describe what the search found, and what it does not tell."""
        counts = {
            state: sum(trial.state == state for trial in self.trials)
            for state in ("done", "pruned", "failed")
        }
        listed = ", ".join(f"{count} {state}" for state, count in counts.items() if count)
        best = self.best
        if best is None:
            return f"No trial came to its end ({listed or 'none began'})."
        options = " ".join(f"{name}={_text(value)}" for name, value in best.options.items())
        return (
            f"Best of {len(self.trials)} trials ({listed}): trial {best.number}, validation mIoU "
            f"{best.miou:.4f}, with {options}. The best of several on the same validation images "
            "is optimistic; only a `segloom compare` of best.yaml and the recipe, trained with "
            "several seeds and measured on the test images, tells whether it is better."
        )


def read_trials(plan: TuningPlan, axes: Sequence[Axis], folder: Path, study: Study) -> Tuning:
    """Read the trials of a study."""
    results = []
    for frozen in study.get_trials(deepcopy=False):
        seen = frozen.intermediate_values
        best = max(seen.values(), default=None)
        results.append(
            TrialResult(
                number=frozen.number,
                state=STATES.get(frozen.state.name, "running"),
                miou=frozen.value if frozen.state.name == "COMPLETE" else best,
                epochs=frozen.user_attrs.get("epochs", max(seen, default=0)),
                seconds=frozen.user_attrs.get("seconds"),
                options=dict(frozen.params),
                cause=frozen.user_attrs.get("cause", ""),
            )
        )
    return Tuning(folder, plan, axes, results)


def write_results(tuning: Tuning) -> None:
    """Write trials.md, trials.csv and, if a trial is done, best.yaml."""
    write_text(tuning.folder / "trials.md", trials_markdown(tuning))
    columns = ["trial", "state", "validation_mIoU", "epochs", "seconds"]
    options = [axis.option for axis in tuning.axes]
    rows = [
        {
            **dict(zip(columns, _row(trial), strict=True)),
            **{name: trial.options.get(name) for name in options},
            "cause": trial.cause,
        }
        for trial in tuning.trials
    ]
    write_csv(tuning.folder / "trials.csv", [*columns, *options, "cause"], rows)
    if tuning.best is not None:
        name = f"trial-{tuning.best.number:04d}.yaml"
        config = read_config(tuning.folder / "cells" / name)
        train = config.train.model_copy(update={"out": None})
        best = dump_config(config.model_copy(update={"train": train}))
        write_text(tuning.folder / "best.yaml", best)


def trials_markdown(tuning: Tuning) -> str:
    """Lay out the trials as a table, the best first, and the verdict below it."""
    options = [axis.option for axis in tuning.axes]
    lines = [
        "| trial | state | validation mIoU | epochs | " + " | ".join(options) + " |",
        "|---" * (4 + len(options)) + "|",
    ]
    order = ["done", "pruned", "running", "failed"]
    for trial in sorted(
        tuning.trials, key=lambda trial: (order.index(trial.state), -(trial.miou or 0.0))
    ):
        score = "" if trial.miou is None else f"{trial.miou:.4f}"
        values = [_text(trial.options.get(name, "")) for name in options]
        cells = [str(trial.number), trial.state, score, str(trial.epochs), *values]
        lines.append("| " + " | ".join(map(markdown_cell, cells)) + " |")
    causes = [
        f"\nTrial {trial.number}: {markdown_cell(trial.cause)}"
        for trial in tuning.trials
        if trial.cause
    ]
    return "\n".join([*lines, *causes, "", tuning.verdict, ""])


def _row(trial: TrialResult) -> tuple[object, ...]:
    return (trial.number, trial.state, trial.miou, trial.epochs, trial.seconds)


def _text(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
