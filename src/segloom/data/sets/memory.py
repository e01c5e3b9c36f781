"""Images that are in memory or that a torch ``Dataset`` gives, trained and measured like files.

Only this process has them: a run that was trained on them names them in its config.yaml, and is
refused with a sentence where they are not held.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from segloom.config.base import Section
from segloom.config.data import DataConfig
from segloom.data.planes import Planes, check_size
from segloom.data.sets.base import DataSet, own_options
from segloom.data.source import DatasetSource, check_split
from segloom.errors import ConfigError, DataError, NoSplitError
from segloom.images.arrays import label_map_of, pixels_of
from segloom.labels.decoder import LabelDecoder
from segloom.labels.palette import class_palette
from segloom.types import IGNORE_INDEX, LabelSet, Record

__all__ = ["DATA_SET", "Samples", "in_memory", "read"]


class Samples(Protocol):
    """A map-style data set of (image, mask), such as a torch ``Dataset`` or a list of pairs."""

    def __len__(self) -> int:
        """Count the samples."""

    def __getitem__(self, index: int, /) -> object:
        """Return a pair of image and mask, or a mapping with these keys."""


class MemoryOptions(Section):
    """Which images are meant."""

    held: str = "memory"
    """Name under which they are held."""
    content: str = ""
    """Text that differs between other images of this name."""


@dataclass(frozen=True)
class _Held:
    splits: Mapping[str, Samples]
    labels: LabelSet


_held: dict[str, _Held] = {}


@dataclass(frozen=True)
class _Pairs:
    """Images and masks of two sequences, one by one."""

    images: Sequence[object]
    masks: Sequence[object]

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[object, object]:
        return self.images[index], self.masks[index]


@dataclass(frozen=True)
class _MemoryDecoder:
    """Takes a sample from what is held."""

    samples: Samples
    split: str
    num_classes: int
    fingerprint: str
    is_sequential: bool = False

    def __call__(self, record: Record, decoder: LabelDecoder) -> Planes:
        """Return a sample; its mask must hold class ids and 255 only."""
        index = record.part or 0
        sample = self.samples[index]
        image, mask = _divided(sample, f"sample {index} of {self.split}")
        pixels = pixels_of(image, name=f"image {index} of {self.split}")
        name = f"label map {index} of {self.split}"
        labels = label_map_of(mask, name=name)
        check_size(pixels.shape[:2], labels, record.image, name)
        if strange := sorted(set(np.unique(labels).tolist()) - {*range(self.num_classes), 255}):
            raise DataError(
                f"{name} holds {strange[0]}, but {self.num_classes} classes are named; give class "
                f"ids from 0 to {self.num_classes - 1}, and {IGNORE_INDEX} for pixels without one."
            )
        return Planes(np.ascontiguousarray(pixels), np.ascontiguousarray(labels, np.uint8))


def in_memory(
    *,
    train: Samples | tuple[Sequence[object], Sequence[object]],
    val: Samples | tuple[Sequence[object], Sequence[object]],
    classes: Sequence[str],
    test: Samples | tuple[Sequence[object], Sequence[object]] | None = None,
    palette: Sequence[tuple[int, int, int]] | None = None,
    name: str = "memory",
) -> dict[str, object]:
    """Hold images and masks for a training in this process.

    Each split is a tuple ``(images, masks)`` of arrays or lists, or a data set with ``len`` whose
    items are ``(image, mask)`` or ``{"image": ..., "mask": ...}``, such as a torch ``Dataset``.
    An image is an array ``(H, W, 3)`` or ``(H, W)``, a tensor ``(3, H, W)`` or a PIL image, uint8
    or floats from 0 to 1; a mask holds class ids ``(H, W)``, 255 where there is none.

    Args:
        train: What is trained on.
        val: What judges every epoch.
        classes: Names in the order of their ids.
        test: What `segloom.evaluate` measures; without it that measures ``val``.
        palette: One RGB colour per class, for pictures.
        name: Under which they are held; other images of this name take their place.

    Returns:
        Options for ``data``: ``segloom.train("folder", data=segloom.in_memory(...))``.

    Raises:
        DataError: A split is empty, or has another number of masks than of images.
        ConfigError: There is not one colour per class, or a class is named twice.
    """
    if len(set(classes)) < len(classes):
        raise ConfigError(f"classes holds a name twice: {', '.join(classes)}.")
    given = {"train": train, "val": val, **({} if test is None else {"test": test})}
    splits = {split: _samples(split, samples) for split, samples in given.items()}
    labels = LabelSet(tuple(classes), tuple(palette or class_palette(classes)))
    _held[name] = _Held(splits, labels)
    content = _fingerprint(splits, labels)
    return {"name": "memory", "cache": False, "options": {"held": name, "content": content}}


def read(config: DataConfig, split: str) -> DatasetSource:
    """Read a split of what is held.

    Raises:
        DataError: The split is unknown, or this process does not hold the images.
        NoSplitError: There is no such split.
    """
    check_split(split)
    options = own_options(config, MemoryOptions)
    held = _held.get(options.held)
    if held is None or (options.content and options.content != _fingerprint(*_parts(held))):
        raise DataError(
            f"this process does not hold the images called '{options.held}'; give them again "
            "with segloom.in_memory(...), or name other data."
        )
    if split not in held.splits:
        raise NoSplitError(f"the images called '{options.held}' have no split {split}.")
    samples = held.splits[split]
    records = tuple(
        Record(f"{split}_{index:06}", Path(options.held, split, f"{index:06}"), part=index)
        for index in range(len(samples))
    )
    decode = _MemoryDecoder(samples, split, len(held.labels.classes), options.content)
    return DatasetSource(records, held.labels, "index", decode=decode)


def _samples(split: str, given: Samples | tuple[Sequence[object], Sequence[object]]) -> Samples:
    if isinstance(given, tuple):
        if len(given) != 2 or len(given[0]) != len(given[1]):
            counts = " and ".join(str(len(part)) for part in given)
            raise DataError(
                f"{split} is a tuple (images, masks) of equal length; this one has {counts}."
            )
        given = _Pairs(*given)
    if not hasattr(given, "__len__") or not hasattr(given, "__getitem__"):
        raise DataError(
            f"{split} is a {type(given).__name__}; give (images, masks), or a data set with a "
            "length whose items are (image, mask)."
        )
    if not len(given):
        raise DataError(f"{split} is empty; give it at least one image.")
    return given


def _divided(sample: object, name: str) -> tuple[object, object]:
    if isinstance(sample, Mapping) and {"image", "mask"} <= set(sample):
        return sample["image"], sample["mask"]
    if isinstance(sample, tuple | list) and len(sample) >= 2:
        return sample[0], sample[1]
    raise DataError(f"{name} is a {type(sample).__name__}; give (image, mask).")


def _parts(held: _Held) -> tuple[Mapping[str, Samples], LabelSet]:
    return held.splits, held.labels


def _fingerprint(splits: Mapping[str, Samples], labels: LabelSet) -> str:
    """Hash classes, numbers of images and, of arrays, a few of them; data sets may be random."""
    digest = hashlib.sha256(repr((labels.classes, labels.palette)).encode())
    for split, samples in splits.items():
        digest.update(f"{split} {len(samples)}".encode())
        if isinstance(samples, _Pairs):
            for index in range(0, len(samples), -(-len(samples) // 8)):
                image, mask = samples[index]
                digest.update(pixels_of(image, channels=None).tobytes())
                digest.update(label_map_of(mask).tobytes())
    return digest.hexdigest()[:16]


DATA_SET = DataSet(read, Options=MemoryOptions, needs_root=False)
