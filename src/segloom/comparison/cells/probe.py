"""How long a cell will take and how much memory: a few of its steps, in a process of its own.

    python -m segloom.comparison.cells.probe CONFIG.yaml RESULT.json

The estimate leaves out what is the same for all and small: start-up, checkpoints, statistics.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import ceil
from pathlib import Path

from segloom.comparison.cells.cost import PeakMemory
from segloom.config.load import dump_config, read_config
from segloom.config.run import RunConfig
from segloom.errors import SegloomError, TrainingError
from segloom.evaluation.image_counts import count_image
from segloom.files import parse_json

__all__ = ["Probe", "probe"]

NUM_STEPS = 3
"""Timed training steps, after one that warms up."""


@dataclass(frozen=True)
class Probe:
    """What a few steps and images told."""

    step_seconds: float
    """One optimiser step, its images read and augmented."""
    validation_seconds: float
    """One validation image."""
    test_seconds: float
    """One test image, measured as `segloom eval` does it."""
    memory_gib: float | None
    """Peak of the training steps."""
    steps_per_epoch: int
    num_validation: int
    num_test: int

    def train_seconds(self, config: RunConfig) -> float:
        """Estimate the training of a cell."""
        train = config.train
        steps = min(self.steps_per_epoch, train.steps_per_epoch or 2**31) * train.epochs
        validations = ceil(train.epochs / train.validate_every)
        return steps * self.step_seconds + validations * self.num_validation * (
            self.validation_seconds
        )

    def seconds(self, config: RunConfig) -> float:
        """Estimate the whole cell."""
        return self.train_seconds(config) + self.num_test * self.test_seconds


def probe(config: RunConfig) -> Probe:
    """Try a cell out in a process of its own, whose memory is its alone.

    Raises:
        SegloomError: What the cell would fail of.
    """
    with tempfile.TemporaryDirectory() as folder:
        file, result = Path(folder) / "config.yaml", Path(folder) / "probe.json"
        file.write_text(dump_config(config), encoding="utf-8")
        done = subprocess.run(
            [sys.executable, "-m", "segloom.comparison.cells.probe", str(file), str(result)],
            capture_output=True,
            text=True,
            check=False,
        )
        if not result.is_file():
            lines = done.stderr.strip().splitlines()
            why = lines[-1] if lines else f"it ended with code {done.returncode}"
            raise TrainingError(f"the network cannot be tried out: {why}")
        values = parse_json(result.read_text(encoding="utf-8"))
    if "error" in values:
        raise TrainingError(values["error"])
    return Probe(**values)


def _measure(config: RunConfig) -> Probe:
    from segloom.data import build_dataset
    from segloom.inference import Predictor
    from segloom.training.batches import plan_batches
    from segloom.training.stages import divide_stages
    from segloom.training.timing import time_training

    # Of several stages the last, which has the largest images.
    config = divide_stages(config)[-1].config
    memory = PeakMemory()
    timing = time_training(config, NUM_STEPS)
    peak = memory.gibibytes()
    parts = timing.parts
    test = build_dataset(config.data, config.eval.split)
    predictor = Predictor(parts.step.model.eval(), test.labels, config.eval.inference)
    tests = []
    for index in range(min(2, len(test))):
        start = time.perf_counter()
        sample = test[index]
        label_map, truth = predictor.label_map(predictor.pixels(sample)), sample["mask"].numpy()
        is_multilabel = test.labels.is_multilabel
        count_image(
            "", label_map, truth, len(test.classes), config.eval, is_multilabel=is_multilabel
        )
        tests.append(time.perf_counter() - start)
    return Probe(
        step_seconds=statistics.median(timing.steps),
        validation_seconds=timing.validations[-1],
        test_seconds=tests[-1],
        memory_gib=peak,
        steps_per_epoch=plan_batches(config, len(parts.training)).num_steps,
        num_validation=len(parts.validation),
        num_test=len(test),
    )


def main(words: Sequence[str]) -> int:
    """Probe the configuration of the first file and write the second; return the exit code."""
    try:
        values = asdict(_measure(read_config(Path(words[0]))))
    except SegloomError as error:
        values = {"error": str(error)}
    Path(words[1]).write_text(json.dumps(values), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
