"""Options of the data: where it is, what its labels mean, how it is drawn and augmented."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from segloom.config.base import Section

__all__ = ["AugmentConfig", "DataConfig"]


class AugmentConfig(Section):
    """Random changes of a training sample; validation and test samples are never changed."""

    scale: tuple[float, float] = (0.5, 2.0)
    """Range of the random zoom, before the crop."""
    flip: float = Field(0.5, ge=0, le=1)
    """Probability of a left-right flip."""
    rotate: float = Field(0.0, ge=0, le=180)
    """Largest rotation either way, in degrees."""
    jitter: float = Field(0.3, ge=0, le=1)
    """Strength of the change of brightness, contrast, saturation and hue; 0 switches it off."""
    blur: float = Field(0.1, ge=0, le=1)
    """Probability of a Gaussian blur."""


class DataConfig(Section):
    """Which images and label maps, and how they become batches."""

    name: str = "folder"
    """Reader: camvid, folder, list or scenes (generated street scenes)."""
    root: Path | None = None
    """Folder that holds the data set."""
    images: str = "{split}/images"
    """Reader folder: where a split's images lie below root; {split} is train, val or test."""
    masks: str = "{split}/masks"
    """Reader folder: where a split's label maps lie below root."""
    lists: dict[str, Path] = Field(default_factory=dict)
    """Reader list: one text or CSV file per split with columns image, label and optionally edge."""
    classes: tuple[str, ...] = ()
    """Class names in the order of their ids; empty takes the reader's own."""
    palette: tuple[tuple[int, int, int], ...] = ()
    """One RGB colour per class, for pictures and for label maps stored as colours."""
    label_map: dict[str, int] = Field(default_factory=dict)
    """Value in the file ("7", or "128,64,128" for a colour) to class id; 255 is void."""
    mask_format: Literal["auto", "index", "color", "binary"] = "auto"
    """How label maps are stored: class ids, RGB colours, 0 and 255, or found out by looking."""
    ignore_values: tuple[int, ...] = ()
    """Values in the file that mean void, besides 255 (not for the format binary)."""
    crop: tuple[int, int] | None = None
    """Height and width of a training crop in pixels; None trains on whole images."""
    batch_size: int = Field(8, ge=1)
    """Samples per optimiser step over all processes and accumulation steps together."""
    workers: int = Field(0, ge=0)
    """Loader processes; 0 loads in the training process, the fastest way on few cores."""
    cache: bool = True
    """Keep decoded samples in a memory-mapped file, so that each image is decoded once."""
    cache_dir: Path | None = None
    """Where the cache lies; None is the user's cache folder."""
    augment: AugmentConfig = AugmentConfig()
    num_scenes: tuple[int, int, int] = (240, 40, 80)
    """Reader scenes: how many generated scenes train, val and test hold."""
    scene_size: tuple[int, int] = (240, 320)
    """Reader scenes: height and width of a scene in pixels."""
