"""PASCAL VOC: palette indices are ids, 255 is void, a list per split."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segloom.config.data import DataConfig
from segloom.data.readers import read_labelled_source
from segloom.data.sets.voc import LISTS, VOC, color_of, is_here, read
from segloom.data_check import check
from segloom.errors import DataError, NoSplitError

STEMS = {
    "train": ["2007_000032", "2007_000039"],
    "val": ["2007_000033"],
    "test": ["2008_000006"],
}


def make(folder: Path, *, test_labels: bool = False) -> Path:
    palette = [channel for index in range(256) for channel in color_of(index)]
    for split, stems in STEMS.items():
        for number, stem in enumerate(stems):
            for kind in ("JPEGImages", "SegmentationClass", LISTS):
                (folder / kind).mkdir(parents=True, exist_ok=True)
            pixels = np.full((2, 4, 3), 20 * len(split) + number, np.uint8)
            Image.fromarray(pixels).save(folder / "JPEGImages" / f"{stem}.jpg")
            if split != "test" or test_labels:
                mask = Image.fromarray(np.array([[0, 1, 20, 255]] * 2, np.uint8))
                mask.putpalette(palette)
                mask.save(folder / "SegmentationClass" / f"{stem}.png")
        (folder / LISTS / f"{split}.txt").write_text("\n".join(stems) + "\n")
    return folder


def test_the_palette_is_that_of_the_release():
    # The colours that every copy of the label maps carries.
    assert VOC.palette[:4] == ((0, 0, 0), (128, 0, 0), (0, 128, 0), (128, 128, 0))
    assert dict(zip(VOC.classes, VOC.palette, strict=True))["tvmonitor"] == (0, 64, 128)
    assert color_of(255) == (224, 224, 192)
    assert len(VOC.classes) == len(set(VOC.palette)) == 21


@pytest.mark.parametrize("inside", ["", "VOC2012", "VOCdevkit/VOC2012"])
def test_lists_divide_and_outlines_are_void(tmp_path, inside):
    make(tmp_path / inside)
    for split in ("train", "val"):
        source, labels, decoder = read_labelled_source(DataConfig(name="voc", root=tmp_path), split)
        assert labels == VOC
        assert [record.id for record in source.records] == STEMS[split]
        assert decoder.decode(source.records[0].mask)[0].tolist() == [0, 1, 20, 255]


def test_labels_of_the_test_images_are_public_in_2007_only(tmp_path):
    with pytest.raises(NoSplitError, match=r"not public; measure .* with --split val"):
        read(DataConfig(root=make(tmp_path / "VOC2012")), "test")
    folder = make(tmp_path / "other" / "VOC2007", test_labels=True)
    assert len(read(DataConfig(root=folder), "test").records) == 1


def test_the_check_recognises_it_and_not_others_with_its_layout(tmp_path):
    report = check(make(tmp_path / "VOC2012"))
    assert report.is_fine, report.findings
    assert report.options["name"] == "voc"
    assert [row.name for row in report.labels] == ["background", "aeroplane", "tvmonitor", "(void)"]
    lists = tmp_path / "VOC2012" / LISTS
    (lists / "train.txt").write_text("roof_17\n")
    assert not is_here(tmp_path / "VOC2012")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("../../../etc/passwd\n", "which is no name of an image"),
        ("..\n", "which is no name of an image"),
        ("2007_000032\n2007_000032\n", "an image twice"),
        ("2007_999999\n", r"but .*2007_999999\.jpg is missing"),
    ],
)
def test_hostile_lists_are_refused(tmp_path, text, message):
    folder = make(tmp_path / "VOC2012")
    (folder / LISTS / "train.txt").write_text(text)
    with pytest.raises(DataError, match=message):
        read(DataConfig(root=folder), "train")


def test_what_is_missing_is_named(tmp_path):
    with pytest.raises(DataError, match="holds no PASCAL VOC"):
        read(DataConfig(root=tmp_path), "train")
    for year in ("VOC2007", "VOC2012"):
        make(tmp_path / "VOCdevkit" / year)
    with pytest.raises(DataError, match=r"several years \(VOC2007, VOC2012\)"):
        read(DataConfig(root=tmp_path), "train")
    folder = tmp_path / "VOCdevkit" / "VOC2012"
    (folder / "SegmentationClass" / "2007_000039.png").unlink()
    with pytest.raises(DataError, match=r"2007_000039\.png is missing"):
        read(DataConfig(root=folder), "train")
    (folder / LISTS / "val.txt").unlink()
    with pytest.raises(NoSplitError, match=r"has no list .*val\.txt; unpack the release again"):
        read(DataConfig(root=folder), "val")
    (folder / LISTS / "test.txt").unlink(missing_ok=True)
    with pytest.raises(NoSplitError, match=r"has no list .*test\.txt; .* measure --split val"):
        read(DataConfig(root=folder), "test")
