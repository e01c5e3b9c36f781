"""Semantic segmentation with plug-in enhancements: train, evaluate, compare, predict.

Every public name loads on first use (PEP 562): ``import segloom`` does not import torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from segloom.lazy import lazy_names

if TYPE_CHECKING:
    from segloom.comparison import compare, compare_runs
    from segloom.config import EvalConfig, InferenceConfig, RunConfig
    from segloom.config.load import load_run_config
    from segloom.data import build_dataset
    from segloom.data.sets.memory import in_memory
    from segloom.enhancements import Enhancement, EnhancementConfig, list_enhancements
    from segloom.errors import SegloomError
    from segloom.evaluation import evaluate
    from segloom.exports import export
    from segloom.inference import InferenceGraph, Predictor, submit_cityscapes
    from segloom.inference.load import load
    from segloom.losses import list_losses
    from segloom.models import (
        SegmentationModel,
        create_model,
        from_pretrained,
        list_architectures,
        list_encoders,
        load_weights,
        push_to_hub,
        save_pretrained,
    )
    from segloom.plugins import load_plugin
    from segloom.prediction.segmentation import Segmentation
    from segloom.report import write_report
    from segloom.training.start import train
    from segloom.types import IGNORE_INDEX, LabelSet

_HOMES = {
    "IGNORE_INDEX": "segloom.types",
    "Enhancement": "segloom.enhancements",
    "EnhancementConfig": "segloom.enhancements",
    "EvalConfig": "segloom.config",
    "InferenceConfig": "segloom.config",
    "InferenceGraph": "segloom.inference",
    "LabelSet": "segloom.types",
    "Predictor": "segloom.inference",
    "RunConfig": "segloom.config",
    "SegloomError": "segloom.errors",
    "Segmentation": "segloom.prediction.segmentation",
    "SegmentationModel": "segloom.models",
    "build_dataset": "segloom.data",
    "compare": "segloom.comparison",
    "compare_runs": "segloom.comparison",
    "create_model": "segloom.models",
    "evaluate": "segloom.evaluation",
    "export": "segloom.exports",
    "from_pretrained": "segloom.models",
    "in_memory": "segloom.data.sets.memory",
    "list_architectures": "segloom.models",
    "list_encoders": "segloom.models",
    "list_enhancements": "segloom.enhancements",
    "list_losses": "segloom.losses",
    "load": "segloom.inference.load",
    "load_plugin": "segloom.plugins",
    "load_run_config": "segloom.config.load",
    "load_weights": "segloom.models",
    "push_to_hub": "segloom.models",
    "save_pretrained": "segloom.models",
    "submit_cityscapes": "segloom.inference",
    "train": "segloom.training.start",
    "write_report": "segloom.report",
}

__all__ = [
    "IGNORE_INDEX",
    "Enhancement",
    "EnhancementConfig",
    "EvalConfig",
    "InferenceConfig",
    "InferenceGraph",
    "LabelSet",
    "Predictor",
    "RunConfig",
    "SegloomError",
    "Segmentation",
    "SegmentationModel",
    "build_dataset",
    "compare",
    "compare_runs",
    "create_model",
    "evaluate",
    "export",
    "from_pretrained",
    "in_memory",
    "list_architectures",
    "list_encoders",
    "list_enhancements",
    "list_losses",
    "load",
    "load_plugin",
    "load_run_config",
    "load_weights",
    "push_to_hub",
    "save_pretrained",
    "submit_cityscapes",
    "train",
    "write_report",
]

__getattr__ = lazy_names(__name__, _HOMES)


def __dir__() -> list[str]:
    return sorted(__all__)
