"""Skin lesions of the ISIC 2018 challenge, task 1: where is the lesion.

Codella et al., "Skin Lesion Analysis Toward Melanoma Detection 2018", arXiv:1902.03368; images of
Tschandl, Rosendahl, Kittler, "The HAM10000 dataset", Scientific Data 5:180161, 2018.

official   ISIC2018_Task1-2_{Training,Validation,Test}_Input/ISIC_*.jpg
           ISIC2018_Task1_{Training,Validation,Test}_GroundTruth/ISIC_*_segmentation.png
CELT's     {train,validation,test}x/STEM.jpg  {train,validation,test}y/STEM.jpg, where a stem may
           begin with X_ and Y_

CELT's masks are JPEGs, whose compression smears 0 and 255; all masks are cut above 127. Its loader
takes the value 0, the background, for the lesion; here the lesion is the foreground, class 1.
"""

from __future__ import annotations

from pathlib import Path

from segloom.config.data import DataConfig
from segloom.data.pairing import SPLIT_NAMES, find_images, pair_folders
from segloom.data.sets.base import DataSet
from segloom.data.source import SPLITS, DatasetSource, check_split, data_root, unique_ids
from segloom.errors import DataError, NoSplitError
from segloom.types import LabelSet, Record, Region

__all__ = ["DATA_SET", "ISIC", "is_here", "read"]

ISIC = LabelSet(("skin", "lesion"), ((230, 190, 170), (120, 60, 30)))
"""The two classes."""
REGIONS = (Region("lesion", (1,), has_threshold=True),)

OFFICIAL = {"train": "Training", "val": "Validation", "test": "Test"}
BEGINNINGS = ("X_", "Y_")


def read(config: DataConfig, split: str) -> DatasetSource:
    """Read a split of ISIC 2018 task 1 in either layout; see `DatasetSource`.

    Raises:
        NoSplitError: The folder holds other splits but not this one.
        DataError: The folder holds neither layout, an image has no mask, or the split is unknown.
    """
    check_split(split)
    root = data_root(config)
    if folders := _official(root, split):
        images, masks = folders
        _require(images, masks)
        records = pair_folders(images, masks, mask_ending="_segmentation")
        return DatasetSource(records, ISIC, "binary", regions=REGIONS)
    if folders := _celt(root, split):
        _require(*folders)
        return DatasetSource(_pair(*folders), ISIC, "binary", regions=REGIONS)
    if any(find(root, other) for other in SPLITS for find in (_official, _celt)):
        raise NoSplitError(f"{root} holds ISIC 2018 but not its split {split}; unpack it there.")
    raise DataError(
        f"{root} holds no ISIC 2018 task 1: neither ISIC2018_Task1-2_{OFFICIAL[split]}_Input with "
        f"ISIC2018_Task1_{OFFICIAL[split]}_GroundTruth nor {split}x with {split}y."
    )


def is_here(root: Path) -> bool:
    """Return whether a folder holds the official archives; trainx and trainy may be anything."""
    return _official(root, "train") is not None


def _official(root: Path, split: str) -> tuple[Path, Path] | None:
    name = OFFICIAL[split]
    images = root / f"ISIC2018_Task1-2_{name}_Input"
    return (images, root / f"ISIC2018_Task1_{name}_GroundTruth") if images.is_dir() else None


def _celt(root: Path, split: str) -> tuple[Path, Path] | None:
    for name in SPLIT_NAMES[split]:
        if (root / f"{name}x").is_dir():
            return root / f"{name}x", root / f"{name}y"
    return None


def _require(images: Path, masks: Path) -> None:
    if not masks.is_dir():
        raise DataError(f"{images} has no masks; unpack them to {masks}.")


def _pair(images: Path, masks: Path) -> tuple[Record, ...]:
    """Pair ``x/STEM`` with ``y/STEM``, and ``x/X_STEM`` with ``y/Y_STEM``."""
    found, labels = (
        {key.with_name(key.name.removeprefix(beginning)): path for key, path in files.items()}
        for beginning, files in zip(
            BEGINNINGS, (find_images(images), find_images(masks)), strict=True
        )
    )
    missing = [path for key, path in found.items() if key not in labels]
    if missing or not found:
        what = f"image {missing[0]} has no mask of its name" if missing else "there are no images"
        raise DataError(f"{what} in {masks if missing else images}; add it.")
    return tuple(
        Record(name, found[key], labels[key])
        for name, key in zip(unique_ids(list(found)), found, strict=True)
    )


DATA_SET = DataSet(read, is_here, default_recipe="isic")
