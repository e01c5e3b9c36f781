"""Folding finds every batch norm behind a convolution, changes no answer, and leaves the rest."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segloom.inference.fold import fold_batch_norms
from segloom.models import SegmentationModel


def norms(model: nn.Module) -> int:
    return sum(getattr(module, "running_mean", None) is not None for module in model.modules())


@pytest.mark.parametrize("encoder_name", ["tu-test_resnet", "tu-test_efficientnet"])
@pytest.mark.parametrize("architecture", ["unet", "linknet", "fpn", "deeplabv3plus", "pan"])
@torch.no_grad()
def test_folded_network_gives_the_same_logits(
    architecture: str, encoder_name: str, make_model: Callable[..., SegmentationModel]
) -> None:
    model = make_model(architecture, encoder_name)
    folded = deepcopy(model)
    assert fold_batch_norms(folded) == norms(model) > 0
    assert norms(folded) == 0
    image = torch.rand(1, 3, 128, 160, generator=torch.Generator().manual_seed(0))
    before, after = model(image), folded(image)
    assert (before - after).abs().max() < 2e-5 * before.std()
    assert torch.equal(before.argmax(1), after.argmax(1))


class Toy(nn.Module):
    """A network of one layer of each kind, in the form that folding takes."""

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body
        self.input_channels = 3

    def forward(self, image: Tensor) -> Tensor:
        return self.body(image)


class Shared(nn.Module):
    """The convolution's result goes past the norm as well as through it."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)

    def forward(self, image: Tensor) -> Tensor:
        mapped = self.conv(image)
        return self.norm(mapped) + mapped


class Twice(nn.Module):
    """One norm after two convolutions."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 4, 3), nn.Conv2d(3, 4, 3)
        self.norm = nn.BatchNorm2d(4)

    def forward(self, image: Tensor) -> Tensor:
        return self.norm(self.first(image)) + self.norm(self.second(image))


class Between(nn.Module):
    """Something happens between convolution and norm."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)

    def forward(self, image: Tensor) -> Tensor:
        return self.norm(F.relu(self.conv(image)))


class Aliased(nn.Module):
    """The norm is reachable by two names."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)
        self.layers = nn.Sequential(self.conv, self.norm)

    def forward(self, image: Tensor) -> Tensor:
        return self.layers(image)


def randomize(module: nn.Module) -> nn.Module:
    torch.manual_seed(0)
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            if part.track_running_stats:
                nn.init.normal_(part.running_mean)
                nn.init.uniform_(part.running_var, 0.5, 2)
            if part.affine:
                nn.init.uniform_(part.weight, 0.5, 2)
                nn.init.normal_(part.bias)
    return module.eval()


@pytest.mark.parametrize(
    ("body", "count"),
    [
        (nn.Sequential(nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4)), 1),
        (nn.Sequential(nn.Conv2d(3, 6, 3, groups=3), nn.BatchNorm2d(6, affine=False)), 1),
        (nn.Sequential(nn.ConvTranspose2d(3, 4, 4, 2, 1), nn.BatchNorm2d(4)), 1),
        (nn.Sequential(nn.ConvTranspose2d(3, 6, 4, 2, 1, groups=3), nn.BatchNorm2d(6)), 0),
        (nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4, track_running_stats=False)), 0),
        (nn.Sequential(nn.BatchNorm2d(3), nn.Conv2d(3, 4, 3)), 0),
        (Shared(), 0),
        (Twice(), 0),
        (Between(), 0),
        (Aliased(), 1),
    ],
    ids=[
        "plain",
        "groups",
        "transposed",
        "transposed groups",
        "no statistics",
        "norm first",
        "shared",
        "twice",
        "between",
        "aliased",
    ],
)
@torch.no_grad()
def test_only_safe_pairs_are_folded(body: nn.Module, count: int) -> None:
    network = Toy(randomize(body))
    image = torch.rand(2, 3, 16, 16)
    before = network(image)
    assert fold_batch_norms(network) == count
    torch.testing.assert_close(network(image), before, rtol=1e-4, atol=1e-5)
