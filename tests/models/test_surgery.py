"""A first convolution that takes more channels, and parts that never run and do not learn."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from segloom.models import create_model
from segloom.models.surgery import (
    freeze_unused,
    freeze_unused_branches,
    widen_first_convolution,
    widen_first_weight,
)


def encoder():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 2, 1))


def test_new_channels_change_nothing_until_they_learn():
    plain, wide = encoder(), encoder()
    widen_first_convolution(wide, 2)
    assert (wide[0].in_channels, wide[2].in_channels) == (5, 4)
    assert [name for name, _ in wide.named_parameters()] == [n for n, _ in plain.named_parameters()]
    image, extra = torch.randn(1, 3, 5, 6), 1e6 * torch.randn(1, 2, 5, 6)
    found = wide(torch.cat([image, extra], 1))
    assert torch.equal(found, plain(image))
    found.sum().backward()
    assert wide[0].weight.grad[:, 3:].ne(0).any()


def test_no_new_channel_leaves_the_weight_itself():
    plain = encoder()
    weight = plain[0].weight
    widen_first_convolution(plain, 0)
    assert plain[0].weight is weight


def test_saved_weights_of_the_image_alone_fit_a_widened_network():
    saved = {f"encoder.{name}": value for name, value in encoder().state_dict().items()}
    wide = encoder()
    widen_first_convolution(wide, 2)
    given = widen_first_weight(saved, wide, 3)
    assert saved["encoder.0.weight"].shape[1] == 3
    assert torch.equal(given["encoder.0.weight"][:, :3], saved["encoder.0.weight"])
    assert given["encoder.0.weight"][:, 3:].eq(0).all()
    assert given["encoder.2.weight"] is saved["encoder.2.weight"]
    assert widen_first_weight(given, wide, 3)["encoder.0.weight"] is given["encoder.0.weight"]
    assert widen_first_weight({"encoder.2.bias": 1}, wide, 3) == {"encoder.2.bias": 1}


class Partly(nn.Module):
    """Runs one of two convolutions and one of two norms."""

    output_stride = 2
    _depth = 3

    def __init__(self):
        super().__init__()
        self.used, self.unused = nn.Conv2d(3, 2, 1), nn.Conv2d(3, 2, 1)
        self.norm = nn.BatchNorm2d(2)

    def forward(self, x):
        return [x, self.norm(self.used(x))]


def test_what_never_runs_does_not_learn_and_statistics_stay():
    module = Partly().train()
    freeze_unused(module, 3)
    assert all(p.requires_grad for p in (*module.used.parameters(), *module.norm.parameters()))
    assert not any(p.requires_grad for p in module.unused.parameters())
    assert module.training
    assert module.norm.num_batches_tracked == 0
    assert module.norm.running_var.eq(1).all()


def test_an_encoder_that_runs_whole_is_not_looked_at():
    module = Partly()
    module._depth = 5
    freeze_unused(module, 3)
    assert all(p.requires_grad for p in module.parameters())


def test_parts_that_are_frozen_in_a_built_network_get_no_gradient_and_all_others_do():
    model = create_model("pspnet", encoder_name="resnet18", classes=2)
    frozen = [n for n, p in model.encoder.named_parameters() if not p.requires_grad]
    assert frozen
    assert all(name.startswith(("layer3", "layer4")) for name in frozen)
    model(torch.randn(2, 3, 64, 64)).square().mean().backward()
    assert [n for n, p in model.named_parameters() if p.requires_grad and p.grad is None] == []


@pytest.mark.parametrize("encoder_name", ["tu-test_resnet"])
def test_a_network_without_a_pyramid_is_left_alone(encoder_name):
    model = create_model("unet", encoder_name=encoder_name, classes=2)
    before = [p.requires_grad for p in model.parameters()]
    freeze_unused_branches(model)
    assert [p.requires_grad for p in model.parameters()] == before
