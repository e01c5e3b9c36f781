"""Architectures by name, and what is known of each before anything is built.

Most networks are those of segmentation-models-pytorch (SMP) 0.6, under SMP's class names; ours name
the function that builds them; those of other packages come by `segloom.plugins`, which name an
`Architecture`. Upper or lower case, hyphens and
underscores do not matter.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import partial
from importlib import import_module
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    Literal,
    NamedTuple,
    get_args,
    get_origin,
    get_type_hints,
)

from pydantic import TypeAdapter, ValidationError

from segloom.errors import ConfigError, UnknownNameError
from segloom.plugins import find_plugin, plugin_places

if TYPE_CHECKING:
    from torch import nn

    from segloom.models.encoders.encoder import Encoder, SmpNetwork

__all__ = [
    "ARCHITECTURES",
    "Architecture",
    "Network",
    "build_network",
    "find_architecture",
    "find_encoder",
    "list_architectures",
    "list_encoders",
]


@dataclass(frozen=True)
class Architecture:
    """One architecture and its limits."""

    name: str
    """Lower-case key, as used in configurations."""
    class_name: str
    """Name of the class in SMP, or of the network as its paper writes it."""
    builder: str = ""
    """``module:function`` of a network of ours; empty for SMP's. It takes ``encoder_name``,
    ``in_channels``, ``classes`` and options, and returns a `Network` with random weights. Values of
    options are checked by its annotations, among them ``Annotated[int, Field(ge=n)]``."""
    minimum_grid: int = 1
    """Least rows and columns of the deepest map; smaller images are padded to give it."""
    grid_multiple: int = 1
    """Rows and columns of the deepest map must divide by this."""
    needs_half: bool = False
    """The decoder needs a map at half the size of the image, which transformers do not have."""
    takes_output_stride: bool = True
    """False: the decoder doubles every map, which a dilated encoder's repeated strides defeat."""
    paper: str = ""
    """Where the architecture was published."""


class Network(NamedTuple):
    """The three parts of a network, before enhancements join them."""

    encoder: Encoder
    """Like an encoder of SMP: ``out_channels`` and ``output_stride``, and maps by level; images are
    padded to a multiple of ``input_multiple`` or, where it has none, of the output stride."""
    decoder: nn.Module
    """Takes the list of those maps. Where it has ``edge_channels``, these many last channels of the
    first map, the encoder's input, join once more."""
    segmentation_head: nn.Module
    """Returns logits at the size of the encoder's input."""


ARCHITECTURES = {
    architecture.name: architecture
    for architecture in (
        Architecture("unet", "Unet", paper="Ronneberger et al., MICCAI 2015"),
        Architecture(
            "unetplusplus",
            "UnetPlusPlus",
            takes_output_stride=False,
            paper="Zhou et al., DLMIA 2018",
        ),
        Architecture(
            "manet", "MAnet", takes_output_stride=False, paper="Fan et al., IEEE Access 2020"
        ),
        Architecture(
            "linknet",
            "Linknet",
            takes_output_stride=False,
            paper="Chaurasia and Culurciello, VCIP 2017",
        ),
        Architecture(
            "linknetpaper",
            "LinkNetPaper",
            builder="segloom.models.networks.linknet:build_linknet",
            needs_half=True,
            paper="Chaurasia and Culurciello, VCIP 2017, figures 1 and 2",
        ),
        Architecture("fpn", "FPN", takes_output_stride=False, paper="Kirillov et al., CVPR 2019"),
        Architecture("pspnet", "PSPNet", paper="Zhao et al., CVPR 2017"),
        Architecture("pan", "PAN", minimum_grid=8, paper="Li et al., BMVC 2018"),
        Architecture("deeplabv3", "DeepLabV3", paper="Chen et al., 2017"),
        Architecture(
            "deeplabv3plus",
            "DeepLabV3Plus",
            paper="Chen et al., ECCV 2018",
        ),
        Architecture("upernet", "UPerNet", paper="Xiao et al., ECCV 2018"),
        Architecture("segformer", "Segformer", paper="Xie et al., NeurIPS 2021"),
        Architecture("dpt", "DPT", grid_multiple=2, paper="Ranftl et al., ICCV 2021"),
        Architecture(
            "sfnet",
            "SFNet",
            builder="segloom.models.networks.sfnet:sfnet",
            paper="Li et al., ECCV 2020",
        ),
        Architecture(
            "sfnetlite",
            "SFNetLite",
            builder="segloom.models.networks.sfnet:sfnet_lite",
            paper="Li et al., IJCV 2024",
        ),
        Architecture(
            "fenet",
            "FENet",
            builder="segloom.models.networks.fenet:fenet",
            paper="Liu et al., ChinaMM 2022",
        ),
        Architecture(
            "dlse",
            "DLSE",
            builder="segloom.models.networks.dlse:build",
            paper="Chen et al., 2017, and Hu et al., CVPR 2018",
        ),
        Architecture(
            "linear",
            "Linear",
            builder="segloom.models.networks.linear:build_linear",
            paper="Oquab et al., TMLR 2024",
        ),
        Architecture(
            "eomt",
            "EoMT",
            builder="segloom.models.networks.eomt:build_eomt",
            paper="Kerssies et al., CVPR 2025",
        ),
    )
}

TIMM_OPTIONS = ("dynamic_img_size", "drop_path_rate", "drop_rate", "img_size")
"""Arguments of timm's classes that SMP's architectures hand on to the encoder."""

ENCODER_OPTIONS = (*TIMM_OPTIONS, "output_stride")
"""Arguments that SMP's architectures hand on to the encoder."""

OWNED_ARGUMENTS = ("self", "encoder_name", "encoder_weights", "in_channels", "classes", "kwargs")


def find_architecture(name: str) -> Architecture:
    """Look an architecture up, whatever its case, hyphens and underscores.

    Raises:
        UnknownNameError: There is none of this name.
    """
    key = _key(name)
    if key in ARCHITECTURES:
        return ARCHITECTURES[key]
    for plugin in plugin_places("architectures"):
        if _key(plugin) == key:
            found: Architecture = find_plugin("architectures", plugin)
            return found
    raise UnknownNameError("architecture", name, list_architectures())


def _key(name: str) -> str:
    return name.lower().replace("-", "").replace("_", "").replace("+", "plus")


def find_encoder(name: str) -> str:
    """Return SMP's name of an encoder; a timm name may come with or without its ``tu-``.

    Raises:
        UnknownNameError: Neither SMP nor timm knows the name.
    """
    import timm
    from segmentation_models_pytorch.encoders import get_encoder_names

    import segloom.models.networks.encoders  # noqa: F401  # registers ours with timm

    if name in get_encoder_names():
        return name
    bare = name.removeprefix("tu-")
    if timm.is_model(bare.partition(".")[0]):
        return f"tu-{bare}"
    raise UnknownNameError("encoder", name, list_encoders())


def list_architectures() -> list[str]:
    """Name every architecture, those of other installed packages too."""
    others = plugin_places("architectures").keys() - ARCHITECTURES.keys()
    return [*ARCHITECTURES, *sorted(others)]


def list_encoders(pattern: str = "*") -> list[str]:
    """Name every encoder that matches a shell-like pattern: SMP's own, then timm's as ``tu-*``."""
    import timm
    from segmentation_models_pytorch.encoders import get_encoder_names

    import segloom.models.networks.encoders  # noqa: F401  # registers ours with timm

    # SMP's timm-* names are deprecated aliases of tu-*.
    own = (name for name in get_encoder_names() if not name.startswith("timm-"))
    names = [*own, *(f"tu-{name}" for name in timm.list_models())]
    return [name for name in names if fnmatch(name, pattern)]


def build_network(
    architecture: Architecture,
    *,
    encoder_name: str,
    in_channels: int,
    classes: int,
    options: dict[str, Any],
) -> Network:
    """Build a network with random weights.

    Raises:
        UnknownNameError: An option is no argument of this architecture.
        ConfigError: An option has a value that the network does not take, or the parts do not fit
            each other, for example a dilated Swin encoder.
    """
    build, known = _builder(architecture)
    _check_options(architecture, options, known)
    if architecture.builder:  # SMP takes more than its annotations say, and checks by itself
        _check_values(architecture, options, get_type_hints(build, include_extras=True))
    try:
        network = _build(architecture, build, encoder_name, in_channels, classes, options)
    except (AssertionError, IndexError, KeyError, RuntimeError, TypeError, ValueError) as error:
        raise ConfigError(
            f"{architecture.name} cannot be built with encoder {encoder_name} and options "
            f"{options}: {str(error).splitlines()[0]} Try another encoder, for example "
            f"{'tu-vit_small_patch16_224' if architecture.name == 'dpt' else 'resnet18'}."
        ) from error
    deepest = len(network.encoder.out_channels) - 1
    if 2**deepest <= options.get("output_stride", 32) < 32:
        raise ConfigError(
            f"{architecture.name} stops at level {deepest}, before the maps that output_stride "
            "would dilate; leave it out, or give encoder_depth 5 as well."
        )
    return Network(network.encoder, network.decoder, network.segmentation_head)


def _build(
    architecture: Architecture,
    build: Callable[..., SmpNetwork],
    encoder_name: str,
    in_channels: int,
    classes: int,
    options: dict[str, object],
) -> SmpNetwork:
    """Call the builder, with an encoder of ours where SMP's fits no decoder or one size alone."""
    from segloom.models.encoders.substitute import adapt_dpt, needs_substitute, substituted

    sizes = {"in_channels": in_channels, "classes": classes}
    if architecture.name in ("linear", "eomt") or not needs_substitute(encoder_name):
        return build(encoder_name=encoder_name, **sizes, **options)
    if architecture.name == "dpt":
        return adapt_dpt(build, encoder_name, in_channels=in_channels, classes=classes, **options)
    own = {name: options[name] for name in TIMM_OPTIONS if name in options}
    rest = {name: value for name, value in options.items() if name not in own}
    with substituted(
        encoder_name, in_channels=in_channels, has_half=architecture.needs_half, arguments=own
    ) as alias:
        return build(encoder_name=alias, **sizes, **rest)


def _check_options(architecture: Architecture, options: dict[str, object], known: set[str]) -> None:
    for option in options:
        if option in ("activation", "aux_params"):
            raise ConfigError(
                f"option '{option}' is not taken: a segloom model returns logits alone; apply "
                "softmax to them, or attach an enhancement with an auxiliary loss."
            )
        if option not in known:
            raise UnknownNameError(f"option of {architecture.name}", option, known)
    output_stride = options.get("output_stride", 32)
    if output_stride not in (8, 16, 32):
        raise ConfigError(f"output_stride must be 8, 16 or 32; got {output_stride!r}.")
    if output_stride != 32 and not architecture.takes_output_stride:
        raise ConfigError(
            f"{architecture.name} doubles every map, so it does not take output_stride="
            f"{output_stride}; attach the enhancement dilation, which keeps the strides, or take "
            "an architecture that up-samples to given sizes, for example unet."
        )


def _check_values(
    architecture: Architecture, options: dict[str, object], hints: dict[str, Any]
) -> None:
    for option, value in options.items():
        try:
            TypeAdapter(hints[option]).validate_python(value, strict=True)
        except ValidationError as error:
            allowed = _allowed(hints[option])
            raise ConfigError(
                f"{architecture.name}: {option} must be {', '.join(allowed[:-1])}"
                f"{' or ' if allowed[1:] else ''}{allowed[-1]}, not {value!r}."
            ) from error


def _allowed(hint: object) -> list[str]:
    """Name the values that an annotation allows."""
    if get_origin(hint) is Literal:
        return [str(value) for value in get_args(hint)]
    if get_origin(hint) is Annotated:
        _, field = get_args(hint)
        return [f"a whole number of {field.metadata[0].ge} or more"]
    names: dict[object, list[str]] = {
        bool: ["true", "false"],
        int: ["a whole number"],
        type(None): ["null"],
    }
    return names.get(hint) or [name for part in get_args(hint) for name in _allowed(part)]


def _builder(architecture: Architecture) -> tuple[Callable[..., SmpNetwork], set[str]]:
    """Return what builds the network, and the names of the options it takes."""
    if architecture.builder:
        module, _, name = architecture.builder.partition(":")
        build = getattr(import_module(module), name)
        return build, set(inspect.signature(build).parameters) - set(OWNED_ARGUMENTS)
    import segmentation_models_pytorch as smp

    network = getattr(smp, architecture.class_name)
    own = set(inspect.signature(network.__init__).parameters)
    known = own | set(ENCODER_OPTIONS)
    if "encoder_output_stride" in own:
        known.remove("output_stride")  # these hand on their own
    return (
        partial(network, encoder_weights=None),
        known - {*OWNED_ARGUMENTS, "activation", "aux_params"},
    )
