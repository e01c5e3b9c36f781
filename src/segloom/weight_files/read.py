"""Reading tensors from files, and nothing else: no code in a file is ever run."""

from __future__ import annotations

import argparse
import pickle
import shlex
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any
from zipfile import BadZipFile

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from segloom.errors import CheckpointError
from segloom.weight_files.caffe import read_caffemodel

__all__ = ["WEIGHT_SUFFIXES", "check_fit", "read_state_dict"]

WEIGHT_SUFFIXES = (".safetensors", ".pth", ".pt", ".bin", ".ckpt", ".tar")
"""Endings of files that may hold weights."""

WRAPPERS = (
    *("state_dict", "model_state_dict", "model_state", "model", "net", "network", "weights"),
    *("params", "module", "student", "ema_state_dict", "state_dict_ema", "model_ema"),
)
"""Keys under which training programs put the state dict beside their own values; the first counts.
"""
MAX_NESTING = 3

UNPICKLE = (
    'python -c "import sys, torch; '
    "x = torch.load(sys.argv[1], map_location='cpu', weights_only=False); "
    "x = x.get('state_dict', x.get('model', x)) if isinstance(x, dict) else x; "
    "torch.save(getattr(x, 'state_dict', lambda: x)(), 'weights.pth')\" "
)
"""Command that makes a plain state dict of the pickled network in the file whose name follows."""

PICKLE_HEADS = (b"PK", b"\x80")
"""First bytes of PyTorch's files: a zip, before version 1.6 a bare pickle."""

TORCH7_SUFFIXES = (".t7", ".net")
TORCH7_HEADS = (b"\3\0\0\0", b"\4\0\0\0", b"3\n1\n", b"4\n1\n")
"""First bytes of a table and of an object, in binary and in text."""


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """Read the tensors of a weight file, on the CPU, in their stored dtype.

    Kinds: .safetensors, .npz, .caffemodel, and PyTorch's for every other ending.

    A state dict wrapped in a training program's checkpoint is found, and the ``module.`` that
    data-parallel training puts before each name is taken off; `strip_prefix` takes off others.

    Raises:
        CheckpointError: The file is missing, damaged, a pickled model, holds no tensors, or holds
            NaN or infinite values.
    """
    if not path.is_file():
        raise CheckpointError(f"there is no weight file {path}.")
    tensors = _unwrap(READERS.get(path.suffix, _read_torch)(path))
    if not tensors:
        raise CheckpointError(f"{path} holds no named tensors; give a file with a state dict.")
    _require_finite(tensors, path)
    if all(name.startswith("module.") for name in tensors):
        tensors = {name.removeprefix("module."): value for name, value in tensors.items()}
    return tensors


def _unwrap(content: object) -> dict[str, Tensor]:
    """Find the tensors in what a training program saved around them; none if there are none."""
    if not isinstance(content, Mapping):
        return {}
    for _ in range(MAX_NESTING):
        content = next(
            (content[key] for key in WRAPPERS if isinstance(content.get(key), Mapping)), content
        )
    return {str(name): value for name, value in content.items() if isinstance(value, Tensor)}


def _require_finite(tensors: Mapping[str, Tensor], path: Path) -> None:
    broken = [
        name
        for name, value in tensors.items()
        if value.is_floating_point() and value.itemsize > 1 and not value.isfinite().all()
    ]
    if broken:
        more = f" and {len(broken) - 1} more" if len(broken) > 1 else ""
        raise CheckpointError(
            f"{path} holds values that are not finite numbers, in {broken[0]}{more}; the training "
            "that wrote it diverged or the file is damaged, so take an earlier one."
        )


def check_fit(
    sentence: str,
    own: Mapping[str, Tensor],
    given: Mapping[str, Tensor],
    needed: Iterable[str] | None = None,
) -> None:
    """Raise if weights are not those of a network.

    Args:
        sentence: What does not fit what.
        own: The tensors of the network.
        given: Those of the weights.
        needed: Names that must be given; None asks for all of ``own``.

    Raises:
        CheckpointError: Names are missing or unknown, or shapes differ; it names the first three
            of each.
    """
    wanted = own if needed is None else needed
    missing = [name for name in wanted if name not in given]
    different = _reshaped(own, given)
    extra = [name for name in given if name not in own]
    found = {"missing": missing, "of another shape": different, "unknown": extra}
    if parts := [_first_three(label, names) for label, names in found.items() if names]:
        raise CheckpointError(f"{sentence}: {'; '.join(parts)}.")


def _reshaped(own: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> list[str]:
    return [
        f"{name} {tuple(given[name].shape)} for {tuple(value.shape)}"
        for name, value in own.items()
        if name in given and given[name].shape != value.shape
    ]


def _first_three(label: str, names: Sequence[str]) -> str:
    more = f" and {len(names) - 3} more" if names[3:] else ""
    return f"{label} {', '.join(names[:3])}{more}"


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise CheckpointError(
            f"{path} is not a safetensors file or is damaged ({_first_line(error)}); "
            "copy or download it again."
        ) from error


def _read_numpy(path: Path) -> dict[str, Tensor]:
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: torch.from_numpy(file[name]) for name in file.files}
    except (OSError, ValueError, TypeError, EOFError, BadZipFile) as error:
        raise CheckpointError(
            f"{path} is not an archive of plain arrays or is damaged ({_first_line(error)}); "
            "write it with numpy.savez."
        ) from error


def _read_torch(path: Path) -> object:
    scalar = np.float64(0).__reduce__()[0]
    # Scores beside the weights are often numpy's numbers: one constructor, under both its names.
    # The options of a program are often a Namespace and paths, which hold values and run nothing.
    numbers: list[Any] = [np.dtype, np.dtypes.Float64DType, argparse.Namespace]
    numbers += [
        (kind, f"{module}.{name}")  # Python 3.13 names another module
        for module in ("pathlib", "pathlib._local")
        for name, kind in (("PosixPath", PurePosixPath), ("WindowsPath", PureWindowsPath))
    ]
    numbers += [(scalar, f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")]
    try:
        with torch.serialization.safe_globals(numbers), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of an unusual pickle; our own sentence follows
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        # Bytes of any other kind of file are unsupported operations of a pickle too.
        is_pickle = "Unsupported" in str(error) and _head(path).startswith(PICKLE_HEADS)
        if not is_pickle and "GLOBAL" not in str(error):
            raise _damaged(path) from error
        raise CheckpointError(
            f"{path} holds pickled objects such as a whole model, and opening those can run any "
            "code; if you trust it, run the following in the folder of the program that made it, "
            f"and give weights.pth: {UNPICKLE}{shlex.quote(str(path))}"
        ) from error
    except Exception as error:  # a damaged or hostile pickle can raise anything
        raise _damaged(path) from error


READERS: dict[str, Callable[[Path], object]] = {
    ".safetensors": _read_safetensors,
    ".npz": _read_numpy,
    ".caffemodel": read_caffemodel,
}


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(4)


def _damaged(path: Path) -> CheckpointError:
    head = _head(path)
    is_named_so = path.suffix in TORCH7_SUFFIXES and not head.startswith(PICKLE_HEADS)
    if is_named_so or head in TORCH7_HEADS:
        return CheckpointError(
            f"{path} is a file of Torch7 (Lua), which is not read; load it with the package "
            "torchfile, save its arrays with safetensors.numpy.save_file under the names in "
            "segloom.create_model(...).state_dict(), and give that file."
        )
    return CheckpointError(
        f"{path} is not a PyTorch weight file or is damaged; copy or download it again."
    )


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:120] if lines else type(error).__name__
