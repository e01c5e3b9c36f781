"""Class-uniform sampling: part of an epoch shows every class equally often, however rare it is.

Rota Bulo, Porzi, Kontschieder, "In-Place Activated BatchNorm for Memory-Optimized Training of
DNNs", CVPR 2018; with tiles as Zhu et al., "Improving Semantic Segmentation via Video Propagation
and Label Relaxation", CVPR 2019, and the code of SFNet (X. Li et al., ECCV 2020).

Every label map is cut into tiles; of every class in a tile the centroid is listed. Of N samples and
K classes, an epoch takes int(N share / K) crops per class, each showing a centroid drawn from its
list without repetition until the list is used up, and the rest of N as random crops of random
images. Differences: a map smaller than a tile is one tile (it would be none), and the crops of a
class that occurs nowhere become random ones, so that an epoch always has N.

Axes: H height, W width, M centroids.
"""

from __future__ import annotations

import hashlib
import logging
import zipfile
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from segloom.config.data import DataConfig
from segloom.data.planes import PlainDecoder, SampleDecoder
from segloom.data.transforms import SampleKey
from segloom.errors import ConfigError, DataError, UnknownNameError
from segloom.files import atomic_path
from segloom.labels.decoder import LabelDecoder
from segloom.types import IGNORE_INDEX, Record

if TYPE_CHECKING:
    from segloom.data.dataset import SegmentationDataset

__all__ = [
    "Centroids",
    "ClassUniform",
    "class_uniform",
    "epoch_counts",
    "find_centroids",
    "tile_centroids",
]

NUM_LABELS = 256  # of a byte

logger = logging.getLogger(__name__)


class Centroids(NamedTuple):
    """Where classes are: one entry per sample, tile and class."""

    sample: NDArray[np.int32]
    """``(M,)`` index of the sample."""
    label: NDArray[np.uint8]
    """``(M,)`` class id."""
    row: NDArray[np.int32]
    """``(M,)``."""
    column: NDArray[np.int32]
    """``(M,)``."""


def tile_centroids(labels: NDArray[np.integer], tile: int) -> NDArray[np.int64]:
    """Find the centroid of every class in every tile of a label map, rounded down.

    What is left of a tile at the right and at the bottom is not looked at. The sums run over runs
    of equal labels instead of pixels: exact, and faster by the mean length of a run.

    Args:
        labels: uint8 ``(H, W)``, class ids and 255 for void.
        tile: Side of a tile in pixels; a longer one than the map's is cut to it.

    Returns:
        int64 ``(M, 3)``: class, row, column; ordered by tile (row by row), then class.
    """
    height, width = (min(tile, side) for side in labels.shape)  # of a tile
    down, across = labels.shape[0] // height, labels.shape[1] // width
    region = np.ascontiguousarray(labels[: down * height, : across * width])
    flat = region.reshape(-1)
    begins = np.empty(flat.shape, np.bool_)
    np.not_equal(flat[1:], flat[:-1], out=begins[1:])
    begins.reshape(region.shape)[:, ::width] = True  # no run leaves its tile or its row
    starts = np.flatnonzero(begins)
    lengths = np.diff(starts, append=flat.size).astype(np.float64)
    places = starts.astype(np.uint32)  # divides several times as fast as 64 bits
    rows = places // np.uint32(region.shape[1])
    columns = places - rows * np.uint32(region.shape[1])
    tiles = rows // np.uint32(height) * np.uint32(across) + columns // np.uint32(width)
    keys = (tiles * np.uint32(NUM_LABELS) + flat.take(starts)).astype(np.int64)
    # Exact: whole and half numbers below 2**52.
    pixels = np.bincount(keys, lengths, down * across * NUM_LABELS)
    row_sum = np.bincount(keys, lengths * rows, len(pixels))
    column_sum = np.bincount(keys, lengths * (columns + (lengths - 1) / 2), len(pixels))
    found = np.flatnonzero(pixels)
    found = found[found % NUM_LABELS != IGNORE_INDEX]
    area = pixels[found].astype(np.int64)
    middle_row = row_sum[found].astype(np.int64) // area
    middle_column = column_sum[found].astype(np.int64) // area
    return np.stack([found % NUM_LABELS, middle_row, middle_column], axis=1)


def find_centroids(
    records: Sequence[Record],
    decoder: LabelDecoder,
    tile: int,
    folder: Path | None = None,
    decode: SampleDecoder | None = None,
) -> Centroids:
    """List the centroids of all classes in the label maps of a data set.

    Args:
        records: The samples; one without a label map has no centroid.
        decoder: How label files become class ids.
        tile: See `tile_centroids`.
        folder: Where the list is kept, under a name that changes with the label files; None does
            not keep it.
        decode: How a sample is read from its files; None for a label map of its own.

    Raises:
        DataError: A label map cannot be used.
    """
    path = None if folder is None else folder / f"{_digest(records, decoder, tile)}.npz"
    kept = None if path is None else _load(path)
    if kept is not None:
        return kept
    samples, parts = [], [np.empty((0, 3), np.int64)]
    for index, record in enumerate(records):
        if record.mask is not None:
            labels = decode(record, decoder).mask if decode else decoder.decode(record.mask)
            parts.append(tile_centroids(labels, tile))
            samples += [index] * len(parts[-1])
    label, row, column = np.concatenate(parts).T
    centroids = Centroids(
        np.array(samples, np.int32),
        label.astype(np.uint8),
        row.astype(np.int32),
        column.astype(np.int32),
    )
    if path is not None:
        _store(path, centroids)
    return centroids


def _digest(records: Sequence[Record], decoder: LabelDecoder, tile: int) -> str:
    digest = hashlib.sha256(f"1 {tile} {decoder.fingerprint}".encode())
    for record in records:
        if record.mask is None:
            digest.update(b"\0-")
            continue
        try:
            status = record.mask.stat()
        except OSError as error:
            raise DataError(f"{record.mask} cannot be read ({error.strerror}).") from error
        name = f"\0{record.id} {record.mask.absolute()} {status.st_size} {status.st_mtime_ns}"
        digest.update(name.encode("utf-8", "replace"))
    return digest.hexdigest()[:40]


def _load(path: Path) -> Centroids | None:
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            return Centroids(*(file[name] for name in Centroids._fields))
    except (OSError, ValueError, KeyError, zipfile.BadZipFile):  # missing, or cut short by a crash
        return None


def _store(path: Path, centroids: Centroids) -> None:
    try:
        with atomic_path(path) as temporary:
            np.savez(temporary, **centroids._asdict())
    except OSError as error:
        logger.warning("%s cannot be written (%s); it is made anew each time", path, error.strerror)


def epoch_counts(num_samples: int, num_classes: int, share: float) -> tuple[int, int]:
    """Divide an epoch: crops per class, and random crops."""
    each = int(num_samples * share / num_classes)
    return each, num_samples - each * num_classes


class ClassUniform:
    """The samples of every epoch, a pure function of (seed, epoch).

    Args:
        centroids: Where the classes are.
        num_samples: Samples of an epoch, and of the data set that random crops are drawn from.
        num_classes: K.
        share: Of the epoch that goes to the classes, 0 to 1.
        seed: Of the run.
        until: Number of epochs after which centroids of samples past ``num_samples`` (the coarse
            set) are left out; None never leaves them out.
    """

    def __init__(
        self,
        centroids: Centroids,
        num_samples: int,
        num_classes: int,
        share: float,
        seed: int = 0,
        *,
        until: int | None = None,
    ) -> None:
        self.centroids, self.num_samples, self.seed = centroids, num_samples, seed
        self.until = until
        self.each, _ = epoch_counts(num_samples, num_classes, share)
        # Stable: within a class in the order of the samples.
        order = np.argsort(centroids.label, kind="stable")
        ends = np.searchsorted(centroids.label[order], np.arange(num_classes + 1))
        self.lists = [order[first:last] for first, last in pairwise(ends.tolist())]

    def keys(self, epoch: int) -> list[SampleKey]:
        """Return the samples of an epoch: first the random ones, then class by class.

        The sampler shuffles them.
        """
        # Four numbers: no sample's own generator has this key.
        sequence = np.random.SeedSequence(self.seed, spawn_key=(epoch, 0, 0, 0))
        generator = np.random.Generator(np.random.PCG64(sequence))
        lists = [places for places in self._lists(epoch) if len(places)]
        rest = self.num_samples - self.each * len(lists)
        images = generator.permutation(self.num_samples)[:rest]
        keys = [SampleKey(epoch, int(index)) for index in images]
        for places in lists:
            turns = generator.permutation(places)
            chosen = turns[np.arange(self.each) % len(turns)]
            index, row, column = (
                values[chosen].tolist()
                for values in (self.centroids.sample, self.centroids.row, self.centroids.column)
            )
            for view in zip(index, row, column, strict=True):
                keys.append(SampleKey(epoch, view[0], len(keys), (view[1], view[2])))
        return keys

    def _lists(self, epoch: int) -> list[NDArray[np.int64]]:
        """Return the places of every class that an epoch draws from."""
        if self.until is None or epoch < self.until:
            return self.lists
        return [places[self.centroids.sample[places] < self.num_samples] for places in self.lists]


def class_uniform(config: DataConfig, dataset: SegmentationDataset, seed: int) -> ClassUniform:
    """Prepare class-uniform sampling of a training set; the list of centroids is kept in its cache.

    Args:
        config: Share, tile, the classes that the coarse set adds to, and for how long.
        dataset: The training set.
        seed: Of the run.

    Raises:
        UnknownNameError: A class to be added to does not exist.
        ConfigError: The coarse set is to be added to, and the data set has none.
        DataError: A label map cannot be used.
    """
    folder = None if dataset.cache is None else dataset.cache.folder / "class_uniform"
    # A plain label map is read without its image, and without filling the cache of samples.
    decode = None if type(dataset.decode) is PlainDecoder else dataset.decode
    tile = config.class_uniform_tile
    parts = [find_centroids(dataset.records, dataset.decoder, tile, folder, decode)]
    if config.class_uniform_coarse and not dataset.extra and not config.coarse:
        raise ConfigError(
            "data.class_uniform_coarse draws from a coarse set, which the data set "
            f"'{config.name}' does not have; leave it away."
        )
    if dataset.extra:
        added = find_centroids(dataset.extra, dataset.decoder, tile, folder, decode)
        boosted = [_class_id(name, dataset.classes) for name in config.class_uniform_coarse]
        kept = np.isin(added.label, boosted)
        sample = added.sample[kept] + np.int32(len(dataset.records))
        parts.append(Centroids(sample, added.label[kept], added.row[kept], added.column[kept]))
    centroids = Centroids(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))
    return ClassUniform(
        centroids,
        len(dataset),
        len(dataset.classes),
        config.class_uniform,
        seed,
        until=config.class_uniform_until,
    )


def _class_id(name: str, classes: tuple[str, ...]) -> int:
    if name not in classes:
        raise UnknownNameError("class in data.class_uniform_coarse", name, classes)
    return classes.index(name)
