"""A frozen encoder with and without kept feature maps, beside fine-tuning all of it.

    python benchmarks/bench_frozen.py --nuclei DIR --camvid DIR --encoder-weights FILE

Cell nuclei at half size, and every sixth frame of CamVid at half size; ResNet-18, one thread, no
augmentation, as many epochs for every arm. Processor time counts, which a busy machine lengthens
less than the time of the clock. Writes ``results/frozen.json``: seconds of training, one validation
included, and mIoU with its interval over the images.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
import time
from pathlib import Path
from typing import Any

import cv2
import torch
from measure import RESULTS, write_result

from segloom import RunConfig, evaluate, train

EPOCHS = {"nuclei": 4, "camvid": 3}
ARMS = ("frozen", "frozen, kept maps", "fine-tuned")
CELLS = [
    *itertools.product(["nuclei"], ["linear"], ARMS[:2]),
    *itertools.product(["nuclei"], ["fpn"], ARMS),
    *itertools.product(["camvid"], ["linear"], ARMS),
    ("nuclei", "linear", "fine-tuned"),
]
STEP = {"nuclei": 1, "camvid": 6}


def main() -> int:
    """Train and test every arm, then write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nuclei", type=Path, help="folder with train, val and test")
    parser.add_argument("--camvid", type=Path, help="CamVid, SegNet layout")
    parser.add_argument("--encoder-weights", required=True, help="of a ResNet-18")
    parser.add_argument("--runs", type=Path, default=Path("runs/frozen"))
    parser.add_argument("--go-on", action="store_true", help="leave out what has a result")
    options = parser.parse_args()
    torch.set_num_threads(1)
    done = RESULTS / "frozen.json"
    rows: list[dict[str, Any]] = json.loads(done.read_text())["rows"] if options.go_on else []
    present = {(row["data"], row["architecture"], row["arm"]) for row in rows}
    for data, architecture, arm in CELLS:
        if not getattr(options, data) or (data, architecture, arm) in present:
            continue
        root = halve(getattr(options, data), options.runs / data, STEP[data])
        place = options.runs / f"{data}-{architecture}-{arm.replace(', ', '-').replace(' ', '-')}"
        if not rows:  # loads what a first training loads
            short = configure(data, root, "linear", "frozen", options.encoder_weights)
            short["train"] |= {"epochs": 1, "steps_per_epoch": 1, "validate_every": 1}
            measure(short, options.runs / "first")
        row = measure(configure(data, root, architecture, arm, options.encoder_weights), place)
        rows.append({"data": data, "architecture": architecture, "arm": arm, **row})
        path = write_result("frozen", {"epochs": EPOCHS, "rows": rows})
        print(f"{table(rows)}\nwritten to {path}", flush=True)
    return 0


def halve(root: Path, target: Path, step: int) -> Path:
    """Write every so manieth pair of images at half size: pixels by mean, labels by the nearest."""
    for folder in [path for path in sorted(root.rglob("*")) if path.is_dir()]:
        is_mask = folder.name == "masks" or folder.name.endswith("annot")
        method = cv2.INTER_NEAREST if is_mask else cv2.INTER_AREA
        files = [path for path in sorted(folder.iterdir()) if path.suffix in (".png", ".jpg")]
        for path in files[::step]:
            small = target / folder.relative_to(root) / f"{path.stem}.png"
            if not small.exists():
                small.parent.mkdir(parents=True, exist_ok=True)
                plane = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
                height, width = plane.shape[:2]
                half = cv2.resize(plane, (width // 2, height // 2), interpolation=method)
                cv2.imwrite(str(small), half)
    return target


def configure(data: str, root: Path, architecture: str, arm: str, weights: str) -> dict[str, Any]:
    """Return the options of one arm, by section."""
    is_frozen, keeps = arm != "fine-tuned", "kept" in arm
    is_linear = architecture == "linear"
    return {
        "data": {
            "name": "camvid" if data == "camvid" else "folder",
            "root": str(root),
            "crop": None,
            "batch_size": 4 if data == "camvid" else 5,
            "augment": {"scale": (1.0, 1.0), "flip": 0.0, "jitter": 0.0, "blur": 0.0},
        },
        "model": {
            "architecture": architecture,
            "encoder_name": "resnet18",
            "encoder_weights": weights,
            "options": {"freeze": False} if is_linear and not is_frozen else {},
        },
        "loss": {"terms": {"cross_entropy": 1.0, "dice": 1.0}},
        "optim": {"lr": 3e-3 if is_linear else 1e-3, "encoder_lr": 3e-4, "schedule": "onecycle"},
        "train": {
            "epochs": EPOCHS[data],
            "frozen_epochs": EPOCHS[data] if is_frozen and not is_linear else 0,
            "cache_features": keeps,
            "validate_every": EPOCHS[data],
            "accelerator": "cpu",
            "threads": 1,
            "tensorboard": False,
            "overwrite": True,
        },
        "eval": {"bootstrap": 500, "montages": 0, "boundary_tolerances": (), "size_limits": ()},
    }


def measure(options: dict[str, Any], place: Path) -> dict[str, Any]:
    """Train and test one arm."""
    options["train"]["out"] = place
    config = RunConfig.model_validate(options)
    start = time.process_time()
    train(config)
    seconds = time.process_time() - start
    metrics = evaluate(place, config.eval).metrics
    return {
        "training_cpu_s": round(seconds, 1),
        "miou": metrics["scores"]["mIoU"],
        "interval": metrics["intervals"]["mIoU"],
    }


def table(rows: list[dict[str, Any]]) -> str:
    """Lay the arms out as Markdown."""
    lines = [
        "| data | network | encoder | minutes | mIoU | 95 % interval |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        low, high = row["interval"]
        lines.append(
            f"| {row['data']} | {row['architecture']} | {row['arm']} | "
            f"{row['training_cpu_s'] / 60:.2f} | {row['miou']:.1%} | {low:.1%} to {high:.1%} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
