"""What every test may use: the reference fixtures and real data, where they are present."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from segloom.data.cityscapes_labels import LABELS

SHARED = Path(os.environ.get("SEGLOOM_SHARED", Path(__file__).resolve().parents[2] / "shared"))


@pytest.fixture(scope="session")
def shared() -> Path:
    """Folder with ``fixtures/`` and ``data/``; the test is skipped where there is none."""
    if not SHARED.is_dir():
        pytest.skip(f"no reference data at {SHARED} (set SEGLOOM_SHARED)")
    return SHARED


@pytest.fixture(scope="session")
def cityscapes_tree() -> Callable[..., Path]:
    """Write a small tree in the layout of Cityscapes; see `_make_tree`."""
    return _make_tree


@pytest.fixture(scope="session")
def cityscapes_labels() -> Callable[..., None]:
    """Write one label map of Cityscapes; see `_write_labels`."""
    return _write_labels


def _write_labels(stem: Path, ids: NDArray[np.uint8], kinds: tuple[str, ...]) -> None:
    """Write a map of label ids as the kinds of label file of the release."""
    stem.parent.mkdir(parents=True, exist_ok=True)
    trained = [255 if label.train_id is None else label.train_id for label in LABELS]
    tables = {
        "labelIds": np.arange(34, dtype=np.uint8),
        "labelTrainIds": np.array(trained, np.uint8),
        "color": np.array([(*label.color, 255) for label in LABELS], np.uint8),
    }
    for kind in kinds:
        Image.fromarray(tables[kind][ids]).save(f"{stem}_{kind}.png")


def _make_tree(
    root: Path,
    cities: dict[str, tuple[str, ...]],
    *,
    kinds: tuple[str, ...] = ("labelIds", "labelTrainIds", "color"),
    frames: int = 2,
    size: tuple[int, int] = (34, 8),
    labels: str = "gtFine",
) -> Path:
    """Write noise images whose label maps hold one label per row; test has no label maps.

    Args:
        root: Where.
        cities: Cities of every split.
        kinds: Which kinds of label files to write.
        frames: Images per city.
        size: Height and width.
        labels: Folder of the label maps, gtFine or gtCoarse.
    """
    rng = np.random.default_rng(0)
    ids = np.repeat((np.arange(size[0]) % 34).astype(np.uint8)[:, None], size[1], axis=1)
    for split, names in cities.items():
        for city in names:
            for frame in range(frames):
                name = f"{city}_{frame:06}_000019"
                image = root / "leftImg8bit" / split / city / f"{name}_leftImg8bit.png"
                image.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(rng.integers(0, 255, (*size, 3), np.uint8)).save(image)
                if split != "test":
                    _write_labels(root / labels / split / city / f"{name}_{labels}", ids, kinds)
    return root


@pytest.fixture(autouse=True)
def _forget_compilations(request):
    """Let every slow test compile anew: torch gives up after eight networks of one class."""
    yield
    if request.node.get_closest_marker("slow"):
        import torch

        torch.compiler.reset()
