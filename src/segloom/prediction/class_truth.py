"""The truth of images whose classes may overlap: a folder of masks per class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from segloom.data.class_masks import ClassMaskDecoder
from segloom.data.companions import nearest
from segloom.data.locate import shared_stem, with_ending
from segloom.data.pairing import find_images
from segloom.errors import DataError
from segloom.prediction.results import class_mask_files
from segloom.types import IGNORE_INDEX

__all__ = ["ClassTruth", "find_class_truth"]


@dataclass(frozen=True)
class ClassTruth:
    """Masks by image, at most one per class in their order."""

    folder: Path
    masks: Mapping[Path, tuple[tuple[Path, ...], ...]]
    decoder: ClassMaskDecoder

    def sources(self, image: Path) -> tuple[Path, ...]:
        """Name the files that the truth of an image comes from."""
        return tuple(chain.from_iterable(self.masks[image]))

    def read(self, image: Path, size: tuple[int, int]) -> NDArray[np.integer]:
        """Read the bits ``(H, W)`` of the classes of an image (`segloom.labels.bits`).

        Raises:
            DataError: A mask is damaged, holds other values, is of another size than the image, or
                all is void.
        """
        bits = self.decoder.bits(self.masks[image], size, image)
        if (bits == IGNORE_INDEX).all():
            raise DataError(
                f"the masks of {image} in {self.folder} are all void; leave the image out."
            )
        return bits


def find_class_truth(
    folder: Path,
    images: Sequence[Path],
    classes: Sequence[str],
    endings: Sequence[tuple[str, str]],
    ignore_values: Sequence[int] = (),
) -> ClassTruth:
    """Find the masks ``folder/CLASS/NAME.png`` of every image.

    As in a data set (`segloom.data.sets.class_folders`), an image without a mask of a class shows
    nothing of it; but one without any mask is taken for a wrong name.

    Args:
        folder: Holds a folder per class, each searched to the bottom.
        images: What is predicted.
        classes: Of the network.
        endings: Pairs of the ends of an image's and of a mask's stem that do not count. The first
            pair that fits all images counts; the last says what is wrong.
        ignore_values: Values of a mask that are void.

    Raises:
        DataError: A folder is missing, or an image has no mask, or several of a class.
    """
    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder; give the one of the masks.")
    named = class_mask_files(folder, classes, "any").values()
    folders = [path.parent for path in named]
    for label, inside in zip(classes, folders, strict=True):
        if not inside.is_dir():
            raise DataError(
                f"there is no folder {inside} for the class '{label}'; add it (empty, if no image "
                "shows the class), or name another folder with --truth."
            )
    decoder = ClassMaskDecoder(tuple(classes), tuple(sorted(ignore_values)))
    for pair in endings[:-1]:
        with suppress(DataError):
            return ClassTruth(folder, _match(images, folders, *pair), decoder)
    return ClassTruth(folder, _match(images, folders, *endings[-1]), decoder)


def _match(
    images: Sequence[Path], folders: Sequence[Path], image_ending: str, ending: str
) -> dict[Path, tuple[tuple[Path, ...], ...]]:
    by_stem: list[dict[str, list[Path]]] = []
    for folder in folders:
        by_stem.append({})
        for key, path in find_images(folder, ending).items():
            by_stem[-1].setdefault(key.name, []).append(path)
    found: dict[Path, tuple[tuple[Path, ...], ...]] = {}
    for image in images:
        name = shared_stem(image.stem, image_ending) or image.stem
        masks: list[tuple[Path, ...]] = []
        for folder, files in zip(folders, by_stem, strict=True):
            same = files.get(name, [])
            near = nearest(image, with_ending(name, ending), same, folder)
            if same and len(near) != 1:
                raise DataError(
                    f"image {image} has {len(same)} masks in {folder} ({same[0]}, {same[1]}); "
                    "keep one."
                )
            masks.append(tuple(near[:1]))
        if not any(masks):
            raise DataError(
                f"image {image} has no mask in the folder of any class; it needs one, such as "
                f"{folders[0] / f'{with_ending(name, ending)}.png'} (where the ends of the names "
                "differ, give --image-ending and --truth-ending)."
            )
        found[image] = tuple(masks)
    return found
