"""The data set that training and evaluation read: files, decoded once, seen at random or whole."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from segloom.config.data import OPEN_CROP, DataConfig
from segloom.data.cache import SampleCache, default_cache_dir
from segloom.data.planes import FileDecoder, PlainDecoder, Planes, SampleDecoder, with_pixels
from segloom.data.readers import read_labelled_source
from segloom.data.transforms import JointTransform, SampleKey, sample_generator
from segloom.errors import ConfigError, DataError
from segloom.images.pixels import PixelFormat
from segloom.labels.decoder import LabelDecoder
from segloom.types import LabelSet, Record, Region, Sample

__all__ = ["EdgeSample", "SegmentationDataset", "build_dataset"]

logger = logging.getLogger(__name__)


class EdgeSample(Sample, total=False):
    """A sample of a data set with edge maps."""

    edge: Tensor
    """uint8 ``(H, W)``, 0 to 255, aligned with the mask."""


class SegmentationDataset(Dataset[EdgeSample]):
    """Images with label maps, by index or by `SampleKey`.

    Args:
        records: The files.
        labels: Classes and palette.
        decoder: How label files become class ids.
        decode: How a sample is read from its files; None for an image file and a label map.
        regions: What an evaluation scores besides the classes.
        cache: Where decoded samples are kept; None decodes each time.
        transform: Random view of a training sample; None gives the whole image.
        seed: Of the random views, not negative.
        extra: Samples past the end, which only a `SampleKey` of class-uniform sampling reaches.
    """

    def __init__(
        self,
        records: Sequence[Record],
        labels: LabelSet,
        decoder: LabelDecoder,
        *,
        decode: SampleDecoder | None = None,
        regions: Sequence[Region] = (),
        cache: SampleCache | None = None,
        transform: JointTransform | None = None,
        seed: int = 0,
        extra: Sequence[Record] = (),
    ) -> None:
        if seed < 0:
            raise ConfigError(f"a seed is 0 or more, not {seed}.")
        self.records, self.extra = list(records), list(extra)
        self.labels, self.decoder, self.decode = labels, decoder, decode or PlainDecoder()
        self.regions = tuple(regions)
        self.cache, self.transform, self.seed = cache, transform, seed

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names in the order of their ids."""
        return self.labels.classes

    @property
    def pixels(self) -> PixelFormat | None:
        """How images become uint8; None for RGB of 8 bits."""
        return self.decode.pixels if isinstance(self.decode, FileDecoder) else None

    @property
    def palette(self) -> tuple[tuple[int, int, int], ...]:
        """One RGB colour per class."""
        return self.labels.palette

    @property
    def ignore_index(self) -> int:
        """Label of void pixels, 255."""
        return self.labels.ignore_index

    @property
    def label_map(self) -> Mapping[str, int]:
        """Value as stored in the label files to class id."""
        return self.decoder.label_map

    def __len__(self) -> int:
        return len(self.records)

    def require_edges(self) -> None:
        """Refuse samples without an edge map of their own, for a network that takes one.

        Raises:
            DataError: A sample has none, or its label map in the place of one.
        """
        label = next((r for r in self.records if r.edge is not None and r.edge == r.mask), None)
        if label is not None:
            raise DataError(
                f"the edge map of {label.image} is its label map, which gives the answer away; "
                "make edge maps from the images with `segloom edges`."
            )
        without = next((r for r in (*self.records, *self.extra) if r.edge is None), None)
        if without is not None:
            raise DataError(
                f"the network takes edge maps (hed:source=file), but image {without.image} has "
                "none; set data.edges (reader folder), or give lists with a column edge, which "
                "`segloom data list --edges DIR` writes."
            )

    def require_labels(self, split: str) -> None:
        """Refuse label maps that are void throughout, as those of a benchmark's test split.

        Args:
            split: Name of these samples, for the message.

        Raises:
            DataError: No label map holds a pixel of a class, or a file cannot be used.
        """
        if any((self._mask(index) != self.ignore_index).any() for index in range(len(self))):
            return
        first, mend = self.records[0], "check data.label_map and data.ignore_values"
        if split == "test":
            mend = f"measure a split with public labels (--split val), or {mend}"
        raise DataError(
            f"{first.mask or first.image} and all other label maps of the split {split} hold not "
            f"one labelled pixel, so there is nothing to measure; {mend}."
        )

    def _mask(self, index: int) -> NDArray[np.integer]:
        """Return the label map alone, without decoding its image where it is a file of its own."""
        path = self.records[index].mask
        if path is not None and isinstance(self.decode, PlainDecoder):
            return self.decoder.decode(path)
        return self.read(index).mask

    def read(self, index: int) -> Planes:
        """Return a sample as read-only or fresh arrays, whole and unchanged.

        Raises:
            DataError: Its files cannot be used.
        """
        record = self._record(index)
        if self.cache is None:
            return self.decode(record, self.decoder)
        return self.cache.fetch(record, lambda: self.decode(record, self.decoder))

    def fill_cache(self) -> None:
        """Decode every sample that is not in the cache, in order.

        Raises:
            DataError: The files of one cannot be used.
        """
        cache = self.cache
        if cache is None:
            return
        missing = [n for n, record in enumerate(self.records) if not cache.holds(record)]
        if missing:
            logger.warning(
                "%d of %d samples are decoded into %s first, once",
                len(missing),
                len(self.records),
                cache.folder,
            )
        for index in missing:
            if cache.is_writable:
                self.read(index)

    def _record(self, index: int) -> Record:
        past = index - len(self.records)
        return self.records[index] if past < 0 else self.extra[past]

    def __getitem__(self, key: int | tuple[int, int] | SampleKey) -> EdgeSample:
        """Return a sample; its random view depends on the seed and this key alone.

        Args:
            key: Index, which means epoch 0, or (epoch, index), or a whole `SampleKey`.

        Returns:
            ``image`` uint8 ``(C, H, W)`` (a view of ``(H, W, C)`` memory, which batches keep as
            channels-last), ``mask`` ``(H, W)``, ``meta``, and ``edge`` if there are edges.

        Raises:
            DataError: Its files cannot be used.
            IndexError: There is no such sample.
        """
        epoch, index, place, center = SampleKey(*key if isinstance(key, tuple) else (0, key))
        index = range(len(self.records) + (0 if center is None else len(self.extra)))[index]
        planes = self.read(index)
        height, width = planes.mask.shape
        if self.transform is not None:
            generator = sample_generator(self.seed, epoch, index, place)
            planes = self.transform(planes, generator, center)
        record = self._record(index)
        sample: EdgeSample = {
            "image": _tensor(planes.image).permute(2, 0, 1),
            "mask": _tensor(planes.mask),
            "meta": {"id": record.id, "path": str(record.image), "size": (height, width)},
        }
        if planes.edge is not None:
            sample["edge"] = _tensor(planes.edge)
        return sample


def _tensor(array: NDArray[np.integer]) -> Tensor:
    """Wrap an array, copying it if it belongs to the cache."""
    return torch.from_numpy(np.require(array, requirements=["C", "W"]))


def build_dataset(
    config: DataConfig,
    split: str,
    *,
    augment: bool = False,
    seed: int = 0,
    pixels: PixelFormat | Literal["training"] | None = "training",
) -> SegmentationDataset:
    """Make the data set of a split.

    Args:
        config: Which images, what their labels mean, where they are cached, how they are changed.
        split: train, val or test.
        augment: Give random views (for training) instead of whole images.
        seed: Of the random views.
        pixels: How images become uint8: as a network was trained (None for RGB of 8 bits), or as
            the training set of ``config`` says.

    Raises:
        UnknownNameError: No reader has this name.
        DataError: The files are not as they should be; the sentence names the file and the fix.
        ConfigError: The options contradict one another.
    """
    source, labels, decoder = read_labelled_source(config, split)
    decode = source.decode if pixels == "training" else with_pixels(source.decode, pixels)
    cache = None
    if config.cache:
        folder = config.cache_dir.expanduser() if config.cache_dir else default_cache_dir()
        form = decode.pixels if isinstance(decode, FileDecoder) else None
        cache = SampleCache(
            folder,
            decoder.fingerprint + decode.fingerprint,
            channels=form.channels if form else 3,
        )
    # Only a training settles what crop follows from the data.
    crop = None if config.crop == OPEN_CROP else config.crop
    dataset = SegmentationDataset(
        source.records,
        labels,
        decoder,
        decode=decode,
        regions=source.regions,
        cache=cache,
        transform=JointTransform(config.augment, crop) if augment else None,
        seed=seed,
        extra=source.extra,
    )
    if source.decode.is_sequential:
        dataset.fill_cache()
    return dataset
