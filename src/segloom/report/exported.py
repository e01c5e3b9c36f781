"""The exports of a run, as they are noted in it, for the section of its report."""

from __future__ import annotations

import json
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from segloom.files import parse_json
from segloom.report.read import number
from segloom.run_directory import RunDirectory

__all__ = ["ExportNote", "read_exports"]

Number = Annotated[float | None, BeforeValidator(number)]


class _Part(BaseModel):
    """Part of a note; keys of later versions are passed over."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class SizeCheck(_Part):
    """The comparison with the network at one size."""

    size: str = ""
    error: Number = None
    """Largest difference of a logit, as a share of the largest logit."""
    agreement: Number = None
    """Share of the pixels with the same label."""


class ScoreCheck(_Part):
    """The comparison over many images."""

    images: int = 0
    agreement: Number = None
    network: Number = None
    """mIoU, 0 to 1."""
    exported: Number = None
    per_class: dict[str, tuple[Number, Number]] = Field(default_factory=dict)
    """IoU of the network and of the file."""

    @property
    def worst(self) -> list[tuple[str, float, float]]:
        """The classes that lost most, the worst first: name, IoU of the network, of the file."""
        known = [
            (name, own, exported)
            for name, (own, exported) in self.per_class.items()
            if own is not None and exported is not None
        ]
        return sorted(known, key=lambda row: row[2] - row[1])


class Floating(_Part):
    """Layers of an int8 file in floating point."""

    layers: list[str] = Field(default_factory=list)
    of_layers: int | None = None
    reason: str | None = None


class ExportNote(_Part):
    """One export: what it is, and what its gate found."""

    format: str
    precision: str
    folder: str = ""
    megabytes: Number = None
    source: str = ""
    calibration: str | None = None
    device: str = ""
    sizes: list[SizeCheck] = Field(default_factory=list)
    reduced_sizes: list[SizeCheck] = Field(default_factory=list)
    silent_enhancements: list[str] = Field(default_factory=list)
    scores: ScoreCheck = ScoreCheck()
    floating: Floating | None = None


def read_exports(run: RunDirectory) -> list[ExportNote]:
    """Read what `segloom export` noted; a note that cannot be read is left out."""
    notes = []
    for path in sorted(run.gates.glob("*.json")):
        try:
            text = json.dumps(parse_json(path.read_bytes()), ensure_ascii=False)
            notes.append(ExportNote.model_validate_json(text.encode("utf-8", "replace")))
        except (OSError, ValueError, ValidationError):
            continue
    return notes
