"""Options of a search, and the grammar of what is searched.

optim.lr=1e-4..1e-2:log          any number between, by its logarithm
train.epochs=10..40              any whole number between, where the option takes whole numbers
data.batch_size=4,8,16           one of these
model.enhancements=none,afma,afma+celt
data.crop=[240,320],[360,480]    lists in brackets
loss.terms.dice=0..1             a value of an option that holds values by name
"""

from __future__ import annotations

import re
import types
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, Field, ValidationError
from tyro.conf import Suppress

from segloom.config.base import Section
from segloom.config.load import explain_invalid
from segloom.config.run import RunConfig
from segloom.errors import ConfigError, UnknownNameError
from segloom.files import parse_yaml

__all__ = ["Axis", "Choices", "Span", "TuningPlan", "read_axes", "with_values"]

NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
SPAN = re.compile(rf"({NUMBER})\.\.({NUMBER})(:log)?")
COMMA = re.compile(r",(?![^\[]*\])")
"""A comma outside brackets."""

UNTYPED = (Any, object)
"""Of options whose owner, such as a plug-in, checks their values."""
NOT_SEARCHED = {
    "train.out": "the search gives every trial its own folder",
    "train.resume": "the search resumes by itself",
    "train.overwrite": "the search never replaces a run",
    "train.seed": "the best of several seeds is luck; `segloom compare` takes seeds",
    "data.name": "trials must be measured on the same images",
    "data.root": "trials must be measured on the same images",
    "data.fold": "trials must be measured on the same images",
    "data.scheme": "trials must be measured by the same classes",
    "data.split_shares": "trials must be measured on the same images",
}


class TuningPlan(Section):
    """A search of a few options for the best score on the validation images."""

    search: tuple[str, ...] = ()
    """What is searched: OPTION=LOW..HIGH, OPTION=LOW..HIGH:log or OPTION=A,B,C."""
    trials: int = Field(20, ge=1)
    """Trainings, those that are pruned or fail among them; raise it to go on with a search."""
    seed: int = Field(0, ge=0, lt=2**31)
    """Of the search; every training has the recipe's train.seed."""
    prune: bool = True
    """Stop a trial whose best score so far is below the median of the others at that epoch."""
    startup_trials: int = Field(5, ge=1)
    """Trials that are drawn at random, and that no trial is pruned before."""
    warmup_epochs: int = Field(1, ge=0)
    """Epochs of a trial in which it is never pruned."""
    recipe: Annotated[RunConfig, Suppress] = RunConfig()
    """Everything that is not searched."""


@dataclass(frozen=True)
class Span:
    """All numbers from ``low`` to ``high``, both included."""

    option: str
    low: float
    high: float
    is_log: bool
    """Drawn evenly by the logarithm."""
    is_integer: bool


@dataclass(frozen=True)
class Choices:
    """A few values, by the text that names them."""

    option: str
    values: Mapping[str, Any]


Axis = Span | Choices


def read_axes(texts: Sequence[str], base: RunConfig) -> tuple[Axis, ...]:
    """Read the grammar above, and try every end and every choice on the recipe.

    Raises:
        ConfigError: A text has another form, names no option or one that makes no search, or the
            option refuses a value.
    """
    if not texts:
        raise ConfigError("nothing is searched; name options, such as --search optim.lr=1e-4..1e-2")
    axes = tuple(_read_axis(text, base) for text in texts)
    options = [axis.option for axis in axes]
    for option in options:
        if options.count(option) > 1:
            raise ConfigError(f"--search names {option} twice; give it one range.")
    return axes


def with_values(base: RunConfig, values: Mapping[str, object], source: str) -> RunConfig:
    """Set options by their dotted names.

    Args:
        base: Everything else.
        values: Option to value.
        source: For the message.

    Raises:
        ConfigError: An option refuses its value, or two do not fit each other.
    """
    content = base.model_dump()
    for option, value in values.items():
        *sections, name = option.split(".")
        place = content
        for section in sections:
            place = place[section]
        place[name] = value
    try:
        return RunConfig.model_validate(content)
    except ValidationError as error:
        raise explain_invalid(error, source) from error


def _read_axis(text: str, base: RunConfig) -> Axis:
    option, separator, rest = (part.strip() for part in text.partition("="))
    option = option.lstrip("-").replace("-", "_")
    source = f"--search {text}"
    if not separator or not rest:
        raise ConfigError(f"{source}: give its values, such as optim.lr=1e-4..1e-2:log or a=1,2,4.")
    kinds = _kinds(option)
    reason = NOT_SEARCHED.get(option)
    if option.startswith("eval."):
        reason = "it measures a network and does not change what it learns"
    if reason:
        raise ConfigError(f"{source}: {option} is not searched, since {reason}.")
    span = SPAN.fullmatch(rest)
    if span:
        return _read_span(option, kinds, span, base, source)
    return _read_choices(option, kinds, rest, base, source)


def _read_span(
    option: str, kinds: Sequence[object], span: re.Match[str], base: RunConfig, source: str
) -> Span:
    is_integer = _takes_whole(option, kinds, span.group(1, 2), source)
    low, high = (int(end) if is_integer else float(end) for end in span.group(1, 2))
    if not low < high:
        raise ConfigError(f"{source}: a range goes from low to high, not from {low} to {high}.")
    if span[3] and low <= 0:
        raise ConfigError(f"{source}: :log needs a range above 0; raise its low end.")
    for end in (low, high):
        with_values(base, {option: end}, source)
    return Span(option, low, high, bool(span[3]), is_integer)


def _takes_whole(option: str, kinds: Sequence[object], ends: Sequence[str], source: str) -> bool:
    """Return whether a range of these ends is one of whole numbers, which the option must take."""
    whole = all(re.fullmatch(r"[+-]?\d+", end) for end in ends)
    if not {int, float, *UNTYPED} & set(kinds):
        raise ConfigError(f"{source}: {option} is no number; name choices, divided by commas.")
    if not whole and not {float, *UNTYPED} & set(kinds):
        raise ConfigError(f"{source}: {option} takes whole numbers; write such ends.")
    return whole and float not in kinds


def _read_choices(
    option: str, kinds: Sequence[object], rest: str, base: RunConfig, source: str
) -> Choices:
    texts = [text.strip() for text in COMMA.split(rest)]
    if option == "model.enhancements":
        texts = _join_options(texts)
    if len(texts) < 2 or not all(texts):
        raise ConfigError(
            f"{source}: give a range such as 1e-4..1e-2:log, or two or more choices, divided by "
            "commas."
        )
    values = {text: _accepted(option, kinds, text, base, source) for text in texts}
    if len(values) < len(texts) or any(
        list(values.values()).count(value) > 1 for value in values.values()
    ):
        raise ConfigError(f"{source}: a choice is there twice; leave one of them out.")
    return Choices(option, values)


def _join_options(texts: Sequence[str]) -> list[str]:
    """Put together what belongs to one set: in ``afma:level=2,patch=5,celt`` the first two."""
    joined: list[str] = []
    for text in texts:
        if joined and "=" in text and ":" not in text:
            joined[-1] += f",{text}"
        else:
            joined.append(text)
    return joined


def _accepted(
    option: str, kinds: Sequence[object], text: str, base: RunConfig, source: str
) -> object:
    """Read a choice as what the option takes: a set, nothing, a number, a list or a text."""
    is_none = text.lower() == "none"
    if option == "model.enhancements":
        value: Any = [] if is_none else [part.strip() for part in text.split("+")]
    elif is_none and types.NoneType in kinds:
        value = None
    else:
        value = text if set(kinds) <= {str, types.NoneType} else _scalar(text)
    with_values(base, {option: value}, source)
    return value


def _scalar(text: str) -> object:
    """Read a number, a truth value or a list in brackets; anything else is a text."""
    if re.fullmatch(NUMBER, text):
        return int(text) if re.fullmatch(r"[+-]?\d+", text) else float(text)
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    if text.startswith("["):
        try:
            return parse_yaml(text)
        except ValueError:
            return text
    return text


def _kinds(option: str) -> tuple[object, ...]:
    """Return the types that an option takes.

    Raises:
        ConfigError: There is no such option, or it is a section.
    """
    section: type[BaseModel] = RunConfig
    parts = option.split(".")
    for place, part in enumerate(parts):
        if part not in section.model_fields:
            break
        annotation: object = section.model_fields[part].annotation
        rest = parts[place + 1 :]
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            if not rest:
                raise ConfigError(f"--search {option} is a section; name one of its options.")
            section = annotation
            continue
        if rest and get_origin(annotation) is dict:
            annotation, rest = get_args(annotation)[1], rest[1:]
        if rest:
            break
        is_union = get_origin(annotation) in (Union, types.UnionType)
        return get_args(annotation) if is_union else (annotation,)
    raise UnknownNameError("option", option, _names(RunConfig, ""))


def _names(section: type[BaseModel], prefix: str) -> Iterator[str]:
    for name, field in section.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from _names(field.annotation, f"{prefix}{name}.")
        else:
            yield prefix + name
