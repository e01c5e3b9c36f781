"""Reading checkpoints of the original AFMA, CELT, SFNet and FENet programs, and of plain SMP.

SFNet and FENet have names of their own (`segloom.models.networks.reference`); their training heads
are left out. The other two programs carry copies of eight decoders of an old SMP. Their layers and
names are today's SMP's but for the points below, so their weights fit a network of ours without
loss:

- the head is called differently, and DeepLabV3's layers too;
- AFMA's Unet++ has a 1x1 head; it becomes the middle of SMP's 3x3 with zeros around it;
- AFMA's PSPNet runs all five stages of a dilated ResNet-50 or deeper, as timm's ResNet with
  ``output_stride=8`` does; CELT's runs them undilated and up-samples by 32.

The LinkNet of a widespread tutorial is read too: `segloom.models.networks.linknet_blog`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from segloom.data.sets.camvid import CAMVID
from segloom.data.sets.cityscapes_labels import CITYSCAPES
from segloom.data.sets.dlse_classes import DLSE_CLASSES
from segloom.enhancements import afma, celt
from segloom.errors import CheckpointError, ConfigError
from segloom.models.build import create_model
from segloom.models.model import SegmentationModel
from segloom.models.networks import linknet_blog
from segloom.models.networks.reference import rename_reference_state
from segloom.models.weights.checkpoint import load_tensors, save_pretrained
from segloom.models.weights.inspection import CheckpointSource, inspect_checkpoint
from segloom.models.weights.keras_dlse import KERAS_SUFFIXES, read_keras_dlse
from segloom.models.weights.pretrained import Normalization
from segloom.types import LabelSet
from segloom.weight_files import read_state_dict, without_compile

__all__ = ["CAMVID_12", "Conversion", "convert", "rebuild"]

CAMVID_12 = LabelSet((*CAMVID.classes, "unlabelled"), (*CAMVID.palette, (0, 0, 0)))
"""The classes of both programs; they train void as a class of its own."""

CAMVID_BLOG = LabelSet(
    (
        "void", "sky", "building", "sidewalk", "column_pole", "road",
        "tree", "signsymbol", "fence", "car", "pedestrian", "bicyclist",
    ),
    (
        (0, 0, 0), (128, 128, 128), (128, 0, 0), (0, 0, 192), (192, 192, 128), (128, 64, 128),
        (128, 128, 0), (192, 128, 128), (64, 64, 128), (64, 0, 128), (64, 64, 0), (0, 128, 192),
    ),
)  # fmt: skip
"""The classes of the tutorial's LinkNet: void is the first one, and trained."""


@dataclass(frozen=True)
class Conversion:
    """What a checkpoint turned out to be."""

    directory: Path
    """The model directory that was written."""
    method: str | None
    """``afma``, ``celt``, or None for a plain network."""
    architecture: str
    encoder_name: str
    classes: int
    level: int | None
    """Encoder level of the enhancement."""
    num_tensors: int
    """Tensors that were taken over."""


def convert(
    file: Path | str,
    out: Path | str,
    *,
    architecture: str | None = None,
    encoder_name: str | None = None,
    classes: int | None = None,
    level: int | None = None,
    mode: Literal["parity", "default"] = "parity",
    class_names: Sequence[str] = (),
    options: Mapping[str, object] | None = None,
) -> Conversion:
    """Turn a state dict into a model directory, complete or not at all.

    Method, architecture, ResNet and class count are read off the tensors' names and shapes; the
    arguments are for what these cannot tell.

    Args:
        file: State dict of the original AFMA, CELT, SFNet or FENet program, of the tutorial's
            LinkNet, or of plain SMP (.pth, .safetensors), alone or in a checkpoint; a pickled
            model is refused. Weights of the DLSE program as .npz.
        out: Directory to write.
        architecture: For plain networks that cannot be told from their names.
        encoder_name: For plain networks on another encoder than a ResNet.
        classes: Number of classes; only checked.
        level: AFMA's level, where two levels of the encoder have as many channels.
        mode: ``parity`` acts as the original does; ``default`` lifts its limits, with its weights.
        class_names: Names of the classes; by default the originals' own, where their number tells
            them: CamVid's twelve, for SFNet and FENet the 19 of Cityscapes.
        options: Arguments of the architecture, by SMP's names, that differ from its defaults; for
            DLSE its ``gate``.

    Raises:
        CheckpointError: The file cannot be read, is unknown, or does not fit.
    """
    if Path(file).suffix in KERAS_SUFFIXES:
        return _convert_dlse(Path(file), Path(out), class_names, options or {})
    tensors = _unwrap(read_state_dict(Path(file)), str(file))
    source = inspect_checkpoint(
        tensors, str(file), architecture=architecture, encoder_name=encoder_name, level=level
    )
    if classes is not None and classes != source.classes:
        raise CheckpointError(f"{file} has {source.classes} classes, not {classes}.")
    labels = _labels(class_names, source)
    model = rebuild(tensors, source, str(file), mode=mode, options=options)
    save_pretrained(model.eval(), out, labels)
    return Conversion(
        Path(out),
        source.method,
        source.architecture,
        source.encoder_name,
        source.classes,
        source.enhancement.get("level"),
        len(model.state_dict()),
    )


def _unwrap(tensors: Mapping[str, Tensor], file: str) -> dict[str, Tensor]:
    """Take off what stands before ``encoder.`` and ``decoder.`` in the names of the network."""
    tensors = without_compile(tensors)
    before = {name.partition("encoder.")[0] for name in tensors if "encoder." in name}
    prefixes = {
        prefix for prefix in before if any(name.startswith(f"{prefix}decoder.") for name in tensors)
    }
    if len(prefixes) > 1:
        raise CheckpointError(
            f"{file} holds several networks, under {' and '.join(sorted(prefixes))}; save the one "
            "that is meant alone."
        )
    for prefix in prefixes:
        return {
            name.removeprefix(prefix): value
            for name, value in tensors.items()
            if name.startswith(prefix)
        }
    return tensors


def _convert_dlse(
    file: Path, out: Path, class_names: Sequence[str], options: Mapping[str, object]
) -> Conversion:
    if set(options) - {"gate"}:
        raise CheckpointError(f"of the options of {file} only gate is free; leave out the others.")
    model = read_keras_dlse(file, gate=str(options.get("gate", "sigmoid")))
    source = CheckpointSource(
        method="se" if model.enhancements else None,
        architecture="dlse",
        encoder_name="resnet50",
        in_channels=model.shape.image_channels,
        classes=model.shape.num_classes,
    )
    is_original = not class_names and source.classes == len(DLSE_CLASSES.classes)
    save_pretrained(
        model.eval(), out, DLSE_CLASSES if is_original else _labels(class_names, source)
    )
    return Conversion(
        out, source.method, "dlse", "resnet50", source.classes, None, len(model.state_dict())
    )


def rebuild(
    tensors: Mapping[str, Tensor],
    source: CheckpointSource,
    file: str,
    *,
    mode: Literal["parity", "default"] = "parity",
    options: Mapping[str, Any] | None = None,
) -> SegmentationModel:
    """Build the network of a state dict and fill it.

    Args:
        tensors: The state dict, under the names of its program.
        source: What `inspect_checkpoint` says of it.
        file: Where it comes from, for the messages.
        mode: As for `convert`.
        options: As for `convert`.

    Raises:
        CheckpointError: The network cannot be built, or the tensors do not fit it.
    """
    enhancements = [{source.method: {**source.enhancement, "mode": mode}}] if source.method else []
    try:
        model = create_model(
            source.architecture,
            encoder_name=source.encoder_name,
            in_channels=source.in_channels,
            classes=source.classes,
            enhancements=enhancements,
            **{**source.options, **(options or {})},
        )
    except ConfigError as error:
        raise CheckpointError(f"the network of {file} cannot be built: {error}") from error
    if source.options.get("form") == "blog":
        renamed = {linknet_blog.rename_blog_key(key): value for key, value in tensors.items()}
        load_tensors(model, {key: value for key, value in renamed.items() if key}, file)
        mean, std = Normalization(linknet_blog.MEAN, linknet_blog.STD).for_channels(
            source.in_channels
        )
        model.pixel_mean = torch.tensor(mean).view(1, -1, 1, 1)
        model.pixel_std = torch.tensor(std).view(1, -1, 1, 1)
        return model
    load_tensors(model, _rename(tensors, source, model), file)
    return model


AFMA_DECODER = {
    "decoder.ASPP.": "decoder.aspp.",
    "decoder.conv2d.": "decoder.conv.",
    "decoder.batchNorm2d.": "decoder.bn.",
}


def _rename(
    tensors: Mapping[str, Tensor], source: CheckpointSource, model: SegmentationModel
) -> dict[str, Tensor]:
    if source.is_reference_network:
        return rename_reference_state(tensors, source.architecture, keep_auxiliary=False)
    rename: dict[str | None, Callable[[str], str]] = {
        "afma": _rename_afma,
        "celt": celt.rename_reference_key,
    }
    to_ours = rename.get(source.method, str)
    renamed = {to_ours(key): value for key, value in tensors.items()}
    if source.encoder_name.startswith("tu-"):
        renamed = {
            re.sub(r"^encoder\.(?!model\.)", "encoder.model.", key): value
            for key, value in renamed.items()
        }
    head = "segmentation_head.0.weight"
    kernel = model.get_parameter(head).shape[-1] if head in renamed else 0
    if head in renamed and renamed[head].shape[-1] == 1 and kernel == 3:
        renamed[head] = F.pad(renamed[head], (1, 1, 1, 1))
    return renamed


def _rename_afma(key: str) -> str:
    for old, new in AFMA_DECODER.items():
        if key.startswith(old):
            return new + key.removeprefix(old)
    return afma.rename_reference_key(key)


def _labels(class_names: Sequence[str], source: CheckpointSource) -> LabelSet | None:
    if class_names:
        if len(class_names) != source.classes:
            raise CheckpointError(
                f"{len(class_names)} class names for a network with {source.classes} classes."
            )
        return LabelSet(tuple(class_names), tuple(_colour(n) for n in range(len(class_names))))
    if source.is_reference_network:
        return CITYSCAPES if source.classes == len(CITYSCAPES.classes) else None
    if source.classes != 12:
        return None
    is_blog = source.options.get("form") == "blog"
    return CAMVID_12 if source.method else CAMVID_BLOG if is_blog else None


def _colour(number: int) -> tuple[int, int, int]:
    """Colour of a class without one: the bit-reversal scheme of PASCAL VOC's palette."""
    number += 1  # VOC's 0 is black, which void has
    colour = [0, 0, 0]
    for bit in range(8):
        for channel in range(3):
            colour[channel] |= (number >> (3 * bit + channel) & 1) << (7 - bit)
    return colour[0], colour[1], colour[2]
