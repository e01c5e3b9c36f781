"""Class-uniform sampling against one pass of decoding the label maps it is built from.

    python benchmarks/bench_class_uniform.py [--maps 48] [--rounds 5]

2,975 label maps (the training set of Cityscapes) stand for each other: ``--maps`` generated ones of
2048x1024 are written as PNG, decoded, and their centroids listed; the lists are then repeated to
2,975 maps, from which whole epochs are built. Goal: building an epoch costs less than 0.1 of
decoding its maps once.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from measure import interleave, write_result

from segloom.data.class_uniform import Centroids, ClassUniform, find_centroids, tile_centroids
from segloom.labels.decoder import make_decoder
from segloom.labels.pictures import write_label_png
from segloom.scenes import make_scene
from segloom.types import Record

GOAL = 0.1
NUM_SAMPLES, NUM_CLASSES, TILE, SHARE = 2975, 19, 1024, 0.5


def write_maps(folder: Path, number: int) -> list[Record]:
    """Write generated street scenes, enlarged to the size of Cityscapes."""
    records = []
    for index in range(number):
        _, labels = make_scene(0, "train", index, size=(256, 512))
        large = np.kron(labels, np.ones((4, 4), np.uint8))
        # Ragged outlines, as people draw them: rows and columns are moved by a pixel or two.
        rng = np.random.default_rng(index)
        rows = np.clip(np.arange(1024) + rng.integers(-2, 3, 1024), 0, 1023)
        columns = np.clip(np.arange(2048) + rng.integers(-2, 3, 2048), 0, 2047)
        path = folder / f"{index}.png"
        write_label_png(path, large[rows][:, columns])
        records.append(Record(str(index), path, path))
    return records


def main() -> int:
    """Time decoding, listing and building; return 0 if the goal is reached."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--maps", type=int, default=48)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    decoder = make_decoder(NUM_CLASSES, "index")
    with tempfile.TemporaryDirectory() as folder:
        records = write_maps(Path(folder), arguments.maps)
        maps = [decoder.decode(record.mask) for record in records if record.mask]
        one = find_centroids(records, decoder, TILE)
        repeats = -(-NUM_SAMPLES // len(records))
        many = Centroids(*(np.tile(values, repeats) for values in one))
        shift = np.repeat(np.arange(repeats) * len(records), len(one.sample))
        plan = ClassUniform(
            many._replace(sample=(many.sample + shift).astype(np.int32)),
            NUM_SAMPLES,
            NUM_CLASSES,
            SHARE,
        )
        timings = interleave(
            {
                "decode": lambda: [decoder.decode(r.mask) for r in records if r.mask],
                "list": lambda: [tile_centroids(labels, TILE) for labels in maps],
                "epoch": lambda: plan.keys(0),
            },
            rounds=arguments.rounds,
            clock=time.process_time,
        )
    scale = NUM_SAMPLES / len(records)
    seconds = {
        "decode": timings["decode"]["median_s"] * scale,
        "list": timings["list"]["median_s"] * scale,
        "epoch": timings["epoch"]["median_s"],
    }
    ratios = {name: round(seconds[name] / seconds["decode"], 4) for name in ("list", "epoch")}
    print(f"decoding {NUM_SAMPLES} label maps {seconds['decode']:.1f} s")
    print(f"listing their centroids, once     {seconds['list']:.1f} s ({ratios['list']:.1%})")
    print(f"building one epoch                {seconds['epoch']:.3f} s ({ratios['epoch']:.2%})")
    result = {
        "case": {
            "label_maps": NUM_SAMPLES,
            "distinct": len(records),
            "size": [1024, 2048],
            "classes": NUM_CLASSES,
            "tile": TILE,
            "share": SHARE,
        },
        "seconds": {name: round(value, 4) for name, value in seconds.items()},
        "share_of_decoding": ratios,
        "goal": GOAL,
        "reached": ratios["epoch"] < GOAL,
        "clock": "processor seconds",
        "timings": timings,
    }
    print(write_result("class_uniform", result))
    return 0 if ratios["epoch"] < GOAL else 1


if __name__ == "__main__":
    sys.exit(main())
