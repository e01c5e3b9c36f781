"""Wiring of the networks: built, run once on noise, and drawn as that pass showed them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from torch import nn
from wiring import Block, Route, draw_wiring, trace

from segloom import create_model
from segloom.enhancements.hed.network import HedNetwork

__all__ = [
    "dlinknet", "dlse", "eomt", "fenet", "hed", "linear", "linknet", "sfnet", "transformer",
]  # fmt: skip

PYRAMID = [Block(f"encoder:{level}", f"C{level}", "encoder", 0) for level in (2, 3, 4, 5)]
LATERALS = [Block(f"decoder.laterals.{n}", "1x1", "lateral", 1) for n in range(3)]
CONTEXT = Block("decoder.context", "pooling", "context", 1)


def draw(
    model: nn.Module,
    blocks: Sequence[Block],
    size: tuple[float, float],
    route: Route = "straight",
) -> Figure:
    """Trace and draw; an image of 128x128 gives every stride as a whole number."""
    figure, axes = plt.subplots(figsize=size, layout="constrained")
    draw_wiring(axes, trace(model.eval(), torch.randn(1, 3, 128, 128), blocks), route)
    return figure


def linknet() -> Figure:
    """LinkNet with ResNet-18."""
    encoder = [Block("encoder:1", "stem", "encoder", 0)]
    encoder += [Block(f"encoder:{n + 1}", f"encoder {n}", "encoder", 0) for n in (1, 2, 3, 4)]
    decoder = [Block(f"decoder.blocks.{4 - n}", f"decoder {n}", "decoder", 1.4) for n in (4, 3, 2)]
    decoder += [
        Block("decoder.blocks.3", "decoder 1", "decoder", 2.5),
        Block("decoder.tail", "full 3x3", "decoder", 2.5),
        Block("segmentation_head", "full 2x2", "join", 2.5),
    ]
    return draw(
        create_model("linknetpaper", encoder_name="resnet18", classes=11),
        [*encoder, *decoder],
        (6.4, 4.0),
    )


def sfnet() -> Figure:
    """SFNet with the deep-stem ResNet-18."""
    joins = [Block(f"decoder.joins.{n}", "FAM +", "join", 2) for n in range(3)]
    smooth = [Block(f"decoder.smooth.{n}", "3x3", "decoder", 3) for n in range(3)]
    return pyramid("sfnet", [*joins, *smooth])


def fenet() -> Figure:
    """FENet with the deep-stem ResNet-18."""
    details = [Block(f"decoder.details.{n}", "FEM-D", "context", 2) for n in range(3)]
    structures = [Block(f"decoder.structures.{n}", "FEM-S", "join", 3) for n in range(3)]
    return pyramid("fenet", [*details, *structures])


def pyramid(architecture: str, merges: Sequence[Block]) -> Figure:
    """Draw a network that differs from its like in how it merges the levels."""
    tail = [
        Block("decoder.fuse", "joined 3x3", "decoder", 4),
        Block("segmentation_head.0", "classes", "lateral", 5),
    ]
    return draw(
        create_model(architecture, encoder_name="resnet18s", classes=19),
        [*PYRAMID, *LATERALS, CONTEXT, *merges, *tail],
        (8.0, 3.6),
        "elbow",
    )


def dlse() -> Figure:
    """DLSE in its corrected form, with squeeze-and-excitation in the encoder."""
    encoder = [Block(f"encoder:{level}", f"C{level}", "encoder", 0) for level in (2, 3, 5)]
    skips = [Block(f"decoder.skips.{n}", "1x1", "lateral", 1) for n in (0, 1)]
    steps = [Block(f"decoder.up.{n}", "x2, 3x3", "decoder", 2) for n in range(4)]
    tail = [
        Block("decoder.aspp", "ASPP", "context", 1),
        Block("decoder.last", "3x3", "decoder", 3),
        Block("segmentation_head", "classes", "lateral", 4),
    ]
    model = create_model("dlse", encoder_name="resnet50", classes=19, enhancements=["se"])
    return draw(model, [*encoder, *skips, *steps, *tail], (7.4, 4.0))


def hed() -> Figure:
    """HED: five side outputs and their fusion."""
    last = {1: 2, 2: 2, 3: 3, 4: 3, 5: 3}
    stages = [Block(f"conv{k}_{n}", f"stage {k}", "encoder", 0) for k, n in last.items()]
    sides = [Block(f"score_dsn{k}", f"side {k}", "lateral", 1.2) for k in last]
    fusion = Block("score_final", "fusion", "join", 2.6)
    return draw(HedNetwork("simple"), [*stages, *sides, fusion], (6.0, 3.8))


def dlinknet() -> Figure:
    """D-LinkNet's centre: the cascade of dilated convolutions, all of which are added."""
    model = create_model(
        "linknetpaper", encoder_name="resnet34", classes=2, enhancements=["dlinknet"]
    )
    centre = model.enhancements["dlinknet"]
    blocks = [Block("encoder:5", "C5", "encoder", 0, row=0)]
    for n, convolution in enumerate(centre.convolutions):
        (dilation, _) = convolution.dilation
        path = f"enhancements.dlinknet.convolutions.{n}"
        blocks.append(Block(path, f"dilation {dilation}", "context", n + 1.0, row=0))
    blocks.append(Block("decoder.blocks.0.squeeze.0", "sum, decoder", "decoder", 2, row=1.5))
    return draw(model, blocks, (8.0, 2.3), "down")


PATCHES = Block("encoder.model.patch_embed.proj", "patches", "encoder", 0, row=0)


def transformer() -> Figure:
    """A plain vision transformer under FPN: the feature pyramid between both."""
    branches = [Block(f"encoder.pyramid.branches.{n}", "pyramid", "context", 1.3) for n in range(4)]
    laterals = [Block(f"decoder.p{n}.skip_conv", "1x1", "lateral", 2.6) for n in (2, 3, 4)]
    blocks = [
        Block("encoder.model.patch_embed.proj", "patches", "encoder", 0),
        *branches,
        *laterals,
        Block("decoder.p5", "1x1", "lateral", 2.6),
        Block("segmentation_head.0", "classes", "decoder", 3.9),
    ]
    model = create_model("fpn", encoder_name="tu-test_vit", classes=19)
    return draw(model, blocks, (7.0, 3.6))


def linear() -> Figure:
    """The linear head; the frozen encoder is let free, for gradients show the wiring."""
    blocks = [
        PATCHES,
        Block("encoder:-1", "last map", "encoder", 1.2, row=0),
        Block("decoder.norm", "batch norm", "lateral", 2.4, row=0),
        Block("segmentation_head.0", "1x1", "decoder", 3.6, row=0),
    ]
    model = create_model("linear", encoder_name="tu-test_vit", classes=19, freeze=False)
    return draw(model, blocks, (6.4, 1.1))


def eomt() -> Figure:
    """EoMT: patches and queries through the last blocks, then masks and classes."""
    blocks = [
        PATCHES,
        Block("encoder.model.blocks.2", "first blocks", "encoder", 1.2, row=0),
        Block("decoder.blocks.2", "+ queries", "decoder", 2.4, row=0),
        Block("decoder.upscale.1", "patches x4", "lateral", 3.6, row=0),
        Block("decoder.mask_head.4", "mask vectors", "context", 3.6, row=0.9),
        Block("decoder.class_head", "classes", "context", 3.6, row=1.8),
        Block("segmentation_head", "sum of masks", "join", 4.8, row=0.9),
    ]
    model = create_model("eomt", encoder_name="tu-test_vit", classes=19)
    return draw(model, blocks, (8.4, 2.9))
