"""OpenVINO on the processor.

Axes: B batch, C image channels, K classes, H W image size.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from segloom.errors import CheckpointError, ConfigError, SegloomError, UnknownNameError
from segloom.runtime.session import first_line

if TYPE_CHECKING:
    import openvino

__all__ = ["OpenVinoSession", "openvino_core"]

HINTS = {"fp32": "f32", "bf16": "bf16", "int8": "f32"}
"""Precision of an export, and of all in it that is not quantised. Always given: OpenVINO's own
choice is bfloat16 where the processor has it."""
ELEMENT_TYPES = {"f32": "float32", "bf16": "bfloat16"}
"""As OpenVINO answers when it is asked."""


@cache
def openvino_core() -> openvino.Core:
    """Return the ``openvino.Core`` of this process.

    There is one, and it is kept. The CPU plugin of each core gives the calling thread an alternate
    stack for signals and frees it with the core. Where cores end in another order than they began,
    or on another thread, the thread keeps a stack that is gone, and the next signal with a handler
    (Ctrl-C, SIGTERM, the end of a child) ends the process with a segmentation fault.

    Raises:
        ImportError: OpenVINO is not installed.
    """
    import openvino

    return openvino.Core()


class OpenVinoSession:
    """A file of OpenVINO.

    Label map and logits are compiled apart, when they are first asked for, so that a label map
    does not pay for the logits.

    Args:
        file: The ``.xml`` file; its weights lie beside it.
        precision: fp32, bf16 or int8.
        threads: Of one image; 0 takes as many as there are cores.

    Raises:
        SegloomError: OpenVINO is not installed.
        CheckpointError: The file is missing or damaged.
        ConfigError: The processor does not have the precision.
    """

    def __init__(self, file: Path, precision: str, threads: int = 0) -> None:
        try:
            self._core = openvino_core()
        except ImportError as error:
            raise SegloomError(
                "this model runs with OpenVINO, which is not installed; install `openvino`."
            ) from error
        if not file.is_file() or not file.with_suffix(".bin").is_file():
            raise CheckpointError(f"{file} or its .bin is missing; export the network again.")
        try:
            self._model = self._core.read_model(file)
        except RuntimeError as error:
            raise CheckpointError(
                f"{file} is damaged or no file of OpenVINO ({first_line(error)}); export it again."
            ) from error
        self._hint = HINTS[precision]
        self._options = {"INFERENCE_PRECISION_HINT": self._hint, "PERFORMANCE_HINT": "LATENCY"}
        if threads:
            self._options["INFERENCE_NUM_THREADS"] = str(threads)
        self._compiled: dict[str, openvino.CompiledModel] = {}
        self.device = self._read_device()

    def _read_device(self) -> str:
        compiled = self._program("labels")
        precision = compiled.get_property("INFERENCE_PRECISION_HINT").to_string()
        if precision not in (self._hint, ELEMENT_TYPES[self._hint]):
            raise ConfigError(
                f"this export runs in {self._hint}, but OpenVINO takes {precision} on this "
                "processor, which has no instructions for it; export with --precision fp32."
            )
        return f"OpenVINO {', '.join(compiled.get_property('EXECUTION_DEVICES'))} {self._hint}"

    @property
    def metadata(self) -> dict[str, str]:
        """Texts that stand in the file."""
        path = ["framework", "segloom"]
        if not self._model.has_rt_info(path):
            return {}
        return {"segloom": self._model.get_rt_info(path).astype(str)}

    def labels(self, images: NDArray[np.uint8]) -> NDArray[np.integer]:
        """Label images ``(B, H, W, C)``: integers ``(B, H, W)``."""
        return self._run("labels", images)

    def logits(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Score images ``(B, H, W, C)``: ``(B, K, H, W)``."""
        return self._run("logits", images)

    def _program(self, output: str) -> openvino.CompiledModel:
        if output not in self._compiled:
            import openvino

            results = {
                name: result.get_node() for result in self._model.outputs for name in result.names
            }
            if output not in results:
                raise UnknownNameError("output of the model", output, results)
            part = openvino.Model([results[output]], self._model.get_parameters(), output)
            self._compiled[output] = self._core.compile_model(part, "CPU", self._options)
        return self._compiled[output]

    def _run(self, output: str, images: NDArray[np.uint8]) -> NDArray[Any]:
        try:
            result = self._program(output)({"image": images})
        except RuntimeError as error:
            size = " x ".join(map(str, images.shape))
            raise SegloomError(
                f"OpenVINO cannot run images of {size} ({first_line(error)})."
            ) from error
        return np.array(result[0])  # a copy: the next run overwrites it
