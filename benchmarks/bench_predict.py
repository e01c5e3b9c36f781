"""Prediction against plain SMP eager, same weights: ``python benchmarks/bench_predict.py``.

One image of 360 x 480, 11 classes unless a run says otherwise; uint8 array in, uint8 labels out:

    smp           the usual way: ``model.eval()``, ``torch.no_grad()``, float32, NCHW,
                  normalise, pad as ours does, ``model(x).argmax(1)``, crop
    segloom fp32  ``Predictor.label_map``: the one inference path of eval and predict
    segloom bf16  the same with ``inference.precision=bf16``, where the processor has it

Agreement is counted on trained networks, since the scores of an untrained one are near ties
everywhere: each network is first trained briefly on generated street scenes, or comes from
a run of ``segloom train`` (``--run``, with ``--images`` to count on). A pixel is a tie if SMP's two
best scores differ by less than 1e-4 of the scores' spread, which is float32's own uncertainty.

Goals, for Unet: fp32 at least 1.7 times SMP with 100 % agreement outside of ties; bf16 at least 3
times with 99.5 % agreement, ties counted. The other architectures are reported.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import segmentation_models_pytorch as smp
import torch
import torch.nn.functional as F
from measure import interleave, median_ratio, write_result

from segloom.config import (
    DataConfig,
    InferenceConfig,
    LossConfig,
    ModelConfig,
    OptimConfig,
    RunConfig,
    TrainConfig,
)
from segloom.data import build_dataset
from segloom.images.read import image_files, read_image
from segloom.inference import Predictor, bfloat16_is_fast
from segloom.labels.palette import default_palette
from segloom.models import SegmentationModel
from segloom.models.architectures import ARCHITECTURES
from segloom.models.weights.checkpoint import from_pretrained
from segloom.training import train
from segloom.types import LabelSet

NETWORKS = ("unet", "linknet", "fpn", "pspnet", "deeplabv3")
SIZE = (360, 480)
GOALS = {"fp32": 1.7, "bf16": 3.0}
AGREEMENT = {"fp32": 1.0, "bf16": 0.995}
TIE = 1e-4  # of the standard deviation of the scores


class PlainSmp:
    """SMP's own network with the weights of ours, used as its README shows."""

    def __init__(self, model: SegmentationModel) -> None:
        spec = dict(model.spec)
        if spec.pop("enhancements"):
            raise SystemExit("this run has enhancements, which plain SMP cannot open; take another")
        network = getattr(smp, ARCHITECTURES[spec.pop("architecture")].class_name)
        self.network = network(encoder_weights=None, **spec)
        self.network.load_state_dict(model.state_dict(), strict=True)
        self.network.eval()
        self.mean, self.std = model.pixel_mean[0], model.pixel_std[0]
        self.multiple = model.multiple

    def scores(self, image: np.ndarray) -> torch.Tensor:
        """Score uint8 ``(H, W, 3)``; float32 ``(1, K, H, W)``."""
        height, width = image.shape[:2]
        with torch.no_grad():
            pixels = torch.from_numpy(image).permute(2, 0, 1).contiguous()
            normalized = ((pixels.float() / 255 - self.mean) / self.std)[None]
            padding = (0, -width % self.multiple, 0, -height % self.multiple)
            logits: torch.Tensor = self.network(F.pad(normalized, padding, mode="replicate"))
            return logits[..., :height, :width]

    def label_map(self, image: np.ndarray) -> np.ndarray:
        """Label uint8 ``(H, W, 3)``; uint8 ``(H, W)``."""
        return self.scores(image).argmax(1)[0].to(torch.uint8).numpy()


def trained(
    architecture: str,
    epochs: int,
    weights: str | None,
    folder: Path,
    data: DataConfig | None = None,
) -> SegmentationModel:
    """Train a ResNet-18 network, on generated scenes or ``data``, until it has an opinion.

    One that lies in the folder already is taken.
    """
    if (folder / architecture / "config.yaml").is_file():
        return from_pretrained(folder / architecture)
    config = RunConfig(
        data=data or scenes(),
        model=ModelConfig(
            architecture=architecture, encoder_name="resnet18", encoder_weights=weights
        ),
        loss=LossConfig(terms={"cross_entropy": 1.0}),
        optim=OptimConfig(lr=1e-3, schedule="onecycle", warmup=0.2),
        train=TrainConfig(
            out=folder / architecture,
            epochs=epochs,
            validate_every=epochs,
            precision="bf16" if bfloat16_is_fast() else "fp32",
            tensorboard=False,
        ),
    )
    return from_pretrained(train(config, show_progress=False).path)


def scenes() -> DataConfig:
    """Describe the generated scenes."""
    return DataConfig(
        name="scenes", num_scenes=(96, 2, 8), scene_size=SIZE, crop=(192, 256), batch_size=8
    )


def test_images(sources: Sequence[str]) -> list[np.ndarray]:
    """Read the images that agreement is counted on: the given ones, or generated scenes."""
    if sources:
        return [read_image(file) for file in image_files(sources)]
    dataset = build_dataset(scenes(), "test")
    samples = (dataset[index]["image"] for index in range(len(dataset)))
    return [sample.permute(1, 2, 0).contiguous().numpy() for sample in samples]


def agreement(plain: PlainSmp, ours: Predictor, images: Sequence[np.ndarray]) -> dict[str, Any]:
    """Count pixels with the same label, over all and outside of ties."""
    same = ties = same_or_tie = total = 0
    for image in images:
        scores = plain.scores(image)
        best = scores.topk(2, dim=1).values
        is_tie = ((best[:, 0] - best[:, 1]) < TIE * scores.std())[0].numpy()
        is_same = scores.argmax(1)[0].numpy() == ours.label_map(image)
        same, ties = same + int(is_same.sum()), ties + int(is_tie.sum())
        same_or_tie += int((is_same | is_tie).sum())
        total += is_same.size
    return {
        "agreement": same / total,
        "agreement_outside_ties": same_or_tie / total,
        "pixels": total,
        "pixels_that_differ": total - same,
        "ties": ties,
    }


def measure(model: SegmentationModel, images: Sequence[np.ndarray], rounds: int) -> dict[str, Any]:
    """Time one image through every way and count agreement over all images."""
    num_classes = model.shape.num_classes
    labels = LabelSet(tuple(map(str, range(num_classes))), default_palette(num_classes))
    plain = PlainSmp(model)
    precisions = ["fp32", "bf16"] if bfloat16_is_fast() else ["fp32"]
    ours = {
        precision: Predictor(model, labels, InferenceConfig(precision=precision, device="cpu"))
        for precision in precisions
    }
    image = images[0]
    ways = {"smp": lambda: plain.label_map(image)}
    ways |= {key: (lambda p=predictor: p.label_map(image)) for key, predictor in ours.items()}
    timings = interleave(ways, rounds=rounds, warmup=2)
    row: dict[str, Any] = {"image": list(image.shape[:2]), "timings": timings}
    for key, predictor in ours.items():
        row[key] = {
            "times_smp": median_ratio(timings, "smp", key),
            "times_smp_cpu": median_ratio(timings, "smp", key, "cpu_median_s"),
            **agreement(plain, predictor, images),
        }
    return row


def main() -> int:
    """Measure every network, print, write the result; return 1 if Unet misses a goal."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--run", type=Path, help="a run of segloom train, in place of training")
    parser.add_argument("--images", nargs="*", default=[], help="real images to count on")
    parser.add_argument("--weights", help="encoder weights to start training from")
    parser.add_argument("--networks", nargs="*", default=NETWORKS, choices=NETWORKS)
    parser.add_argument("--epochs", type=int, default=15, help="of 96 scenes, per network")
    parser.add_argument("--keep", type=Path, help="folder that keeps trained networks")
    parser.add_argument("--rounds", type=int, default=11, help="measured calls of each way")
    parser.add_argument("--threads", type=int, default=0, help="0 takes torch's own number")
    arguments = parser.parse_args()
    images = test_images(arguments.images)
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    threads = torch.get_num_threads()
    rows: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        kept = arguments.keep or Path(folder)
        if arguments.run:
            model = from_pretrained(arguments.run)
            networks = {model.spec["architecture"]: lambda: model}
        else:
            networks = {
                name: (lambda n=name: trained(n, arguments.epochs, arguments.weights, kept))
                for name in arguments.networks
            }
        for name, build in networks.items():
            network = build()
            torch.set_num_threads(threads)
            rows[name] = measure(network, images, arguments.rounds)
            show(name, rows[name])
    passed = all(is_good(row) for name, row in rows.items() if name == "unet")
    path = write_result(
        "predict",
        {
            "threads": threads,
            "trained": str(arguments.run.name)
            if arguments.run
            else f"{arguments.epochs} epochs of 96 generated scenes",
            "num_images": len(images),
            "goals": {"times_smp": GOALS, "agreement": AGREEMENT, "for": "unet"},
            "passed": passed,
            "networks": rows,
        },
    )
    print(f"{'passed' if passed else 'MISSED A GOAL'}; written to {path}")
    return 0 if passed else 1


def is_good(row: dict[str, Any]) -> bool:
    """Tell whether the goals are met; by processor time, which a busy machine changes least."""
    is_exact = row["fp32"]["agreement_outside_ties"] == AGREEMENT["fp32"]
    is_near = "bf16" not in row or row["bf16"]["agreement"] >= AGREEMENT["bf16"]
    is_fast = all(row[key]["times_smp_cpu"] >= goal for key, goal in GOALS.items() if key in row)
    return is_exact and is_near and is_fast


def show(name: str, row: dict[str, Any]) -> None:
    """Print one network's line."""
    parts = [f"{name:<10} smp {row['timings']['smp']['median_s'] * 1e3:6.1f} ms"]
    for key in ("fp32", "bf16"):
        if key in row:
            entry = row[key]
            parts.append(
                f"{key} {row['timings'][key]['median_s'] * 1e3:6.1f} ms "
                f"({entry['times_smp']:.2f} x, processor time {entry['times_smp_cpu']:.2f} x), "
                f"{entry['agreement']:.4%} same"
            )
    print("; ".join(parts), flush=True)


if __name__ == "__main__":
    sys.exit(main())
