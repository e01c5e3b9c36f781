"""Foreign weight files are read as tensors alone, and refused in one sentence."""

from __future__ import annotations

import pickle

import pytest

from segloom.errors import CheckpointError
from segloom.weight_files import read_state_dict


def test_a_bare_pickle_is_refused_without_a_warning(tmp_path, recwarn):
    (tmp_path / "k.pth").write_bytes(pickle.dumps(print))
    with pytest.raises(CheckpointError, match=r"k\.pth"):
        read_state_dict(tmp_path / "k.pth")
    assert not list(recwarn)
