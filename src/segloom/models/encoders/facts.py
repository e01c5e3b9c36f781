"""What timm says of an encoder before it is built: its strides, its arguments, its image size."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import torch

__all__ = ["EncoderFacts", "encoder_facts", "settings_of"]


class Settings(Protocol):
    """What timm says of pretrained weights."""

    input_size: tuple[int, ...]
    """Channels, height and width of the images."""
    fixed_input_size: bool


@dataclass(frozen=True)
class EncoderFacts:
    """What is known of a timm model from its class and its feature list."""

    family: str
    """Name of timm's module, for example ``swin_transformer_v2``."""
    strides: tuple[int, ...]
    """Of every feature map, in pixels of its input."""
    channels: tuple[int, ...]
    """Of the same maps."""
    parameters: int
    """Number of parameters, with its classifier."""
    arguments: frozenset[str]
    """Names that its class takes."""
    image_size: int
    """Pixels of a side of the images that its weights were trained on."""
    is_fixed: bool
    """timm marks it as made for that size alone."""

    @property
    def is_plain(self) -> bool:
        """Every map has one stride: a vision transformer without stages."""
        return len(self.strides) > 1 and len(set(self.strides)) == 1

    def size_arguments(self) -> dict[str, bool]:
        """Choose the arguments under which the class takes images of any size."""
        wanted = {"dynamic_img_size": True}
        if "dynamic_img_size" not in self.arguments or "swin" in self.family:
            wanted = {"strict_img_size": False}  # Swin's own switch; its windows are padded
        return {name: value for name, value in wanted.items() if name in self.arguments}


@lru_cache(maxsize=64)
def encoder_facts(name: str) -> EncoderFacts:
    """Look a timm model up by building it without memory for its weights.

    Args:
        name: timm's name, without ``tu-``.
    """
    import timm

    try:
        with torch.device("meta"):
            model = timm.create_model(name)
    except (RuntimeError, NotImplementedError):  # some models compute with values as they build
        with torch.random.fork_rng(devices=[]):
            model = timm.create_model(name)
    info = getattr(model, "feature_info", None) or []
    info = getattr(info, "info", info)
    settings = settings_of(name)
    return EncoderFacts(
        family=type(model).__module__.rpartition(".")[2],
        strides=tuple(int(entry["reduction"]) for entry in info),
        channels=tuple(int(entry["num_chs"]) for entry in info),
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        arguments=_arguments(type(model)),
        image_size=max(settings.input_size[-2:]) if settings else 224,
        is_fixed=bool(settings and settings.fixed_input_size),
    )


def settings_of(name: str) -> Settings | None:
    """Return timm's settings of pretrained weights, or None where it has none."""
    import timm

    settings: Settings | None = timm.get_pretrained_cfg(name, allow_unregistered=True)
    return settings


def _arguments(kind: type) -> frozenset[str]:
    """Collect what a class and, where it hands arguments on, its ancestors take."""
    names: set[str] = set()
    for ancestor in kind.__mro__:
        if "__init__" not in vars(ancestor):
            continue
        parameters = inspect.signature(ancestor.__init__).parameters.values()  # type: ignore[misc]
        names |= {parameter.name for parameter in parameters}
        if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
            break
    return frozenset(names)
