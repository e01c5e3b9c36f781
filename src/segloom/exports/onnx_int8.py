"""An ONNX file quantised to 8 bits: pairs of QuantizeLinear and DequantizeLinear around operators.

Of every operator that can be, with a scale per channel of the weights: with convolutions alone, or
a scale per tensor, networks of depthwise convolutions lose most of what they learned.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segloom.runtime.description import METADATA_KEY

__all__ = ["quantize_onnx"]


class _Images:
    """Gives images to ONNX Runtime one by one."""

    def __init__(self, images: Sequence[NDArray[np.uint8]]) -> None:
        self._images: Iterator[NDArray[np.uint8]] = iter(images)

    def get_next(self) -> dict[str, NDArray[np.uint8]] | None:
        image = next(self._images, None)
        return None if image is None else {"image": image}


def quantize_onnx(source: Path, file: Path, images: Sequence[NDArray[np.uint8]]) -> None:
    """Quantise an ONNX file in floating point.

    Args:
        source: The file in floating point.
        file: The result; its metadata are those of the source.
        images: ``(B, H, W, C)``, what the ranges are taken from.
    """
    import onnx
    from onnxruntime import quantization

    class Reader(_Images, quantization.CalibrationDataReader):  # type: ignore[misc]
        pass

    logger = logging.getLogger()
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            quantization.quantize_static(
                source,
                file,
                Reader(images),
                quant_format=quantization.QuantFormat.QDQ,
                per_channel=True,
                activation_type=quantization.QuantType.QUInt8,
                weight_type=quantization.QuantType.QInt8,
            )
    finally:
        logger.setLevel(level)
    _keep_metadata(onnx.load(source), file)


def _keep_metadata(source: Any, file: Path) -> None:
    import onnx

    texts = {entry.key: entry.value for entry in source.metadata_props}
    model = onnx.load(file)
    del model.metadata_props[:]
    onnx.helper.set_model_props(model, {METADATA_KEY: texts[METADATA_KEY]})
    model.producer_name, model.producer_version = source.producer_name, source.producer_version
    onnx.save(model, file)
