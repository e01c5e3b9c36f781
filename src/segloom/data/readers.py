"""Readers of data sets by name, and the one way to call them."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from importlib import import_module
from typing import TYPE_CHECKING

from segloom.data.places import fields_of_groups, place_records
from segloom.data.planes import with_pixels
from segloom.data.sets.base import DataSet, own_options
from segloom.data.source import DatasetSource, settle_labels
from segloom.errors import ConfigError, DataError, UnknownNameError
from segloom.labels.decoder import LabelDecoder
from segloom.plugins import find_plugin, plugin_places
from segloom.types import LabelSet

if TYPE_CHECKING:
    from segloom.config.data import DataConfig

__all__ = [
    "DATASETS",
    "find_data_set",
    "has_split",
    "read_labelled_source",
    "read_source",
    "reader_names",
]

DATASETS = {
    "ade20k": "segloom.data.sets.ade20k:DATA_SET",
    "camvid": "segloom.data.sets.camvid:DATA_SET",
    "cityscapes": "segloom.data.sets.cityscapes:DATA_SET",
    "coco": "segloom.data.sets.coco:DATA_SET",
    "cub": "segloom.data.sets.cub:DATA_SET",
    "cvat": "segloom.data.sets.cvat:DATA_SET",
    "folder": "segloom.data.sets.folder:DATA_SET",
    "isic": "segloom.data.sets.isic:DATA_SET",
    "label_studio": "segloom.data.sets.label_studio:DATA_SET",
    "labelme": "segloom.data.sets.labelme:DATA_SET",
    "list": "segloom.data.sets.lists:DATA_SET",
    "lits": "segloom.data.sets.lits:DATA_SET",
    "mask_files": "segloom.data.sets.mask_files:DATA_SET",
    "memory": "segloom.data.sets.memory:DATA_SET",
    "scenes": "segloom.data.sets.scenes:DATA_SET",
    "supervisely": "segloom.data.sets.supervisely:DATA_SET",
    "via": "segloom.data.sets.via:DATA_SET",
    "voc": "segloom.data.sets.voc:DATA_SET",
    "yolo": "segloom.data.sets.yolo:DATA_SET",
}
"""Name to ``module:instance`` of the `DataSet`."""


def reader_names() -> dict[str, str]:
    """Return every known data set, ours and those of other packages, with its ``module:object``."""
    return {**plugin_places("datasets"), **DATASETS}


def find_data_set(name: str) -> DataSet:
    """Return the data set called ``name``.

    Raises:
        UnknownNameError: No data set has this name.
        ConfigError: The package that brings it cannot be imported.
    """
    if name in DATASETS:
        module, _, attribute = DATASETS[name].partition(":")
        found = getattr(import_module(module), attribute)
    else:
        found = find_plugin("datasets", name)
    if found is None:
        raise UnknownNameError("data set", name, reader_names())
    # A plug-in may name the function ``read(config, split)`` alone, which may look at any option.
    return found if isinstance(found, DataSet) else DataSet(found, options=None)


def read_source(config: DataConfig, split: str) -> DatasetSource:
    """Find the files of a split through the reader that ``config.name`` names.

    Raises:
        UnknownNameError: No reader has this name, or it has no option of one in ``data.options``.
        ConfigError: An option is given that belongs to other readers than this one.
        DataError: The split is unknown, empty, or its files are not as they should be.
    """
    data_set = find_data_set(config.name)
    _check_options(config, data_set)
    source = data_set.read(config, split)
    if not source.records:
        raise DataError(
            f"the split '{split}' of the data set '{config.name}' is empty; check data.root, or "
            "give the split more images."
        )
    return replace(source, records=place_records(config, source.records, data_set.place))


def has_split(config: DataConfig, split: str) -> bool:
    """Return whether the data set has images in ``split``, without reading one."""
    try:
        return bool(read_source(config, split).records)
    except DataError:
        return False


def _check_options(config: DataConfig, data_set: DataSet) -> None:
    """Refuse options that the reader would not look at."""
    if config.mask_format == "multilabel" and not data_set.reads_class_masks:
        raise ConfigError(
            "data.mask_format multilabel is for the readers folder and mask_files; label maps of "
            f"{config.name} hold one class per pixel, so set data.mask_format: auto."
        )
    if (fields := fields_of_groups(config)) and not data_set.reads_group_fields:
        raise ConfigError(
            f"data.group_by {fields[0]} names a field of COCO's images, which {config.name} does "
            "not have; give a regular expression with parentheses, or a CSV file."
        )
    if data_set.options is None:
        return
    for option in sorted(_given(config) - data_set.options):
        if readers := _owners().get(option):
            raise ConfigError(
                f"data.{option} is for the reader {' or '.join(readers)}, and {config.name} would "
                "not look at it; leave it out."
            )
    if data_set.Options is not None:
        own_options(config, data_set.Options)
    elif config.options:
        raise ConfigError(
            f"data.options holds {', '.join(config.options)}, but the data set {config.name} has "
            "no options of its own; leave it out."
        )


@lru_cache(maxsize=1)
def _owners() -> dict[str, list[str]]:
    """Map every option that only some of our readers look at to their names."""
    owners: dict[str, list[str]] = {}
    for name, place in DATASETS.items():
        if place.startswith("segloom."):
            for option in find_data_set(name).options or ():
                owners.setdefault(option, []).append(name)
    return owners


def _given(config: DataConfig) -> set[str]:
    """Name the options that differ from their defaults."""
    fields = type(config).model_fields
    return {
        name
        for name, info in fields.items()
        if getattr(config, name) != info.get_default(call_default_factory=True)
    }


def read_labelled_source(
    config: DataConfig, split: str
) -> tuple[DatasetSource, LabelSet, LabelDecoder]:
    """Find the files of a split and settle what its labels mean and how images become uint8.

    Raises:
        UnknownNameError: No reader has this name.
        DataError: The files are not as they should be.
        ConfigError: The options contradict one another.
    """
    source = read_source(config, split)
    evidence = source
    is_known = config.mask_format != "auto" or source.mask_format is not None
    if split != "train" and not is_known:
        try:
            evidence = read_source(config, "train")
        except DataError:
            evidence = source  # a set without training images is still one to test on
    labels, decoder = settle_labels(config, source, evidence)
    from segloom.data.pixel_format import find_pixel_format  # which reads the training set

    pixels = find_pixel_format(config)
    if pixels is not None:
        source = replace(source, decode=with_pixels(source.decode, pixels))
    return source, labels, decoder
