"""Classes that may overlap: a mask file per class and image, in a folder per class.

    train/images/x.jpg   train/masks/cat/x.png   train/masks/collar/x.png

A mask is 0 where its class is not and 255, or 1, where it is; an image without a file in the folder
of a class has nothing of it. Inside, the masks of an image are one label map of bits
(`segloom.labels.bits`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from segloom.config.data import DataConfig
from segloom.data.class_masks import ClassMaskDecoder
from segloom.data.pairing import SPLIT_NAMES, find_images, folder_division, match_keys
from segloom.data.source import SPLITS, DatasetSource, unique_ids
from segloom.errors import ConfigError, DataError
from segloom.images.read import is_hidden
from segloom.labels.bits import check_number
from segloom.labels.palette import default_palette
from segloom.types import LabelSet, Record

__all__ = ["class_folders", "is_here", "read"]


def read(config: DataConfig, split: str) -> DatasetSource:
    """Read a split of images with a folder of masks per class; see `DatasetSource`.

    Raises:
        DataError: A folder is missing, there are no images, or the masks of a class belong to none.
        ConfigError: There are too many classes, or one has no name that a folder can have.
    """
    images, masks, keep = folder_division(config, split)
    names = config.classes or _all_classes(config)
    _check_names(names)
    found = _find_images(images, masks, config.image_ending)
    by_class = [_masks_of_class(masks / name, found, config.mask_ending) for name in names]
    keys = [key for key in found if keep is None or keep(key)]
    records = tuple(
        Record(name, found[key], class_masks=tuple(files.get(key, ()) for files in by_class))
        for name, key in zip(unique_ids(keys), keys, strict=True)
    )
    labels = LabelSet(names, config.palette or default_palette(len(names)), is_multilabel=True)
    return DatasetSource(
        records,
        labels,
        decode=ClassMaskDecoder(names, tuple(sorted(config.ignore_values))),
    )


def _find_images(images: Path, masks: Path, ending: str) -> dict[Path, Path]:
    found = find_images(images, ending)
    if masks.is_relative_to(images):  # the masks may lie beside the images
        found = {key: path for key, path in found.items() if not path.is_relative_to(masks)}
    if not found:
        raise DataError(f"{images} holds no image; set data.images.")
    return found


def class_folders(masks: Path) -> list[str]:
    """Name the folders in a folder of masks, sorted; hidden ones are left out."""
    return sorted(p.name for p in masks.iterdir() if p.is_dir() and not is_hidden(p.name))


def is_here(root: Path) -> bool:
    """Return whether a folder holds images with a folder of masks per class, in the usual places.

    It does if at least two folders lie beside each other below the masks, not below the images
    too, and hold a mask of one and the same image.
    """
    for split in ("", *(name for names in SPLIT_NAMES.values() for name in names)):
        images, masks = root / split / "images", root / split / "masks"
        if not images.is_dir() or not masks.is_dir():
            continue
        names = class_folders(masks)
        if set(names) & set(class_folders(images)):
            return False
        if _share_an_image(images, [masks / name for name in names]):
            return True
    return False


def _share_an_image(images: Path, folders: list[Path]) -> bool:
    """Return whether two folders hold a mask of one and the same image."""
    try:
        stems = {key.name for key in find_images(images)}
        found = [{key.name for key in find_images(folder)} & stems for folder in folders]
    except DataError:
        return False
    return sum(map(len, found)) > len(set().union(*found))


def _all_classes(config: DataConfig) -> tuple[str, ...]:
    """Name the class folders of all splits, so that every split has the same classes."""
    names: set[str] = set()
    for split in SPLITS:
        try:
            masks = folder_division(config, split)[1]
        except DataError:
            continue  # a data set may lack a split; whoever asks for it is told
        names.update(class_folders(masks))
    if not names:
        raise DataError(
            f"there is no folder per class in {config.root} / {config.masks}; put the masks of a "
            "class into a folder of its name, or set data.mask_format: auto."
        )
    return tuple(sorted(names))


def _check_names(names: Sequence[str]) -> None:
    check_number(len(names))
    for name in names:
        if name in ("", ".", "..") or name != Path(name).name or "\\" in name:
            raise ConfigError(
                f"data.classes names '{name}', but with data.mask_format multilabel a class is the "
                "name of a folder of masks; give the folder's name."
            )


def _masks_of_class(
    folder: Path, images: Mapping[Path, Path], ending: str
) -> dict[Path, tuple[Path]]:
    """Find the mask of every image that has one: key of the image to its one file."""
    if not folder.is_dir():
        raise DataError(
            f"there is no folder {folder} for the class '{folder.name}'; add it (empty, if no "
            "image of the split shows the class), or name the classes in data.classes."
        )
    files = find_images(folder, ending)
    found: dict[Path, tuple[Path]] = {}
    for key, same in match_keys(images, files).items():
        if len(same) > 1:
            raise DataError(
                f"image {images[key]} has {len(same)} masks in {folder} ({same[0]}, {same[1]}); "
                "keep one."
            )
        if same:
            found[key] = (same[0],)
    if files and not found:
        raise DataError(
            f"none of the {len(files)} masks in {folder} has the stem of an image; name a mask "
            "like its image, or set data.mask_ending."
        )
    return found
