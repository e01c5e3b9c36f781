"""Swapped operators give the numbers of those they stand for, at every size."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from timm.layers.conv2d_same import Conv2dSame
from torch import nn

from segloom.exports.operators import MatrixPool, constant_padding, swap_operators
from segloom.models import SegmentationModel

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("bins", [(2, 2), (3, 3), (6, 6), (4, 7)])
@pytest.mark.parametrize("size", [(1, 1), (2, 3), (6, 6), (7, 20), (31, 64)])
def test_matrices_average_as_adaptive_pooling_does(bins: tuple, size: tuple) -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 4, *size)
    expected = nn.AdaptiveAvgPool2d(bins)(x)
    torch.testing.assert_close(MatrixPool(bins)(x), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("architecture", ["pspnet", "upernet", "sfnet", "sfnetlite", "fenet"])
@torch.no_grad()
def test_pyramid_pooling_is_swapped_and_answers_alike(
    make_model: Callable[..., SegmentationModel], architecture: str
) -> None:
    model = make_model(architecture, "tu-test_resnet")
    image = torch.randn(2, 3, 70, 90)
    expected = model(image)
    assert swap_operators(model) >= 2
    kinds = [m for m in model.modules() if isinstance(m, nn.AdaptiveAvgPool2d)]
    assert all(module.output_size in (1, (1, 1)) for module in kinds)
    torch.testing.assert_close(model(image), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("size", [(1, 1), (131, 197), (64, 96)])
@torch.no_grad()
def test_padding_same_becomes_a_constant(
    make_model: Callable[..., SegmentationModel], size: tuple
) -> None:
    model = make_model("unet", "tu-test_efficientnet", classes=2)
    blocks = model.get_submodule("encoder.model")
    plain = blocks.conv_stem
    same = Conv2dSame(3, plain.out_channels, 3, stride=2, bias=False)
    same.load_state_dict(plain.state_dict())
    blocks.conv_stem = same
    image = torch.randn(1, 3, *size)
    expected = model(image)
    assert swap_operators(model) == 1
    assert not any(isinstance(module, Conv2dSame) for module in model.modules())
    torch.testing.assert_close(model(image), expected, rtol=0, atol=0)


def test_padding_same_with_a_rest_stays(make_model: Callable[..., SegmentationModel]) -> None:
    model = make_model("unet", "tu-test_efficientnet", classes=2)
    model.multiple = 1  # images come as they are
    model.minimum_size = 1
    blocks = model.get_submodule("encoder.model")
    blocks.conv_stem = Conv2dSame(3, blocks.conv_stem.out_channels, 3, stride=2, bias=False)
    assert swap_operators(model) == 0


@pytest.mark.parametrize(
    ("kernel", "stride", "dilation"), [(3, 2, 1), (5, 2, 1), (4, 1, 1), (3, 2, 2), (1, 2, 1)]
)
@torch.no_grad()
def test_every_form_of_padding_same(kernel: int, stride: int, dilation: int) -> None:
    torch.manual_seed(0)
    same = Conv2dSame(3, 5, kernel, stride=stride, dilation=dilation)
    x = torch.randn(1, 3, 16, 24)
    torch.testing.assert_close(constant_padding(same)(x), same(x), rtol=0, atol=0)


@pytest.mark.parametrize("room", ["ops", "enhancements", "models", "blocks"])
def test_no_size_is_divided_as_a_negative_number(room: str) -> None:
    """ONNX rounds it towards zero, Python down: one patch too few, without a message."""
    files = list((ROOT / "src" / "segloom" / room).rglob("*.py"))
    assert files
    lines = [
        f"{file.name}: {line}"
        for file in files
        for line in file.read_text().splitlines()
        if "-(-" in line.split("#")[0]
    ]
    assert lines == []
