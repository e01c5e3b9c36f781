"""The way in from every labelling tool: training gets exactly the pixels that were drawn."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from segloom.config import DataConfig
from segloom.data.readers import read_labelled_source
from segloom.data_check import check
from tests.data.sets.exports import EXPORTS, Samples

CLASSES = ("background", "nucleus", "border")


@pytest.fixture(scope="module")
def samples() -> Samples:
    """Seven images of nuclei; the outermost pixels of a nucleus are a class of their own."""
    from scipy.ndimage import binary_erosion

    found = {}
    rows, columns = np.indices((160, 160))
    for number in range(7):
        rng = np.random.default_rng(number)
        mask = np.zeros((160, 160), bool)
        for row, column, height, width in rng.uniform((0, 0, 5, 5), (160, 160, 25, 25), (9, 4)):
            mask |= ((rows - row) / height) ** 2 + ((columns - column) / width) ** 2 < 1
        labels = np.where(mask, np.where(binary_erosion(mask), 1, 2), 0).astype(np.uint8)
        light = 40 + 90 * mask[..., None] + rng.integers(0, 40, (160, 160, 3))
        found[f"nuclei_{number:05}"] = (light.astype(np.uint8), labels)
    return found


def accents(root: Path) -> None:
    """Decompose the accents in the names of the images, as macOS does."""
    for path in images(root):
        path.rename(path.with_name(unicodedata.normalize("NFD", path.name)))


def capitals(root: Path) -> None:
    for path in images(root):
        path.rename(path.with_name(path.stem + path.suffix.upper()))


def windows(root: Path) -> None:
    """Write texts with a byte order mark and carriage returns."""
    for path in root.rglob("*"):
        if path.suffix in (".json", ".txt", ".csv", ".yaml"):
            text = path.read_text(encoding="utf-8").replace("\n", "\r\n")
            path.write_text(f"\ufeff{text}", encoding="utf-8", newline="")


def images(root: Path) -> list[Path]:
    return [path for path in sorted(root.rglob("*")) if path.suffix in (".png", ".jpg")]


@pytest.mark.parametrize("change", [None, accents, capitals, windows])
@pytest.mark.parametrize("export", EXPORTS)
def test_training_gets_the_pixels_that_were_drawn(
    export: str, change: Callable[[Path], None] | None, samples: Samples, tmp_path: Path
) -> None:
    write, reader = EXPORTS[export]
    if change is not None:
        samples = {
            f"\u00e9{name}": (image[:48, :64], labels[:48, :64])
            for name, (image, labels) in samples.items()
        }
    write(tmp_path, samples, CLASSES)
    if change is not None:
        change(tmp_path)
    report = check(tmp_path)
    assert report.is_fine, report.findings
    assert report.options["name"] == reader
    assert {row.name for row in report.labels} == set(CLASSES)
    config = DataConfig.model_validate(report.options)
    decoded = {}
    for split in ("train", "val", "test"):
        source, labels, decoder = read_labelled_source(config, split)
        ids = [labels.classes.index(name) for name in CLASSES]
        for record in source.records:
            stem = unicodedata.normalize("NFC", record.image.stem)
            name = next(name for name in samples if stem.startswith(name))
            planes = source.decode(record, decoder)
            decoded[name] = np.argsort(ids)[planes.mask]
    assert decoded.keys() == samples.keys()
    for name, (_, expected) in samples.items():
        np.testing.assert_array_equal(decoded[name], expected)
