"""ISIC 2018 task 1 in the official folders and in CELT's, whose masks are JPEGs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segloom.config.data import DataConfig
from segloom.data.readers import read_labelled_source
from segloom.data.sets.isic import ISIC, OFFICIAL, is_here, read
from segloom.data_check import check
from segloom.errors import DataError, NoSplitError


def draw(path: Path, size: int = 16, seed: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(seed)
    Image.fromarray(random.integers(0, 256, (size, size, 3), np.uint8)).save(path)


def draw_mask(path: Path, size: int = 16) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.zeros((size, size), np.uint8)
    pixels[:, size // 2 :] = 255
    Image.fromarray(pixels).save(path)


def make_official(root: Path, splits: tuple[str, ...] = ("train", "val", "test")) -> Path:
    for place, split in enumerate(splits):
        for number in range(2):
            stem = f"ISIC_{place}00000{number}"
            images = root / f"ISIC2018_Task1-2_{OFFICIAL[split]}_Input"
            masks = root / f"ISIC2018_Task1_{OFFICIAL[split]}_GroundTruth"
            draw(images / f"{stem}.jpg", seed=10 * place + number)
            draw_mask(masks / f"{stem}_segmentation.png")
            (images / "LICENSE.txt").write_text("CC-0")
    return root


def test_jpeg_masks_of_the_samples_are_cut_at_127_and_the_lesion_is_class_1(shared):
    config = DataConfig(name="isic", root=shared / "data" / "samples" / "skin_lesion")
    for split in ("train", "val", "test"):
        source, labels, decoder = read_labelled_source(config, split)
        assert labels == ISIC
        assert [record.id for record in source.records] == [f"imgx{n}" for n in range(1, 6)]
        for record in source.records:
            grey = np.asarray(Image.open(record.mask).convert("L"))
            assert len(np.unique(grey)) > 100
            np.testing.assert_array_equal(decoder.decode(record.mask), grey > 127)


def test_official_archives_are_paired_by_their_endings(tmp_path):
    make_official(tmp_path)
    for place, split in enumerate(OFFICIAL):
        source, _, decoder = read_labelled_source(DataConfig(name="isic", root=tmp_path), split)
        assert [r.id for r in source.records] == [f"ISIC_{place}000000", f"ISIC_{place}000001"]
        assert [r.mask.stem for r in source.records] == [
            f"{r.id}_segmentation" for r in source.records
        ]
        assert decoder.decode(source.records[0].mask).mean() == 0.5


@pytest.mark.parametrize("beginnings", [("", ""), ("X_", "Y_")])
@pytest.mark.parametrize("ending", ["png", "jpg"])
def test_x_and_y_folders_are_paired_with_and_without_beginnings(tmp_path, beginnings, ending):
    for name in ("train", "validation", "test"):
        draw(tmp_path / f"{name}x" / f"{beginnings[0]}img_0.jpg")
        draw_mask(tmp_path / f"{name}y" / f"{beginnings[1]}img_0.{ending}", 16)
    for split in ("train", "val", "test"):
        source, _, decoder = read_labelled_source(DataConfig(name="isic", root=tmp_path), split)
        (record,) = source.records
        assert record.id == "img_0"
        assert decoder.decode(record.mask).mean() == 0.5


def test_the_check_recognises_the_official_folders(tmp_path):
    report = check(make_official(tmp_path, ("train", "val")))
    assert report.is_fine, report.findings
    assert report.options == {"name": "isic", "root": str(tmp_path)}
    assert [f.message for f in report.findings if f.kind == "no-split"] == [
        f"{tmp_path} holds ISIC 2018 but not its split test; unpack it there."
    ]


def test_what_is_missing_is_named(tmp_path):
    assert not is_here(tmp_path)
    with pytest.raises(
        DataError, match=r"holds no ISIC 2018 task 1: neither .* nor valx with valy"
    ):
        read(DataConfig(root=tmp_path), "val")
    make_official(tmp_path, ("train",))
    with pytest.raises(NoSplitError, match="not its split test"):
        read(DataConfig(root=tmp_path), "test")
    masks = tmp_path / "ISIC2018_Task1_Training_GroundTruth"
    (masks / "ISIC_0000001_segmentation.png").unlink()
    with pytest.raises(DataError, match=r"image .*ISIC_0000001\.jpg has no label map"):
        read(DataConfig(root=tmp_path), "train")
    masks.rename(tmp_path / "elsewhere")
    with pytest.raises(DataError, match=r"has no masks; unpack them to .*Training_GroundTruth"):
        read(DataConfig(root=tmp_path), "train")


def test_an_x_without_its_y_is_named(tmp_path):
    draw(tmp_path / "trainx" / "X_1.jpg")
    draw(tmp_path / "trainx" / "X_2.jpg")
    draw_mask(tmp_path / "trainy" / "Y_1.png")
    with pytest.raises(DataError, match=r"X_2\.jpg has no mask of its name in .*trainy"):
        read(DataConfig(root=tmp_path), "train")
    (tmp_path / "testx").mkdir()
    (tmp_path / "testy").mkdir()
    with pytest.raises(DataError, match=r"there are no images in .*testx"):
        read(DataConfig(root=tmp_path), "test")
