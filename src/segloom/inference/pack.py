"""Laying out the weights of convolutions once, in the order in which a CPU multiplies them.

torch hands every convolution to oneDNN, which rearranges the weights at every call: for one small
image as costly as a tenth of the network. The operations used here are those that `torch.compile`
emits for a frozen network. They are no public interface, so they are tried before they are used,
and where they are missing or differ, everything stays as it was. Results are equal bit by bit.
"""

from __future__ import annotations

import contextlib
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["PackedConvolution", "PackedTransposedConvolution", "pack_convolutions"]


class PackedConvolution(nn.Conv2d):
    """A convolution with packed weights. It keeps the plain ones for whoever reads them."""

    packed: Tensor

    @classmethod
    def of(cls, plain: nn.Conv2d) -> PackedConvolution:
        """Pack a convolution with zero padding; the parameters are shared with it."""
        module = cls.__new__(cls)
        module.__dict__.update(plain.__dict__)
        reorder: Any = torch._C._nn.mkldnn_reorder_conv2d_weight  # its stub lacks an argument
        packed = reorder(
            plain.weight.detach().contiguous().to_mkldnn(),
            plain.padding,
            plain.stride,
            plain.dilation,
            plain.groups,
            None,
        )
        # Not a buffer: it is no part of the state and cannot be saved.
        object.__setattr__(module, "packed", packed)
        return module

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002  # torch's name
        """Convolve ``(B, C_in, H, W)``."""
        result: Tensor = torch.ops.mkldnn._convolution_pointwise(
            input,
            self.packed,
            self.bias,
            self.padding,
            self.stride,
            self.dilation,
            self.groups,
            "none",
            [],
            "",
        )
        return result


class PackedTransposedConvolution(nn.ConvTranspose2d):
    """A transposed convolution with packed weights, of one group."""

    packed: Tensor

    @classmethod
    def of(cls, plain: nn.ConvTranspose2d) -> PackedTransposedConvolution:
        """Pack a transposed convolution; the parameters are shared with it."""
        module = cls.__new__(cls)
        module.__dict__.update(plain.__dict__)
        sizes = (plain.padding, plain.output_padding, plain.stride, plain.dilation)
        weight = plain.weight.detach().contiguous()
        reorder = torch.ops.mkldnn._reorder_convolution_transpose_weight
        object.__setattr__(module, "packed", reorder(weight, *map(list, sizes), 1, None))
        return module

    def forward(self, input: Tensor, output_size: list[int] | None = None) -> Tensor:  # noqa: A002  # torch's name
        """Convolve ``(B, C_in, h, w)``."""
        if output_size is not None:
            return super().forward(input, output_size)
        result: Tensor = torch.ops.mkldnn._convolution_transpose_pointwise(
            input,
            self.packed,
            self.bias,
            self.padding,
            self.output_padding,
            self.stride,
            self.dilation,
            self.groups,
            "none",
            [],
            "",
        )
        return result


def pack_convolutions(model: nn.Module) -> int:
    """Swap, in place, the convolutions of a network on the CPU for packed ones.

    For inference only: gradients do not pass. Subclasses, whose forward may differ, stay.

    Returns:
        The number swapped; 0 where this torch or this processor cannot.
    """
    dtype = next(model.parameters()).dtype
    if not _can_pack(dtype):
        return 0
    packed: dict[nn.Module, nn.Module] = {}
    for name, module in list(model.named_modules(remove_duplicate=False)):
        with contextlib.suppress(RuntimeError):  # a layer that oneDNN does not take stays
            if type(module) is nn.Conv2d and _is_plain(module):
                packed.setdefault(module, PackedConvolution.of(module))
            elif type(module) is nn.ConvTranspose2d and _is_plain(module) and module.groups == 1:
                packed.setdefault(module, PackedTransposedConvolution.of(module))
        if module in packed:
            model.set_submodule(name, packed[module])
    return len(packed)


def _is_plain(module: nn.Conv2d | nn.ConvTranspose2d) -> bool:
    return (
        module.padding_mode == "zeros"
        and not isinstance(module.padding, str)
        and not module._forward_hooks
        and not module._forward_pre_hooks
    )


@cache
def _can_pack(dtype: torch.dtype) -> bool:
    """Try both operations on small inputs."""
    image = torch.linspace(-1, 1, 2 * 3 * 8 * 8).reshape(2, 3, 8, 8).to(dtype)
    image = image.contiguous(memory_format=torch.channels_last)
    with torch.random.fork_rng(devices=[]):  # the random state is the user's
        down = nn.Conv2d(3, 16, 3, padding=1, dtype=dtype)
        up = nn.ConvTranspose2d(3, 16, 4, stride=2, padding=1, dtype=dtype)
    # Whatever goes wrong with operations that are not public means: do without.
    with contextlib.suppress(Exception), torch.inference_mode():
        pairs = [
            (PackedConvolution.of(down)(image), down(image)),
            (PackedTransposedConvolution.of(up)(image), up(image)),
        ]
        return all(torch.allclose(packed, plain, atol=1e-3) for packed, plain in pairs)
    return False
