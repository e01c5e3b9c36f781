"""Recorded results of the original programs: their arrays, their weights, and the comparison."""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from support.parity import FINDINGS, Comparison
from support.recorded_files import RECORDED

__all__ = ["Recording", "procedural", "read_recording", "seeded"]

GRADIENT = re.compile(r"(g|grad)[._]|.*\.grad$")
LOSS = re.compile(r"nll|mse|(.*\.)?loss(_.*)?|out\.(main|edge)_.*")


class Recording(Mapping[str, Any]):
    """The arrays of one recorded file as tensors, numbers and texts; it notes what is compared."""

    def __init__(self, name: str, values: Mapping[str, Any]) -> None:
        self.name = name
        self.values_by_key = values
        FINDINGS.held[name] = list(values)

    def __getitem__(self, key: str) -> Any:
        FINDINGS.read.add((self.name, key))
        return self.values_by_key[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self.values_by_key)

    def __len__(self) -> int:
        return len(self.values_by_key)

    def array(self, key: str) -> np.ndarray[Any, Any]:
        return np.asarray(self[key])

    def json(self, key: str) -> Any:
        return json.loads(self[key])

    def compare(
        self,
        actual: Any,
        key: str,
        bound: float = 1e-4,
        *,
        expected: Any = None,
        kind: str | None = None,
    ) -> None:
        """Assert that ``actual`` is within ``bound`` of the largest recorded value.

        Args:
            actual: Tensor, array or number.
            key: Which recorded array.
            bound: Largest relative error; 0 asks for equality.
            expected: Instead of the array: what follows from it.
            kind: Column of the table; by default told from the key.
        """
        wanted = self[key] if expected is None else expected
        found, wanted = (torch.as_tensor(value).detach().double() for value in (actual, wanted))
        assert found.shape == wanted.shape, f"{self.name}, {key}: {found.shape}, {wanted.shape}"
        difference, scale = (found - wanted).abs().max(), wanted.abs().max()
        self._note(key, kind, (difference / scale if scale else difference).item(), bound)

    def equal(self, actual: Any, key: str, expected: Any = None, *, kind: str) -> None:
        """Assert that values which are no numbers (names, lists) are the recorded ones."""
        wanted = self[key] if expected is None else expected
        assert actual == wanted
        self._note(key, kind, 0.0, 0.0)

    def compare_stages(self, stages: Mapping[str, Tensor], shapes: str, statistics: str) -> None:
        """Compare shapes, means, mean magnitudes and deviations of all stages of a network."""
        found = {name: list(map_.shape) for name, map_ in stages.items()}
        self.equal(found, shapes, self.json(shapes), kind="size")
        wanted = self.json(statistics)
        for name, map_ in stages.items():
            moments = torch.stack([map_.mean(), map_.abs().mean(), map_.std()])
            self.compare(moments, statistics, expected=torch.tensor(wanted[name]), kind="forward")
        assert wanted.keys() == stages.keys()

    def _note(self, key: str, kind: str | None, error: float, bound: float) -> None:
        if kind is None:
            kind = "gradient" if GRADIENT.match(key) else "forward"
            kind = "loss" if LOSS.fullmatch(key) else kind
        FINDINGS.compared.append(Comparison(self.name, key, kind, error, bound))
        assert error <= bound, f"{self.name}, {key}: relative error {error:.1e} over {bound:.0e}"


def read_recording(folder: Path, name: str) -> Recording:
    """Read one recorded file below ``folder``."""
    assert name in RECORDED, f"{name} is missing in tests/support/recorded_files.py"
    path = next(folder.glob(f"*/{name}.*"))
    if path.suffix == ".json":
        return Recording(name, json.loads(path.read_text()))
    with np.load(path) as file:
        return Recording(name, {key: _value(key, file[key]) for key in file.files})


def _value(key: str, array: np.ndarray[Any, Any]) -> Any:
    if array.dtype.kind == "U":
        return array.tolist()
    if array.ndim == 0 and not key.startswith("sd."):  # but a state dict holds tensors
        return array.item()
    return torch.from_numpy(array.astype(np.float32) if array.dtype == np.float16 else array)


def procedural(sizes: Mapping[str, Sequence[int]], seed: int) -> dict[str, Tensor]:
    """Draw weights by the recipe of AFMA's and CELT's files: by the sorted position of a key."""
    weights = {}
    for number, key in enumerate(sorted(sizes)):
        size = tuple(sizes[key])
        if key.endswith("num_batches_tracked"):
            weights[key] = torch.tensor(0)
            continue
        values = np.random.RandomState(seed + number).standard_normal(size).astype(np.float32)
        if key.endswith("running_var"):
            values = 0.5 + 0.5 * abs(values)
        elif key.endswith("running_mean"):
            values = 0.1 * values
        elif len(size) > 1:
            values = values * np.sqrt(2 / np.prod(size[1:]))
        else:
            values = 1 + 0.1 * values if key.endswith("weight") else 0.05 * values
        weights[key] = torch.from_numpy(np.asarray(values, np.float32))
    return weights


def seeded(key: str, shape: Sequence[int]) -> Tensor:
    """Draw the weight called ``key`` by the rule that the notes of the recorded arrays give."""
    random = np.random.RandomState(zlib.crc32(key.encode()) & 0xFFFFFFFF)
    if key.endswith("num_batches_tracked"):
        return torch.tensor(0)
    if key.endswith("running_mean"):
        values = 0.1 * random.randn(*shape)
    elif key.endswith("running_var") or (len(shape) == 1 and key.endswith("weight")):
        values = 0.5 + random.rand(*shape)
    elif len(shape) == 1:
        values = 0.1 * random.randn(*shape)
    else:
        values = random.randn(*shape) * np.sqrt(2 / np.prod(shape[1:]))
    if key.endswith("_high_pass_filter.weight"):
        values = 0.02 * values + 1 / 81
    elif key.startswith("netScore") and key.endswith("weight"):
        values = 0.002 * values
    elif key == "Final_Output.weight":
        values = 0.01 * values
    return torch.from_numpy(values.astype(np.float32))
