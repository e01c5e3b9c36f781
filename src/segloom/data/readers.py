"""Readers of data sets by name, and the one way to call them."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from importlib.metadata import entry_points

from segloom.config.data import DataConfig
from segloom.data.labels import LabelDecoder
from segloom.data.source import DatasetSource, settle_labels
from segloom.errors import ConfigError, DataError, UnknownNameError
from segloom.types import LabelSet

__all__ = [
    "DATASETS",
    "ENTRY_POINT_GROUP",
    "ROOTLESS",
    "read_labelled_source",
    "read_source",
    "reader_names",
]

DATASETS = {
    "ade20k": "segloom.data.ade20k:read",
    "camvid": "segloom.data.camvid:read",
    "cityscapes": "segloom.data.cityscapes:read",
    "coco": "segloom.data.coco:read",
    "cub": "segloom.data.cub:read",
    "isic": "segloom.data.isic:read",
    "folder": "segloom.data.folder:read",
    "lits": "segloom.data.lits:read",
    "list": "segloom.data.lists:read",
    "scenes": "segloom.data.scenes:read",
    "voc": "segloom.data.voc:read",
}
"""Name to ``module:function`` of the reader, ``read(config, split) -> DatasetSource``."""

ROOTLESS = frozenset({"list", "scenes"})
"""Those of them that do without a folder `data.root`."""

OPTIONS_OF = {
    "coarse": ("cityscapes",),
    "fold": ("cityscapes",),
    "scheme": ("cityscapes", "list"),
}
"""Option to the readers that look at it."""

ENTRY_POINT_GROUP = "segloom.datasets"


def reader_names() -> dict[str, str]:
    """Give every known reader, ours and those of other packages, with its ``module:function``."""
    return {**{p.name: p.value for p in entry_points(group=ENTRY_POINT_GROUP)}, **DATASETS}


def read_source(config: DataConfig, split: str) -> DatasetSource:
    """Find the files of a split through the reader that ``config.name`` names.

    Raises:
        UnknownNameError: No reader has this name.
        ConfigError: Masks per class are asked of another reader than folder, or an option of
            Cityscapes of another one than that.
        DataError: The split is unknown, empty, or its files are not as they should be.
    """
    known = reader_names()
    if config.name not in known:
        raise UnknownNameError("data set", config.name, known)
    if config.mask_format == "multilabel" and config.name != "folder":
        raise ConfigError(
            "data.mask_format multilabel is for the reader folder; the label maps of "
            f"{config.name} hold one class per pixel, so set data.mask_format: auto."
        )
    for option in sorted(_given(config) & OPTIONS_OF.keys()):
        if config.name not in OPTIONS_OF[option]:
            raise ConfigError(
                f"data.{option} is for the reader {' or '.join(OPTIONS_OF[option])}, and "
                f"{config.name} would not look at it; leave it out."
            )
    module, _, attribute = known[config.name].partition(":")
    read: Callable[[DataConfig, str], DatasetSource] = getattr(import_module(module), attribute)
    source = read(config, split)
    if not source.records:
        raise DataError(
            f"the split '{split}' of the data set '{config.name}' is empty; check data.root, or "
            "give the split more images."
        )
    return source


def _given(config: DataConfig) -> set[str]:
    """Name the options that differ from their defaults."""
    fields = type(config).model_fields
    return {name for name in fields if getattr(config, name) != fields[name].default}


def read_labelled_source(
    config: DataConfig, split: str
) -> tuple[DatasetSource, LabelSet, LabelDecoder]:
    """Find the files of a split and settle what its labels mean.

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
    return source, labels, decoder
