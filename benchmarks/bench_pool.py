"""Very many small images by a pool of Ray's actors: ``python benchmarks/bench_pool.py``.

100,000 images of 32 x 32 in 100 folders, made in a temporary folder; a network of one product per
pixel, exported to ONNX, so that all but the network is measured. Reports images a second, the
largest memory of the driver, which must not grow with the number of images, and the time of a
second call, which finds everything done.

Goal: a driver of at most 400 MB, and no image done twice.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from measure import write_result
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from support.onnx_files import write_export

GOAL_MB = 400


def main() -> int:
    """Make the files, predict them twice, print, write the result; return 1 if a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=100_000)
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_images(folder / "images", arguments.images)
        model = write_export(folder / "model")
        first, again = (predict(model, folder, arguments.workers) for _ in range(2))
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e3
    is_good = (
        first["predicted"] == again["skipped"] == arguments.images
        and again["predicted"] == 0
        and peak <= GOAL_MB
    )
    speed, seconds = first["per_second"], again["seconds"]
    print(f"{speed:.0f} images a second; again {seconds:.0f} s; {peak:.0f} MB")
    path = write_result(
        "pool",
        {
            "images": arguments.images,
            "workers": arguments.workers,
            "first": first,
            "again": again,
            "largest_process_megabytes": round(peak, 1),
            "passed": is_good,
        },
    )
    print(f"{'passed' if is_good else 'missed'}; written to {path}")
    return 0 if is_good else 1


def write_images(folder: Path, number: int) -> None:
    """Write small images of noise."""
    pixels = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    for index in range(number):
        place = folder / f"{index % 100:02}"
        if index < 100:
            place.mkdir(parents=True)
        Image.fromarray(np.roll(pixels, index, axis=1)).save(place / f"{index}.png")


def predict(model: Path, folder: Path, workers: int) -> dict[str, float]:
    """Predict all of them in a process of its own."""
    words = ["predict", str(model), str(folder / "images"), "--out", str(folder / "out"), "--json"]
    words += ["--engine", "ray", "--workers", str(workers), "--no-palette", "--no-overlay"]
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "segloom", *words], stdout=subprocess.PIPE, text=True, check=True
    )
    counts: dict[str, float] = json.loads(done.stdout)
    return {**counts, "wall_seconds": round(time.perf_counter() - start, 1)}


if __name__ == "__main__":
    sys.exit(main())
