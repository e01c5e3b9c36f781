"""What an exported folder says about itself: ``model.json``, and the same inside the model's file.

Whoever writes an export and whoever opens one share this file, so that neither guesses.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from segloom.errors import CheckpointError, SegloomError
from segloom.files import parse_json
from segloom.images.pixels import PixelFormat
from segloom.labels.space import MODES, LabelSpace, space_of
from segloom.types import LabelSet, Mode

__all__ = [
    "DESCRIPTION",
    "METADATA_KEY",
    "Description",
    "ExportFormat",
    "ExportKind",
    "Precision",
    "is_export",
]

DESCRIPTION = "model.json"
"""The file that makes a folder an export; it is written last."""
METADATA_KEY = "segloom"
"""Under this name the description stands in the metadata of the model's file."""
VERSION = 2
"""Of the description; a newer one is refused. Those of networks of RGB of 8 bits are still 1."""

ExportFormat = Literal["onnx", "openvino"]
ExportKind = Literal["onnx", "openvino", "triton", "web"]
"""What can be asked for: the last two are an ONNX export with more beside it."""
Precision = Literal["fp32", "bf16", "int8"]


@dataclass(frozen=True)
class Description:
    """An exported network: what goes in, what comes out, and where it came from.

    The file takes ``image``, uint8 ``(batch, height, width, channels)`` of any size, 0 to 255, and
    gives ``labels``, integers ``(batch, height, width)``, and ``logits``, float32 ``(batch,
    classes, height, width)``; normalisation, padding and cropping are inside.
    """

    format: ExportFormat
    precision: Precision
    file: str
    """Name of the model's file in the folder."""
    network: str
    """Architecture, encoder and enhancements, in words."""
    mode: Mode
    """What the channels of the logits are."""
    labels: LabelSet
    image_channels: int
    """Channels of the image: RGB where there are three."""
    edge_channels: int
    """1 if an edge map is to come along as the last channel, else 0."""
    mean: tuple[float, ...]
    """Per channel, in units of 0 to 1; subtracted inside the file, for the record."""
    std: tuple[float, ...]
    hu_window: tuple[float, float]
    """Values of a volume or a slice that are black and white to the network."""
    has_probabilities: bool
    """The file also gives ``probabilities``, float32, as the logits."""
    weights_sha256: str
    """Of the names and values of the network's weights."""
    segloom_version: str
    pixels: PixelFormat | None = None
    """How stored values of a file become bytes, outside the model's file: many bands, deep or
    floating-point pixels; None for RGB of 8 bits."""

    @property
    def num_channels(self) -> int:
        """Channels of what goes in."""
        return self.image_channels + self.edge_channels

    @property
    def channel_names(self) -> list[str]:
        """What each of them is."""
        names = ["red", "green", "blue"]
        if self.image_channels != 3:
            names = [f"channel_{index}" for index in range(self.image_channels)]
        return [*names, *["edges"] * self.edge_channels]

    @property
    def space(self) -> LabelSpace:
        """What the values of the label map mean."""
        return space_of(self.labels)

    def to_json(self) -> dict[str, object]:
        """Return JSON values, for people and other programs too."""
        values = asdict(self)
        names, palette = values.pop("labels"), self.labels.palette
        return {
            "segloom_export": VERSION if self.pixels else 1,
            **values,
            "classes": list(names["classes"]),
            "palette": [list(color) for color in palette],
            "ignore_index": self.labels.ignore_index,
            "input": {
                "name": "image",
                "shape": ["batch", "height", "width", self.num_channels],
                "dtype": "uint8",
                "range": [0, 255],
                "channels": self.channel_names,
            },
            "output": {
                "labels": {"shape": ["batch", "height", "width"], "dtype": self.space.label_type},
                "logits": {
                    "shape": ["batch", len(names["classes"]), "height", "width"],
                    "dtype": "float32",
                },
            },
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any], source: str) -> Description:
        """Read what `to_json` gave.

        Args:
            values: The JSON object.
            source: Where it stands, for the messages.

        Raises:
            CheckpointError: It is something else, or of a newer program.
        """
        try:
            if values["segloom_export"] > VERSION:
                raise CheckpointError(
                    f"{source} is of a newer program (segloom {values['segloom_version']}); "
                    "update this one."
                )
            labels = LabelSet(
                tuple(str(name) for name in values["classes"]),
                tuple((int(r), int(g), int(b)) for r, g, b in values["palette"]),
                int(values["ignore_index"]),
                is_multilabel=MODES[values["mode"]].overlaps,
            )
            return cls(
                labels=labels,
                mean=tuple(map(float, values["mean"])),
                std=tuple(map(float, values["std"])),
                hu_window=(float(values["hu_window"][0]), float(values["hu_window"][1])),
                pixels=PixelFormat.from_dict(values["pixels"]) if values.get("pixels") else None,
                **{name: kind(values[name]) for name, kind in PLAIN.items()},
            )
        except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
            raise CheckpointError(
                f"{source} does not describe an exported network ({type(error).__name__}: "
                f"{error}); export it again."
            ) from error
        except CheckpointError:
            raise
        except SegloomError as error:
            raise CheckpointError(f"{source}: {error}") from error

    @classmethod
    def read(cls, folder: Path) -> Description:
        """Read the description of an exported folder.

        Raises:
            CheckpointError: The folder is none.
        """
        path = folder / DESCRIPTION
        if not path.is_file():
            raise CheckpointError(
                f"{folder} is not an exported network: it has no {DESCRIPTION}; make one with "
                "`segloom export RUN --out DIR`."
            )
        try:
            values = parse_json(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise CheckpointError(f"{path} cannot be read ({error}); export it again.") from error
        description = cls.from_json(values, str(path))
        if Path(description.file).name != description.file:  # it could point anywhere
            raise CheckpointError(f"{path} names a file outside its folder; export it again.")
        return description

    def renamed(self, file: str) -> Description:
        """Return the description of the same network in another file."""
        return replace(self, file=file)


PLAIN: dict[str, type] = {
    "format": str,
    "precision": str,
    "file": str,
    "network": str,
    "mode": str,
    "image_channels": int,
    "edge_channels": int,
    "has_probabilities": bool,
    "weights_sha256": str,
    "segloom_version": str,
}
"""Fields that stand in the JSON as they are."""


def is_export(path: Path) -> bool:
    """Return whether a folder is an exported network."""
    return (path / DESCRIPTION).is_file()
