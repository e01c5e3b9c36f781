"""Enhancements restated: their formulas step by step in plain torch, with the weights of ours.

`bench_enhancements.py` measures ours against them. They are what a reader of the papers would write
first: every map at full size, every neighbour on its own.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from segloom.blocks.fem import StructureEnhance
from segloom.blocks.flow import FlowJoin
from segloom.enhancements.hed.network import STAGES, HedNetwork

__all__ = ["fam", "fem", "gated_resnet", "hed", "plain_join"]

HED_CROPS = (34, 35, 36, 38, 42)
"""Where the caffe model cuts its five side maps."""


def up(coarse: Tensor, fine: Tensor) -> Tensor:
    """Resize with corners on corners."""
    return F.interpolate(coarse, size=fine.shape[-2:], mode="bilinear", align_corners=True)


def plain_join(low: Tensor, high: Tensor) -> Tensor:
    """Join as a feature pyramid does."""
    return low + up(high, low)


def fam(module: FlowJoin, low: Tensor, high: Tensor) -> Tensor:
    """FAM with a stacked grid of linspace and four explicit neighbours."""
    pair = [up(module.reduce_high(high), low), module.reduce_low(low)]
    flow = module.flow(torch.cat(pair, dim=1))
    height, width = low.shape[-2:]
    rows, columns = high.shape[-2:]
    x = (torch.linspace(-1, 1, width) + flow[:, 0] / width + 1) / 2 * (columns - 1)
    y = (torch.linspace(-1, 1, height)[:, None] + flow[:, 1] / height + 1) / 2 * (rows - 1)
    total = torch.zeros_like(low)
    batch = torch.arange(len(low))[:, None, None]
    for down in (0, 1):
        for right in (0, 1):
            row, column = y.floor() + down, x.floor() + right
            weight = (1 - (y - row).abs()) * (1 - (x - column).abs())
            inside = (row >= 0) & (row < rows) & (column >= 0) & (column < columns)
            row, column = row.clamp(0, rows - 1).long(), column.clamp(0, columns - 1).long()
            neighbour = high.permute(0, 2, 3, 1)[batch, row, column].permute(0, 3, 1, 2)
            total = total + neighbour * (weight * inside).unsqueeze(1)
    return low + total


def fem(module: StructureEnhance, low: Tensor, high: Tensor) -> Tensor:
    """FEM-S, with both filters applied where the figure draws them."""

    def filtered(x: Tensor) -> Tensor:
        return x - F.conv2d(x, module.filter.weight, padding=4, groups=x.shape[1])

    z = module.merge(torch.cat([filtered(low), up(filtered(high), low)], dim=1))
    z = torch.relu(module.residual(z) + z)
    result: Tensor = module.fuse(torch.relu(module.norm(z + up(high, low))))
    return result


def gated_resnet(encoder: torch.nn.Module, image: Tensor) -> Tensor:
    """Run a ResNet-18 with squeeze-and-excitation block by block; give its deepest map."""
    x = encoder.maxpool(F.relu(encoder.bn1(encoder.conv1(image))))
    for layer in (encoder.layer1, encoder.layer2, encoder.layer3, encoder.layer4):
        for block in layer:
            branch = block.bn2(block.conv2(F.relu(block.bn1(block.conv1(x)))))
            shortcut = x if block.downsample is None else block.downsample(x)
            x = F.relu(_gated(block.se, branch) + shortcut)
    return x


def _gated(se: torch.nn.Module, branch: Tensor) -> Tensor:
    """Equations 2 to 4 with full-size maps: pooled, 1x1 convolutions, spread, multiplied."""
    squeezed = F.adaptive_avg_pool2d(branch, 1)  # (B, C, 1, 1)
    hidden = F.relu(F.conv2d(squeezed, se.fc1.weight[:, :, None, None], se.fc1.bias))
    gates = torch.sigmoid(F.conv2d(hidden, se.fc2.weight[:, :, None, None], se.fc2.bias))
    return branch * gates.expand_as(branch).contiguous()


def hed(network: HedNetwork, image: Tensor) -> Tensor:
    """Compute the fused edges ``(1, 1, H, W)`` layer by layer, as the caffe model lists them.

    Padding by 35, transposed convolutions with fixed bilinear filters, crops.
    """
    height, width = image.shape[-2:]
    values = image.flip(1) - network.mean.view(1, 3, 1, 1)
    sides = []
    for stage, (channels, crop) in enumerate(zip(STAGES, HED_CROPS, strict=True), start=1):
        if stage > 1:
            values = F.max_pool2d(values, 2, stride=2, ceil_mode=True)
        for number in range(1, len(channels)):
            layer = network.get_submodule(f"conv{stage}_{number}")
            values = F.relu(F.conv2d(values, layer.weight, layer.bias, padding=layer.padding))
        score = network.get_submodule(f"score_dsn{stage}")(values)
        stride = 2 ** (stage - 1)
        if stride > 1:
            ramp = 1 - (torch.arange(2 * stride) - (2 * stride - 1) / 2).abs() / stride
            score = F.conv_transpose2d(score, torch.outer(ramp, ramp)[None, None], stride=stride)
        sides.append(score[..., crop : crop + height, crop : crop + width])
    return network.score_final(torch.cat(sides, dim=1)).sigmoid()
