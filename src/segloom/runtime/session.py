"""A model's file opened by its own runtime: uint8 images in, label maps and logits out.

Axes: B batch, C image channels, K classes, H W image size.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from segloom.errors import CheckpointError, SegloomError

__all__ = ["OnnxSession", "Session", "first_line"]


class Session(Protocol):
    """What runs a model's file."""

    @property
    def device(self) -> str:
        """Where it really runs and in which precision, as the runtime says when it is asked."""

    @property
    def metadata(self) -> dict[str, str]:
        """Texts that stand in the file."""

    def labels(self, images: NDArray[np.uint8]) -> NDArray[np.integer]:
        """Label images ``(B, H, W, C)``: integers ``(B, H, W)``."""

    def logits(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Score images ``(B, H, W, C)``: ``(B, K, H, W)``."""


class OnnxSession:
    """ONNX Runtime on the CPU.

    Args:
        file: The ONNX file.
        threads: Of one image; 0 takes as many as there are cores.

    Raises:
        SegloomError: ONNX Runtime is not installed.
        CheckpointError: The file is missing or damaged.
    """

    def __init__(self, file: Path, threads: int = 0) -> None:
        try:
            import onnxruntime
        except ImportError as error:
            raise SegloomError(
                "this model runs with ONNX Runtime, which is not installed; install "
                "`segloom[onnx]` (or `segloom-runtime`)."
            ) from error
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3  # errors only
        if not file.is_file():
            raise CheckpointError(f"{file} is missing; export the network again.")
        try:
            self._session = onnxruntime.InferenceSession(
                str(file), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # its exceptions have no common root
            raise CheckpointError(
                f"{file} is damaged or no ONNX file ({first_line(error)}); export it again."
            ) from error
        self._options = onnxruntime.RunOptions()
        # Otherwise the memory of the largest image ever seen is kept for good.
        self._options.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")

    @property
    def device(self) -> str:
        """The execution providers of the session; its arithmetic is that of the file."""
        return ", ".join(self._session.get_providers())

    @property
    def metadata(self) -> dict[str, str]:
        """Texts that stand in the file."""
        found: dict[str, str] = self._session.get_modelmeta().custom_metadata_map
        return found

    def labels(self, images: NDArray[np.uint8]) -> NDArray[np.integer]:
        """Label images ``(B, H, W, C)``: integers ``(B, H, W)``."""
        return self._run("labels", images)

    def logits(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Score images ``(B, H, W, C)``: ``(B, K, H, W)``."""
        return self._run("logits", images)

    def _run(self, output: str, images: NDArray[np.uint8]) -> NDArray[Any]:
        try:
            (result,) = self._session.run([output], {"image": images}, self._options)
        except Exception as error:  # its exceptions have no common root
            size = " x ".join(map(str, images.shape))
            raise SegloomError(
                f"ONNX Runtime cannot run images of {size} ({first_line(error)})."
            ) from error
        array: NDArray[Any] = result
        return array


def first_line(error: Exception) -> str:
    """Shorten the message of another program to a line."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
