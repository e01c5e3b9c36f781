"""Packed convolutions give equal results, bit by bit, and are used only where that is so."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from segloom.inference import pack
from segloom.inference.pack import pack_convolutions

needs_packing = pytest.mark.skipif(
    not pack._can_pack(torch.float32), reason="this torch or processor packs no weights"
)

LAYERS = {
    "plain": nn.Conv2d(3, 16, 3, padding=1),
    "strided": nn.Conv2d(3, 16, 7, stride=2, padding=3, bias=False),
    "dilated": nn.Conv2d(3, 5, 3, padding=4, dilation=4),
    "depthwise": nn.Conv2d(3, 6, 3, padding=1, groups=3),
    "pointwise": nn.Conv2d(3, 1, 1),
    "transposed": nn.ConvTranspose2d(3, 8, 4, stride=2, padding=1),
    "transposed odd": nn.ConvTranspose2d(3, 8, 3, stride=2, padding=1, output_padding=1),
}


@needs_packing
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("name", LAYERS)
@torch.inference_mode()
def test_packed_layers_equal_plain_ones(name: str, layout: torch.memory_format) -> None:
    network = nn.Sequential(LAYERS[name])
    for size in ((1, 1), (9, 14), (64, 33)):
        image = torch.rand(2, 3, *size).contiguous(memory_format=layout)
        expected = network(image)
        fast = nn.Sequential(LAYERS[name])
        assert pack_convolutions(fast) == 1
        torch.testing.assert_close(fast(image), expected, rtol=1e-5, atol=1e-6)


@needs_packing
def test_weights_stay_readable() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3))
    state = {name: value.clone() for name, value in network.state_dict().items()}
    pack_convolutions(network)
    assert all(torch.equal(state[name], value) for name, value in network.state_dict().items())
    assert isinstance(network[0], nn.Conv2d)


class Own(nn.Conv2d):
    def forward(self, image: Tensor) -> Tensor:
        return 2 * super().forward(image)


@pytest.mark.parametrize(
    "layer",
    [
        Own(3, 4, 3),
        nn.Conv2d(3, 4, 3, padding=1, padding_mode="reflect"),
        nn.Conv2d(3, 4, 3, padding="same"),
        nn.ConvTranspose2d(3, 6, 4, groups=3),
        nn.Linear(3, 4),
    ],
)
def test_layers_of_another_form_stay(layer: nn.Module) -> None:
    network = nn.Sequential(layer)
    assert pack_convolutions(network) == 0
    assert network[0] is layer


def test_layers_with_hooks_stay() -> None:
    layer = nn.Conv2d(3, 4, 3)
    layer.register_forward_hook(lambda module, inputs, output: output + 1)
    assert pack_convolutions(nn.Sequential(layer)) == 0


@needs_packing
@torch.inference_mode()
def test_output_size_of_a_transposed_convolution_is_kept() -> None:
    network = nn.Sequential(nn.ConvTranspose2d(3, 4, 3, stride=2, padding=1))
    image = torch.rand(1, 3, 5, 5)
    expected = network[0](image, output_size=[10, 10])
    pack_convolutions(network)
    torch.testing.assert_close(network[0](image, output_size=[10, 10]), expected)


@needs_packing
def test_layer_with_two_names_is_packed_at_both() -> None:
    layer = nn.Conv2d(3, 4, 3)
    network = nn.ModuleDict({"first": layer, "second": layer})
    assert pack_convolutions(network) == 1
    assert network["first"] is network["second"] is not layer


def test_without_the_operations_everything_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(plain: nn.Module) -> nn.Module:
        raise AttributeError("gone")

    pack._can_pack.cache_clear()
    try:
        monkeypatch.setattr(pack.PackedConvolution, "of", broken)
        assert pack_convolutions(nn.Sequential(nn.Conv2d(3, 4, 3))) == 0
    finally:
        pack._can_pack.cache_clear()


def test_trying_leaves_the_random_state() -> None:
    pack._can_pack.cache_clear()
    state = torch.get_rng_state()
    pack._can_pack(torch.float32)
    assert torch.equal(torch.get_rng_state(), state)
