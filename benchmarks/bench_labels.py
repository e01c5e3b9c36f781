"""Colour label maps to class ids: ``python benchmarks/bench_labels.py [--labels DIR]``.

DIR holds label maps of class ids, such as CamVid's ``trainannot`` (480 x 360); without it,
generated street scenes of that size are taken. They are painted in CamVid's colours, void black,
and turned back by

    loops     the tutorial way: for every pixel, compare its colour with the palette's one by one
    segloom   `LabelDecoder.convert`: one table of all 2^24 colours

The ids must be identical. Both run in turns on the same maps and are timed by processor seconds.
Goal: at least 100 times as fast as the loops.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np
from measure import interleave, median_ratio, write_result
from numpy.typing import NDArray
from PIL import Image

from segloom.data.sets.camvid import CAMVID
from segloom.labels.decoder import make_decoder
from segloom.labels.stored import StoredLabels
from segloom.scenes import make_scene

GOAL = 100.0


def paint(folder: Path | None, count: int) -> list[NDArray[np.uint8]]:
    """Make the colours ``(H, W, 3)`` of label maps, evenly spread over the folder."""
    if folder is None:
        maps = [make_scene(0, "train", index, size=(360, 480))[1] for index in range(count)]
    else:
        paths = sorted(folder.glob("*.png"))
        maps = [np.asarray(Image.open(path)) for path in paths[:: len(paths) // count][:count]]
    colors = np.array([*CAMVID.palette, (0, 0, 0)], np.uint8)
    return [colors[np.minimum(ids, 11)] for ids in maps]  # void, 11 or 255, is black


def loop_over_pixels(
    image: NDArray[np.uint8], palette: list[tuple[int, int, int]]
) -> NDArray[np.uint8]:
    """Convert as a beginner's script does; a colour that is not in the palette is 0."""
    height, width, _ = image.shape
    ids = np.zeros((height, width), np.uint8)
    for row in range(height):
        for column in range(width):
            pixel = image[row, column]
            for class_id, (red, green, blue) in enumerate(palette):
                if pixel[0] == red and pixel[1] == green and pixel[2] == blue:
                    ids[row, column] = class_id
                    break
    return ids


def main() -> int:
    """Measure, compare, write the result; return 1 if the goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--labels", type=Path, help="folder of label maps of ids")
    parser.add_argument("--count", type=int, default=2, help="label maps per timed call")
    parser.add_argument("--rounds", type=int, default=5, help="measured calls of each way")
    arguments = parser.parse_args()
    images = paint(arguments.labels, arguments.count)
    palette = [(0, 0, 0), *CAMVID.palette]  # void first, as in the tutorial
    decoder = make_decoder(len(palette), "color", palette=palette, unknown=0)
    stored = [StoredLabels(image, "color", is_lossy=False) for image in images]

    def loops() -> list[NDArray[np.uint8]]:
        return [loop_over_pixels(image, palette) for image in images]

    def table() -> list[NDArray[np.uint8]]:
        return [decoder.convert(each, Path("painted.png")) for each in stored]

    if not all(np.array_equal(*pair) for pair in zip(loops(), table(), strict=True)):
        sys.exit("the ids differ")
    timings = interleave(
        {"loops": loops, "segloom": table}, rounds=arguments.rounds, clock=time.process_time
    )
    ratio = median_ratio(timings, "loops", "segloom")
    for name, timing in timings.items():
        print(f"{name:<10}{timing['median_s'] / len(images) * 1e3:10.2f} ms per label map")
    print(f"{ratio:.0f} times as fast (goal: {GOAL:g})")
    result = {
        "case": {
            "size": list(images[0].shape[:2]),
            "colors": len(palette),
            "label_maps": len(images),
            "source": "generated" if arguments.labels is None else "folder",
        },
        "ratio": ratio,
        "goal": GOAL,
        "reached": ratio >= GOAL,
        "identical_ids": True,
        "clock": "processor seconds",
        "timings": timings,
    }
    print(write_result("labels", result))
    return 0 if ratio >= GOAL else 1


if __name__ == "__main__":
    sys.exit(main())
