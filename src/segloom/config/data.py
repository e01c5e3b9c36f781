"""Options of the data: where it is, what its labels mean, how it is drawn and augmented."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from segloom.config.base import Section, pairs

__all__ = ["OPEN_CROP", "AugmentConfig", "DataConfig", "check_crop", "check_scale"]

OPEN_CROP = (0, 0)
"""Of `DataConfig`: the crop follows from the sizes of the images."""


def check_scale(value: tuple[float, float]) -> tuple[float, float]:
    """Refuse a range of scales that is none."""
    low, high = value
    if not 0.05 <= low <= high <= 20:
        raise ValueError(f"scale goes from low to high within 0.05 and 20, not from {low} {high}")
    return value


def check_crop(value: tuple[int, int] | None) -> tuple[int, int] | None:
    """Refuse a crop without a pixel."""
    if value is not None and min(value) < 1:
        raise ValueError(f"a crop needs at least one pixel each way, not {value}")
    return value


class AugmentConfig(Section):
    """Random changes of a training sample; validation and test samples are never changed."""

    scale: tuple[float, float] = (0.5, 2.0)
    """Range of the random scale, before the crop; 1 1 switches it off."""
    flip: float = Field(0.5, ge=0, le=1)
    """Probability of a left-right flip."""
    rotate: float = Field(0.0, ge=0, le=180)
    """Largest rotation either way, in degrees."""
    jitter: float = Field(0.3, ge=0, le=1)
    """Strength of the change of brightness, contrast, saturation and hue; 0 switches it off."""
    blur: float = Field(0.1, ge=0, le=1)
    """Probability of a Gaussian blur."""
    extra: tuple[str, ...] = ()
    """Transforms of plug-ins, applied last, in this order: "name" or "name:option=value"."""

    @field_validator("scale")
    @classmethod
    def _check_scale(cls, value: tuple[float, float]) -> tuple[float, float]:
        return check_scale(value)


class DataConfig(Section):
    """Which images and label maps, and how they become batches."""

    name: str = "folder"
    """Reader: folder, mask_files (several masks per image), list, labelme, cvat, label_studio,
    supervisely, via, yolo, coco, camvid, cityscapes, cub, isic, lits, voc, ade20k, scenes
    (generated street scenes), or a plug-in's."""
    root: Path | None = None
    """Folder that holds the data set."""
    images: str = "{split}/images"
    """Readers folder and mask_files: where a split's images lie below root; {split} is train, val
    or test."""
    masks: str = "{split}/masks"
    """The same readers: where a split's label maps lie below root."""
    edges: str = ""
    """Reader folder: where a split's edge maps lie below root, such as {split}/edges; empty for
    none."""
    image_ending: str = ""
    """Reader folder: end of an image's stem that its label map lacks, such as _leftImg8bit; with a
    * all that it lacks around the common part, such as img_*."""
    mask_ending: str = ""
    """Reader folder: end of a label map's stem that its image lacks, such as _L or mask_*."""
    split_shares: tuple[float, float, float] = (0.7, 0.1, 0.2)
    """Reader folder: shares of train, val and test where no folders divide the images."""
    lists: dict[str, Path] = Field(default_factory=dict)
    """Reader list: one text or CSV file per split with columns image, label and optionally edge."""
    classes: tuple[str, ...] = ()
    """Class names in the order of their ids; empty takes the reader's own."""
    palette: tuple[tuple[int, int, int], ...] = ()
    """One RGB colour per class, for pictures and for label maps stored as colours."""
    label_map: dict[str, int] = Field(default_factory=dict)
    """Value in the file ("7", or "128,64,128" for a colour) to class id; 255 is void.

    For ids the map is complete: a value that is neither here nor void is refused. For colours it
    adds to the palette.
    """
    mask_format: Literal["auto", "index", "color", "binary", "multilabel"] = "auto"
    """How label maps are stored: class ids, RGB colours, 0 and 255, found out by looking, or
    (multilabel, readers folder and mask_files) classes that overlap, each with its files of 0 and
    255."""
    ignore_values: tuple[int, ...] = ()
    """Values in the file that mean void, besides 255 (not for the format binary; for multilabel
    255 is foreground unless it is listed here)."""
    value_range: Literal["auto", "full"] | tuple[float, float] = "auto"
    """Values that become black and white, for images of more than 8 bits, more than three bands or
    floating point: two numbers; auto takes percentiles of each band of the training set; full
    keeps the high byte of 16 bits. The range is kept with the network."""
    bands: tuple[str, ...] = ()
    """Readers folder and list: bands that lie in files of their own, such as B02 B03 B04 B08. An
    image is the file of the first; the others bear their names in its place. {band} in images or
    image_ending says where; empty if one file has all bands."""
    picture_bands: tuple[int, int, int] | None = None
    """Bands, counted from 1, that pictures show as red, green and blue, for images of more than
    three; None takes the first three."""
    hu_window: tuple[float, float] = (-250.0, 250.0)
    """Reader lits: Hounsfield units that become black and white."""
    group_by: str = ""
    """Which images depend on one another, such as frames of a film or slices of a patient: a
    regular expression on the path below root, whose first parentheses hold the group and the
    second, if any, the number of the image in it, such as "(film\\d+)_(\\d+)"; or a CSV file with
    the columns image, group and perhaps order; or, reader coco, fields of the images, such as
    video_id,frame_id. Empty takes what the reader knows. Intervals draw whole groups, and images
    that are divided into splits stay together."""
    crop: tuple[int, int] | None = None
    """Height and width of a training crop in pixels; None keeps each image's own size, 0 0 takes
    what fits the training images."""
    batch_size: int = Field(8, ge=0)
    """Samples per optimiser step over all processes and accumulation steps together; 0 takes what
    fits the crop, the memory and the number of training images."""
    workers: int = Field(0, ge=0)
    """DataLoader workers; 0 loads in the training process, the fastest way on few cores."""
    cache: bool = True
    """Keep decoded samples in a memory-mapped file, so that each image is decoded once."""
    cache_dir: Path | None = None
    """Where the cache lies; None is the user's cache folder."""
    augment: AugmentConfig = AugmentConfig()
    class_uniform: float = Field(0.0, ge=0, le=1)
    """Share of a training epoch whose crops show a class in turn, each class equally often."""
    class_uniform_tile: int = Field(1024, ge=16)
    """Side of the tiles, in pixels, whose classes are listed for that."""
    class_uniform_coarse: tuple[str, ...] = ()
    """Reader cityscapes: classes whose crops are drawn from the coarse set too."""
    class_uniform_until: int | None = Field(None, ge=1)
    """Reader cityscapes: last epoch, from 1, in which they are; afterwards the finely labelled
    images alone are drawn from. None never stops."""
    scheme: Literal["default", "dlse"] = "default"
    """Readers cityscapes and list: dlse takes the 29 classes of DLSE, void among them, from the
    colours of Cityscapes (mask_format index: its label ids), in the place of the benchmark's 19 or,
    of a list, of classes."""
    coarse: bool = False
    """Reader cityscapes: train on the coarsely labelled images of train_extra as well."""
    fold: int = Field(0, ge=0, le=2)
    """Reader cityscapes: which cities validate; 0 is the official split."""
    num_scenes: tuple[int, int, int] = (240, 40, 80)
    """Reader scenes: how many generated scenes train, val and test hold."""
    scene_size: tuple[int, int] = (240, 320)
    """Reader scenes: height and width of a scene in pixels."""

    options: Annotated[dict[str, object], pairs(str, "NAME VALUE")] = Field(default_factory=dict)
    """Options of a plug-in's reader by name; those of the readers here are fields of their own."""

    @field_validator("label_map")
    @classmethod
    def _check_label_map(cls, value: dict[str, int]) -> dict[str, int]:
        for stored, class_id in value.items():
            parts = stored.split(",")
            if len(parts) not in (1, 3) or not all(part.strip().isdecimal() for part in parts):
                raise ValueError(f'"{stored}" is neither a value like "7" nor a colour "128,64,0"')
            if not 0 <= class_id <= 255:
                raise ValueError(f'"{stored}" maps to {class_id}; class ids go from 0, 255 is void')
        return value

    @field_validator("palette")
    @classmethod
    def _check_palette(
        cls, value: tuple[tuple[int, int, int], ...]
    ) -> tuple[tuple[int, int, int], ...]:
        for color in value:
            if not all(0 <= channel <= 255 for channel in color):
                raise ValueError(f"{color} is no colour; red, green and blue go from 0 to 255")
        return value

    @field_validator("value_range")
    @classmethod
    def _check_range(
        cls, value: Literal["auto", "full"] | tuple[float, float]
    ) -> Literal["auto", "full"] | tuple[float, float]:
        if not isinstance(value, str) and not value[0] < value[1]:
            raise ValueError(f"a range goes from the black to the white value, not from {value}")
        return value

    @field_validator("bands")
    @classmethod
    def _check_bands(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(value)) < len(value) or len(value) == 1:
            raise ValueError(f"bands names two bands or more, each once, not {', '.join(value)}")
        if wrong := [name for name in value if not name or set(name) & set("/\\")]:
            raise ValueError(f"'{wrong[0]}' is no name of a band in a file's name")
        return value

    @field_validator("picture_bands")
    @classmethod
    def _check_picture_bands(
        cls, value: tuple[int, int, int] | None
    ) -> tuple[int, int, int] | None:
        if value is not None and min(value) < 1:
            raise ValueError(f"bands count from 1, so picture_bands cannot be {value}")
        return value

    @field_validator("hu_window")
    @classmethod
    def _check_window(cls, value: tuple[float, float]) -> tuple[float, float]:
        if not -1e5 <= value[0] < value[1] <= 1e5:
            raise ValueError(f"a window goes from low to high Hounsfield units, not from {value}")
        return value

    @field_validator("crop")
    @classmethod
    def _check_crop(cls, value: tuple[int, int] | None) -> tuple[int, int] | None:
        return value if value == OPEN_CROP else check_crop(value)

    @field_validator("split_shares")
    @classmethod
    def _check_shares(cls, value: tuple[float, float, float]) -> tuple[float, float, float]:
        if min(value) < 0 or abs(sum(value) - 1) > 1e-6:
            raise ValueError(f"the shares of train, val and test must add up to 1, not {value}")
        return value

    @model_validator(mode="after")
    def _check_names(self) -> DataConfig:
        self._check_class_uniform()
        if self.mask_format == "multilabel":
            self._check_multilabel()
        if len(set(self.classes)) < len(self.classes):
            raise ValueError(f"classes holds a name twice: {', '.join(self.classes)}")
        if self.classes and self.palette and len(self.classes) != len(self.palette):
            raise ValueError(
                f"{len(self.classes)} classes but {len(self.palette)} colours in palette"
            )
        return self

    def _check_class_uniform(self) -> None:
        if self.class_uniform_coarse and not self.class_uniform:
            raise ValueError("class_uniform_coarse adds to class_uniform, which is 0; set it too")
        if self.class_uniform_until and not self.class_uniform_coarse:
            raise ValueError(
                "class_uniform_until ends the crops of class_uniform_coarse, which is empty; name "
                "its classes or leave class_uniform_until out"
            )
        if self.class_uniform_until and self.coarse:
            raise ValueError(
                "with coarse the coarse set is part of the training set in every epoch; leave "
                "class_uniform_until out"
            )

    def _check_multilabel(self) -> None:
        if self.class_uniform:
            raise ValueError(
                "class_uniform draws crops by the one class of a pixel, which mask_format "
                "multilabel does not have; leave it out"
            )
        if self.edges:
            raise ValueError(
                "edges beside folders of masks per class are not read; leave edges out, and let "
                "the network make its own (hed:weights=FILE)"
            )
        if self.label_map:
            raise ValueError(
                "label_map gives stored values a class, but with mask_format multilabel the folder "
                "is the class; leave it out"
            )
        if 0 in self.ignore_values:
            raise ValueError("0 in ignore_values would leave no background; leave it out")
