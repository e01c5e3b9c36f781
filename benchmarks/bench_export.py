"""Exported networks against plain eager PyTorch: ``python benchmarks/bench_export.py``.

One image in, uint8 array to uint8 labels, one thread, all ways in turns:

    eager               SMP's own network, the usual way, as in bench_predict; of a network that SMP
                        has not (SFNet), ours as it was trained
    segloom fp32, bf16  ``Predictor.label_map``
    onnx, openvino      ``segloom.runtime.load(DIR).label_map``, in fp32, bf16 and int8

Every export passes its gate, but bf16, which is the file of fp32; mIoU and the share of the labels
of the first are counted on test images that served neither for calibration nor for the gate.

Each network comes from a run of ``segloom train`` (``--runs``), or is trained briefly with
ResNet-18 on CamVid (``--camvid DIR``) or on generated street scenes. ``--keep DIR`` keeps networks,
exports and finished rows, so that a later call goes on where one stopped.

Goals by processor time, for Unet, FPN and DeepLabV3 with ResNet-18: OpenVINO int8 at least 8 times
eager with at most 0.3 points of mIoU lost, bf16 at least 6 times with at most 0.05; for all:
segloom fp32 at least 1.7 times.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import onnx
import torch
from bench_predict import PlainSmp, trained
from measure import interleave, median_ratio, write_result

from segloom import export
from segloom.config import DataConfig, InferenceConfig
from segloom.config.load import read_config
from segloom.errors import ExportRefusedError
from segloom.exports.form import ExportForm, weights_digest
from segloom.exports.onnx_file import write_onnx
from segloom.exports.pictures import choose_images, spread_evenly
from segloom.files import write_json
from segloom.inference import InferenceGraph, Predictor, bfloat16_is_fast
from segloom.metrics.confusion import count_confusion
from segloom.metrics.scores import scores
from segloom.models import SegmentationModel
from segloom.models.weights.checkpoint import from_pretrained
from segloom.runtime import load
from segloom.runtime.description import METADATA_KEY, Description

NETWORKS = ("unet", "fpn", "deeplabv3", "sfnet", "pan")
WAYS = {
    "onnx fp32": ("onnx", "fp32"),
    "onnx int8": ("onnx", "int8"),
    "openvino fp32": ("openvino", "fp32"),
    "openvino int8": ("openvino", "int8"),
}
GOALS = {"segloom fp32": (1.7, 0.0), "openvino bf16": (6.0, 0.05), "openvino int8": (8.0, 0.3)}
"""Times eager, and points of mIoU that may be lost."""
FAST = ("unet", "fpn", "deeplabv3")
"""Whose goals are all of these; of the others the first one counts."""


def main() -> int:
    """Export, measure, print, write the result; return 1 if a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", nargs="+", default=NETWORKS, help="architectures to train")
    parser.add_argument("--runs", type=Path, nargs="+", help="runs, in place of training")
    parser.add_argument("--camvid", type=Path, help="train on CamVid, in this folder")
    parser.add_argument("--weights", help="of the encoder to begin with, such as imagenet")
    parser.add_argument("--epochs", type=int, default=3, help="of a network that is trained")
    parser.add_argument("--images", type=int, default=24, help="test images to count on")
    parser.add_argument("--gate-images", type=int, default=24, help="that each gate compares")
    parser.add_argument("--rounds", type=int, default=11, help="measured calls of each way")
    parser.add_argument("--keep", type=Path, help="folder that keeps what is made")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.keep or Path(temporary)
        found = {}
        for name in [run.name for run in arguments.runs or ()] or arguments.networks:
            start = time.perf_counter()
            print(name, flush=True)
            found[name] = rows_of(name, folder, arguments)
            print(f"  {time.perf_counter() - start:.0f} s", flush=True)
    missed = [
        f"{name}: {way}"
        for name, rows in found.items()
        for way in (GOALS if name in FAST else [*GOALS][:1])
        if not is_good(rows, way)
    ]
    path = write_result(
        "export",
        {"num_images": arguments.images, "goals": GOALS, "missed": missed, "networks": found},
    )
    print(f"{'missed: ' + ', '.join(missed) if missed else 'passed'}; written to {path}")
    return 1 if missed else 0


def rows_of(name: str, folder: Path, arguments: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """Measure a network; what an earlier call finished is taken."""
    kept = folder / f"{name}.json"
    if kept.is_file():
        earlier: dict[str, dict[str, Any]] = json.loads(kept.read_text())
        return earlier
    run = next((run for run in arguments.runs or () if run.name == name), folder / name)
    if not arguments.runs:
        data = arguments.camvid and DataConfig(
            name="camvid", root=arguments.camvid, crop=(160, 192), batch_size=8
        )
        trained(name, arguments.epochs, arguments.weights, folder, data)
    rows = measure(run, folder / f"{name}_exports", arguments)
    folder.mkdir(parents=True, exist_ok=True)
    write_json(kept, rows)
    return rows


class Eager:
    """A network as it was trained, without what makes it fast."""

    def __init__(self, model: SegmentationModel) -> None:
        self.graph = InferenceGraph(model).eval()

    def label_map(self, image: np.ndarray) -> np.ndarray:
        """Label uint8 ``(H, W, 3)``; uint8 ``(H, W)``."""
        with torch.no_grad():
            return self.graph.label(torch.tensor(image).permute(2, 0, 1)[None])[0].numpy()


def eager(model: SegmentationModel) -> PlainSmp | Eager:
    """Choose what all is compared with."""
    try:
        return PlainSmp(model)
    except AttributeError:  # SMP has no such network
        return Eager(model)


def measure(run: Path, exports: Path, arguments: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """Time one image through every way, and count labels and mIoU over many."""
    ways: dict[str, Any] = {"eager": eager(from_pretrained(run))}
    for precision in ["fp32", "bf16"] if bfloat16_is_fast() else ["fp32"]:
        config = InferenceConfig(precision=precision, device="cpu")
        ways[f"segloom {precision}"] = Predictor.from_path(run, config)
    places, refused = write_exports(run, exports, arguments.gate_images)
    ways |= {name: load(place, threads=1) for name, place in places.items()}
    labels = ways["segloom fp32"].labels
    images = choose_images(
        read_config(run / "config.yaml").data, "test", None, labels, pixels=None, takes_edges=False
    )
    pixels = images[0].pixels
    calls = {name: (lambda w=way: w.label_map(pixels)) for name, way in ways.items()}
    timings = interleave(calls, rounds=arguments.rounds, warmup=2)
    rows = count(ways, images, arguments.images, len(labels.classes))
    for name, row in rows.items():
        files = places[name].glob("model.*") if name in places else ()
        row["megabytes"] = round(sum(file.stat().st_size for file in files) / 1e6, 1) or None
        row["milliseconds"] = round(1e3 * timings[name]["cpu_median_s"], 1)
        row["times_eager"] = median_ratio(timings, "eager", name, "cpu_median_s")
        print(
            f"  {name:<14} {row['milliseconds']:7.1f} ms of processor time, "
            f"{row['times_eager']:5.2f} x, {row['agreement']:.4%} same, mIoU {row['mIoU']:.2f} %",
            flush=True,
        )
    for name, sentence in refused.items():
        print(f"  {name:<14} refused: {sentence}", flush=True)
    return rows | {name: {"refused": sentence} for name, sentence in refused.items()}


def write_exports(
    run: Path, exports: Path, gate_images: int
) -> tuple[dict[str, Path], dict[str, str]]:
    """Export in every way, from one ONNX file; give the folders, and why others were refused."""
    places: dict[str, Path] = {}
    refused: dict[str, str] = {}
    with (
        tempfile.TemporaryDirectory() as folder,
        patch("segloom.exports.making.write_onnx", Remembered(Path(folder))),
    ):
        for name, (kind, precision) in WAYS.items():
            place = exports / name.replace(" ", "_")
            try:
                if not (place / "model.json").is_file():
                    export(run, place, format=kind, precision=precision, max_images=gate_images)
                places[name] = place
            except ExportRefusedError as error:
                refused[name] = str(error)
    if bfloat16_is_fast() and "openvino fp32" in places:
        places["openvino bf16"] = as_bf16(places["openvino fp32"], exports / "openvino_bf16")
    return places, refused


class Remembered:
    """Writes the ONNX file of a network once, and copies it with another description later."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, form: ExportForm, path: Path, description: Description) -> None:
        """Write the file as `write_onnx` does."""
        kept = self.folder / f"{weights_digest(form)}.onnx"
        if not kept.is_file():
            write_onnx(form, kept, description)
        model = onnx.load(kept)
        onnx.helper.set_model_props(model, {METADATA_KEY: json.dumps(description.to_json())})
        onnx.save(model, path)


def as_bf16(source: Path, place: Path) -> Path:
    """Copy an export of OpenVINO in fp32 and describe it as bf16, which is the same file."""
    if not place.is_dir():
        shutil.copytree(source, place)
        description = json.loads((source / "model.json").read_text())
        write_json(place / "model.json", description | {"precision": "bf16"})
    return place


def count(
    ways: dict[str, Any], images: Any, num_images: int, num_classes: int
) -> dict[str, dict[str, Any]]:
    """Count the labels that are those of eager, and mIoU in per cent."""
    same = dict.fromkeys(ways, 0)
    matrices = {name: np.zeros((num_classes, num_classes), np.int64) for name in ways}
    total = 0
    for index in spread_evenly(len(images), num_images):
        example = images[index]
        found = {name: way.label_map(example.pixels) for name, way in ways.items()}
        total += example.truth.size
        for name, label_map in found.items():
            same[name] += int((label_map == found["eager"]).sum())
            matrices[name] += count_confusion(label_map, example.truth, num_classes)
    return {
        name: {
            "agreement": same[name] / total,
            "mIoU": round(100 * float(scores(matrices[name]).mIoU), 3),
        }
        for name in ways
    }


def is_good(rows: dict[str, dict[str, Any]], way: str) -> bool:
    """Tell whether a goal is met; bf16 has none where the processor lacks it."""
    if way == "openvino bf16" and not bfloat16_is_fast():
        return True
    if "mIoU" not in rows.get(way, {}):
        return False
    times, points = GOALS[way]
    lost = rows["eager"]["mIoU"] - rows[way]["mIoU"]
    return rows[way]["times_eager"] >= times and lost <= points + 1e-3


if __name__ == "__main__":
    sys.exit(main())
