"""An ONNX file as a file of OpenVINO, in floating point or quantised to 8 bits.

Quantisation is NNCF's, after training: the ranges of the values are taken from images. NNCF sends
usage statistics unless it is told that it runs in a test; it is told so.
"""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from segloom.errors import ConfigError
from segloom.runtime.openvino_session import openvino_core

if TYPE_CHECKING:
    import openvino

__all__ = ["OpenVinoQuantizer", "convert_to_openvino", "require_openvino"]


def require_openvino(precision: str) -> None:
    """Refuse to go on where a package is missing.

    Raises:
        ConfigError: It is.
    """
    os.environ.setdefault("NNCF_CI", "1")  # no usage statistics
    try:
        import openvino  # noqa: F401 - is it there?

        if precision == "int8":
            _import_nncf()
    except ImportError as error:
        raise ConfigError(
            f"--format openvino needs {error.name}, which is not installed; install "
            "`segloom[openvino]`."
        ) from error


def _import_nncf() -> ModuleType:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about versions of torch that it was not tried with
        import nncf
    found: ModuleType = nncf
    return found


def convert_to_openvino(onnx_file: Path, file: Path) -> None:
    """Write the ``.xml`` of an ONNX file, and its ``.bin`` beside it, weights in float32."""
    import openvino

    openvino.save_model(openvino_core().read_model(onnx_file), file, compress_to_fp16=False)


class OpenVinoQuantizer:
    """Quantises a file of OpenVINO that was made from an ONNX file.

    Convolutions are symmetric in the weights and, as activations demand it, asymmetric in these
    (NNCF's preset "mixed").

    Args:
        source: The ``.xml`` in floating point.
        images: ``(B, H, W, C)``, what the ranges are taken from.
    """

    def __init__(self, source: Path, images: Sequence[NDArray[np.uint8]]) -> None:
        self.source, self.images = source, images

    def write(self, file: Path, floating: Collection[str] = ()) -> None:
        """Write the file in 8 bits.

        Args:
            file: The ``.xml`` of the result.
            floating: Layers, by the names of ONNX's nodes, that stay in floating point.
        """
        import openvino

        nncf = _import_nncf()
        model = openvino_core().read_model(self.source)
        with _quiet_nncf():
            quantized = nncf.quantize(
                model,
                nncf.Dataset(list(self.images), lambda image: {"image": image}),
                preset=nncf.QuantizationPreset.MIXED,
                subset_size=len(self.images),
                ignored_scope=nncf.IgnoredScope(names=_operations(model, floating)),
            )
        openvino.save_model(quantized, file, compress_to_fp16=False)


def _operations(model: openvino.Model, layers: Collection[str]) -> list[str]:
    """Name the operations that OpenVINO made of nodes of ONNX: ``NODE``, ``NODE/...``."""
    names = [operation.get_friendly_name() for operation in model.get_ordered_ops()]
    return [n for n in names if any(n == layer or n.startswith(f"{layer}/") for layer in layers)]


@contextmanager
def _quiet_nncf() -> Iterator[None]:
    """Keep NNCF's words about its own workings from the user."""
    level = logging.getLogger("nncf").level
    logging.getLogger("nncf").setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), redirect_stdout(StringIO()), redirect_stderr(StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.getLogger("nncf").setLevel(level)
