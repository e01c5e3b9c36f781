"""Time the statistics of a comparison: 100 cells of 233 images, from files to tables.

The counts are those of shifted maps of random tiles, 11 classes, with object sizes and boundaries,
as `segloom eval` keeps them. Run ``python benchmarks/bench_statistics.py``.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np
from measure import write_result

from segloom.comparison.cells.plan import Group
from segloom.comparison.statistics.analysis import analyse
from segloom.comparison.statistics.results import read_counted, resample
from segloom.comparison.statistics.tables import write_tables
from segloom.config.data import DataConfig
from segloom.config.evaluation import EvalConfig
from segloom.data import build_dataset
from segloom.evaluation.image_counts import count_image
from segloom.evaluation.journal import Journal
from segloom.evaluation.summary import summarize

SIZE, TILE = (120, 160), 10
NUM_DIFFERENT = 4
"""Cells whose counts are computed; the others take copies of them, which costs the same to read."""


def write_run(folder: Path, seed: int, num_images: int) -> None:
    """Write what `segloom eval` leaves of a run."""
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


def main() -> None:
    """Parse the command line, write the runs, measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--variants", type=int, default=10)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--images", type=int, default=233)
    parser.add_argument("--no-write", action="store_true", help="print only")
    words = parser.parse_args()
    group = Group("scenes", "unet", "resnet18")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        for number in range(NUM_DIFFERENT):
            write_run(folder / str(number) / "eval" / "test", number, words.images)
        cells = [
            (variant, seed, folder / str((variant + seed) % NUM_DIFFERENT))
            for variant in range(words.variants)
            for seed in range(words.seeds)
        ]
        start = time.perf_counter()
        counted = [
            read_counted(run, group, f"variant{variant}" if variant else "none", seed, facts={})
            for variant, seed, run in cells
        ]
        measured = resample(counted, baseline="none")
        read = time.perf_counter()
        values = analyse(measured, baseline="none", conditions={})
        write_tables(folder / "tables", values)
        done = time.perf_counter()
    result = {
        "cells": len(cells),
        "images": words.images,
        "seconds": {
            "reading and resampling": round(read - start, 2),
            "pairs and tables": round(done - read, 2),
            "all": round(done - start, 2),
        },
    }
    print(json.dumps(result["seconds"], indent=2))
    if not words.no_write:
        write_result("statistics", result)


if __name__ == "__main__":
    main()
