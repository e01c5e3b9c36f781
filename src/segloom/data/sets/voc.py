"""PASCAL VOC segmentation: 20 kinds of objects and background.

Everingham et al., "The PASCAL Visual Object Classes Challenge: A Retrospective", IJCV 111, 2015.

[VOCdevkit/]VOC2012/{JPEGImages/STEM.jpg, SegmentationClass/STEM.png,
                     ImageSets/Segmentation/{train,val,test}.txt}

The indices of the label maps' palette are the class ids; 255 outlines the objects and is void.
"""

from __future__ import annotations

import re
from pathlib import Path

from segloom.config.data import DataConfig
from segloom.data.sets.base import DataSet
from segloom.data.sets.lists import read_lines
from segloom.data.source import DatasetSource, check_split, data_root
from segloom.errors import DataError, NoSplitError
from segloom.types import LabelSet, Record

__all__ = ["DATA_SET", "VOC", "color_of", "is_here", "read"]

CLASSES = (
    *("background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair"),
    *("cow", "diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa"),
    *("train", "tvmonitor"),
)


def color_of(index: int) -> tuple[int, int, int]:
    """Compute the colour that the palette of VOC gives an index.

    Bit 3 k + c of the index is bit 7 - k of channel c: neighbours in number are far in colour.
    """
    red, green, blue = (
        sum((index >> (3 * k + channel) & 1) << (7 - k) for k in range(8)) for channel in range(3)
    )
    return red, green, blue


VOC = LabelSet(CLASSES, tuple(color_of(index) for index in range(len(CLASSES))))
"""The 21 classes with their colours."""

LISTS = "ImageSets/Segmentation"
STEM = re.compile(r"(\d{4}_)?\d{6}$")
"""Names of the images: 000032 in 2007, 2007_000032 since."""


def read(config: DataConfig, split: str) -> DatasetSource:
    """Read a split of one year of PASCAL VOC; see `DatasetSource`.

    Raises:
        NoSplitError: The label maps of the split are not public, as those of the test images of
            all years but 2007.
        DataError: The folder holds no VOC or several years, a list names what is not there, or
            the split is unknown.
    """
    check_split(split)
    root = data_root(config)
    folder = _only_year(root)
    path = folder / LISTS / f"{split}.txt"
    if not path.is_file():
        raise NoSplitError(
            f"{folder} has no list {path}; "
            + (
                "the release of training and validation has none, so measure --split val."
                if split == "test"
                else "unpack the release again."
            )
        )
    stems = _stems(path)
    records = [
        Record(s, folder / "JPEGImages" / f"{s}.jpg", folder / "SegmentationClass" / f"{s}.png")
        for s in stems
    ]
    _check_files(records, path, split)
    return DatasetSource(tuple(records), VOC, "index")


def _only_year(root: Path) -> Path:
    years = _years(root)
    if len(years) != 1:
        found = f"several years ({', '.join(year.name for year in years)}); give one of them"
        nothing = f"no PASCAL VOC: no folder {LISTS} in it or in VOCdevkit/VOC2012"
        raise DataError(f"{root} holds {found if years else nothing}.")
    return years[0]


def _stems(path: Path) -> list[str]:
    """Read the names of images from a list."""
    stems = [line.split()[0] for line in read_lines(path) if line.strip()]
    for stem in stems:
        if Path(stem).name != stem or stem == "..":
            raise DataError(f"{path} lists {stem}, which is no name of an image.")
    if len(set(stems)) < len(stems):
        raise DataError(f"{path} lists an image twice; keep one line of it.")
    return stems


def is_here(root: Path) -> bool:
    """Tell whether a folder holds years of PASCAL VOC; others use its layout for other classes."""
    lists = [year / LISTS / "train.txt" for year in _years(root)]
    return any(
        STEM.match(line) for path in lists if path.is_file() for line in read_lines(path)[:1]
    )


def _years(root: Path) -> list[Path]:
    if (root / LISTS).is_dir():
        return [root]
    years = [*root.glob("VOC20[0-9][0-9]"), *root.glob("VOCdevkit/VOC20[0-9][0-9]")]
    return sorted(year for year in years if (year / LISTS).is_dir())


def _check_files(records: list[Record], path: Path, split: str) -> None:
    unlabelled = [r.mask for r in records if r.mask is not None and not r.mask.is_file()]
    if split == "test" and len(unlabelled) == len(records):
        raise NoSplitError(
            f"{path} lists images whose label maps are not public; measure on the validation "
            "images with --split val."
        )
    missing = [r.image for r in records if not r.image.is_file()] or unlabelled
    if missing:
        raise DataError(
            f"{path} lists {missing[0].stem}, but {missing[0]} is missing; unpack the release "
            "again, or take the line out."
        )


DATA_SET = DataSet(read, is_here, default_recipe="voc")
