"""A .caffemodel is read without caffe: both schemas, packed or not, and damaged files."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
import torch

from segloom.errors import CheckpointError
from segloom.weight_files import read_state_dict


def varint(number: int) -> bytes:
    out = b""
    while number > 127:
        out += bytes([number & 127 | 128])
        number >>= 7
    return out + bytes([number])


def field(number: int, value: bytes | int) -> bytes:
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def blob(array: np.ndarray, *, old: bool = False, packed: bool = True) -> bytes:
    if old:
        sizes = (1,) * (4 - array.ndim) + array.shape
        shape = b"".join(field(number, size) for number, size in enumerate(sizes, start=1))
    else:
        shape = field(7, field(1, b"".join(varint(size) for size in array.shape)))
    if packed:
        return shape + field(5, array.astype("<f4").tobytes())
    return shape + b"".join(
        varint(5 << 3 | 5) + struct.pack("<f", value) for value in array.ravel()
    )


WEIGHT = np.random.default_rng(0).normal(size=(3, 2, 5, 200)).astype(np.float32)
BIAS = np.array([1.5, -2, 0.25], np.float32)


@pytest.mark.parametrize("packed", [True, False])
def test_layers_of_todays_schema(tmp_path: Path, packed: bool) -> None:
    layer = field(1, b"conv1_1") + field(2, b"Convolution")
    layer += field(7, blob(WEIGHT, packed=packed)) + field(7, blob(BIAS, packed=packed))
    no_weights = field(1, b"relu1_1") + field(2, b"ReLU") + field(10, 1)
    path = tmp_path / "net.caffemodel"
    path.write_bytes(field(1, b"HED") + field(100, layer) + field(100, no_weights))
    tensors = read_state_dict(path)
    assert set(tensors) == {"conv1_1.weight", "conv1_1.bias"}
    assert torch.equal(tensors["conv1_1.weight"], torch.from_numpy(WEIGHT))
    assert torch.equal(tensors["conv1_1.bias"], torch.from_numpy(BIAS))


def test_layers_of_the_schema_before_2014(tmp_path: Path) -> None:
    layer = field(4, b"score-dsn1") + field(5, 4) + field(6, blob(WEIGHT, old=True))
    layer += field(6, blob(BIAS, old=True))
    path = tmp_path / "net.caffemodel"
    path.write_bytes(field(2, layer))
    tensors = read_state_dict(path)
    assert torch.equal(tensors["score-dsn1.weight"], torch.from_numpy(WEIGHT))
    assert tensors["score-dsn1.bias"].shape == (1, 1, 1, 3)


WHOLE = field(100, field(1, b"a") + field(7, blob(BIAS)))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (WHOLE[:-3], "damaged .it is cut short"),
        (field(100, field(1, b"a") + field(7, field(5, BIAS.tobytes()))), r"shape \[1, 1, 1, 1\]"),
        (b"<html>not here</html>", "not a caffemodel or is damaged"),
        (b"\xff" * 40, "an endless number"),
        (b"", "no layer with weights"),
        (field(100, field(1, b"\xff\xfe") + field(7, blob(BIAS))), "damaged"),
    ],
)
def test_a_damaged_file_is_named(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "net.caffemodel"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=rf"net\.caffemodel .*{message}"):
        read_state_dict(path)


def test_a_pickle_in_an_archive_of_arrays_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "net.npz"
    np.savez(path, weights=np.array({"a": 1}, dtype=object))
    with pytest.raises(CheckpointError, match=r"net\.npz is not an archive of plain arrays"):
        read_state_dict(path)
    path.write_text("no archive")
    with pytest.raises(CheckpointError, match=r"net\.npz is not an archive of plain arrays"):
        read_state_dict(path)
