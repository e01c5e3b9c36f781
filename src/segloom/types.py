"""The values that travel between the rooms. Importing this file does not import torch.

Axes: B batch, C channels, H height, W width, K classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias, TypedDict

from segloom.errors import ConfigError
from segloom.text import printable

if TYPE_CHECKING:
    from torch import Tensor

__all__ = [
    "ALONE",
    "IGNORE_INDEX",
    "Batch",
    "Blend",
    "FeatureSpec",
    "LabelSet",
    "Mode",
    "ModelShape",
    "Place",
    "Prediction",
    "Record",
    "Region",
    "Sample",
    "SampleMeta",
]

IGNORE_INDEX = 255
"""Label of a pixel without a class (void): never trained, never counted, never predicted."""


Mode: TypeAlias = Literal["binary", "multiclass", "multilabel"]
"""What a network's channels are: one logit for two classes (`segloom.ops.binary`), one per class of
which each pixel has one, or one per class of which a pixel has any (`segloom.ops.multilabel`)."""


Blend: TypeAlias = Literal["smooth", "average"]
"""How windows over an image are placed and weighted (`segloom.images.windows`)."""


@dataclass(frozen=True)
class LabelSet:
    """The classes of a data set, in the order of their ids; void is not among them."""

    classes: tuple[str, ...]
    palette: tuple[tuple[int, int, int], ...]
    """One RGB colour per class, 0 to 255."""
    ignore_index: int = IGNORE_INDEX
    is_multilabel: bool = False
    """Classes may overlap; label maps then hold a bit per class (`segloom.labels.bits`)."""

    def __post_init__(self) -> None:
        if not 1 <= len(self.classes) <= IGNORE_INDEX:
            raise ConfigError(f"a label set needs 1 to 255 classes; this one has {self.classes}.")
        if len(self.classes) != len(self.palette):
            raise ConfigError(
                f"{len(self.classes)} classes but {len(self.palette)} colours in the palette; "
                "give one colour per class."
            )
        odd = [name for name in self.classes if printable(name) != name]
        if odd:
            raise ConfigError(
                f"the class name {odd[0]!r} holds control characters; rename it in data.classes."
            )


@dataclass(frozen=True)
class Region:
    """Classes that are scored together, against all others."""

    name: str
    classes: tuple[int, ...]
    """Their ids."""
    has_threshold: bool = False
    """Whether the mean thresholded Jaccard of ISIC 2018 is a score of it."""


class SampleMeta(TypedDict, total=False):
    """Where a sample came from."""

    id: str
    """Name of the sample, unique in its split; the stem of the image file."""
    path: str
    """Image file."""
    size: tuple[int, int]
    """Height and width of the image as read, in pixels."""


class Sample(TypedDict):
    """One image with its label map.

    ``image`` is uint8 ``(C, H, W)``, RGB, 0 to 255 (not normalised: the model does that on the
    batch); ``mask`` is uint8 ``(H, W)``, class ids (for classes that overlap, their
    bits) and `IGNORE_INDEX`. A collated batch has the
    same keys with a leading ``B`` and ``meta`` as a list.
    """

    image: Tensor
    mask: Tensor
    meta: SampleMeta


class Batch(TypedDict, total=False):
    """Samples of a batch; see `Sample`."""

    image: Tensor
    """uint8 ``(B, C, H, W)``."""
    mask: Tensor
    """Integers ``(B, H, W)``."""
    edge: Tensor
    """uint8 ``(B, H, W)``, where edge maps come with the images."""
    meta: list[SampleMeta]


class FeatureSpec(NamedTuple):
    """One map that the encoder returns."""

    level: int
    """0 is image size, 1 the first down-sampling, and so on."""
    channels: int
    """0 marks a place holder (several transformer encoders have one at level 1)."""
    stride: int
    """Input pixels per feature pixel; strides repeat in dilated encoders."""


@dataclass(frozen=True)
class ModelShape:
    """All that an enhancement may ask for when it is built."""

    image_channels: int
    num_classes: int
    features: tuple[FeatureSpec, ...]
    decoded_channels: int
    """Channels of the decoder's output, the input of the segmentation head."""
    pyramid_channels: tuple[int, ...] = ()
    """Channels of the intermediate feature maps that the decoder hands out; SMP's hand out none."""

    def level(self, number: int) -> tuple[int, FeatureSpec]:
        """Find the map of a level.

        Returns:
            Its index in the list that the encoder returns, and its spec.

        Raises:
            ConfigError: The encoder has no map with channels at this level.
        """
        for index, spec in enumerate(self.features):
            if spec.level == number and spec.channels > 0:
                return index, spec
        levels = ", ".join(str(spec.level) for spec in self.features if spec.channels > 0)
        raise ConfigError(
            f"this encoder has no feature map at level {number}; take one of its levels {levels}, "
            "or a larger encoder_depth where the architecture allows it."
        )


class Prediction(NamedTuple):
    """What one pass through a model gives."""

    logits: Tensor
    """``(B, K, H, W)`` at the size of the input image, not normalised."""
    signals: dict[str, object]
    """Per enhancement, what its auxiliary loss needs: a tensor, a named tuple of tensors, None."""


class Place(NamedTuple):
    """Which other images an image depends on: frames of one film, slices of one patient."""

    group: str = ""
    """Name of the film, patient, city; empty for an image that depends on no other."""
    order: int | None = None
    """Where it stands in its group, if neighbours are alike: frame or slice number."""


ALONE = Place()
"""An image that depends on no other."""


@dataclass(frozen=True)
class Record:
    """One line of a data set: an image file, its label map, and an optional edge map."""

    id: str
    image: Path
    mask: Path | None = None
    edge: Path | None = None
    part: int | None = None
    """Which part of the files it is, such as a slice of a volume; None is the whole."""
    case: str = ""
    """What the sample is a part of, such as a patient; empty for a case of its own."""
    class_masks: tuple[tuple[Path, ...], ...] = ()
    """In the place of ``mask``: the files of each class, none where there is nothing of it; see
    `segloom.data.class_masks`."""
    group: str = ""
    """See `Place`; empty takes the case."""
    order: int | None = None
    """Likewise; None takes the part of a case."""

    @property
    def label_file(self) -> Path:
        """The file of ``mask``, of a sample whose reader sets it."""
        assert self.mask is not None, self.id  # noqa: S101 - the reader sets it
        return self.mask

    @property
    def place(self) -> Place:
        """Which other samples it depends on."""
        if self.group or not self.case:
            return Place(self.group, self.order)
        return Place(self.case, self.part)

    @property
    def files(self) -> tuple[Path, ...]:
        """All files of the sample, the image first."""
        found = (self.image, self.mask, self.edge, *chain.from_iterable(self.class_masks))
        return tuple(path for path in found if path is not None)
