"""An epoch of training and a validation: `segloom.train` against the usual loop.

    python benchmarks/bench_training.py [--root CAMVID]

The usual loop is what most training scripts do: Pillow decodes every image anew, torchvision
changes it, two loader workers, float32 in rows, AdamW, SMP's Dice loss and SMP's `get_stats` for
every batch. Ours is the public `train` (bfloat16, channels last, mapped cache, no workers), with
the same network, loss, batch, crop and images, its cache empty at the start, its checkpoints and
history written. Each run is a fresh process; the two take turns. Timed is the call itself, without
imports; its processor time and the wall time of the whole process are reported too, and a busy
machine blurs the wall times: read `load_average` in the result. Memory is the peak of the
proportional set size (pages that processes share are divided among them) of the process and its
children.

Without ``--root`` the images are generated scenes of CamVid's size. Goal: twice as fast, at no
more memory.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from measure import write_result

if TYPE_CHECKING:
    from torch.utils.data import Dataset

GOAL = 2.0
CROP = (320, 384)
BATCH = 8
NUM_CLASSES = 11
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
VALIDATION_SIZE = (384, 480)  # SMP takes multiples of 32


def run_ours(lists: dict[str, Path], encoder: str, folder: Path) -> dict[str, Any]:
    """Train and validate for one epoch with the public function."""
    from segloom.config import RunConfig
    from segloom.data.sets.camvid import CAMVID
    from segloom.training import train

    config = RunConfig.model_validate(
        {
            "data": {
                "name": "list",
                "lists": lists,
                "classes": CAMVID.classes,
                "ignore_values": [NUM_CLASSES],
                "mask_format": "index",
                "crop": CROP,
                "batch_size": BATCH,
                "cache_dir": folder / "cache",
            },
            "model": {"architecture": "unet", "encoder_name": encoder},
            "loss": {"terms": {"dice": 1.0}},
            "train": {"out": folder / "run", "epochs": 1, "precision": "bf16"},
        }
    )
    start = time.perf_counter()
    result = train(config)
    return {"seconds": time.perf_counter() - start, "miou": result.miou}


def usual_dataset(file: Path, *, augment: bool) -> Dataset:
    """Build a data set that decodes, changes and normalises a sample each time."""
    import numpy as np
    import torch
    from PIL import Image
    from torchvision import transforms
    from torchvision.transforms import functional

    jitter = transforms.ColorJitter(0.3, 0.3, 0.3, 0.1)

    class Usual(torch.utils.data.Dataset):
        def __init__(self) -> None:
            self.pairs = [line.split(",") for line in file.read_text().splitlines()]

        def __len__(self) -> int:
            return len(self.pairs)

        def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
            image = Image.open(self.pairs[index][0]).convert("RGB")
            mask = Image.open(self.pairs[index][1])
            if augment:
                box = transforms.RandomResizedCrop.get_params(image, (0.5, 1.0), (0.9, 1.4))
                image = functional.resized_crop(image, *box, CROP)
                nearest = transforms.InterpolationMode.NEAREST
                mask = functional.resized_crop(mask, *box, CROP, nearest)
                if random.random() < 0.5:
                    image, mask = functional.hflip(image), functional.hflip(mask)
                image = jitter(image)
            pixels = functional.normalize(functional.to_tensor(image), MEAN, DEVIATION)
            labels = torch.from_numpy(np.array(mask).astype(np.int64))
            labels[labels >= NUM_CLASSES] = 255
            if not augment:
                padding = (0, 0, VALIDATION_SIZE[1] - pixels.shape[2], 0)
                padding = (*padding[:3], VALIDATION_SIZE[0] - pixels.shape[1])
                pixels = functional.pad(pixels, list(padding))
                labels = functional.pad(labels, list(padding), fill=255)
            return pixels, labels

    return Usual()


def run_usual(lists: dict[str, Path], encoder: str, workers: int) -> dict[str, Any]:
    """Train and validate for one epoch in the usual way."""
    import segmentation_models_pytorch as smp
    import torch
    from torch.utils.data import DataLoader

    start = time.perf_counter()
    sets = {split: usual_dataset(file, augment=split == "train") for split, file in lists.items()}
    loaders = {
        split: DataLoader(
            data, BATCH, shuffle=split == "train", num_workers=workers, drop_last=split == "train"
        )
        for split, data in sets.items()
    }
    model = smp.Unet(encoder, encoder_weights=None, classes=NUM_CLASSES)
    loss_function = smp.losses.DiceLoss("multiclass", ignore_index=255)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)

    def shared_step(image: torch.Tensor, mask: torch.Tensor) -> tuple[torch.Tensor, Any]:
        logits = model(image)
        loss = loss_function(logits, mask)
        labels = logits.detach().softmax(dim=1).argmax(dim=1)
        counts = smp.metrics.get_stats(
            labels, mask, mode="multiclass", num_classes=NUM_CLASSES, ignore_index=255
        )
        return loss, counts

    outputs = []
    model.train()
    for image, mask in loaders["train"]:
        optimizer.zero_grad()
        loss, counts = shared_step(image, mask)
        loss.backward()
        optimizer.step()
        outputs.append(counts)
    model.eval()
    outputs = []
    with torch.no_grad():
        for image, mask in loaders["val"]:
            outputs.append(shared_step(image, mask)[1])
    totals = [torch.cat(parts) for parts in zip(*outputs, strict=True)]
    miou = smp.metrics.iou_score(*totals, reduction="macro")
    return {"seconds": time.perf_counter() - start, "miou": float(miou)}


def processor_seconds() -> float:
    """Processor time of this process and of the children that have ended."""
    who = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return sum(resource.getrusage(w).ru_utime + resource.getrusage(w).ru_stime for w in who)


def tree_memory(root: int) -> int:
    """Add up the proportional set sizes of a process and all that it started, in bytes."""
    parents = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(entry.name)] = int(
                (entry / "stat").read_text().rsplit(")", 1)[1].split()[1]
            )
        except OSError:
            continue
    tree, size = {root}, 0
    while len(tree) != size:
        size = len(tree)
        tree |= {child for child, parent in parents.items() if parent in tree}
    total = 0
    for process in tree:
        try:
            lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
        except OSError:
            continue
        total += next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)
    return total * 1024


def measured(words: list[str]) -> dict[str, Any]:
    """Run one variant in a fresh process and watch its memory."""
    start, peak = time.perf_counter(), 0
    command = [sys.executable, __file__, *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        while process.poll() is None:
            peak = max(peak, tree_memory(process.pid))
            time.sleep(0.25)
        assert process.stdout is not None
        printed = process.stdout.read()
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} failed")
    outcome = json.loads(printed.strip().splitlines()[-1])
    return {**outcome, "process_seconds": time.perf_counter() - start, "peak_mib": peak / 2**20}


def write_lists(root: Path | None, counts: dict[str, int], folder: Path) -> dict[str, Path]:
    """List the images and label maps of the training and the validation split."""
    from segloom.config import DataConfig
    from segloom.data import build_dataset

    config = DataConfig(
        name="camvid" if root else "scenes",
        root=root,
        num_scenes=(counts["train"], counts["val"], 0),
        scene_size=(360, 480),
        cache_dir=folder,
    )
    lists = {}
    for split, count in counts.items():
        records = build_dataset(config, split).records[:count]
        lists[split] = folder / f"{split}.csv"
        lines = [f"{record.image.absolute()},{record.mask.absolute()}" for record in records]
        lists[split].write_text("\n".join(lines) + "\n")
    return lists


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", type=Path, help="CamVid; without it scenes are generated")
    parser.add_argument("--encoder", default="resnet18")
    parser.add_argument("--train", type=int, default=96, help="training images")
    parser.add_argument("--val", type=int, default=48, help="validation images")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--workers", type=int, default=2, help="of the usual loop")
    parser.add_argument("--variant", choices=("segloom", "usual"), help=argparse.SUPPRESS)
    parser.add_argument("--lists", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args()


def child(arguments: argparse.Namespace) -> None:
    """Be one run of one variant; print its outcome."""
    lists = {split: arguments.lists / f"{split}.csv" for split in ("train", "val")}
    ours = ("lightning.pytorch", "segloom.training.fit") if arguments.variant == "segloom" else ()
    for name in ("segmentation_models_pytorch", "torchvision", *ours):
        import_module(name)  # neither call pays for the imports
    before = processor_seconds()
    if arguments.variant == "usual":
        outcome = run_usual(lists, arguments.encoder, arguments.workers)
    else:
        with tempfile.TemporaryDirectory() as folder:
            outcome = run_ours(lists, arguments.encoder, Path(folder))
    print(json.dumps({**outcome, "processor_seconds": processor_seconds() - before}))


def main() -> int:
    """Run both in turns; return 0 if the goal is reached."""
    arguments = parse()
    if arguments.variant:
        child(arguments)
        return 0
    runs: dict[str, list[dict[str, Any]]] = {"usual": [], "segloom": []}
    with tempfile.TemporaryDirectory() as folder:
        counts = {"train": arguments.train, "val": arguments.val}
        write_lists(arguments.root, counts, Path(folder))
        for _ in range(arguments.rounds):
            for variant, outcomes in runs.items():
                words = ["--variant", variant, "--lists", folder, "--encoder", arguments.encoder]
                outcomes.append(measured([*words, "--workers", str(arguments.workers)]))
                print(variant, {k: round(v, 3) for k, v in outcomes[-1].items()}, flush=True)
    medians = {
        variant: {key: round(statistics.median(o[key] for o in outcomes), 3) for key in outcomes[0]}
        for variant, outcomes in runs.items()
    }
    usual, ours = medians["usual"], medians["segloom"]
    ratio = round(usual["seconds"] / ours["seconds"], 3)
    memory = round(ours["peak_mib"] / usual["peak_mib"], 3)
    print(f"{ratio:.2f} times as fast (goal: {GOAL:g}), {memory:.2f} of the memory (goal: 1)")
    result = {
        "case": {
            "data": "camvid" if arguments.root else "scenes",
            "images": counts,
            "crop": list(CROP),
            "batch": BATCH,
            "network": f"unet, {arguments.encoder}",
            "workers_of_the_usual_loop": arguments.workers,
        },
        "ratio": ratio,
        "process_ratio": round(usual["process_seconds"] / ours["process_seconds"], 3),
        "processor_ratio": round(usual["processor_seconds"] / ours["processor_seconds"], 3),
        "memory_ratio": memory,
        "goal": GOAL,
        "reached": ratio >= GOAL and memory <= 1,
        "medians": medians,
        "runs": runs,
    }
    print(write_result("training", result))
    return 0 if result["reached"] else 1


if __name__ == "__main__":
    sys.exit(main())
