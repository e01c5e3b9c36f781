"""Caltech-UCSD Birds 200 (CUB-200): is a pixel bird or not.

Welinder et al., "Caltech-UCSD Birds 200", CNS-TR-2010-001, 2010; Wah et al., "The Caltech-UCSD
Birds-200-2011 Dataset", CNS-TR-2011-001, 2011. A folder of images is a species, ``001.Name``.

by split   {train,val,test}/{images,GroundTruth}/SPECIES/STEM.*   as CELT lays the 2010 images out
2011       CUB_200_2011/{images/SPECIES/STEM.jpg, images.txt, train_test_split.txt} and
           segmentations/SPECIES/STEM.png in or beside it
by species {images, GroundTruth or segmentations}/SPECIES/STEM.*  species 1-150, 151-180, 181-200

Grey levels of the 2011 masks say how many of five annotators saw a bird; the majority counts, as
the threshold of binary label maps (127) happens to say: 2 of 5 is 102, 3 of 5 is 153.

Difference from CELT's loader: the bird is the foreground, class 1. There the only class has index
0, which the masks use for the background, so that it is the background which is learnt.
"""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath

from segloom.config.data import DataConfig
from segloom.data.pairing import divide, pair_folders
from segloom.data.sets.base import DataSet
from segloom.data.sets.lists import read_lines
from segloom.data.source import DatasetSource, check_split, data_root, unique_ids
from segloom.errors import DataError
from segloom.types import LabelSet, Record

__all__ = ["CUB", "DATA_SET", "is_here", "read", "split_of_species"]

CUB = LabelSet(("background", "bird"), ((40, 40, 40), (250, 180, 40)))
"""The two classes."""

MASKS = ("GroundTruth", "segmentations")
SPECIES = re.compile(r"(\d{3})\.")
LAST_TRAIN, LAST_VAL = 150, 180
"""Species up to which a tree that nothing else divides trains and validates."""


def read(config: DataConfig, split: str) -> DatasetSource:
    """Read a split of CUB-200 in any of the three layouts; see `DatasetSource`.

    The 2011 release has no validation split: images of its training split validate, chosen by a
    hash of their names; ``split_shares`` says how many.

    Raises:
        DataError: The folder holds no layout, a file is missing, a list is damaged, or the split
            is unknown.
    """
    check_split(split)
    root = data_root(config)
    if _is_divided(root):
        folder = root / split
        return _source(pair_folders(folder / "images", folder / "GroundTruth"))
    for folder in _bases(root):
        masks = _masks(folder)
        if masks is None:
            raise DataError(
                f"{folder / 'images'} has no masks beside it; unpack segmentations.tgz to "
                f"{folder / 'segmentations'}."
            )
        if (folder / "images.txt").is_file():
            return _source(_read_2011(folder, masks, split, config.split_shares))
        return _source(_by_species(folder / "images", masks, split))
    raise DataError(
        f"{root} holds no CUB-200: neither {split}/images with {split}/GroundTruth nor images with "
        "segmentations, each divided into folders such as 001.Black_footed_Albatross."
    )


def is_here(root: Path) -> bool:
    """Return whether a folder looks like CUB-200."""
    return _is_divided(root) or any(_masks(folder) is not None for folder in _bases(root))


def split_of_species(number: int) -> str:
    """Return the split of a species, 1 to 200, where neither folders nor lists do."""
    if number <= LAST_TRAIN:
        return "train"
    return "val" if number <= LAST_VAL else "test"


def _source(records: tuple[Record, ...]) -> DatasetSource:
    return DatasetSource(records, CUB, "binary")


def _is_divided(root: Path) -> bool:
    folders = (root / "train" / "images", root / "train" / "GroundTruth")
    return all(_has_species(folder) for folder in folders)


def _has_species(folder: Path) -> bool:
    return folder.is_dir() and any(
        SPECIES.match(path.name) and path.is_dir() for path in folder.iterdir()
    )


def _bases(root: Path) -> list[Path]:
    return [f for f in (root, root / "CUB_200_2011") if _has_species(f / "images")]


def _masks(folder: Path) -> Path | None:
    """Find the masks of ``folder/images``; the archive of 2011 unpacks them beside ``folder``."""
    places = [folder / name for name in MASKS]
    if folder.name == "CUB_200_2011":
        places.append(folder.parent / "segmentations")
    return next((place for place in places if _has_species(place)), None)


def _by_species(images: Path, masks: Path, split: str) -> tuple[Record, ...]:
    def is_kept(key: Path) -> bool:
        found = SPECIES.match(key.parts[0])
        return found is not None and split_of_species(int(found[1])) == split

    return pair_folders(images, masks, keep=is_kept)


def _read_2011(
    folder: Path, masks: Path, split: str, shares: tuple[float, float, float]
) -> tuple[Record, ...]:
    names = _read_column(folder / "images.txt")
    is_training = _read_column(folder / "train_test_split.txt")
    if names.keys() != is_training.keys():
        raise DataError(
            f"{folder / 'images.txt'} and {folder / 'train_test_split.txt'} number different "
            "images; unpack the release again."
        )
    training = [names[number] for number, flag in is_training.items() if flag == "1"]
    labelled = shares[0] + shares[1]
    part = (1 - shares[1] / labelled, shares[1] / labelled, 0.0) if labelled else (1.0, 0.0, 0.0)
    division = dict.fromkeys(names.values(), "test") | divide(training, part)
    keys = [Path(name).with_suffix("") for name in names.values() if division[name] == split]
    records = []
    for name, key in zip(unique_ids(keys), keys, strict=True):
        image, mask = folder / "images" / f"{key}.jpg", masks / f"{key}.png"
        for path in (image, mask):
            if not path.is_file():
                raise DataError(f"{path} is missing; unpack the release again.")
        records.append(Record(name, image, mask))
    return tuple(records)


def _read_column(path: Path) -> dict[int, str]:
    """Read lines ``number text``; a text that leads out of its folder is refused."""
    found: dict[int, str] = {}
    for line_number, line in enumerate(read_lines(path), 1):
        number, _, text = line.strip().partition(" ")
        if not line.strip():
            continue
        if not number.isdecimal() or not text or int(number) in found:
            raise DataError(f"{path}, line {line_number}: expected a new number and a text.")
        inside = PurePosixPath(text)
        if inside.is_absolute() or ".." in inside.parts:
            raise DataError(f"{path}, line {line_number}: {text} leads out of the data set.")
        found[int(number)] = text
    return found


DATA_SET = DataSet(read, is_here, options=frozenset({"split_shares"}), default_recipe="cub")
