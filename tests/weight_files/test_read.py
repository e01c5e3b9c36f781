"""Foreign weight files are read as tensors alone, and refused in one sentence."""

from __future__ import annotations

import pickle
import struct

import pytest
import torch

from segloom.errors import CheckpointError
from segloom.weight_files import read_state_dict


def test_a_bare_pickle_is_refused_without_a_warning(tmp_path, recwarn):
    (tmp_path / "k.pth").write_bytes(pickle.dumps(print))
    with pytest.raises(CheckpointError, match=r"k\.pth"):
        read_state_dict(tmp_path / "k.pth")
    assert not list(recwarn)


TORCH7 = struct.pack("<iii3si14s", 4, 1, 3, b"V 1", 14, b"nn.Sequential\0")
"""How a network that Lua Torch saved begins: an object, the first one, its version and class."""


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("model.t7", TORCH7),
        ("model.net", TORCH7),
        ("model.pth", TORCH7),
        ("model.bin", b"4\n1\n3\nV 1\n13\nnn.Sequential\n"),
        ("model.net", b""),
    ],
)
def test_a_file_of_torch7_is_called_so(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(CheckpointError, match=rf"{name} is a file of Torch7 .*torchfile") as caught:
        read_state_dict(tmp_path / name)
    assert "pickle" not in str(caught.value)


def test_an_ending_of_torch7_does_not_hide_what_is_no_such_file(tmp_path):
    torch.save({"weight": torch.ones(2)}, tmp_path / "state.t7")
    assert torch.equal(read_state_dict(tmp_path / "state.t7")["weight"], torch.ones(2))
    torch.save(torch.nn.Linear(2, 2), tmp_path / "model.net")
    with pytest.raises(CheckpointError, match="holds pickled objects such as a whole model"):
        read_state_dict(tmp_path / "model.net")


@pytest.mark.parametrize("content", [b"\xdb\x01\x02", b"not weights", b"{}"])
def test_bytes_that_are_no_pickle_are_not_called_pickled_objects(tmp_path, content):
    (tmp_path / "weights.pth").write_bytes(content)
    with pytest.raises(CheckpointError, match="is not a PyTorch weight file or is damaged"):
        read_state_dict(tmp_path / "weights.pth")
