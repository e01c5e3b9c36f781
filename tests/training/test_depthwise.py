"""Depth-wise convolutions that learn in bfloat16 on a CPU: the same layer, a better gradient."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from timm.layers import Conv2dSame
from torch import Tensor, nn

from segloom.config.load import load_run_config
from segloom.training.assembly import assemble
from segloom.training.depthwise import FastDepthwise, speed_up_depthwise

LAYERS = {
    "plain": lambda: nn.Conv2d(6, 6, 5, padding=2, groups=6, bias=False),
    "strided": lambda: nn.Conv2d(6, 6, 3, stride=2, padding=1, groups=6),
    "dilated": lambda: nn.Conv2d(6, 6, 3, padding=2, dilation=2, groups=6),
    "pads by size": lambda: Conv2dSame(6, 6, 5, stride=2, groups=6, bias=False),
}


def learn(layer: nn.Module, image: Tensor, *, autocast: bool) -> tuple[Tensor, list[Tensor]]:
    """Run a layer; return its answer and the gradients of the image and of its parameters."""
    image = image.clone().requires_grad_()
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        answer = layer(image)
    weight = torch.linspace(-1, 1, answer.numel(), dtype=image.dtype).view(answer.shape)
    (answer.to(image.dtype) * weight).sum().backward()
    return answer.detach(), [image.grad, *(parameter.grad for parameter in layer.parameters())]


def distance(found: list[Tensor], exact: list[Tensor]) -> list[float]:
    pairs = zip(found, exact, strict=True)
    return [float((a.double() - b).norm() / b.norm()) for a, b in pairs]


@pytest.mark.parametrize("kind", LAYERS)
def test_the_answer_is_that_of_autocast_and_the_gradient_is_nearer_to_the_exact_one(
    kind: str,
) -> None:
    torch.manual_seed(0)
    layer = LAYERS[kind]()
    model = nn.Sequential(copy.deepcopy(layer))
    speed_up_depthwise(model)
    assert isinstance(model[0], FastDepthwise)
    image = torch.randn(2, 6, 17, 22)
    exact = learn(copy.deepcopy(layer).double(), image.double(), autocast=False)[1]
    slow_answer, slow = learn(layer, image, autocast=True)
    answer, gradients = learn(model, image, autocast=True)
    assert answer.dtype == torch.bfloat16
    assert torch.equal(answer, slow_answer)
    off, slow_off = distance(gradients, exact), distance(slow, exact)
    assert all(new <= old for new, old in zip(off, slow_off, strict=True))
    assert max(off) < 4e-3  # what the rounding of the answer's own gradient leaves


def test_without_autocast_nothing_is_rounded() -> None:
    layer = LAYERS["plain"]()
    model = nn.Sequential(copy.deepcopy(layer))
    speed_up_depthwise(model)
    image = torch.randn(1, 6, 9, 9)
    for found, expected in zip(
        learn(model, image, autocast=False)[1], learn(layer, image, autocast=False)[1], strict=True
    ):
        torch.testing.assert_close(found, expected)


def test_only_depthwise_convolutions_are_replaced_and_the_state_dict_stays() -> None:
    model = nn.Sequential(nn.Conv2d(4, 8, 1), nn.Conv2d(8, 8, 3, groups=2), LAYERS["plain"]())
    before = {name: value.clone() for name, value in model.state_dict().items()}
    speed_up_depthwise(model)
    assert [type(layer) for layer in model] == [nn.Conv2d, nn.Conv2d, FastDepthwise]
    assert list(model.state_dict()) == list(before)
    model.load_state_dict(before)
    assert copy.deepcopy(model)[2].weight is not model[2].weight


@pytest.mark.parametrize(("precision", "number"), [("bf16", 16), ("fp32", 0)])
def test_a_training_in_bfloat16_on_a_cpu_uses_them(
    precision: str, number: int, tmp_path: Path
) -> None:
    options = {"data_num_scenes": (2, 1, 1), "data_scene_size": (32, 32), "crop": (32, 32)}
    config = load_run_config(
        "demo",
        data_cache_dir=tmp_path,
        model_encoder_weights=None,
        train_precision=precision,
        train_accelerator="cpu",
        batch_size=2,
        **options,
    )
    kinds = [type(layer) for layer in assemble(config).step.modules()]
    assert kinds.count(FastDepthwise) == number  # one per block of EfficientNet-Lite0
