"""Classes that may overlap: a mask file per class and image, in a folder per class.

    train/images/x.jpg   train/masks/cat/x.png   train/masks/collar/x.png

A mask is 0 where its class is not and 255, or 1, where it is; an image without a file in the folder
of a class has nothing of it. Inside, the masks of an image are one label map of bits
(`segloom.labels.bits`).

Axes: K classes, H W image size.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segloom.config.data import DataConfig
from segloom.data.pairing import SPLIT_NAMES, find_images, folder_division, match_keys
from segloom.data.planes import Planes, check_size
from segloom.data.source import SPLITS, DatasetSource, unique_ids
from segloom.errors import ConfigError, DataError
from segloom.images.read import read_image
from segloom.labels.bits import check_number, pack
from segloom.labels.decoder import THRESHOLD, LabelDecoder
from segloom.labels.palette import default_palette
from segloom.labels.stored import StoredLabels, read_labels
from segloom.types import IGNORE_INDEX, LabelSet, Record

__all__ = ["ClassMaskDecoder", "class_folders", "is_here", "read"]

VALUES = frozenset({0, 1, 255})
"""What a mask may hold: no, and yes in two spellings."""


def read(config: DataConfig, split: str) -> DatasetSource:
    """Read a split of images with a folder of masks per class; see `DatasetSource`.

    Raises:
        DataError: A folder is missing, there are no images, or the masks of a class belong to none.
        ConfigError: There are too many classes, or one has no name that a folder can have.
    """
    images, masks, keep = folder_division(config, split)
    names = config.classes or _all_classes(config)
    _check_names(names)
    found = find_images(images, config.image_ending)
    if masks.is_relative_to(images):  # the masks may lie beside the images
        found = {key: path for key, path in found.items() if not path.is_relative_to(masks)}
    if not found:
        raise DataError(f"{images} holds no image; set data.images.")
    by_class = [_masks_of_class(masks / name, found, config.mask_ending) for name in names]
    keys = [key for key in found if keep is None or keep(key)]
    records = tuple(
        Record(name, found[key], class_masks=tuple(files.get(key) for files in by_class))
        for name, key in zip(unique_ids(keys), keys, strict=True)
    )
    labels = LabelSet(names, config.palette or default_palette(len(names)), is_multilabel=True)
    return DatasetSource(
        records, labels, decode=ClassMaskDecoder(names, tuple(sorted(config.ignore_values)))
    )


@dataclass(frozen=True)
class ClassMaskDecoder:
    """Reads an image and the masks of its classes.

    Args:
        classes: Their names.
        ignore_values: Values in a mask at which the pixel counts for no class (void).
    """

    classes: tuple[str, ...]
    ignore_values: tuple[int, ...] = ()
    is_sequential = False

    @property
    def fingerprint(self) -> str:
        """Text that differs where the same files give other bits."""
        facts = ("class masks 1", self.classes, self.ignore_values)
        return hashlib.sha256(repr(facts).encode()).hexdigest()

    def __call__(self, record: Record, decoder: LabelDecoder) -> Planes:
        """Read a sample; every mask holds the same values, so the decoder says nothing more.

        Raises:
            DataError: A file is missing or damaged, holds other values, or the sizes differ.
        """
        image = read_image(record.image)
        size = (image.shape[0], image.shape[1])
        return Planes(image, self.bits(record.class_masks, size, record.image))

    def bits(
        self, masks: Sequence[Path | None], size: tuple[int, int], image: Path
    ) -> NDArray[Any]:
        """Join the masks of an image, one per class or None, to bits ``(H, W)``.

        Raises:
            DataError: A mask is missing or damaged, holds other values, or is not of the size
                (height, width) of its image, which lies at ``image``.
        """
        present = np.zeros((len(self.classes), *size), np.bool_)
        void = np.zeros(size, np.bool_)
        for index, path in enumerate(masks):
            if path is None:
                continue
            stored = _grey(read_labels(path), path)
            check_size(size, stored.pixels, image, f"mask {path}")
            present[index] = self._is_yes(stored, path, void)
        bits = pack(present)
        bits[void] = IGNORE_INDEX
        return bits

    def _is_yes(
        self, stored: StoredLabels, path: Path, void: NDArray[np.bool_]
    ) -> NDArray[np.bool_]:
        """Tell where a mask says yes, and add to ``void`` where it says nothing."""
        if stored.is_lossy:  # JPEG smears 0 and 255
            return stored.pixels > THRESHOLD
        values = {int(value) for value in np.unique(stored.pixels)}
        if hidden := values & set(self.ignore_values):
            void |= np.isin(stored.pixels, list(hidden))
            values -= hidden
        if wrong := sorted(values - VALUES):
            shown = ", ".join(map(str, wrong[:8])) + (", ..." if len(wrong) > 8 else "")
            raise DataError(
                f"mask {path} holds {shown}, but a mask of one class holds 0 and 255 (or 0 and 1); "
                "export it so, or make other values void with data.ignore_values."
            )
        if {1, 255} <= values:
            raise DataError(
                f"mask {path} holds both 1 and 255; if 255 means void there, set "
                "data.ignore_values: [255], else export it as 0 and 255."
            )
        yes: NDArray[np.bool_] = np.isin(stored.pixels, list(values - {0}))
        return yes


def class_folders(masks: Path) -> list[str]:
    """Name the folders in a folder of masks, sorted; hidden ones are left out."""
    return sorted(p.name for p in masks.iterdir() if p.is_dir() and not p.name.startswith("."))


def is_here(root: Path) -> bool:
    """Tell whether a folder holds images with a folder of masks per class, in the usual places.

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
        try:
            stems = {key.name for key in find_images(images)}
            found = [{key.name for key in find_images(masks / name)} & stems for name in names]
        except DataError:
            continue
        if sum(map(len, found)) > len(set().union(*found)):
            return True
    return False


def _grey(stored: StoredLabels, path: Path) -> StoredLabels:
    """Bring a mask to one value per pixel: of a black and white palette what it shows."""
    if stored.kind == "color":
        raise DataError(f"mask {path} holds colours; export it as 0 and 255, one file per class.")
    if stored.colors is None:
        return stored
    shown = stored.rgb()
    is_grey = (shown == shown[..., :1]).all() and set(np.unique(shown).tolist()) <= {0, 255}
    return stored._replace(pixels=shown[..., 0]) if is_grey else stored


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


def _masks_of_class(folder: Path, images: Mapping[Path, Path], ending: str) -> dict[Path, Path]:
    """Find the mask of every image that has one: key of the image to file."""
    if not folder.is_dir():
        raise DataError(
            f"there is no folder {folder} for the class '{folder.name}'; add it (empty, if no "
            "image of the split shows the class), or name the classes in data.classes."
        )
    files = find_images(folder, ending)
    found: dict[Path, Path] = {}
    for key, same in match_keys(images, files).items():
        if len(same) > 1:
            raise DataError(
                f"image {images[key]} has {len(same)} masks in {folder} ({same[0]}, {same[1]}); "
                "keep one."
            )
        if same:
            found[key] = same[0]
    if files and not found:
        raise DataError(
            f"none of the {len(files)} masks in {folder} has the stem of an image; name a mask "
            "like its image, or set data.mask_ending."
        )
    return found
