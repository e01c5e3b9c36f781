"""The truth of predicted images, where there is one: label maps of any kind, by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from segloom.data.companions import match_files
from segloom.data.readers import read_labelled_source
from segloom.data.sets.cityscapes import FINE, IMAGE_ENDING, label_kinds
from segloom.data.source import SPLITS
from segloom.errors import ConfigError, DataError
from segloom.images.read import is_volume
from segloom.labels.decoder import LabelDecoder, LabelFormat, detect_format, make_decoder
from segloom.labels.space import space_of
from segloom.prediction.class_truth import ClassTruth, find_class_truth
from segloom.types import IGNORE_INDEX, LabelSet

if TYPE_CHECKING:
    from segloom.config.data import DataConfig

__all__ = ["Truth", "find_truth"]

KIND = "label map"


@dataclass(frozen=True)
class Truth:
    """Label maps by image."""

    files: Mapping[Path, Path]
    decoder: LabelDecoder

    def sources(self, image: Path) -> tuple[Path, ...]:
        """Name the files that the truth of an image comes from."""
        return (self.files[image],)

    def read(self, image: Path, size: tuple[int, int]) -> NDArray[np.uint8]:
        """Read the class ids ``(H, W)`` of an image; what is no class of the network is void.

        Raises:
            DataError: The label map is damaged, of another size than the image, or all void.
        """
        path = self.files[image]
        ids = self.decoder.decode(path)
        if ids.shape != size:
            raise DataError(
                f"label map {path} is {ids.shape[1]} x {ids.shape[0]} pixels but its image {image} "
                f"is {size[1]} x {size[0]}; give one of the same size (width x height)."
            )
        if (ids == IGNORE_INDEX).all():
            raise DataError(
                f"label map {path} holds no class of this network; give label maps of its data set."
            )
        return ids


def find_truth(
    folder: Path,
    images: Sequence[Path],
    labels: LabelSet,
    data: DataConfig | None,
    *,
    image_ending: str = "",
    truth_ending: str = "",
) -> Truth | ClassTruth:
    """Find the label map of every image and settle what the maps mean.

    Of classes that may overlap the truth is a mask per class, see
    `segloom.prediction.class_truth.find_class_truth`.

    Label maps of Cityscapes, for its classes or those of DLSE, say by their names what they hold.
    Where the data that the network was trained on is still there and its label maps are stored
    alike, they mean the same; else ids are those of the classes and colours those of the palette.

    Args:
        folder: Searched to the bottom, see `segloom.data.companions.match_files`.
        images: What is predicted.
        labels: Classes and palette of the network.
        data: Data that it was trained on, if that is known.
        image_ending: End of an image's stem that its label map lacks.
        truth_ending: End of a label map's stem that its image lacks; only files that have it
            count. Without either, the ends that Cityscapes uses, or those of ``data``, are tried
            first, and then none.

    Raises:
        DataError: An image has no label map or several, or a label map cannot be read.
        ConfigError: One of the images is a volume.
    """
    volume = next((image for image in images if is_volume(image)), None)
    if volume is not None:
        raise ConfigError(
            f"{volume} is a volume, and the truth is compared with images alone; leave it out, or "
            "measure a data set of volumes with `segloom eval`."
        )
    kinds = label_kinds(labels)
    endings = [(image_ending, truth_ending)]
    if not image_ending and not truth_ending:
        endings = [*_implied_endings(kinds, data), *endings]
    if space_of(labels).no_single:
        ignored = data.ignore_values if data else ()
        return find_class_truth(folder, images, labels.classes, endings, ignored)
    files = _match(images, folder, endings)
    mask_format = detect_format(list(files.values()), len(labels.classes))
    decoder = _named_decoder(list(files.values()), kinds, data)
    if decoder is None:
        decoder = _trained_decoder(data, mask_format)
    if decoder is None:
        decoder = make_decoder(len(labels.classes), mask_format, palette=labels.palette)
    return Truth(files, replace(decoder, unknown=IGNORE_INDEX))


def _implied_endings(
    kinds: Mapping[str, LabelDecoder], data: DataConfig | None
) -> list[tuple[str, str]]:
    """Return the ends of names that Cityscapes uses, or those of the data of the training."""
    if data and data.name == "folder":
        return [(data.image_ending, data.mask_ending)]
    return [(IMAGE_ENDING, f"_{FINE}_{kind}") for kind in kinds]


def _match(
    images: Sequence[Path], folder: Path, endings: Sequence[tuple[str, str]]
) -> dict[Path, Path]:
    """Match with the first pair of endings that fits all images; the last says what is wrong."""
    *first, (image_ending, ending) = endings
    for other in first:
        with suppress(DataError):
            return match_files(images, folder, KIND, image_ending=other[0], ending=other[1])
    hint = "where the ends of the names differ, give --image-ending and --truth-ending"
    return match_files(images, folder, KIND, image_ending=image_ending, ending=ending, hint=hint)


def _named_decoder(
    files: Sequence[Path], kinds: Mapping[str, LabelDecoder], data: DataConfig | None
) -> LabelDecoder | None:
    """Read Cityscapes as its names say, unless the training gave the values another meaning."""
    own_maps = [{}, *(decoder.label_map for decoder in kinds.values())]
    if not kinds or (data and data.label_map not in own_maps):
        return None
    found = {path.stem.rpartition("_")[2] for path in files}
    if "labelTrainIds" in found - set(kinds):
        raise DataError(
            f"label map {files[0]} holds training ids, which tell fewer classes apart than the "
            f"network; give label ids with --truth-ending _{FINE}_labelIds."
        )
    if len(found) == 1:
        return kinds.get(*found)
    if found & set(kinds):
        raise DataError(
            f"the label maps are of several kinds ({', '.join(sorted(found))}); choose one with "
            f"--truth-ending _{FINE}_{next(iter(kinds))}."
        )
    return None


def _trained_decoder(data: DataConfig | None, mask_format: LabelFormat) -> LabelDecoder | None:
    if data is None:
        return None
    for split in SPLITS:
        try:
            decoder = read_labelled_source(data, split)[2]
        except (DataError, ConfigError):
            continue
        return decoder if decoder.mask_format == mask_format else None
    return None
