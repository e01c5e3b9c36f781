"""8 bits where they do no harm: which layers of an export stay in floating point.

A file with every layer in 8 bits is tried first. Where the gate refuses it, layers are ranked by
the damage that quantising each of them alone does, on images of the calibration, and the fewest of
the worst are left in floating point with which the gate lets the file pass.

Axes: B batch, C image channels, H W image size.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from segloom.errors import ExportRefusedError
from segloom.exports.onnx_int8 import OnnxQuantizer
from segloom.exports.openvino_file import OpenVinoQuantizer
from segloom.exports.pictures import cut
from segloom.runtime.description import Description, ExportFormat
from segloom.runtime.opening import open_session
from segloom.runtime.session import Session

__all__ = ["CALIBRATION_IMAGES", "Floating", "quantize"]

CALIBRATION_IMAGES = 32
"""What the ranges of the values are taken from."""
RANKING_IMAGES, RANKING_SIDE = 4, 224
"""What the damage of a layer is measured on: so many of them, cut to this height and width."""
MOST = 0.5
"""Largest share of the layers that stays in floating point; with more, 8 bits bring nothing."""
RANKING_SHARE = 0.5
"""Of the time that the choice may take."""
Verdict = TypeVar("Verdict")
Judge = Callable[[Session], Verdict]
"""Gives what it finds of a file, or raises `ExportRefusedError`."""
Tell = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Floating:
    """The layers of a file in 8 bits that stay in floating point."""

    layers: list[str]
    """The worst first."""
    of_layers: int | None = None
    """How many can be quantised; None where nobody had to look."""
    reason: str | None = None
    """Why the file with none of them was refused."""
    seconds: float = 0.0
    """What the choice took."""


class Quantizer(Protocol):
    """Writes a file in 8 bits."""

    def write(self, file: Path, floating: Collection[str] = ()) -> None:
        """Write it with some layers, by the names of ONNX's nodes, in floating point."""


def quantize(
    sources: dict[ExportFormat, Path],
    folder: Path,
    description: Description,
    images: Sequence[NDArray[np.uint8]],
    judge: Judge[Verdict],
    *,
    seconds: float,
    tell: Tell,
) -> tuple[Session, Verdict, Floating]:
    """Write a file in 8 bits that the judge lets pass.

    Args:
        sources: The network in floating point: as ONNX, and in the format described.
        folder: Where the file goes.
        description: Of the export.
        images: ``(B, H, W, C)``, what ranges of values are taken from.
        judge: The gate.
        seconds: How long the choice of layers may take, once the first file is refused. It is
            looked at between two steps, so that the last one may take longer.
        tell: Told how far it is.

    Returns:
        The opened file, what the judge found, and the layers in floating point.

    Raises:
        ExportRefusedError: No file passes in that time, or with at most half of the layers.
    """
    tell("reducing to int8", 0, 1)
    quantizer: Quantizer
    if description.format == "openvino":
        quantizer = OpenVinoQuantizer(sources["openvino"], images)
    else:
        quantizer = OnnxQuantizer(sources["onnx"], images)
    session = _write(quantizer, folder, description)
    try:
        return session, judge(session), Floating([])
    except ExportRefusedError as error:
        refusal = error
    start = time.monotonic()
    deadline = start + seconds
    ranked = (
        quantizer
        if isinstance(quantizer, OnnxQuantizer)
        else OnnxQuantizer(sources["onnx"], images)
    )
    order = rank(ranked, images, deadline - (1 - RANKING_SHARE) * seconds, tell)

    def passes(count: int) -> tuple[Session, Verdict] | None:
        tell(f"trying with {count} of {len(order)} layers in floating point", 0, 1)
        session = _write(quantizer, folder, description, order[:count])
        try:
            return session, judge(session)
        except ExportRefusedError:
            return None

    count, found = fewest(passes, math.floor(MOST * len(order)), deadline)
    if found is None:
        raise ExportRefusedError(
            f"{refusal} With the {count} worst of its {len(order)} layers in floating point it is "
            f"refused as well; allow more with --minutes, --tolerance and --class-tolerance, or "
            "export in another precision."
        )
    taken = time.monotonic() - start
    return *found, Floating(order[:count], len(order), str(refusal), round(taken, 1))


def _write(
    quantizer: Quantizer, folder: Path, description: Description, floating: Sequence[str] = ()
) -> Session:
    file = folder / description.file
    for path in (file, file.with_suffix(".bin")):  # an opened one may still be read from
        path.unlink(missing_ok=True)
    quantizer.write(file, floating)
    return open_session(folder, description)


def rank(
    quantizer: OnnxQuantizer, images: Sequence[NDArray[np.uint8]], deadline: float, tell: Tell
) -> list[str]:
    """Order layers by the damage that quantising each alone does, the worst first.

    Args:
        quantizer: Of the network.
        images: ``(B, H, W, C)``.
        deadline: When to stop (`time.monotonic`); layers that were not measured come last, in the
            order of the network.
        tell: Told how far it is.
    """
    pixels = np.stack([cut(image[0], RANKING_SIDE, RANKING_SIDE) for image in images])
    pixels = pixels[:: math.ceil(len(pixels) / RANKING_IMAGES)]
    damages: dict[str, float] = dict.fromkeys(quantizer.layers, -1.0)
    tell(f"measuring the damage of each of {len(damages)} layers", 0, 1)
    for layer in quantizer.layers:
        if time.monotonic() > deadline:
            break
        damage = quantizer.damage(layer, pixels)
        damages[layer] = damage if math.isfinite(damage) else math.inf
    return sorted(damages, key=lambda layer: -damages[layer])


def fewest(
    passes: Callable[[int], Verdict | None], most: int, deadline: float
) -> tuple[int, Verdict | None]:
    """Find the least count that passes: by doubling, then by halving the rest.

    Args:
        passes: Tells what came of a count; None where it does not pass. The last count that it is
            asked for is the one that is returned.
        most: The largest count.
        deadline: When to stop (`time.monotonic`).

    Returns:
        The count and what came of it, or the largest that was tried and None.
    """
    low, high, found = 0, 0, None
    while found is None and high < most and time.monotonic() < deadline:
        low, high = high, min(max(1, 2 * high), most)
        found = passes(high)
    last = high
    while found is not None and high - low > 1 and time.monotonic() < deadline:
        last = (low + high) // 2
        better = passes(last)
        if better is None:
            low = last
        else:
            high, found = last, better
    if found is not None and last != high:
        found = passes(high)
    return high, found
