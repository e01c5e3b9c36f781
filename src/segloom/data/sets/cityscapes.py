"""Cityscapes: street scenes of 50 cities, 2048x1024, 19 classes.

Cordts et al., "The Cityscapes Dataset for Semantic Urban Scene Understanding", CVPR 2016.

images  leftImg8bit/{train,val,test,train_extra}/CITY/CITY_SEQUENCE_FRAME_leftImg8bit.png
labels  gtFine/{train,val,test}/CITY/CITY_SEQUENCE_FRAME_gtFine_{labelIds,labelTrainIds,color}.png
coarse  gtCoarse/{train,train_extra,val}/CITY/CITY_SEQUENCE_FRAME_gtCoarse_{...}.png

The folders that the archives make (``leftImg8bit_trainvaltest`` and so on) may stand around these
or in their place, and the folders of the cities may be left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from segloom.data.pairing import find_images, pair_folders
from segloom.data.sets.base import DataSet
from segloom.data.sets.cityscapes_labels import CITYSCAPES, dlse_map, train_map
from segloom.data.sets.dlse_classes import DLSE_CLASSES, DLSE_NEUTRAL
from segloom.data.source import DatasetSource, check_split, data_root
from segloom.errors import ConfigError, DataError, NoSplitError
from segloom.labels.decoder import LabelDecoder, LabelFormat, make_decoder
from segloom.types import ALONE, LabelSet, Place, Record

if TYPE_CHECKING:
    from segloom.config.data import DataConfig

__all__ = [
    "CITYSCAPES",
    "DATA_SET",
    "FINE",
    "HOW_TO_GET",
    "IMAGE_ENDING",
    "NUM_IMAGES",
    "find_test_images",
    "is_here",
    "label_kinds",
    "read",
]

NUM_IMAGES = {"train": 2975, "val": 500, "test": 1525}
"""Finely labelled images of each split of the whole data set."""

HOW_TO_GET = (
    "Cityscapes needs a login: register at https://www.cityscapes-dataset.com, fetch "
    "leftImg8bit_trainvaltest.zip and gtFine_trainvaltest.zip, and unpack both into one folder."
)
"""Why it is not downloaded for the user, and what to do instead."""

IMAGES, FINE, COARSE = "leftImg8bit", "gtFine", "gtCoarse"
IMAGE_ENDING = "_leftImg8bit"
KINDS: dict[str, LabelFormat] = {
    "labelIds": "index",
    "labelTrainIds": "index",
    "color": "color",
}
"""Kinds of label files, best first, and how they store labels."""
NUM_FOLDS = 3
VAL_CITIES = 3


def is_here(root: Path) -> bool:
    """Return whether a folder holds Cityscapes."""
    return any(_image_folder(root, split) is not None for split in NUM_IMAGES)


def read(config: DataConfig, split: str) -> DatasetSource:
    """Read a split of Cityscapes; see `DatasetSource`.

    Raises:
        DataError: The folder does not hold Cityscapes, or an image has no label map.
        NoSplitError: The split is not there, or it is test without label maps.
        ConfigError: The options ask for what the label files do not hold.
    """
    check_split(split)
    root = data_root(config)
    if not is_here(root):
        raise DataError(
            f"{root} holds no Cityscapes: no folder {IMAGES} or {IMAGES}_trainvaltest with train, "
            f"val or test is in it. {HOW_TO_GET}"
        )
    kind = _label_kind(root, config, split)
    records = _records(root, config.fold, split, kind)
    extra: tuple[Record, ...] = ()
    if split == "train" and (config.coarse or config.class_uniform_coarse):
        extra = _pairs(root, "train_extra", COARSE, kind)
    if config.coarse:
        records, extra = [*records, *extra], ()
    return DatasetSource(
        tuple(records),
        DLSE_CLASSES if config.scheme == "dlse" else CITYSCAPES,
        KINDS[kind],
        label_map=_label_map(kind, config.scheme),
        unknown=DLSE_NEUTRAL if config.scheme == "dlse" else None,
        extra=extra,
    )


def _records(root: Path, fold: int, split: str, kind: str) -> list[Record]:
    """List the samples of a split, where train and val may be divided by cities anew."""
    if split == "test" or fold == 0:
        return list(_pairs(root, split, FINE, kind))
    held_out = _held_out(root, fold)
    return [
        record
        for part in ("train", "val")
        for record in _pairs(root, part, FINE, kind)
        if (_city(record.id) in held_out) == (split == "val")
    ]


def label_kinds(labels: LabelSet) -> dict[str, LabelDecoder]:
    """Say how each kind of label file is read, best first, for classes of Cityscapes or of DLSE.

    Returns:
        Kind, the end of a file's stem, to decoder; nothing for the classes of other data sets.
    """
    if labels.classes not in (CITYSCAPES.classes, DLSE_CLASSES.classes):
        return {}
    own = CITYSCAPES if labels.classes == CITYSCAPES.classes else DLSE_CLASSES
    scheme = "default" if own is CITYSCAPES else "dlse"
    return {
        kind: make_decoder(
            len(own.classes),
            form,
            palette=own.palette if form == "color" else (),
            label_map=_label_map(kind, scheme),
        )
        for kind, form in KINDS.items()
        if (kind, scheme) != ("labelTrainIds", "dlse")  # these ids tell too few classes apart
    }


def _label_map(kind: str, scheme: str) -> dict[str, int]:
    """Map what a kind of label file holds to class ids; empty if it holds these."""
    if scheme == "dlse":
        return dlse_map(colors=kind == "color")
    return {} if kind == "labelTrainIds" else train_map(colors=kind == "color")


def find_test_images(root: Path) -> dict[str, Path]:
    """Find the images of the test split by name (``berlin_000000_000019``), in order.

    Raises:
        DataError: There are none.
    """
    folder = _image_folder(root, "test")
    if folder is None:
        raise DataError(f"{root} has no images {IMAGES}/test/CITY/*{IMAGE_ENDING}.png.")
    return _by_name(folder)


def _folders(root: Path, name: str) -> Iterator[Path]:
    """Return the folders that may hold the splits of images or of labels, nearest first."""
    for folder in (root, root / "cityscapes"):
        if folder.is_dir():
            found = sorted(path for path in folder.glob(f"{name}*") if path.is_dir())
            yield from found
            yield from (path / name for path in found)


def _images_in(folder: Path) -> Iterator[Path]:
    for pattern in (f"*/*{IMAGE_ENDING}.*", f"*{IMAGE_ENDING}.*"):
        yield from folder.glob(pattern)


def _by_name(folder: Path) -> dict[str, Path]:
    return {key.name: path for key, path in find_images(folder, IMAGE_ENDING).items()}


def _city(name: str) -> str:
    return name.partition("_")[0]


def _held_out(root: Path, fold: int) -> frozenset[str]:
    """Choose the cities that validate: three in a row of val's cities and then train's.

    The rows begin at a third and at two thirds of the list; fold 0, at its start, is the official
    split (as in the code of SFNet, X. Li et al., ECCV 2020).
    """
    cities: list[str] = []
    for split in ("val", "train"):
        folder = _image_folder(root, split)
        if folder is None:
            raise DataError(f"{root} has no images {IMAGES}/{split}, which data.fold divides.")
        cities += sorted({_city(name) for name in _by_name(folder)})
    start = fold * len(cities) // NUM_FOLDS
    return frozenset(cities[start : start + VAL_CITIES])


def _label_kind(root: Path, config: DataConfig, split: str) -> str:
    """Choose the best kind of label file that the split has and the options allow."""
    allowed = _allowed_kinds(config)
    for kind in allowed:
        if _label_folder(root, FINE, split, kind) is not None:
            return kind
    if split == "test":
        raise NoSplitError(
            f"{root} has no label maps for test, since the benchmark's server keeps them; evaluate "
            "with --split val, or write a submission with `segloom submit cityscapes`."
        )
    if _image_folder(root, split) is None:
        raise NoSplitError(f"{root} has no images {IMAGES}/{split}.")
    names = " or ".join(f"*_{FINE}_{kind}.png" for kind in allowed)
    raise DataError(f"{root} has no label maps {FINE}/{split}/CITY/{names}. {HOW_TO_GET}")


def _allowed_kinds(config: DataConfig) -> list[str]:
    allowed = [kind for kind, form in KINDS.items() if config.mask_format in ("auto", form)]
    if not allowed:
        raise ConfigError(
            f"Cityscapes has no {config.mask_format} label maps; set data.mask_format: auto."
        )
    if config.scheme == "dlse" and "labelTrainIds" in allowed:
        allowed.remove("labelTrainIds")  # training ids tell too few classes apart
    return allowed


def _image_folder(root: Path, split: str) -> Path | None:
    folders = (folder / split for folder in _folders(root, IMAGES))
    return next((folder for folder in folders if next(_images_in(folder), None)), None)


def _label_folder(root: Path, labels: str, split: str, kind: str) -> Path | None:
    for folder in _folders(root, labels):
        for pattern in (f"*/*_{labels}_{kind}.png", f"*_{labels}_{kind}.png"):
            if next((folder / split).glob(pattern), None) is not None:
                return folder / split
    return None


def _pairs(root: Path, split: str, labels: str, kind: str) -> tuple[Record, ...]:
    """Pair the images of a split with their label maps by name."""
    images, masks = _image_folder(root, split), _label_folder(root, labels, split, kind)
    if images is None or masks is None:
        missing = f"images {IMAGES}/{split}"
        if images is not None:
            missing = f"label maps {labels}/{split}/CITY/*_{labels}_{kind}.png"
        raise DataError(f"{root} has no {missing}; unpack the archive that holds them.")
    return pair_folders(images, masks, image_ending=IMAGE_ENDING, mask_ending=f"_{labels}_{kind}")


def place(name: str) -> Place:
    """Return the city of an image and its place there, ``ulm_000012_000019``: sequence, frame."""
    city, *numbers = name.rpartition("__")[2].split("_")
    if len(numbers) != 2 or not all(number.isdecimal() for number in numbers):
        return ALONE
    return Place(city, int(numbers[0]) * 10**6 + int(numbers[1]))


DATA_SET = DataSet(
    read,
    is_here,
    place=place,
    options=frozenset({"coarse", "fold", "scheme"}),
    default_recipe="cityscapes",
)
