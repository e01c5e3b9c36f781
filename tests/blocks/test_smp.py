"""Swapped blocks give the same maps as SMP's, and are swapped only where that is known."""

from __future__ import annotations

from copy import deepcopy

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from segloom.blocks.smp import SumInTurn, UpsampledConvolution, speed_up_blocks, upsampling_kernel
from segloom.models import create_model


@pytest.mark.parametrize("size", [(1, 1), (4, 7)])
def test_upsampling_merges_into_a_transposed_convolution(size: tuple[int, int]) -> None:
    weight, image = torch.randn(5, 3, 3, 3), torch.randn(2, 3, *size)
    expected = F.conv2d(F.interpolate(image, scale_factor=2.0), weight, padding=1)
    merged = F.conv_transpose2d(image, upsampling_kernel(weight), stride=2, padding=1)
    torch.testing.assert_close(merged, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("skip_channels", [0, 4])
@pytest.mark.parametrize("bias", [True, False])
def test_upsampled_convolution_equals_its_three_steps(skip_channels: int, bias: bool) -> None:
    convolution = nn.Conv2d(3 + skip_channels, 5, 3, padding=1, bias=bias)
    coarse = torch.randn(2, 3, 6, 5)
    skip = torch.randn(2, skip_channels, 12, 10) if skip_channels else None
    fine = F.interpolate(coarse, scale_factor=2.0)
    expected = convolution(fine if skip is None else torch.cat([fine, skip], 1))
    result = UpsampledConvolution(convolution, 3)(coarse, skip)
    torch.testing.assert_close(result, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("count", [1, 2, 4])
def test_sum_in_turn_leaves_its_inputs(count: int) -> None:
    maps = [torch.rand(1, 2, 3, 3) for _ in range(count)]
    before = deepcopy(maps)
    torch.testing.assert_close(SumInTurn()(maps), torch.stack(maps).sum(0))
    assert all(torch.equal(old, new) for old, new in zip(before, maps, strict=True))


def speed_up(model: nn.Module, **options: bool) -> tuple[nn.Module, int]:
    copy = deepcopy(model)
    return copy, speed_up_blocks(copy, lambda: copy(torch.zeros(1, 3, 64, 64)), **options)


@pytest.mark.parametrize(
    ("architecture", "options", "count"),
    [
        ("unet", {}, 5),
        ("unet", {"encoder_depth": 3, "decoder_channels": (32, 16, 8)}, 3),
        ("unet", {"output_stride": 8}, 3),
        ("unet", {"decoder_attention_type": "scse"}, 0),
        ("unet", {"decoder_interpolation": "bilinear"}, 0),
        ("unetplusplus", {}, 11),
        ("manet", {}, 1),
        ("fpn", {}, 1),
        ("fpn", {"decoder_merge_policy": "cat"}, 0),
        ("linknet", {}, 0),
    ],
)
@torch.no_grad()
def test_blocks_are_swapped_where_they_are_equal(
    architecture: str, options: dict, count: int
) -> None:
    torch.manual_seed(0)
    encoder = "resnet18" if "output_stride" in options else "tu-test_resnet"
    model = create_model(architecture, encoder_name=encoder, classes=3, **options).eval()
    fast, swapped = speed_up(model)
    assert swapped == count
    image = torch.rand(2, 3, 70, 101)
    torch.testing.assert_close(fast(image), model(image), rtol=1e-3, atol=1e-4)


def test_upsampling_stays_where_it_is_not_to_be_merged() -> None:
    unet = create_model("unet", encoder_name="tu-test_resnet", classes=3).eval()
    assert speed_up(unet, merge_upsampling=False)[1] == 0


def test_hooks_are_gone_afterwards() -> None:
    unet = create_model("unet", encoder_name="tu-test_resnet", classes=3).eval()
    speed_up_blocks(unet, lambda: unet(torch.zeros(1, 3, 64, 64)))
    assert not any(module._forward_hooks for module in unet.modules())
