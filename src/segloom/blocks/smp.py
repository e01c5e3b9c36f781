"""The one file that names blocks inside segmentation-models-pytorch (SMP) 0.6.

`speed_up_blocks` swaps decoder blocks of a finished network for ones that give the same result up
to rounding with fewer operations. For inference only: the swapped blocks have other parameters.
`swap_joins` puts another fusion into a pyramid and keeps the names of its parameters.

`gate_residual_branches` and `gate_pooling_pyramids` put a module behind each branch of a kind, for
training and inference: names of parameters are only added.

Axes: B batch, D channels, h w size of the coarse map.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = [
    "GatedResidualBlock",
    "SumInTurn",
    "UpsampledConvolution",
    "gate_pooling_pyramids",
    "gate_residual_branches",
    "speed_up_blocks",
    "swap_joins",
    "upsampling_kernel",
]


class PyramidJoin(nn.Module):
    """Stands for a block of SMP's FPN or UPerNet: its own lateral layer, then another fusion.

    Args:
        name: Of the lateral layer in SMP's block, kept so that plain weights fit.
        lateral: The layer, which brings the encoder's map to the pyramid's channels.
        join: Takes the fine and the coarse map, returns a map of the fine one's shape.
    """

    def __init__(self, name: str, lateral: nn.Module, join: nn.Module) -> None:
        super().__init__()
        self.lateral_name = name
        self.add_module(name, lateral)
        self.join = join

    def forward(self, coarse: Tensor, skip: Tensor) -> Tensor:
        """Fuse ``(B, D, h, w)`` and the encoder's map, as SMP's block takes them."""
        joined: Tensor = self.join(getattr(self, self.lateral_name)(skip), coarse)
        return joined


def swap_joins(model: nn.Module, make: Callable[[int], nn.Module]) -> int:
    """Swap, in place, every top-down fusion of an FPN or UPerNet decoder.

    Args:
        model: The network.
        make: Makes a fusion for the number of channels of the pyramid.

    Returns:
        The number of fusions swapped; 0 where a decoder has none, or has other ones already.
    """
    from segmentation_models_pytorch.decoders.fpn.decoder import FPNBlock
    from segmentation_models_pytorch.decoders.upernet.decoder import FPNLateralBlock

    laterals = {FPNBlock: "skip_conv", FPNLateralBlock: "conv_norm_relu"}
    blocks = [(n, m) for n, m in model.named_modules() if isinstance(m, tuple(laterals))]
    for path, block in blocks:
        name = laterals[type(block)]
        lateral = getattr(block, name)
        convolution = next(m for m in lateral.modules() if isinstance(m, nn.Conv2d))
        model.set_submodule(path, PyramidJoin(name, lateral, make(convolution.out_channels)))
    return len(blocks)


class SumInTurn(nn.Module):
    """Adds maps one by one; SMP stacks them first, which copies all of them."""

    def forward(self, maps: list[Tensor]) -> Tensor:
        """Add maps of one shape."""
        total = maps[0] + maps[1] if len(maps) > 1 else maps[0]
        for other in maps[2:]:
            total = total + other
        return total


def upsampling_kernel(weight: Tensor) -> Tensor:
    """Merge "repeat every pixel 2 x 2, then convolve 3 x 3" into one transposed convolution.

    The transposed convolution has stride 2 and padding 1. A repeated pixel meets several taps of
    the kernel with the same value, so those taps can be added beforehand: 16 taps spread over
    four outputs do the work of 36.

    Args:
        weight: ``(D_out, D_in, 3, 3)`` of a convolution with padding 1.

    Returns:
        ``(D_in, D_out, 4, 4)``.
    """
    flipped = weight.transpose(0, 1).flip(-2, -1)
    merged = F.pad(flipped, (0, 1, 0, 1)) + F.pad(flipped, (1, 0, 0, 1))
    return merged + F.pad(flipped, (0, 1, 1, 0)) + F.pad(flipped, (1, 0, 1, 0))


class UpsampledConvolution(nn.Module):
    """A convolution of ``cat(upsampled x, skip)`` that makes neither the upsampling nor the cat.

    Args:
        convolution: 3 x 3, padding 1; its first input channels are those of ``x``.
        coarse_channels: How many those are.
    """

    def __init__(self, convolution: nn.Conv2d, coarse_channels: int) -> None:
        super().__init__()
        weight, bias = convolution.weight.detach(), convolution.bias
        self.coarse = _filled(
            nn.ConvTranspose2d, upsampling_kernel(weight[:, :coarse_channels]), bias, stride=2
        )
        fine_weight = weight[:, coarse_channels:].clone()
        self.skip = _filled(nn.Conv2d, fine_weight, None) if fine_weight.numel() else None

    def forward(self, x: Tensor, skip: Tensor | None) -> Tensor:
        """Map ``(B, D, h, w)`` and ``(B, S, 2h, 2w)`` to ``(B, D_out, 2h, 2w)``."""
        coarse: Tensor = self.coarse(x)
        return coarse if self.skip is None else coarse.add_(self.skip(skip))


def _filled(kind: type[Any], weight: Tensor, bias: Tensor | None, *, stride: int = 1) -> nn.Module:
    """Make a convolution with padding 1 from its parameters."""
    first, second = weight.shape[:2]
    channels = (first, second) if kind is nn.ConvTranspose2d else (second, first)
    with torch.random.fork_rng(devices=[]):  # the random state is the user's
        module: nn.Module = kind(
            *channels, weight.shape[-1], stride=stride, padding=1, bias=bias is not None
        )
    module.weight = nn.Parameter(weight, requires_grad=False)
    if bias is not None:
        module.bias = nn.Parameter(bias.detach(), requires_grad=False)
    return module


class UpsampledBlock(nn.Module):
    """Stands for a decoder block of Unet, Unet++ or MAnet without attention over its input."""

    def __init__(self, block: Any, coarse_channels: int) -> None:  # SMP has no types
        super().__init__()
        convolution, *rest = block.conv1
        self.upsampled = UpsampledConvolution(convolution, coarse_channels)
        self.rest = nn.Sequential(*rest, block.conv2, getattr(block, "attention2", nn.Identity()))

    def forward(self, x: Tensor, *sizes_and_skip: object, **named: object) -> Tensor:
        """Take what SMP's block takes: the coarse map, for Unet a size, and perhaps a skip."""
        values = [*sizes_and_skip, *named.values()]
        skip = next((value for value in values if isinstance(value, Tensor)), None)
        decoded: Tensor = self.rest(self.upsampled(x, skip))
        return decoded


def speed_up_blocks(
    model: nn.Module, run: Callable[[], object], *, merge_upsampling: bool = True
) -> int:
    """Swap, in place, the blocks of a network in evaluation mode that have a faster equal.

    Args:
        model: The network.
        run: Runs the network once on a small image; a block is swapped only if it was seen to
            double the size of its input, which dilated encoders do not need everywhere.
        merge_upsampling: Also merge upsampling into the convolution after it. That is faster on a
            CPU; a GPU has fewer good kernels for transposed convolutions.

    Returns:
        The number of blocks swapped.
    """
    from segmentation_models_pytorch.decoders.fpn.decoder import MergeBlock

    swaps: dict[str, nn.Module] = {
        name: SumInTurn()
        for name, module in model.named_modules()
        if isinstance(module, MergeBlock) and module.policy == "add"
    }
    if merge_upsampling:
        swaps |= _upsampled_blocks(model, run)
    for name, module in swaps.items():
        model.set_submodule(name, module)
    return len(swaps)


def _upsampled_blocks(model: nn.Module, run: Callable[[], object]) -> dict[str, nn.Module]:
    from segmentation_models_pytorch.decoders.manet.decoder import DecoderBlock as ManetBlock
    from segmentation_models_pytorch.decoders.unet.decoder import UnetDecoderBlock
    from segmentation_models_pytorch.decoders.unetplusplus.decoder import (
        DecoderBlock as NestedBlock,
    )

    kinds = (UnetDecoderBlock, NestedBlock, ManetBlock)
    blocks = {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, kinds) and _can_merge(module)
    }
    seen: dict[str, set[tuple[Any, ...]]] = {name: set() for name in blocks}

    def watch(name: str) -> Callable[..., None]:
        def note(_: nn.Module, inputs: Any, named: Any, output: Tensor) -> None:
            coarse = inputs[0] if inputs else next(iter(named.values()))
            doubled = output.shape[-2:] == tuple(2 * side for side in coarse.shape[-2:])
            seen[name].add((coarse.shape[1], doubled))

        return note

    handles = [
        module.register_forward_hook(watch(name), with_kwargs=True)
        for name, module in blocks.items()
    ]
    try:
        with torch.no_grad():
            run()
    finally:
        for handle in handles:
            handle.remove()
    return {
        name: UpsampledBlock(block, next(iter(seen[name]))[0])
        for name, block in blocks.items()
        if len(seen[name]) == 1 and next(iter(seen[name]))[1]
    }


def _can_merge(block: Any) -> bool:  # SMP has no types
    convolution = block.conv1[0] if block.conv1 is not None else None
    attention = getattr(getattr(block, "attention1", None), "attention", nn.Identity())
    return (
        block.interpolation_mode == "nearest"
        and isinstance(attention, nn.Identity)
        and isinstance(convolution, nn.Conv2d)
        and convolution.kernel_size == (3, 3)
        and convolution.groups == 1
    )


class GatedResidualBlock(nn.Module):
    """A block of torchvision's ResNet with a module on its residual branch, before the sum.

    It takes over the block's children under their names. A hook on the last batch norm would do
    the same until that is folded away for inference.
    """

    downsample: nn.Module | None

    def __init__(self, block: nn.Module, gate: nn.Module) -> None:
        super().__init__()
        self.register_module("downsample", None)  # a block without one has no such child
        for name, child in block.named_children():
            self.add_module(name, child)
        self.se = gate
        self.is_bottleneck = hasattr(block, "conv3")
        self.train(block.training)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(B, C, h, w)`` to what the block makes of it."""
        children: Any = self
        branch = children.relu(children.bn1(children.conv1(x)))
        branch = children.bn2(children.conv2(branch))
        if self.is_bottleneck:
            branch = children.bn3(children.conv3(children.relu(branch)))
        shortcut = x if self.downsample is None else self.downsample(x)
        total: Tensor = children.relu(self.se(branch) + shortcut)
        return total


def gate_residual_branches(encoder: nn.Module, make_gate: Callable[[int], nn.Module]) -> int:
    """Put a module on every residual branch of an encoder, before the sum, in place.

    Known are the blocks of torchvision's ResNets and ResNeXts, which SMP takes, and every block
    with an unused place ``se`` behind its last convolution, as timm's ResNets and ours have.
    Blocks that are built but never run, whose parameters are frozen, stay as they are.

    Args:
        encoder: Of SMP, timm, or ours.
        make_gate: Makes a module for a branch with this many channels.

    Returns:
        The number of branches.
    """
    from torchvision.models.resnet import BasicBlock, Bottleneck

    count = 0
    for name, block in list(encoder.named_modules()):
        last = getattr(block, "conv3", getattr(block, "conv2", None))
        if not isinstance(last, nn.Conv2d) or not last.weight.requires_grad:
            continue
        if isinstance(block, BasicBlock | Bottleneck):
            gated = GatedResidualBlock(block, make_gate(last.out_channels))
            encoder.set_submodule(name, gated)
        elif getattr(block, "se", block) is None:
            setattr(block, "se", make_gate(last.out_channels))  # noqa: B010  # nn.Module's own
        else:
            continue
        count += 1
    return count


def gate_pooling_pyramids(decoder: nn.Module, make_gate: Callable[[int], nn.Module]) -> int:
    """Put a module behind every atrous spatial pyramid of a decoder, in place.

    Known are those of SMP and torchvision, and ours: ``convs`` side by side, then ``project``.

    Args:
        decoder: Of SMP, or ours.
        make_gate: Makes a module for a map with this many channels.

    Returns:
        The number of pyramids.
    """
    count = 0
    for module in list(decoder.modules()):
        branches, project = (getattr(module, name, None) for name in ("convs", "project"))
        if isinstance(branches, nn.ModuleList) and isinstance(project, nn.Sequential):
            norms = [part for part in project.modules() if isinstance(part, nn.BatchNorm2d)]
            project.append(make_gate(norms[-1].num_features))
            count += 1
    return count
