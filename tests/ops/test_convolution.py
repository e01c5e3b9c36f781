"""Two convolutions computed as one give what the two steps give, border included."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from segloom.ops.convolution import compose_kernels, convolve_twice


def make_pair(first: int = 7, second: int = 3, *, bias: bool = True) -> tuple[nn.Conv2d, nn.Conv2d]:
    torch.manual_seed(0)
    return (
        nn.Conv2d(2, 5, first, padding=first // 2, bias=bias).double(),
        nn.Conv2d(5, 3, second, padding=second // 2, bias=bias).double(),
    )


@given(st.integers(1, 14), st.integers(1, 14), st.sampled_from([(7, 3), (3, 5), (1, 1), (5, 1)]))
@settings(max_examples=40, deadline=None)
def test_equals_two_steps_at_any_size(height: int, width: int, kernels: tuple[int, int]) -> None:
    first, second = make_pair(*kernels)
    image = torch.randn(2, 2, height, width, dtype=torch.double)
    torch.testing.assert_close(convolve_twice(image, first, second), second(first(image)))


def test_equals_two_steps_in_every_gradient() -> None:
    first, second = make_pair()
    image = torch.randn(1, 2, 9, 12, dtype=torch.double, requires_grad=True)
    inputs = [image, *first.parameters(), *second.parameters()]
    weight = torch.randn(1, 3, 9, 12, dtype=torch.double)

    def gradients(output: Tensor) -> tuple[Tensor, ...]:
        return torch.autograd.grad((output * weight).sum(), inputs)

    expected = gradients(second(first(image)))
    for actual, wanted in zip(
        gradients(convolve_twice(image, first, second)), expected, strict=True
    ):
        torch.testing.assert_close(actual, wanted)


def test_bias_may_be_missing() -> None:
    first, second = make_pair(bias=False)
    image = torch.randn(1, 2, 8, 8, dtype=torch.double)
    torch.testing.assert_close(convolve_twice(image, first, second), second(first(image)))


def test_kernels_are_composed_in_float32_under_autocast() -> None:
    first, second = (layer.float() for layer in make_pair())
    expected = compose_kernels(first, second)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        composed = compose_kernels(first, second)
    assert torch.equal(composed[0], expected[0])
    assert torch.equal(composed[1], expected[1])


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_memory_layout_does_not_matter(layout: torch.memory_format) -> None:
    first, second = make_pair()
    image = torch.randn(2, 2, 9, 9, dtype=torch.double).to(memory_format=layout)
    torch.testing.assert_close(convolve_twice(image, first, second), second(first(image)))
