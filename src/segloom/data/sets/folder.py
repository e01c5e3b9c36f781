"""A user's own folders: images in one, label maps in another, paired by their stems."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from segloom.config.data import DataConfig
from segloom.data.pairing import (
    folder_division,
    pair_folders,
    require_folder,
    split_folder,
    without_split,
)
from segloom.data.sets.base import DataSet
from segloom.data.sets.class_folders import is_here
from segloom.data.sets.class_folders import read as read_class_masks
from segloom.data.source import DatasetSource, data_root
from segloom.errors import ConfigError

__all__ = ["DATA_SET", "read"]


def read(config: DataConfig, split: str) -> DatasetSource:
    """Read a split of paired folders; see `DatasetSource`.

    Raises:
        DataError: A folder is missing, an image has no label map, or the split is unknown.
    """
    return FORMATS.get(config.mask_format, _read_pairs)(config, split)


def _read_pairs(config: DataConfig, split: str) -> DatasetSource:
    config = _first_band(config)
    images, masks, keep = folder_division(config, split)
    records = pair_folders(
        images,
        masks,
        image_ending=config.image_ending,
        mask_ending=config.mask_ending,
        keep=keep,
    )
    if config.edges:
        edges = pair_folders(
            images,
            _edge_folder(config, split, images),
            image_ending=config.image_ending,
            keep=keep,
            kind="edge map",
            option="data.edges",
        )
        records = tuple(replace(r, edge=e.mask) for r, e in zip(records, edges, strict=True))
    return DatasetSource(records)


def _first_band(config: DataConfig) -> DataConfig:
    """Let the images be the files of the first of their bands."""
    places = (config.images, config.image_ending)
    if not config.bands:
        if any("{band}" in place for place in places):
            raise ConfigError(
                "data.images or data.image_ending holds {band}, but data.bands names none; name "
                "them, such as B02 B03 B04."
            )
        return config
    images, ending = (place.replace("{band}", config.bands[0]) for place in places)
    if (images, ending) == places and config.bands[0] not in images + ending:
        ending = f"_{config.bands[0]}{ending}"
    return config.model_copy(update={"images": images, "image_ending": ending})


def _edge_folder(config: DataConfig, split: str, images: Path) -> Path:
    """Find the folder of the edges beside that of the images."""
    root = data_root(config)
    if split_folder(root, config.images, split) == images:
        wanted = root / config.edges.replace("{split}", split)
        return require_folder(split_folder(root, config.edges, split) or wanted, "edges")
    return require_folder(root / without_split(config.edges), "edges")


FORMATS = {"multilabel": read_class_masks}
"""What reads label maps that are no files of their own."""

DATA_SET = DataSet(
    read,
    is_here,
    options=frozenset(
        {"bands", "edges", "image_ending", "images", "mask_ending", "masks", "split_shares"}
    ),
    names_classes=False,
    recognised={"mask_format": "multilabel"},
    reads_class_masks=True,
)
