"""What is served: networks by name, each a function from an image to an answer."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from segloom.config.evaluation import InferenceConfig
from segloom.errors import ConfigError
from segloom.inference.opening import open_predictor
from segloom.labels.space import LabelSpace, space_of
from segloom.runtime.model import ExportedModel
from segloom.types import LabelSet

if TYPE_CHECKING:
    from segloom.prediction.predicts import Predicts

__all__ = ["Answer", "Model", "open_model", "open_models", "split_name"]


PLATFORMS = {"onnx": "onnxruntime_onnx", "openvino": "openvino"}
"""Names in KServe's protocol of what runs an exported file, by its format."""


class Answer(Protocol):
    """What a network says of one image; either part may be computed when it is asked for."""

    @property
    def label_map(self) -> NDArray[np.integer]:
        """Class ids, or bits where classes may overlap, ``(H, W)``."""

    @property
    def probabilities(self) -> NDArray[np.float32]:
        """Probability of every class, float32 ``(K, H, W)``."""


@dataclass(frozen=True)
class Model:
    """A network that is served."""

    name: str
    """By which requests call it: letters, digits, ``.``, ``_`` and ``-``."""
    labels: LabelSet
    segment: Callable[[NDArray[np.uint8]], Answer]
    """Answers an image uint8 ``(H, W, C)``; one thread at a time calls it."""
    num_channels: int = 3
    """C."""
    platform: str = "python"
    """What runs it, as KServe's protocol names it."""

    @property
    def space(self) -> LabelSpace:
        """What the values of its label maps mean."""
        return space_of(self.labels)


def open_models(sources: Sequence[str], inference: InferenceConfig) -> list[Model]:
    """Open every model of a list, each under a name of its own.

    Args:
        sources: ``PATH`` or ``NAME=PATH``.
        inference: How images become scores.

    Raises:
        ConfigError: No model is named, or two have one name.
        CheckpointError: There is no model at a path.
    """
    if not sources:
        raise ConfigError("name at least one model to serve: segloom serve runs/mine")
    named = [split_name(source) for source in sources]
    names = [name for name, _ in named]
    repeated = next((name for name in names if names.count(name) > 1), None)
    if repeated is not None:
        raise ConfigError(
            f"two models are called '{repeated}'; name them apart, as in first={named[0][1]}."
        )
    return [open_model(path, name, inference) for name, path in named]


def split_name(source: str) -> tuple[str, Path]:
    """Read ``PATH`` or ``NAME=PATH``; a path alone is called after its last folder.

    Raises:
        ConfigError: The name holds other signs than letters, digits, ``.``, ``_`` and ``-``.
    """
    given, separator, path = source.partition("=")
    if not separator or Path(source).exists():
        stem = Path(source).resolve().name
        return re.sub(r"[^A-Za-z0-9._-]+", "-", stem).strip("-.") or "model", Path(source)
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]*", given):
        raise ConfigError(
            f"'{given}' is no name of a model: use letters, digits, '.', '_' and '-'."
        )
    return given, Path(path)


def open_model(path: Path, name: str, inference: InferenceConfig) -> Model:
    """Open an exported network, or with torch a run (its best checkpoint) or a model directory.

    Raises:
        CheckpointError: There is none, or it cannot be loaded.
        ConfigError: The device or the precision is not there, the network takes edge maps, or
            options are given that an exported network does not take.
    """
    predictor = open_predictor(path, inference)
    platform = "pytorch"
    if isinstance(predictor, ExportedModel):
        platform = PLATFORMS[predictor.description.format]
    if predictor.takes_edges:
        raise ConfigError(
            f"{path} takes an edge map with every image, which a request cannot bring; use "
            "`segloom predict --edges DIR`."
        )
    return Model(
        name,
        predictor.labels,
        lambda image: _PredictorAnswer(predictor, image),
        num_channels=predictor.num_channels,
        platform=platform,
    )


class _PredictorAnswer:
    """Computes labels alone, which is faster, unless probabilities were asked for before."""

    def __init__(self, predictor: Predicts, image: NDArray[np.uint8]) -> None:
        self._predictor, self._image = predictor, image

    @cached_property
    def label_map(self) -> NDArray[np.integer]:
        if "probabilities" in self.__dict__:
            return self._predictor.space.decide(self.probabilities)
        return self._predictor.label_map(self._image)

    @cached_property
    def probabilities(self) -> NDArray[np.float32]:
        return self._predictor.probabilities(self._image)
