"""From a network and an image to scores, labels and files."""

from segloom.inference.files import PredictedFile, predict_files
from segloom.inference.graph import InferenceGraph
from segloom.inference.optimize import bfloat16_is_fast
from segloom.inference.predictor import Predictor
from segloom.inference.submission import submit_cityscapes
from segloom.inference.truth import find_truth

__all__ = [
    "InferenceGraph",
    "PredictedFile",
    "Predictor",
    "bfloat16_is_fast",
    "find_truth",
    "predict_files",
    "submit_cityscapes",
]
