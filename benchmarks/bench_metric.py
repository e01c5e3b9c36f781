"""The confusion matrix against torchmetrics' and SMP's: ``python benchmarks/bench_metric.py``.

CamVid's case: 11 classes and void (12 labels), 360 x 480, uint8 label maps, one image per update,
32 images per timed call. Each way gets the labels in the form that it takes fastest, prepared
outside of the timing: torchmetrics and SMP want int64 (uint8 is refused or copied), ours uint8.
Ours always checks that the labels are classes, as torchmetrics does by default; torchmetrics with
its checks switched off is timed too, without a goal.
SMP refuses an ``ignore_index`` among its classes, so its void is -1. The integers must be equal:

    torchmetrics  MulticlassConfusionMatrix(12, ignore_index=11) without its last row and column
    SMP           get_stats(..., num_classes=11, ignore_index=-1): TP, FP, FN, TN per class
    ours          ConfusionMatrix(11), void 255

All run on one thread and are timed by processor seconds, which are wall seconds on an idle machine.
Goals: at least 20 times torchmetrics, 12 times SMP.
"""

from __future__ import annotations

import argparse
import sys
import time

import cv2
import numpy as np
import torch
from measure import interleave, median_ratio, write_result
from segloom.metrics.streaming import ConfusionMatrix
from segmentation_models_pytorch.metrics import get_stats
from torchmetrics.classification import MulticlassConfusionMatrix

NUM_CLASSES, HEIGHT, WIDTH, NUM_IMAGES = 11, 360, 480, 32
GOALS = {"torchmetrics": 20.0, "smp": 12.0}


def draw_labels() -> tuple[torch.Tensor, torch.Tensor]:
    """Make predictions and truths uint8 ``(N, H, W)`` as they are in practice.

    Regions of 24 pixels with outlines 2 pixels off (about 16 % of the pixels wrong) and 4 % void
    along them: long runs of equal labels, which are the slow case of a histogram.
    """
    random = np.random.default_rng(0)
    shape = (NUM_IMAGES, HEIGHT // 24, WIDTH // 24)
    coarse = random.integers(0, NUM_CLASSES, shape, dtype=np.uint8)
    truth = coarse.repeat(24, axis=1).repeat(24, axis=2)
    prediction = np.roll(truth, (2, 2), axis=(1, 2))
    truth[:, :, ::24] = 255
    return torch.from_numpy(prediction), torch.from_numpy(truth)


def main() -> int:
    """Measure, compare, write the result; return 1 if a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15, help="measured calls of each way")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    prediction, truth = draw_labels()
    wide_prediction = prediction.long()
    void_last = torch.where(truth == 255, NUM_CLASSES, truth.long())
    void_negative = torch.where(truth == 255, -1, truth.long())

    ours = ConfusionMatrix(NUM_CLASSES)
    theirs = MulticlassConfusionMatrix(NUM_CLASSES + 1, ignore_index=NUM_CLASSES)
    unchecked = MulticlassConfusionMatrix(
        NUM_CLASSES + 1, ignore_index=NUM_CLASSES, validate_args=False
    )
    totals = torch.zeros(4, NUM_CLASSES, dtype=torch.int64)

    def run_ours() -> None:
        ours.reset()
        for index in range(NUM_IMAGES):
            ours.update(prediction[index : index + 1], truth[index : index + 1])

    def run_torchmetrics(metric: MulticlassConfusionMatrix) -> None:
        metric.reset()
        for index in range(NUM_IMAGES):
            metric.update(wide_prediction[index : index + 1], void_last[index : index + 1])

    def run_smp() -> None:
        totals.zero_()
        for index in range(NUM_IMAGES):
            stats = get_stats(
                wide_prediction[index : index + 1],
                void_negative[index : index + 1],
                mode="multiclass",
                num_classes=NUM_CLASSES,
                ignore_index=-1,
            )
            totals.add_(torch.stack(stats).sum(1))

    variants = {
        "torchmetrics": lambda: run_torchmetrics(theirs),
        "torchmetrics_unchecked": lambda: run_torchmetrics(unchecked),
        "smp": run_smp,
        "segloom": run_ours,
    }
    timings = interleave(variants, rounds=arguments.rounds, clock=time.process_time)
    matrix = ours.compute()
    check_equal(matrix, theirs.compute(), totals)
    ratios = {
        name: median_ratio(timings, name, "segloom") for name in variants if name != "segloom"
    }
    per_second = {
        name: round(NUM_IMAGES / timing["median_s"], 1) for name, timing in timings.items()
    }
    for name, rate in per_second.items():
        print(f"{name:<24}{rate:>9.1f} images per second")
    for name, ratio in ratios.items():
        goal = f" (goal: {GOALS[name]:g})" if name in GOALS else ""
        print(f"{ratio:6.1f} times as fast as {name}{goal}")
    reached = all(ratios[name] >= goal for name, goal in GOALS.items())
    result = {
        "case": {"classes": NUM_CLASSES, "size": [HEIGHT, WIDTH], "images": NUM_IMAGES},
        "images_per_second": per_second,
        "ratios": ratios,
        "goals": GOALS,
        "reached": reached,
        "identical_integers": True,
        "clock": "processor seconds, one thread",
        "timings": timings,
    }
    print(write_result("metric", result))
    return 0 if reached else 1


def check_equal(ours: torch.Tensor, theirs: torch.Tensor, stats: torch.Tensor) -> None:
    """Stop unless all three counted the same."""
    if not torch.equal(ours, theirs[:NUM_CLASSES, :NUM_CLASSES]):
        sys.exit("the confusion matrix differs from that of torchmetrics")
    correct = ours.diagonal()
    false_positive, false_negative = ours.sum(0) - correct, ours.sum(1) - correct
    rest = ours.sum() - correct - false_positive - false_negative
    expected = torch.stack([correct, false_positive, false_negative, rest])
    if not torch.equal(expected[:3], stats[:3]):
        sys.exit("the counts differ from those of SMP's get_stats")


if __name__ == "__main__":
    sys.exit(main())
