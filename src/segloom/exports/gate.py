"""The gate: an exported file is compared with its network before it is put in its place.

    sizes   logits and labels at five sizes of real images, none of them the exporter's example
    scores  labels and mIoU over the images of a split

Axes: B batch, C image channels, K classes, H W image size.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from segloom.errors import ExportRefusedError, SegloomError
from segloom.exports.int8 import Floating
from segloom.exports.pictures import Images, patches, spread_evenly
from segloom.inference.graph import InferenceGraph
from segloom.metrics.by_space import measures_of
from segloom.metrics.scores import Scores
from segloom.runtime.description import Precision
from segloom.runtime.session import Session
from segloom.types import IGNORE_INDEX, LabelSet

__all__ = [
    "Findings",
    "GateLimits",
    "ScoreCheck",
    "SizeCheck",
    "compare_scores",
    "compare_sizes",
    "judge_scores",
    "network_logits",
]


@dataclass(frozen=True)
class GateLimits:
    """What may differ between a network and its export."""

    error: float = 1e-4
    """Largest difference of a logit, as a share of the largest logit."""
    agreement: float = 0.9999
    """Least share of the pixels with the same label."""
    score: float = 0.001
    """Largest difference of mIoU, 0 to 1."""
    class_score: float = 1.0
    """Largest loss of a class's IoU, 0 to 1."""

    @classmethod
    def of_precision(
        cls, precision: Precision, tolerance: float, class_tolerance: float
    ) -> GateLimits:
        """Return the limits for a precision.

        In fp32 they are exact. Below it logits differ, and labels where two classes are close: what
        counts is the loss of IoU. Without ground truth it is the share of equal labels.

        Args:
            precision: Of the export.
            tolerance: Largest loss of mIoU, 0 to 1.
            class_tolerance: Largest loss of a class's IoU, 0 to 1.
        """
        if precision == "fp32":
            return cls()
        return cls(math.inf, 0.95, tolerance, class_tolerance)

    @property
    def is_exact(self) -> bool:
        """Whether every label is to be equal."""
        return math.isfinite(self.error)


@dataclass(frozen=True)
class SizeCheck:
    """The comparison at one size."""

    size: str
    """Batch, height and width."""
    error: float
    """Largest difference of a logit, as a share of the largest logit."""
    agreement: float
    """Share of the pixels with the same label."""


@dataclass(frozen=True)
class ScoreCheck:
    """The comparison over many images."""

    images: int
    agreement: float
    """Share of the pixels with the same label."""
    network: float | None = None
    """mIoU, 0 to 1; None without ground truth."""
    exported: float | None = None
    per_class: dict[str, list[float]] = field(default_factory=dict)
    """IoU of the network and of the export, of the classes that occur."""


@dataclass(frozen=True)
class Findings:
    """All that the gate saw."""

    source: str
    """The images."""
    calibration: str | None
    """The images that ranges of values were taken from; None where none were."""
    device: str
    """What the runtime says it ran on."""
    limits: GateLimits
    sizes: list[SizeCheck]
    """Of the file, or of the one in fp32 that it was made from."""
    reduced_sizes: list[SizeCheck]
    """Of the file, where it is not in fp32."""
    scores: ScoreCheck
    silent_enhancements: list[str]
    """Enhancements without an effect so far, which were compared once more, disturbed."""
    disturbed_sizes: list[SizeCheck]
    floating: Floating | None = None
    """In int8, the layers that stay in floating point."""

    def to_json(self) -> dict[str, Any]:
        """Return JSON values."""
        values = asdict(self)
        if not self.limits.is_exact:
            values["limits"]["error"] = None  # JSON has no infinity
        return values


def compare_sizes(
    graph: InferenceGraph, session: Session, images: Images, limits: GateLimits
) -> list[SizeCheck]:
    """Compare at five sizes.

    Args:
        graph: The network, as it is.
        session: The exported file.
        images: What both see.
        limits: What may differ.

    Raises:
        ExportRefusedError: They differ by more, or the file does not run at a size.
    """
    checks = []
    for size, pixels in patches(images):
        expected = network_logits(graph, pixels)
        wanted = graph.label_logits(torch.from_numpy(expected)).numpy()
        try:
            logits, labels = session.logits(pixels), session.labels(pixels)
        except SegloomError as reason:
            raise ExportRefusedError(
                f"at {size} pixels the exported file does not run: {reason} Nothing is written."
            ) from reason
        _check_shape(size, logits, expected)
        _check_shape(size, labels, wanted)
        scale = max(float(np.abs(expected).max()), 1e-30)
        error = float(np.abs(logits - expected).max()) / scale
        check = SizeCheck(size, error, float((labels == wanted).mean()))
        _judge_size(check, limits)
        checks.append(check)
    return checks


def network_logits(graph: InferenceGraph, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Score images ``(B, H, W, C)`` by the network: ``(B, K, H, W)``."""
    with torch.inference_mode():
        logits: NDArray[np.float32] = graph.logits(
            torch.from_numpy(np.require(pixels, requirements="W")).permute(0, 3, 1, 2)
        ).numpy()
    return logits


def compare_scores(
    graph: InferenceGraph,
    session: Session,
    images: Images,
    labels: LabelSet,
    limits: GateLimits,
    *,
    max_images: int,
    on_progress: Callable[[int, int], None] | None = None,
) -> ScoreCheck:
    """Compare labels and mIoU over many images.

    Args:
        graph: The network, as it is.
        session: The exported file.
        images: What both see.
        labels: The classes.
        limits: What may differ.
        max_images: How many are seen at most, evenly spread; 0 sees all.
        on_progress: Told the finished images and all, after each.

    Raises:
        ExportRefusedError: They differ by more.
    """
    measures, classes = measures_of(labels.is_multilabel), labels.classes
    same, pixels = 0, 0
    totals: list[NDArray[np.int64]] = []
    chosen = spread_evenly(len(images), max_images)
    for number, index in enumerate(chosen, 1):
        example = images[index]
        logits = torch.from_numpy(network_logits(graph, example.pixels[None]))
        pair = (graph.label_logits(logits)[0].numpy(), session.labels(example.pixels[None])[0])
        same += int((pair[0] == pair[1]).sum())
        pixels += pair[0].size
        if example.truth is not None and (example.truth != IGNORE_INDEX).any():
            counts = [measures.count(found, example.truth, len(classes)) for found in pair]
            totals = [np.stack(counts) if not totals else totals[0] + counts]
        if on_progress:
            on_progress(number, len(chosen))
    check = ScoreCheck(len(chosen), same / pixels)
    if totals:
        check = replace(check, **_scores(measures.scores(totals[0]), classes))
    judge_scores(check, limits)
    return check


def _scores(pair: Scores, classes: tuple[str, ...]) -> dict[str, Any]:
    """Return the fields of `ScoreCheck` from the scores of the network and of the export."""
    ious = zip(classes, *pair.IoU.tolist(), strict=True)
    return {
        "network": float(pair.mIoU[0]),
        "exported": float(pair.mIoU[1]),
        "per_class": {name: both for name, *both in ious if not any(map(math.isnan, both))},
    }


def _check_shape(size: str, found: NDArray[np.generic], wanted: NDArray[np.generic]) -> None:
    if found.shape != wanted.shape or found.dtype != wanted.dtype:
        raise ExportRefusedError(
            f"at {size} pixels the exported file gives {found.dtype} of shape {found.shape}, but "
            f"the network {wanted.dtype} of shape {wanted.shape}; nothing is written."
        )


def _judge_size(check: SizeCheck, limits: GateLimits) -> None:
    if not math.isfinite(check.error) or check.error > limits.error:  # a NaN fails too
        raise ExportRefusedError(
            f"at {check.size} pixels the exported file's logits differ from the network's by "
            f"{check.error:.2g} of the largest, more than {limits.error:g}; nothing is written."
        )
    if limits.is_exact and check.agreement < limits.agreement:
        raise ExportRefusedError(
            f"at {check.size} pixels only {100 * check.agreement:.4f} % of the exported file's "
            f"labels are the network's, fewer than {100 * limits.agreement:g} %; nothing is "
            "written."
        )


def judge_scores(check: ScoreCheck, limits: GateLimits) -> None:
    """Refuse a file that loses more than the limits allow.

    Raises:
        ExportRefusedError: It does.
    """
    where = f"over {check.images} images"
    counts_labels = limits.is_exact or check.network is None
    if counts_labels and check.agreement < limits.agreement:
        raise ExportRefusedError(
            f"{where} only {100 * check.agreement:.4f} % of the exported file's labels are the "
            f"network's, fewer than {100 * limits.agreement:g} %; nothing is written."
        )
    if check.network is None or check.exported is None:
        return
    difference = check.network - check.exported
    if (abs(difference) if limits.is_exact else difference) > limits.score:
        raise ExportRefusedError(
            f"{where} the exported file's mIoU is {100 * check.exported:.2f} %, but the network's "
            f"{100 * check.network:.2f} %, more than {100 * limits.score:g} points apart; nothing "
            "is written."
        )
    losses = {name: own - exported for name, (own, exported) in check.per_class.items()}
    worst = max(losses, key=losses.__getitem__)
    if losses[worst] > limits.class_score:
        own, exported = (100 * value for value in check.per_class[worst])
        raise ExportRefusedError(
            f"{where} the exported file's IoU of the class '{worst}' is {exported:.2f} %, but the "
            f"network's {own:.2f} %, a loss of more than {100 * limits.class_score:g} points; "
            "nothing is written."
        )
