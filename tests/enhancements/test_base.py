"""An enhancement that overrides nothing is the identity at every site, and has no loss."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch

from segloom.enhancements.base import Enhancement, EnhancementConfig
from segloom.types import FeatureSpec, ModelShape


def test_every_site_passes_on_what_it_gets():
    plain, signal = Enhancement(), object()
    image, features = torch.randn(1, 3, 4, 4), [torch.randn(1, 3, 4, 4)]
    assert plain.prepare(image) == (image, None)
    same, kept = plain.enrich(image, features, signal)
    assert same is features
    assert kept is signal
    assert plain.supervise(features, signal) is signal
    assert plain.refine(image, signal) is image
    assert plain.correct(image, signal) is image
    assert plain.loss(signal, torch.zeros(1, 4, 4)) is None
    assert plain.auxiliary_logits(signal) == []
    assert plain.rewire(torch.nn.Identity()) is None
    assert plain.set_normalization(image, image) is None
    assert (plain.input_multiple, list(plain.parameters())) == (1, [])


@dataclass(frozen=True, kw_only=True)
class WidthConfig(EnhancementConfig):
    width: int = 3


def test_options_are_saved_with_those_that_all_share():
    assert WidthConfig(width=5).saved_options() == {"loss_weight": 1.0, "width": 5}
    assert (WidthConfig().extra_input_channels, WidthConfig().edge_channels) == (0, 0)
    assert WidthConfig.variants == ({},)


def test_options_are_named_and_frozen():
    with pytest.raises(TypeError):
        WidthConfig(3)
    with pytest.raises(AttributeError):
        WidthConfig().width = 4


def test_a_configuration_that_builds_nothing_says_so():
    shape = ModelShape(3, 2, (FeatureSpec(0, 3, 1),), 16)
    with pytest.raises(NotImplementedError, match="WidthConfig does not say how it is built"):
        WidthConfig().build(shape)
