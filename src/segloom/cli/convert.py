"""``segloom convert FILE --out DIR``: read a checkpoint of the original programs or of SMP."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

from tyro.conf import Positional

from segloom.cli.options import parse
from segloom.errors import ConfigError
from segloom.files import parse_yaml

__all__ = ["ConvertOptions", "run"]


@dataclass
class ConvertOptions:
    """Turn a checkpoint of a method's original program, or of plain SMP, into a model.

    Read are those of AFMA, CELT, SFNet, FENet and a tutorial's LinkNet.
    """

    file: Positional[Path]
    """State dict (.pth, .safetensors), or arrays of the DLSE program (.npz); a pickled model is
    refused, since it can run code."""
    out: Path
    """Model directory to write, for `segloom predict` and `from_pretrained`."""
    architecture: str | None = None
    """Only where the names in the file do not tell it."""
    encoder_name: str | None = None
    """Only for other encoders than ResNets."""
    classes: int | None = None
    """Number of classes, to be checked against the file; it is read from there."""
    level: int | None = None
    """AFMA's level (att_depth), where two levels have as many channels."""
    mode: Literal["parity", "default"] = "parity"
    """parity acts as the original; default lifts its limits, with its weights."""
    class_names: tuple[str, ...] = ()
    """Names of the classes; if left out, the original's own where their number tells them: CamVid's
    twelve, for SFNet and FENet the 19 of Cityscapes."""
    options: dict[str, str] = field(default_factory=dict)
    """Arguments of the architecture that differ from SMP's defaults, as pairs."""
    json: bool = False
    """Print the result as JSON."""


def run(words: Sequence[str]) -> int:
    """Convert and say what the file was."""
    options = parse(ConvertOptions, words, verb="convert")

    from segloom.models.weights.convert import convert

    result = convert(
        options.file,
        options.out,
        architecture=options.architecture,
        encoder_name=options.encoder_name,
        classes=options.classes,
        level=options.level,
        mode=options.mode,
        class_names=options.class_names,
        options=_values(options.options),
    )
    if options.json:
        print(json.dumps({**asdict(result), "directory": str(result.directory)}))
        return 0
    method = f" with {result.method}" if result.method else ""
    method += f" at level {result.level}" if result.level is not None else ""
    print(
        f"{options.file}: {result.architecture} on {result.encoder_name}{method}, "
        f"{result.classes} classes, {result.num_tensors} tensors -> {result.directory}"
    )
    return 0


def _values(pairs: dict[str, str]) -> dict[str, object]:
    """Read the values as YAML scalars and lists, so that numbers keep their type."""
    values = {}
    for key, text in pairs.items():
        try:
            values[key] = parse_yaml(text)
        except ValueError as error:
            raise ConfigError(f"{key}={text} cannot be read: {error}.") from error
    return values
