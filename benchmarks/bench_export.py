"""Exported networks against plain SMP eager, same weights: ``python benchmarks/bench_export.py``.

One image in, uint8 array to uint8 labels, one thread, all ways in turns:

    smp                 the usual way, as in bench_predict
    segloom fp32, bf16  ``Predictor.label_map``
    onnx, openvino      ``segloom.runtime.load(DIR).label_map``, in fp32, bf16 and int8

Every export passes its gate; mIoU and the share of SMP's labels are counted on test images that
served neither for calibration nor for the gate. Without ``--run`` a Unet is trained briefly on
generated street scenes.

Goals, for Unet with ResNet-18: OpenVINO int8 at least 8 times SMP eager with at most 0.3 points of
mIoU lost, bf16 at least 6 times with at most 0.05, by processor time.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from bench_predict import PlainSmp, trained
from measure import interleave, median_ratio, write_result

from segloom import export
from segloom.config import InferenceConfig
from segloom.config.load import read_config
from segloom.exports.pictures import choose_images, spread_evenly
from segloom.inference import Predictor, bfloat16_is_fast
from segloom.metrics.confusion import count_confusion
from segloom.metrics.scores import scores
from segloom.models.weights.checkpoint import from_pretrained
from segloom.runtime import load

WAYS = {
    "onnx fp32": ("onnx", "fp32"),
    "onnx int8": ("onnx", "int8"),
    "openvino fp32": ("openvino", "fp32"),
    "openvino bf16": ("openvino", "bf16"),
    "openvino int8": ("openvino", "int8"),
}
GOALS = {"openvino bf16": (6.0, 0.05), "openvino int8": (8.0, 0.3)}
"""Times SMP eager, and points of mIoU that may be lost."""


def main() -> int:
    """Export, measure, print, write the result; return 1 if a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--run", type=Path, help="a run of segloom train, in place of training")
    parser.add_argument("--exports", type=Path, help="folder that keeps the exports")
    parser.add_argument("--images", type=int, default=40, help="test images to count on")
    parser.add_argument("--rounds", type=int, default=11, help="measured calls of each way")
    parser.add_argument("--epochs", type=int, default=15, help="of 96 scenes, without --run")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        run = arguments.run or Path(folder) / "unet"
        if arguments.run is None:
            trained("unet", arguments.epochs, None, Path(folder))
        exports = arguments.exports or Path(folder) / "exports"
        rows = measure(run, exports, arguments.images, arguments.rounds)
    missed = [name for name in GOALS if name in rows and not is_good(rows, name)]
    path = write_result(
        "export",
        {
            "network": from_spec(run),
            "num_images": arguments.images,
            "goals": GOALS,
            "missed": missed,
            "ways": rows,
        },
    )
    print(f"{'missed: ' + ', '.join(missed) if missed else 'passed'}; written to {path}")
    return 1 if missed else 0


def from_spec(run: Path) -> str:
    """Name the network of a run."""
    spec = from_pretrained(run).spec
    return f"{spec['architecture']} on {spec['encoder_name']}"


def measure(run: Path, exports: Path, num_images: int, rounds: int) -> dict[str, dict[str, Any]]:
    """Time one image through every way, and count labels and mIoU over many."""
    model = from_pretrained(run)
    ways: dict[str, Any] = {"smp": PlainSmp(model)}
    precisions = ["fp32", "bf16"] if bfloat16_is_fast() else ["fp32"]
    for precision in precisions:
        config = InferenceConfig(precision=precision, device="cpu")
        ways[f"segloom {precision}"] = Predictor.from_path(run, config)
    sizes: dict[str, float] = {}
    for name, (kind, precision) in WAYS.items():
        if precision == "bf16" and not bfloat16_is_fast():
            continue
        folder = exports / name.replace(" ", "_")
        if not (folder / "model.json").is_file():
            export(run, folder, format=kind, precision=precision)
        ways[name] = load(folder, threads=1)
        sizes[name] = sum(file.stat().st_size for file in folder.glob("model.*")) / 1e6
    labels = ways["segloom fp32"].labels
    images = choose_images(
        read_config(run / "config.yaml").data, "test", None, labels, takes_edges=False
    )
    pixels = images[0].pixels
    calls = {name: (lambda w=way: w.label_map(pixels)) for name, way in ways.items()}
    timings = interleave(calls, rounds=rounds, warmup=2)
    rows = count(ways, images, num_images, len(labels.classes))
    for name, row in rows.items():
        row["megabytes"] = round(sizes[name], 1) if name in sizes else None
        row["milliseconds"] = round(1e3 * timings[name]["cpu_median_s"], 1)
        row["times_smp"] = median_ratio(timings, "smp", name, "cpu_median_s")
        print(
            f"{name:<14} {row['milliseconds']:7.1f} ms of processor time, "
            f"{row['times_smp']:5.2f} x, {row['agreement']:.4%} same, mIoU {row['mIoU']:.2f} %",
            flush=True,
        )
    return rows


def count(
    ways: dict[str, Any], images: Any, num_images: int, num_classes: int
) -> dict[str, dict[str, Any]]:
    """Count the labels that are SMP's, and mIoU in per cent."""
    same = dict.fromkeys(ways, 0)
    matrices = {name: np.zeros((num_classes, num_classes), np.int64) for name in ways}
    total = 0
    for index in spread_evenly(len(images), num_images):
        example = images[index]
        found = {name: way.label_map(example.pixels) for name, way in ways.items()}
        total += example.truth.size
        for name, label_map in found.items():
            same[name] += int((label_map == found["smp"]).sum())
            matrices[name] += count_confusion(label_map, example.truth, num_classes)
    return {
        name: {
            "agreement": same[name] / total,
            "mIoU": round(100 * float(scores(matrices[name]).mIoU), 3),
        }
        for name in ways
    }


def is_good(rows: dict[str, dict[str, Any]], name: str) -> bool:
    """Tell whether a goal is met."""
    times, points = GOALS[name]
    lost = rows["smp"]["mIoU"] - rows[name]["mIoU"]
    return rows[name]["times_smp"] >= times and lost <= points


if __name__ == "__main__":
    sys.exit(main())
