"""Semantic segmentation with plug-in enhancements: train, evaluate, compare, predict.

Every public name loads on first use (PEP 562): ``import segloom`` does not import torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from segloom.comparison import compare, compare_runs
    from segloom.config import RunConfig
    from segloom.config.load import load_run_config
    from segloom.data import build_dataset
    from segloom.enhancements import Enhancement, EnhancementConfig, list_enhancements
    from segloom.errors import SegloomError
    from segloom.evaluation import evaluate
    from segloom.inference import InferenceGraph, Predictor, submit_cityscapes
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
    from segloom.report import write_report
    from segloom.training import train
    from segloom.types import IGNORE_INDEX, LabelSet

_HOMES = {
    "IGNORE_INDEX": "segloom.types",
    "Enhancement": "segloom.enhancements",
    "EnhancementConfig": "segloom.enhancements",
    "InferenceGraph": "segloom.inference",
    "LabelSet": "segloom.types",
    "Predictor": "segloom.inference",
    "RunConfig": "segloom.config",
    "SegloomError": "segloom.errors",
    "SegmentationModel": "segloom.models",
    "build_dataset": "segloom.data",
    "compare": "segloom.comparison",
    "compare_runs": "segloom.comparison",
    "create_model": "segloom.models",
    "evaluate": "segloom.evaluation",
    "from_pretrained": "segloom.models",
    "list_architectures": "segloom.models",
    "list_encoders": "segloom.models",
    "list_enhancements": "segloom.enhancements",
    "list_losses": "segloom.losses",
    "load_run_config": "segloom.config.load",
    "load_weights": "segloom.models",
    "push_to_hub": "segloom.models",
    "save_pretrained": "segloom.models",
    "submit_cityscapes": "segloom.inference",
    "train": "segloom.training",
    "write_report": "segloom.report",
}

__all__ = [
    "IGNORE_INDEX",
    "Enhancement",
    "EnhancementConfig",
    "InferenceGraph",
    "LabelSet",
    "Predictor",
    "RunConfig",
    "SegloomError",
    "SegmentationModel",
    "build_dataset",
    "compare",
    "compare_runs",
    "create_model",
    "evaluate",
    "from_pretrained",
    "list_architectures",
    "list_encoders",
    "list_enhancements",
    "list_losses",
    "load_run_config",
    "load_weights",
    "push_to_hub",
    "save_pretrained",
    "submit_cityscapes",
    "train",
    "write_report",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'segloom' has no attribute '{name}'")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
