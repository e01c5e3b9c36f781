"""The linear head: one layer on a frozen encoder."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from segloom.models import create_model


@pytest.mark.parametrize(("name", "stride"), [("test_vit", 16), ("resnet18", 32)])
def test_the_logits_are_a_layer_on_the_last_map(name, stride):
    model = create_model("linear", encoder_name=name, classes=3).eval()
    norm, head = model.decoder.norm, model.segmentation_head[0]
    for parameter in (norm.weight, norm.bias, head.weight, head.bias):
        torch.nn.init.normal_(parameter)
    norm.running_mean.normal_()
    norm.running_var.uniform_(0.5, 2)
    image = torch.randn(2, 3, 64, 96)
    with torch.no_grad():
        map_ = model.encoder(image)[-1]
        assert map_.shape[-2:] == (64 // stride, 96 // stride)
        normal = (map_ - norm.running_mean[:, None, None]) / (
            norm.running_var[:, None, None] + norm.eps
        ).sqrt()
        normal = normal * norm.weight[:, None, None] + norm.bias[:, None, None]
        low = torch.einsum("bdhw,kd->bkhw", normal, head.weight[:, :, 0, 0])
        low = low + head.bias[:, None, None]
        expected = F.interpolate(low, size=(64, 96), mode="bilinear", align_corners=True)
        torch.testing.assert_close(model(image), expected, rtol=1e-4, atol=1e-4)


def test_the_encoder_is_frozen_unless_asked_otherwise():
    model = create_model("linear", encoder_name="test_vit", classes=3)
    assert model.is_encoder_frozen
    learning = {name for name, p in model.named_parameters() if p.requires_grad}
    assert {name.split(".")[0] for name in learning} == {"decoder", "segmentation_head"}
    free = create_model("linear", encoder_name="test_vit", classes=3, freeze=False)
    assert not free.is_encoder_frozen
    logits = free(torch.randn(2, 3, 67, 101))
    assert logits.shape == (2, 3, 67, 101)
    logits.square().mean().backward()
    assert all(p.grad is not None for p in free.parameters() if p.requires_grad)
