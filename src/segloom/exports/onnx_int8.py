"""An ONNX file quantised to 8 bits: pairs of QuantizeLinear and DequantizeLinear around operators.

Of every operator that can be, with a scale per channel of the weights: with convolutions alone, or
a scale per tensor, networks of depthwise convolutions lose most of what they learned.

Axes: B batch, C image channels, H W image size.
"""

from __future__ import annotations

import logging
import tempfile
import warnings
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from segloom.runtime.description import METADATA_KEY
from segloom.runtime.session import OnnxSession

if TYPE_CHECKING:
    import onnx
    from onnxruntime.quantization.calibrate import TensorsData

__all__ = ["OnnxQuantizer"]


class _Images:
    """Gives images to ONNX Runtime one by one."""

    def __init__(self, images: Sequence[NDArray[np.uint8]]) -> None:
        self._images: Iterator[NDArray[np.uint8]] = iter(images)

    def get_next(self) -> dict[str, NDArray[np.uint8]] | None:
        image = next(self._images, None)
        return None if image is None else {"image": image}


class OnnxQuantizer:
    """Quantises an ONNX file; the ranges of its values are found once.

    Args:
        source: The file in floating point.
        images: ``(B, H, W, C)``, what the ranges are taken from.
    """

    def __init__(self, source: Path, images: Sequence[NDArray[np.uint8]]) -> None:
        from onnxruntime.quantization.quant_utils import load_model_with_shape_infer
        from onnxruntime.quantization.registry import QDQRegistry, QLinearOpsRegistry

        self.source = source
        self._types = sorted({*QDQRegistry, *QLinearOpsRegistry})
        with _quiet():
            self._model = load_model_with_shape_infer(source)
            self._ranges = self._find_ranges(images)
        known = set(self._ranges.keys())
        self.layers = [
            node.name
            for node in self._model.graph.node
            if node.op_type in self._types and known.intersection((*node.input, *node.output))
        ]
        """Names of the operators that are quantised unless they are to stay as they are."""

    def _find_ranges(self, images: Sequence[NDArray[np.uint8]]) -> TensorsData:
        from onnxruntime import quantization

        class Reader(_Images, quantization.CalibrationDataReader):  # type: ignore[misc]
            pass

        with tempfile.TemporaryDirectory() as folder:
            calibrator = quantization.create_calibrator(
                self.source, self._types, str(Path(folder) / "augmented.onnx")
            )
            calibrator.collect_data(Reader(images))
            return calibrator.compute_data()

    def write(self, file: Path, floating: Collection[str] = ()) -> None:
        """Write the file in 8 bits, with the metadata of the source.

        Args:
            file: The result.
            floating: Layers that stay in floating point.
        """
        quantized = self._quantize(exclude=sorted(floating))
        texts = {entry.key: entry.value for entry in self._model.metadata_props}
        del quantized.metadata_props[:]
        _save(quantized, file, {METADATA_KEY: texts[METADATA_KEY]}, self._model)

    def damage(self, layer: str, pixels: NDArray[np.uint8]) -> float:
        """Measure what quantising one layer alone does.

        Args:
            layer: One of `layers`.
            pixels: ``(B, H, W, C)``.

        Returns:
            The mean square of the change of the logits; not a number where they are none.
        """
        if not hasattr(self, "_expected"):
            self._expected = OnnxSession(self.source).logits(pixels)
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "one_layer.onnx"
            _save(self._quantize(only=[layer]), file, {}, self._model)
            logits = OnnxSession(file).logits(pixels)
        return float(np.square(logits - self._expected, dtype=np.float64).mean())

    def _quantize(
        self, *, only: Sequence[str] = (), exclude: Sequence[str] = ()
    ) -> onnx.ModelProto:
        from onnxruntime.quantization import QuantType
        from onnxruntime.quantization.qdq_quantizer import QDQQuantizer

        with _quiet():
            quantizer = QDQQuantizer(
                deepcopy(self._model),
                per_channel=True,
                reduce_range=False,
                weight_qType=QuantType.QInt8,
                activation_qType=QuantType.QUInt8,
                tensors_range=self._ranges,
                nodes_to_quantize=list(only),
                nodes_to_exclude=list(exclude),
                op_types_to_quantize=self._types,
                extra_options={},
            )
            return quantizer.quantize_model()


def _save(
    model: onnx.ModelProto, file: Path, texts: dict[str, str], source: onnx.ModelProto
) -> None:
    import onnx

    onnx.helper.set_model_props(model, texts)
    model.producer_name, model.producer_version = source.producer_name, source.producer_version
    onnx.save(model, file)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the quantiser's advice from the user; it comes through the root logger."""
    logger = logging.getLogger()
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
