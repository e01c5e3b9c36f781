"""From a network and an image to scores and labels, with torch.

Importing this package does not import torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from segloom.lazy import lazy_names

if TYPE_CHECKING:
    from segloom.inference.graph import InferenceGraph
    from segloom.inference.predictor import Predictor
    from segloom.inference.submission import submit_cityscapes
    from segloom.processor import bfloat16_is_fast

__all__ = ["InferenceGraph", "Predictor", "bfloat16_is_fast", "submit_cityscapes"]

_HOMES = {
    "InferenceGraph": "segloom.inference.graph",
    "Predictor": "segloom.inference.predictor",
    "bfloat16_is_fast": "segloom.processor",
    "submit_cityscapes": "segloom.inference.submission",
}

__getattr__ = lazy_names(__name__, _HOMES)
