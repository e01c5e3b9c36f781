"""Time the statistics of a comparison: nine comparisons, 5 seeds, 233 images, files to page.

The counts are those of shifted maps of random tiles, 11 classes, with object sizes and boundaries,
as `segloom eval` keeps them; pictures are off. Goal: less than 6 s of processor time, the import of
what it needs included. Run ``python benchmarks/bench_statistics.py``.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np
from measure import in_fresh_process
from measure import write_result as record

from segloom.comparison.cells.plan import Group
from segloom.comparison.run import write_result
from segloom.comparison.statistics.analysis import analyse
from segloom.comparison.statistics.results import read_counted, resample
from segloom.config.evaluation import EvalConfig
from segloom.evaluation.journal import Journal
from segloom.evaluation.summary import summarize

SIZE, TILE = (120, 160), 10
GOAL = 6.0
"""Seconds."""
NUM_DIFFERENT = 4
"""Cells whose counts are computed; the others take copies of them, which costs the same to read."""


def write_run(folder: Path, seed: int, num_images: int) -> None:
    """Write what `segloom eval` leaves of a run."""
    # What only this needs is not imported where time is taken.
    from segloom.config.data import DataConfig
    from segloom.data import build_dataset
    from segloom.evaluation.image_counts import count_image

    rng = np.random.default_rng(seed)
    config = EvalConfig(bootstrap=0)
    labels = build_dataset(DataConfig(name="scenes"), "test").labels
    classes = labels.classes
    folder.mkdir(parents=True)
    journal = Journal(folder / "journal", "benchmark", len(classes), config)
    for index in range(num_images):
        tiles = rng.integers(0, len(classes), (SIZE[0] // TILE, SIZE[1] // TILE), dtype=np.uint8)
        truth = tiles.repeat(TILE, axis=0).repeat(TILE, axis=1)
        prediction = np.roll(truth, int(rng.integers(1, 5)), axis=1)
        counts = count_image(f"{index:06}", prediction, truth, len(classes), config)
        journal.append(index, counts)
    images = [journal.done[index] for index in range(num_images)]
    journal.publish(folder / "counts.jsonl")
    metrics = summarize(images, labels, config) | {"model": {"num_parameters": 1}}
    (folder / "metrics.json").write_text(json.dumps(metrics), encoding="utf-8")


def main() -> int:
    """Parse the command line, write the runs, measure; return 0 if the goal is reached."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", type=int, default=3)
    parser.add_argument("--variants", type=int, default=4, help="of each network, with none")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--images", type=int, default=233)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--no-write", action="store_true", help="print only")
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    words = parser.parse_args()
    if words.folder:
        print(json.dumps(compare(words)))
        return 0
    options = ["--networks", words.networks, "--variants", words.variants, "--seeds", words.seeds]
    with tempfile.TemporaryDirectory() as scratch:
        for number in range(NUM_DIFFERENT):
            write_run(Path(scratch, str(number), "eval", "test"), number, words.images)
        command = [*map(str, options), "--folder", scratch]
        rounds = [in_fresh_process(__file__, command) for _ in range(words.rounds)]
    seconds = {name: round(median(one[name] for one in rounds), 2) for name in rounds[0]}
    result = {
        "comparisons": words.networks * (words.variants - 1),
        "cells": words.networks * words.variants * words.seeds,
        "images": words.images,
        "processor_seconds": seconds,
        "goal": GOAL,
        "reached": seconds["all"] < GOAL,
        "rounds": rounds,
    }
    print(json.dumps(seconds, indent=2))
    if not words.no_write:
        print(record("statistics", result))
    return 0 if result["reached"] else 1


def compare(words: argparse.Namespace) -> dict[str, float]:
    """Go from files to page in this process; return processor seconds since it began."""
    networks = [Group("scenes", f"network{n}", "resnet18") for n in range(words.networks)]
    imported = time.process_time()
    counted = [
        read_counted(
            words.folder / str((number + variant + seed) % NUM_DIFFERENT),
            network,
            f"variant{variant}" if variant else "none",
            seed,
            facts={},
        )
        for number, network in enumerate(networks)
        for variant in range(words.variants)
        for seed in range(words.seeds)
    ]
    read = time.process_time()
    measured = resample(counted, baseline="none")
    resampled = time.process_time()
    result = analyse(measured, baseline="none", conditions={})
    analysed = time.process_time()
    write_result(words.folder / "page", result, measured, pictures=0)
    done = time.process_time()
    return {
        "import": imported,
        "reading": read - imported,
        "resampling": resampled - read,
        "comparing": analysed - resampled,
        "tables and page": done - analysed,
        "all": done,
    }


if __name__ == "__main__":
    sys.exit(main())
