"""Data sets: from files to batches of uint8 images and class ids.

`build_dataset` and `build_loader` are all that other rooms need. A data set is one `DataSet`
(`segloom.data.sets.base`): ours are in `DATASETS`, others come through the entry-point group
``segloom.datasets``. Importing this package does not import torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from segloom.lazy import lazy_names

if TYPE_CHECKING:
    from segloom.data.dataset import SegmentationDataset, build_dataset
    from segloom.data.loader import build_loader
    from segloom.data.readers import DATASETS, read_source
    from segloom.data.source import DatasetSource

__all__ = [
    "DATASETS",
    "DatasetSource",
    "SegmentationDataset",
    "build_dataset",
    "build_loader",
    "read_source",
]

_HOMES = {
    "DATASETS": "segloom.data.readers",
    "DatasetSource": "segloom.data.source",
    "SegmentationDataset": "segloom.data.dataset",
    "build_dataset": "segloom.data.dataset",
    "build_loader": "segloom.data.loader",
    "read_source": "segloom.data.readers",
}

__getattr__ = lazy_names(__name__, _HOMES)
