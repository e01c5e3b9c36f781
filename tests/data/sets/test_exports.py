"""The way in from every labelling tool: training gets exactly the pixels that were drawn."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segloom.config import DataConfig
from segloom.data.check import check
from segloom.data.readers import read_labelled_source
from tests.data.sets.exports import EXPORTS, Samples

CLASSES = ("background", "nucleus", "border")


@pytest.fixture(scope="module")
def samples(shared: Path) -> Samples:
    """Seven images of nuclei; the outermost pixels of a nucleus are a class of their own."""
    from scipy.ndimage import binary_erosion

    found = {}
    folder = shared / "data" / "samples" / "nuclei" / "train"
    for path in sorted((folder / "images").iterdir())[:7]:
        mask = np.asarray(Image.open(next((folder / "masks").glob(f"{path.stem}.*")))) > 0
        mask = mask if mask.ndim == 2 else mask.any(-1)
        labels = np.where(mask, np.where(binary_erosion(mask), 1, 2), 0).astype(np.uint8)
        image = np.asarray(Image.open(path).convert("RGB"))
        found[path.stem[:12]] = (image[:160, :160], labels[:160, :160])
    return found


@pytest.mark.parametrize("export", EXPORTS)
def test_training_gets_the_pixels_that_were_drawn(
    export: str, samples: Samples, tmp_path: Path
) -> None:
    write, reader = EXPORTS[export]
    write(tmp_path, samples, CLASSES)
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
            name = next(name for name in samples if record.image.stem.startswith(name))
            planes = source.decode(record, decoder)
            decoded[name] = np.argsort(ids)[planes.mask]
    assert decoded.keys() == samples.keys()
    for name, (_, expected) in samples.items():
        np.testing.assert_array_equal(decoded[name], expected)
