"""The real images that an export is judged by: those of a split, or of a folder.

Axes: H W image size, C image channels.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from segloom.config.data import DataConfig
from segloom.errors import ConfigError
from segloom.images.pixels import PixelFormat
from segloom.images.read import image_files, read_image
from segloom.types import LabelSet

if TYPE_CHECKING:
    from segloom.data import SegmentationDataset

__all__ = [
    "Example",
    "FolderImages",
    "Images",
    "SplitImages",
    "choose_images",
    "cut",
    "halves",
    "patches",
    "spread_evenly",
]


@dataclass(frozen=True)
class Example:
    """One image, perhaps with its ground truth."""

    name: str
    pixels: NDArray[np.uint8]
    """``(H, W, C)``, what the network takes."""
    truth: NDArray[np.integer] | None
    """``(H, W)``, class ids or bits, and void; None where nobody labelled it."""


class Images(Protocol):
    """Images by index, read when they are asked for."""

    source: str
    """What they are, in words."""

    def __len__(self) -> int:
        """Count them."""

    def __getitem__(self, index: int) -> Example:
        """Read one."""


class FolderImages:
    """Images of a folder, without ground truth."""

    def __init__(self, folder: Path, pixels: PixelFormat | None) -> None:
        self.source, self.pixels = f"{folder}", pixels
        files = image_files([folder])
        self.files = pixels.first_bands(files) if pixels else files

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> Example:
        """Read one."""
        file = self.files[index]
        return Example(file.name, self.pixels.read(file) if self.pixels else read_image(file), None)


class SplitImages:
    """Labelled images of a split of a data set."""

    def __init__(self, dataset: SegmentationDataset, split: str, *, takes_edges: bool) -> None:
        self.source = f"split {split}"
        self.dataset, self.takes_edges = dataset, takes_edges

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> Example:
        """Read one."""
        planes = self.dataset.read(index)
        pixels = planes.image
        if self.takes_edges and planes.edge is not None:
            pixels = np.dstack([pixels, planes.edge])
        return Example(self.dataset.records[index].id, pixels, planes.mask)


class Part:
    """Some of other images."""

    def __init__(self, images: Images, indices: Sequence[int], source: str) -> None:
        self.source = source
        self.images, self.indices = images, indices

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int) -> Example:
        """Read one."""
        return self.images[self.indices[index]]


def halves(images: Images) -> tuple[Images, Images]:
    """Divide images into those for calibration and those for the comparison, by turns.

    Raises:
        ConfigError: There is one image alone.
    """
    if len(images) < 2:
        raise ConfigError(
            f"{images.source} holds one image, but --precision int8 takes some to find the ranges "
            "of the values and others to compare; name a folder with more."
        )
    first, second = range(0, len(images), 2), range(1, len(images), 2)
    return Part(images, first, f"half of {images.source}"), Part(
        images, second, f"the other half of {images.source}"
    )


def choose_images(
    data: DataConfig | None,
    split: str,
    folder: Path | None,
    labels: LabelSet,
    *,
    pixels: PixelFormat | None,
    takes_edges: bool,
) -> Images:
    """Find the images that the export of a network is judged by.

    Args:
        data: What the network was trained on, where that is known.
        split: Of that data.
        folder: Images to take instead.
        labels: The network's classes.
        pixels: How files become bytes; None for RGB of 8 bits.
        takes_edges: The network needs an edge map with every image.

    Raises:
        ConfigError: There are none, or they do not fit the network.
        DataError: They cannot be read.
    """
    if folder is not None:
        if takes_edges:
            raise ConfigError(
                "this network takes an edge map with every image, which --images does not bring; "
                "name the data it was trained on, for example with --data.root DIR."
            )
        return FolderImages(folder, pixels)
    if data is None:
        raise ConfigError(
            "an export is compared with its network on real images, and this network does not say "
            "on which it was trained; name some with --images DIR, or the data with --data.name "
            "and --data.root."
        )
    from segloom.data import build_dataset

    dataset = build_dataset(data, split, pixels=pixels)
    if dataset.labels.classes != labels.classes:
        raise ConfigError(
            f"the data has the classes {', '.join(dataset.labels.classes)}, but the network "
            f"{', '.join(labels.classes)}; name the data it was trained on."
        )
    dataset.require_labels(split)
    if takes_edges:
        dataset.require_edges()
    return SplitImages(dataset, split, takes_edges=takes_edges)


def spread_evenly(total: int, limit: int) -> Sequence[int]:
    """Choose at most ``limit`` of ``total`` indices, evenly spread; 0 chooses all."""
    if limit <= 0 or total <= limit:
        return range(total)
    return [round(index * (total - 1) / max(limit - 1, 1)) for index in range(limit)]


def patches(images: Images) -> Iterator[tuple[str, NDArray[np.uint8]]]:
    """Cut real images to the sizes at which every export is tried, and give one as it is.

    None of them is the size of the exporter's example.

    Yields:
        What it is, and uint8 ``(B, H, W, C)``.
    """
    first, last = images[0].pixels, images[len(images) - 1].pixels
    for height, width in ((1, 1), (33, 65), (131, 197)):
        yield f"1 x {height} x {width}", cut(first, height, width)[None]
    yield "2 x 96 x 64", np.stack([cut(first, 96, 64), cut(last, 96, 64)])
    height, width = last.shape[:2]
    yield f"1 x {height} x {width}", last[None]


def cut(image: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """Cut the middle of an image, which is mirrored at its edges where it is too small."""
    padding = [
        (max(0, wanted - side) // 2, (max(0, wanted - side) + 1) // 2)
        for wanted, side in zip((height, width), image.shape, strict=False)
    ]
    larger = np.pad(image, [*padding, (0, 0)], mode="symmetric")
    top, left = (larger.shape[0] - height) // 2, (larger.shape[1] - width) // 2
    return np.ascontiguousarray(larger[top : top + height, left : left + width])
