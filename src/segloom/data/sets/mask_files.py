"""Several masks per image, one for each class or object, united into one label map.

    images/x.jpg   masks/x_nucleus_0.png  masks/x_nucleus_1.png   the class after the image's name
    x.jpg          x_nucleus_0.png                                the same in one folder
    images/x.jpg   masks/x/nucleus_0.png  masks/x/7f3a09bc.png    a folder per image
    images/x.jpg   masks/nucleus/x_0.png                          a folder per class
    x/images/x.png x/masks/7f3a09bc.png                           Data Science Bowl 2018

A mask is 0 where its class or object is not and 255, or 1, where it is. Class 0 is the background;
the others are those that the names say, in the order of the alphabet, or `foreground` if they say
none and no folder below that of the masks is theirs alone. ``data.classes`` gives another order, or
fewer. A pixel under masks of two classes is of the later one; ``data.mask_format: multilabel``
keeps both.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from segloom.config.data import DataConfig
from segloom.data.class_masks import ClassMaskDecoder
from segloom.data.locate import plain_name
from segloom.data.mask_names import (
    MASK_WORDS,
    NamedMask,
    assign_masks,
    class_words,
    masks_among,
)
from segloom.data.pairing import SPLIT_NAMES, find_images, hashed_division, split_folders
from segloom.data.sets.base import DataSet
from segloom.data.sets.shapes import BACKGROUND, IGNORED
from segloom.data.source import SPLITS, DatasetSource, check_split, unique_ids
from segloom.errors import ConfigError, DataError
from segloom.images.read import IMAGE_ENDINGS
from segloom.labels.bits import check_number
from segloom.labels.palette import BACKGROUNDS, background_of, class_palette, default_palette
from segloom.types import IGNORE_INDEX, LabelSet, Record

__all__ = ["DATA_SET", "OBJECT", "read"]

OBJECT = "foreground"
"""Class of masks whose names say none."""
TOOL_FILE = "-annotation-"
"""In the names of Label Studio's brush masks, which say a task and no image."""


@dataclass(frozen=True)
class _Files:
    """The images of some folders, and their masks."""

    images: dict[Path, Path]
    masks: dict[Path, list[NamedMask]]
    """By the key of the image."""
    lonely: list[Path]
    """Masks without an image."""
    is_divided: bool
    """Whether the folders are those of one split."""


def read(config: DataConfig, split: str) -> DatasetSource:
    """Read a split of images with several masks; see `DatasetSource`.

    Raises:
        DataError: A folder is missing, there are no images, or names do not go together.
        ConfigError: There are too many classes.
    """
    check_split(split)
    if config.label_map:
        raise ConfigError(
            f"data.label_map gives stored values a class, but the reader {config.name} takes the "
            "class from the name of a file; leave it out."
        )
    files = _find(config, split)
    all_labels = _labels(files)
    if not files.is_divided:
        names = hashed_division(config, files.images)
        keys = [key for key in files.images if names[key] == split]
    else:
        keys = list(files.images)
        for other in SPLITS:
            if other != split:
                all_labels |= _labels_of_split(config, other)
    labels = _label_set(config, all_labels.values())
    classes = labels.classes
    places = _Places(classes)
    records = tuple(
        Record(name, files.images[key], class_masks=places.arrange(files.masks[key]))
        for name, key in zip(unique_ids(keys), keys, strict=True)
    )
    ignored = tuple(sorted(config.ignore_values))
    background = background_of(classes)
    if background is None and plain_name(classes[0]) not in all_labels:
        background = 0  # by whatever name
    decode = ClassMaskDecoder(classes, ignored, not labels.is_multilabel, background)
    notes = [*places.notes(), *_notes(files, keys)]
    return DatasetSource(records, labels, "index", decode=decode, notes=tuple(notes))


def _label_set(config: DataConfig, names: Iterable[str]) -> LabelSet:
    """Settle the classes, by the names of the masks if nobody names them, and their colours."""
    if config.mask_format == "multilabel":
        classes = config.classes or _classes(config, names)
        check_number(len(classes))
        palette = config.palette or default_palette(len(classes))
        return LabelSet(classes, palette, is_multilabel=True)
    classes = config.classes or (BACKGROUND, *_classes(config, names))
    return LabelSet(classes, config.palette or class_palette(classes))


def _find(config: DataConfig, split: str) -> _Files:
    folder, masks, is_divided = split_folders(config, split)
    images, drawn = _tell_apart(config, folder, masks)
    if not images or not drawn:
        what, option = ("mask", "masks") if images else ("image", "images")
        raise DataError(f"{folder if not images else masks} holds no {what}; set data.{option}.")
    found, lonely = assign_masks(images, drawn)
    _require_fit(images, found, lonely)
    return _Files(images, found, lonely, is_divided)


def _tell_apart(
    config: DataConfig, folder: Path, masks: Path
) -> tuple[dict[Path, Path], dict[Path, Path]]:
    """Find images and masks; their folders may be one, or one may lie in the other."""
    images = find_images(folder, config.image_ending)
    if masks == folder:
        drawn = masks_among(find_images(folder))
        files = set(drawn.values())
        return {key: path for key, path in images.items() if path not in files}, drawn
    drawn = find_images(masks, config.mask_ending)
    if masks.is_relative_to(folder):
        images = {key: path for key, path in images.items() if not path.is_relative_to(masks)}
    if folder.is_relative_to(masks):
        drawn = {key: path for key, path in drawn.items() if not path.is_relative_to(folder)}
    return images, drawn


def _require_fit(
    images: dict[Path, Path], found: dict[Path, list[NamedMask]], lonely: list[Path]
) -> None:
    """Refuse masks of no image beside images without a mask: their names do not go together."""
    without = [images[key] for key, own in found.items() if not own]
    if lonely and without:
        hint = "name a mask like its image and then its class, or set data.image_ending"
        if all(TOOL_FILE in path.stem for path in lonely):
            hint = "Label Studio's brush masks do not say their image, so export JSON there"
        raise DataError(
            f"mask {lonely[0]} has the name of no image (nor have {len(lonely) - 1} more), and "
            f"{len(without)} images have no mask, such as {without[0]}; {hint}."
        )


def _labels(files: _Files) -> dict[str, str]:
    """Return the classes that names say, in a form to compare, with their first spelling."""
    found: dict[str, str] = {}
    for masks in files.masks.values():
        for mask in masks:
            found.setdefault(plain_name(mask.label), mask.label)
    return found


def _labels_of_split(config: DataConfig, split: str) -> dict[str, str]:
    try:
        return _labels(_find(config, split))
    except DataError:
        return {}  # a data set may lack a split; whoever asks for it is told


def _classes(config: DataConfig, labels: Iterable[str]) -> tuple[str, ...]:
    kept = {label for label in labels if label.lower() not in BACKGROUNDS | IGNORED}
    if "" in kept and len(kept) > 1:
        others = ", ".join(sorted(kept - {""})[:4])
        raise DataError(
            f"some masks in {config.root} name a class ({others}) and some do not; give all files "
            "a class in their names, or name the one class with data.classes."
        )
    names = tuple(sorted((label or _object_name(config) for label in kept), key=plain_name))
    if not names:
        raise DataError(f"the masks in {config.root} are of no class; set data.classes.")
    if len(names) >= IGNORE_INDEX:
        raise DataError(
            f"the names of masks in {config.root} say {len(names)} classes, such as {names[0]} and "
            f"{names[1]}; if they name objects, put the masks of an image into a folder of its "
            "name and number them."
        )
    return names


def _object_name(config: DataConfig) -> str:
    """Return the class of masks whose names say none: of ``masks/cell``, its last folder."""
    *above, last = (part for part in Path(config.masks).parts if part != "{split}")
    is_class = above and above[-1].casefold() in MASK_WORDS and last not in SPLIT_NAMES
    is_class = is_class and f".{last.lower()}" not in IMAGE_ENDINGS
    return (class_words(last) if is_class else "") or OBJECT


class _Places:
    """Sorts masks by their classes, and remembers those that are of none."""

    def __init__(self, classes: tuple[str, ...]) -> None:
        self.classes = classes
        self.by_name = {plain_name(name): place for place, name in enumerate(classes)}
        objects = [place for place, name in enumerate(classes) if name.lower() not in BACKGROUNDS]
        self.only = objects[0] if len(objects) == 1 else None
        self.left_out: Counter[str] = Counter()
        self.numbered: Counter[str] = Counter()

    def arrange(self, masks: Iterable[NamedMask]) -> tuple[tuple[Path, ...], ...]:
        """Return the files of every class, and at the end those of void."""
        found: list[list[Path]] = [[] for _ in (*self.classes, "void")]
        for mask in masks:
            place = self._place(mask)
            if place is None:
                self.left_out[mask.label or OBJECT] += 1
            else:
                found[place].append(mask.path)
        return tuple(map(tuple, found))

    def _place(self, mask: NamedMask) -> int | None:
        """Return the class of a mask by its whole name, else without what counts objects."""
        whole, label = plain_name(mask.spelling.strip("_-. ()[]#")), plain_name(mask.label)
        if whole in self.by_name:
            return self.by_name[whole]
        if label in self.by_name:
            self.numbered[self.classes[self.by_name[label]]] += any(map(str.isdigit, whole))
            return self.by_name[label]
        if not label:
            return self.by_name.get(OBJECT, self.only)
        if label in IGNORED:
            return len(self.classes)
        return background_of(self.classes) if label in BACKGROUNDS else None

    def notes(self) -> list[str]:
        """Describe what was decided by names alone."""
        notes = []
        if numbered := [name for name in self.classes if self.numbered[name]]:
            notes.append(
                f"numbers in the names of masks count objects of {', '.join(numbered[:6])}, which "
                "are united; if they are classes, name these in data.classes."
            )
        for label, number in self.left_out.items():
            notes.append(
                f"{number} masks of '{label}' are left out, since data.classes does not name it; "
                "their pixels are background."
            )
        return notes


def _notes(files: _Files, keys: list[Path]) -> list[str]:
    notes = []
    empty = [files.images[key] for key in keys if not files.masks[key]]
    if empty:
        notes.append(
            f"{len(empty)} images have no mask and count as background throughout, such as "
            f"{empty[0]}."
        )
    if files.lonely:
        notes.append(
            f"{len(files.lonely)} masks have no image and are left out, such as {files.lonely[0]}."
        )
    return notes


DATA_SET = DataSet(
    read,
    options=frozenset({"image_ending", "images", "mask_ending", "masks", "split_shares"}),
    names_classes=False,
    reads_class_masks=True,
)
