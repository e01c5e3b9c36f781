"""Networks that inference tests share: tiny, with normalisation statistics that matter."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from segloom.labels.palette import default_palette
from segloom.models import SegmentationModel, create_model
from segloom.types import LabelSet


def build(architecture: str, encoder_name: str, **options: Any) -> SegmentationModel:
    """Build a network whose batch norms are far from the identity; the same at every call."""
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.manual_seed(0)
        model = create_model(architecture, encoder_name=encoder_name, **{"classes": 5, **options})
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d) and module.running_mean is not None:
                module.running_mean.normal_(0, 0.3)
                module.running_var.uniform_(0.5, 2)
                nn.init.uniform_(module.weight, 0.5, 1.5)
                nn.init.normal_(module.bias, 0, 0.2)
    return model.eval()


@pytest.fixture(scope="session")
def make_model() -> Callable[..., SegmentationModel]:
    return build


@pytest.fixture(scope="session")
def model() -> SegmentationModel:
    return build("unet", "tu-test_resnet")


@pytest.fixture(scope="session")
def labels() -> LabelSet:
    return LabelSet(("sky", "road", "car", "tree", "sign"), default_palette(5))
