"""Enhancements without an effect are found, and disturbed until they have one."""

from __future__ import annotations

from collections.abc import Callable

import torch

from segloom.exports.effects import disturbed, silent_enhancements
from segloom.models import SegmentationModel

IMAGE = torch.arange(2 * 3 * 33 * 47).reshape(2, 3, 33, 47).remainder(251).byte()


def test_an_enhancement_that_starts_at_zero_is_silent_until_disturbed(
    make_model: Callable[..., SegmentationModel],
) -> None:
    model = make_model("fpn", "tu-test_resnet", enhancements="control:parameters=500")
    before = {name: value.clone() for name, value in model.state_dict().items()}
    assert silent_enhancements(model, IMAGE) == ["control"]
    other = disturbed(model)
    assert silent_enhancements(other, IMAGE) == []
    changed = {
        name for name, value in other.state_dict().items() if not torch.equal(value, before[name])
    }
    assert changed == {name for name, _ in model.named_parameters() if "enhancements." in name}
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    again = disturbed(model).state_dict()
    assert all(torch.equal(value, again[name]) for name, value in other.state_dict().items())


def test_weights_of_the_training_alone_do_not_count(
    make_model: Callable[..., SegmentationModel],
) -> None:
    model = make_model("unet", "tu-test_resnet", enhancements="deep_supervision")
    assert any(True for _ in model.enhancements.parameters())
    assert silent_enhancements(model, IMAGE) == []
