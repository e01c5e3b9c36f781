"""Plain transformers as encoders: patches of any size, and maps at the usual strides."""

from __future__ import annotations

import pytest
import torch
from support.small_encoders import small_encoders
from torch import nn

from segloom.models.encoders.transformer import (
    PatchScale,
    PyramidEncoder,
    TokenEncoder,
    make_transformer,
    token_stride,
)

VIT = "vit_small_patch14_dinov2"


@pytest.fixture
def small(monkeypatch):
    with small_encoders(monkeypatch) as create_small:
        yield create_small


@pytest.mark.parametrize(
    ("patch", "stride"), [(4, 8), (11, 8), (12, 16), (22, 16), (23, 32), (64, 32)]
)
def test_the_stride_is_nearest_by_the_ratio(patch: int, stride: int) -> None:
    assert token_stride(patch) == stride  # 8 * sqrt(2) = 11.3, 16 * sqrt(2) = 22.6


def test_height_and_width_are_scaled_each_by_its_own_number_of_patches() -> None:
    assert PatchScale(14, 16)(torch.zeros(2, 3, 48, 80)).shape == (2, 3, 42, 70)
    assert PatchScale(20, 16)(torch.zeros(1, 1, 16, 32)).shape == (1, 1, 20, 40)


def test_a_patch_as_large_as_its_stride_leaves_the_image_alone() -> None:
    image = torch.zeros(1, 3, 32, 32)
    assert PatchScale(16, 16)(image) is image


def test_an_even_image_stays_even_when_it_is_scaled() -> None:
    image = torch.full((1, 1, 32, 32), 0.25)
    assert torch.allclose(PatchScale(14, 16)(image), torch.full((1, 1, 28, 28), 0.25))


def test_as_a_hook_it_scales_what_a_module_sees() -> None:
    module, seen = nn.Identity(), []
    module.register_forward_pre_hook(PatchScale(14, 16).as_hook)
    module.register_forward_hook(lambda _, inputs, output: seen.append(output.shape))
    module(torch.zeros(1, 3, 16, 32))
    assert seen == [(1, 3, 14, 28)]


def test_a_network_without_inner_maps_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("timm.create_model", lambda name, **options: nn.Identity())
    with pytest.raises(ValueError, match=f"timm hands out no inner maps of {VIT}"):
        make_transformer(VIT, 3)


def test_the_only_map_has_a_sixteenth_of_each_side(small) -> None:
    encoder = TokenEncoder(VIT, 4).eval()
    assert (encoder.output_stride, encoder.output_strides) == (16, [16])
    with torch.no_grad():
        (found,) = encoder(torch.randn(2, 4, 48, 80))
    assert found.shape == (2, encoder.out_channels[0], 3, 5)


@pytest.mark.parametrize(
    ("options", "strides", "multiple"),
    [
        ({}, [1, 2, 4, 8, 16, 32], 32),
        ({"depth": 3}, [1, 2, 4, 8], 16),
        ({"output_stride": 8}, [1, 2, 4, 8, 8, 8], 16),
        ({"depth": 4, "output_stride": 16}, [1, 2, 4, 8, 16], 16),
    ],
)
def test_every_level_is_at_its_stride_and_none_beyond_the_largest(
    small, options: dict[str, int], strides: list[int], multiple: int
) -> None:
    encoder = PyramidEncoder(VIT, 3, **options).eval()
    image = torch.randn(1, 3, 64, 96)
    with torch.no_grad():
        maps = encoder(image)
    assert maps[0] is image
    assert [(64 // m.shape[2], 96 // m.shape[3]) for m in maps] == [(s, s) for s in strides]
    assert [m.shape[1] for m in maps] == encoder.out_channels
    assert encoder.out_channels == [3, 0, *[256] * (len(strides) - 2)]
    assert encoder.input_multiple == multiple
    assert encoder.output_stride == strides[-1]


def test_half_the_size_is_a_map_only_where_it_is_asked_for(small) -> None:
    encoder = PyramidEncoder(VIT, 3, depth=2, has_half=True).eval()
    with torch.no_grad():
        maps = encoder(torch.randn(1, 3, 32, 64))
    assert [tuple(m.shape) for m in maps] == [(1, 3, 32, 64), (1, 256, 16, 32), (1, 256, 8, 16)]
    assert encoder.out_channels == [3, 256, 256]


def test_only_the_pyramid_is_new_to_pretrained_weights(small) -> None:
    names = list(PyramidEncoder(VIT, 3).state_dict())
    fresh = [name for name in names if name.startswith(PyramidEncoder.fresh)]
    assert fresh
    assert all(name.startswith("model.") for name in names if name not in fresh)
