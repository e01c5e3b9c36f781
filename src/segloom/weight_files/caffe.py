"""Reading the weights of a .caffemodel without caffe and without its generated classes.

The file is one protobuf message, ``NetParameter``: a sequence of fields, each a tag (number * 8 +
wire type) and its value. Only what leads to the weights is looked at; the rest is stepped over.
Numbers of the fields are those of caffe's public schema (caffe.proto):

    NetParameter    2 layers (before 2014), 100 layer
    layer           1 name, 7 blobs;   layers: 4 name, 6 blobs
    BlobProto       1..4 num, channels, height, width;   5 data, 7 shape, 8 double_data
    BlobShape       1 dim
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from segloom.errors import CheckpointError

__all__ = ["read_caffemodel"]

LAYER_FIELDS = {100: (1, 7), 2: (4, 6)}
"""Number of a layer's field to those of its name and of its blobs."""
VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
FIXED_SIZES = {FIXED64: 8, FIXED32: 4}


def read_caffemodel(path: Path) -> dict[str, Tensor]:
    """Read the layers that have weights: ``<layer>.weight`` and, where there is one, ``.bias``.

    Raises:
        CheckpointError: The file is missing, cut short or no caffemodel.
    """
    try:
        tensors = dict(_layers(memoryview(path.read_bytes())))
    except (OSError, ValueError, IndexError, UnicodeDecodeError) as error:
        raise CheckpointError(
            f"{path} is not a caffemodel or is damaged ({error}); copy or download it again."
        ) from error
    if not tensors:
        raise CheckpointError(f"{path} holds no layer with weights; give a trained .caffemodel.")
    return tensors


def _layers(message: memoryview) -> Iterator[tuple[str, Tensor]]:
    for number, value in _fields(message):
        if number not in LAYER_FIELDS or isinstance(value, int):
            continue
        name_field, blob_field = LAYER_FIELDS[number]
        fields = [(key, part) for key, part in _fields(value) if not isinstance(part, int)]
        name = next((bytes(part).decode() for key, part in fields if key == name_field), "")
        blobs = [_blob(part) for key, part in fields if key == blob_field]
        yield from zip((f"{name}.weight", f"{name}.bias"), blobs, strict=False)


NUMBERS = {5: "<f4", 8: "<f8"}
"""Field of a blob to the type of its values."""


def _blob(message: memoryview) -> Tensor:
    """Read a float array; one value per field and all values in one field are both legal."""
    old_shape = dict.fromkeys((1, 2, 3, 4), 1)
    shape: list[int] | None = None
    parts: list[np.ndarray] = []
    for number, value in _fields(message):
        if isinstance(value, int):
            if number in old_shape:
                old_shape[number] = value
        elif number == 7:
            shape = _sizes(value)
        elif number in NUMBERS:
            parts.append(np.frombuffer(value, NUMBERS[number]))
    array = np.concatenate(parts or [np.empty(0)]).astype(np.float32)
    sizes = list(old_shape.values()) if shape is None else shape
    if prod(sizes) != array.size:
        raise ValueError(f"a blob of shape {sizes} holds {array.size} values")
    return torch.from_numpy(array.reshape(sizes))


def _sizes(message: memoryview) -> list[int]:
    return [size for key, part in _fields(message) if key == 1 for size in _varints(part)]


def _fields(message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Yield number and value of each field: an int for a varint, else its bytes."""
    place = 0
    while place < len(message):
        tag, place = _varint(message, place)
        number, kind = tag >> 3, tag & 7
        if kind == VARINT:
            value, place = _varint(message, place)
            yield number, value
            continue
        if kind == BYTES:
            size, place = _varint(message, place)
        elif kind in FIXED_SIZES:
            size = FIXED_SIZES[kind]
        else:
            raise ValueError(f"wire type {kind} at byte {place}")
        if place + size > len(message):
            raise ValueError("it is cut short")
        yield number, message[place : place + size]
        place += size


def _varints(value: int | memoryview) -> list[int]:
    """Return the numbers of a repeated field, packed or single."""
    if isinstance(value, int):
        return [value]
    numbers, place = [], 0
    while place < len(value):
        number, place = _varint(value, place)
        numbers.append(number)
    return numbers


def _varint(message: memoryview, place: int) -> tuple[int, int]:
    """Read a number of 7 bits per byte, lowest first; return it and the place after it."""
    number = 0
    for shift in range(0, 64, 7):
        byte = message[place]
        place += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, place
    raise ValueError(f"an endless number at byte {place}")
