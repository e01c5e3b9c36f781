"""From what a network says to what a client asked for: PNG, GeoJSON, JSON."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from segloom.errors import ConfigError, UnknownNameError
from segloom.labels import painting
from segloom.labels.palette import Color
from segloom.labels.polygons import trace_polygons
from segloom.labels.space import space_of
from segloom.prediction.annotations import BACKGROUND, feature_collection
from segloom.serve.models import Answer, Model
from segloom.types import LabelSet

__all__ = ["ENCODINGS", "INCLUDED", "OUTPUTS", "Wish", "present"]

Output = Literal["json", "label", "mask", "palette", "overlay", "confidence", "polygons"]
OUTPUTS: tuple[str, ...] = get_args(Output)
"""What one request can ask for."""

INCLUDED = ("label", "masks", "confidence", "polygons")
"""What a JSON answer can hold beside the shares of the classes; maps are in base64."""

ENCODINGS = ("png", "zlib")
"""Of these maps: pictures, or their bytes row by row, compressed (RFC 1950)."""


@dataclass(frozen=True)
class Wish:
    """What a client asked for."""

    output: str = "json"
    include: tuple[str, ...] = ()
    """With ``json``, more of `INCLUDED`."""
    encoding: str = "png"
    """With ``include``, one of `ENCODINGS`."""
    class_name: str | None = None
    """With ``mask``, the class."""
    opacity: float = 0.5
    """With ``overlay``, the share of the colours."""
    min_area: int = 1
    """With polygons, the smallest object and hole, in pixels."""
    simplify: float = 0.0
    """With polygons, the largest distance by which an outline is simplified, in pixels."""


def present(
    model: Model, image: NDArray[np.uint8], answer: Answer, wish: Wish
) -> tuple[bytes, str]:
    """Compute what is wished; returns its bytes and their media type.

    Args:
        model: Who answers.
        image: uint8 ``(H, W, 3)``.
        answer: Of ``model`` to ``image``.
        wish: What the client asked for.

    Raises:
        ConfigError: The wish does not fit the classes.
    """
    if wish.output == "json":
        return json.dumps(_facts(model, answer, wish)).encode(), "application/json"
    if wish.output == "polygons":
        content = _polygons(model.labels, answer.label_map, wish)
        return json.dumps(content).encode(), "application/geo+json"
    return _picture(model.labels, image, answer, wish), "image/png"


def _picture(labels: LabelSet, image: NDArray[np.uint8], answer: Answer, wish: Wish) -> bytes:
    match wish.output:
        case "label":
            return _png(_ids(labels, answer.label_map))
        case "mask":
            return _png(_mask(labels, answer.label_map, wish.class_name))
        case "palette":
            if space_of(labels).fits_palette:
                return _png(_ids(labels, answer.label_map), palette=labels.palette)
            return _png(painting.paint(answer.label_map, labels))
        case "confidence":
            return _png(_confidence(labels, answer))
        case _:
            return _png(painting.tint(image, answer.label_map, labels, wish.opacity))


def _facts(model: Model, answer: Answer, wish: Wish) -> dict[str, object]:
    labels = model.labels
    extra: dict[str, object] = {}
    for name in wish.include:  # confidence first needs the probabilities, labels follow from them
        if name == "confidence":
            extra[name] = _text(_confidence(labels, answer), wish.encoding)
    for name in wish.include:
        if name == "label":
            extra[name] = _text(_ids(labels, answer.label_map), wish.encoding)
        elif name == "masks":
            masks = {c: _mask(labels, answer.label_map, c) for c in labels.classes}
            extra[name] = {c: _text(mask, wish.encoding) for c, mask in masks.items()}
        elif name == "polygons":
            extra[name] = _polygons(labels, answer.label_map, wish)
    counts = model.space.count(answer.label_map)
    height, width = answer.label_map.shape
    classes = [
        {"id": k, "name": name, "color": list(color), "pixels": number, "share": number / area}
        for area in [max(counts.labelled, 1)]
        for k, (name, color, number) in enumerate(
            zip(labels.classes, labels.palette, counts.classes.tolist(), strict=True)
        )
    ]
    facts = {"model": model.name, "height": height, "width": width}
    return {**facts, "overlaps": labels.is_multilabel, "classes": classes, **extra}


def _ids(labels: LabelSet, label_map: NDArray[np.integer]) -> NDArray[np.uint8]:
    if space_of(labels).no_single:
        raise ConfigError(
            "the classes of this model may overlap, so one label map cannot show them; ask for "
            "output=mask&class=NAME, output=polygons or output=overlay."
        )
    ids: NDArray[np.uint8] = label_map.astype(np.uint8)
    return ids


def _mask(labels: LabelSet, label_map: NDArray[np.integer], name: str | None) -> NDArray[np.uint8]:
    if name is None:
        raise ConfigError("output=mask needs a class: add class=NAME.")
    if name not in labels.classes:
        raise UnknownNameError("class", name, labels.classes)
    where = space_of(labels).where(label_map, labels.classes.index(name))
    return where.astype(np.uint8) * 255


def _confidence(labels: LabelSet, answer: Answer) -> NDArray[np.uint8]:
    """Scale the probability of what was decided to 0 to 255; of overlapping classes the least."""
    sure = space_of(labels).confidence(answer.probabilities)
    scaled: NDArray[np.uint8] = np.rint(sure * 255).astype(np.uint8)
    return scaled


def _polygons(labels: LabelSet, label_map: NDArray[np.integer], wish: Wish) -> dict[str, object]:
    return feature_collection(
        (name, polygon)
        for class_id, name in enumerate(labels.classes)
        if name != BACKGROUND
        for polygon in trace_polygons(
            space_of(labels).where(label_map, class_id),
            min_area=wish.min_area,
            tolerance=wish.simplify,
        )
    )


def _png(values: NDArray[np.uint8], *, palette: Sequence[Color] | None = None) -> bytes:
    picture = Image.fromarray(np.ascontiguousarray(values))
    if palette is not None:
        picture.putpalette(np.asarray(palette, np.uint8).tobytes())
    buffer = BytesIO()
    # Level 1 is several times as fast as the default, for files about a fifth larger.
    picture.save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def _text(values: NDArray[np.uint8], encoding: str) -> str:
    is_png = encoding == "png"
    content = _png(values) if is_png else zlib.compress(values.tobytes(), level=1)
    return base64.b64encode(content).decode()
