"""Pictures of what the methods do, computed by the methods themselves on generated scenes."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, Rectangle
from style import BLUE, GREY, INK, ORANGE, panels, scene, show
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from segloom import create_model
from segloom.blocks.fem import FrequencyFilter
from segloom.data.sets.camvid import CAMVID
from segloom.enhancements import ENHANCEMENTS
from segloom.enhancements.afma import gold_attention
from segloom.enhancements.base import Enhancement
from segloom.enhancements.celt import CeltConfig
from segloom.enhancements.edge_supervision import inner_boundaries
from segloom.enhancements.se import SqueezeExcitation
from segloom.labels.pictures import colorize
from segloom.ops.low_rank_attention import materialize
from segloom.ops.resize import resize, warp
from segloom.types import FeatureSpec, ModelShape

__all__ = ["afma", "celt", "control", "dilation", "fam", "fem", "pipeline", "se", "supervision"]


def as_tensor(image: np.ndarray) -> torch.Tensor:
    """Turn an image ``(H, W, 3)`` into ``(1, 3, H, W)`` of 0 to 1."""
    return torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255


def pipeline() -> Figure:
    """Where each enhancement acts: which of the sites its module overrides."""
    sites = {"prepare": [], "enrich": [], "refine": [], "correct": []}
    swaps = []
    image_model = {"fam": "fpn", "fem": "fpn"}
    for name in ENHANCEMENTS:
        option = f"{name}:weights=random" if name == "hed" else name
        model = create_model(
            image_model.get(name, "unet"), encoder_name="resnet18", classes=3, enhancements=[option]
        )
        kind = type(model.enhancements[name])
        for site, names in sites.items():
            if getattr(kind, site) is not getattr(Enhancement, site):
                names.append(name)
        if kind.rewire is not Enhancement.rewire:
            swaps.append(name)
    steps = [
        "image",
        "prepare",
        "encoder",
        "enrich",
        "decoder",
        "refine",
        "head",
        "correct",
        "logits",
    ]
    figure, axes = plt.subplots(figsize=(9.4, 2.5), layout="constrained")
    for x, step in enumerate(steps):
        own = step in sites
        color = ORANGE if own else BLUE if step in ("encoder", "decoder", "head") else GREY
        axes.add_patch(
            FancyBboxPatch(
                (x - 0.39, -0.22), 0.78, 0.44, boxstyle="round,pad=0,rounding_size=0.08",
                facecolor="white", edgecolor=color, linewidth=1.6, linestyle="--" if own else "-",
            )
        )  # fmt: skip
        axes.text(x, 0, step, ha="center", va="center", size=9)
        if x:
            axes.annotate(
                "", (x - 0.39, 0), (x - 0.61, 0), arrowprops={"arrowstyle": "-|>", "color": INK}
            )
        if own:
            axes.text(x, -0.36, "\n".join(sites[step]) or "–", ha="center", va="top", size=8)
    axes.text(
        4, 0.62, f"swap blocks of the finished network (rewire): {', '.join(swaps)}",
        ha="center", va="center", size=8,
    )  # fmt: skip
    axes.set_xlim(-0.5, len(steps) - 0.5)
    axes.set_ylim(-1.5, 0.85)
    axes.axis("off")
    return figure


def afma() -> Figure:
    """The gold relation of one image patch: where features hold the class of its pixels."""
    image, mask = scene()
    patch, stride = 10, 2
    gold = gold_attention(
        torch.from_numpy(mask)[None].long(), len(CAMVID.classes), patch=patch, stride=stride
    )
    relation = materialize(gold.image, gold.feature)[0]  # (K, N, M)
    label = CAMVID.classes.index("car")
    rows, columns = mask.shape[0] // patch, mask.shape[1] // patch
    number = int(relation[label].sum(1).argmax())
    top, left = number // columns * patch, number % columns * patch
    found = relation[label, number].reshape(rows // stride, columns // stride)
    figure, (first, second, third) = panels(3)
    show(first, image, "an image patch of 10x10 pixels")
    show(second, colorize(mask, CAMVID.palette), "its labels")
    for axes in (first, second):
        axes.add_patch(
            Rectangle((left, top), patch, patch, fill=False, edgecolor="white", linewidth=3)
        )
        axes.add_patch(
            Rectangle((left, top), patch, patch, fill=False, edgecolor="#e00000", linewidth=1.5)
        )
    show(third, found.numpy(), "its relation with feature patches: car", cmap="Blues")
    third.set_xlabel(f"{found.shape[0]} x {found.shape[1]} patches of the map at stride {stride}")
    return figure


def celt() -> Figure:
    """Tokens of the image and of a deeper map, and the relation between the two."""
    image, _ = scene()
    levels = (FeatureSpec(0, 3, 1), FeatureSpec(1, 64, 2), FeatureSpec(2, 64, 4))
    torch.manual_seed(0)
    module = CeltConfig().build(ModelShape(3, 11, levels, 16)).eval()
    pixels = as_tensor(image)
    feature = F.avg_pool2d(pixels.mean(1, keepdim=True), levels[2].stride)
    with torch.no_grad():
        up, down = module.relate(pixels.mean(1, keepdim=True), feature)
        relation = (up @ down.transpose(1, 2))[0].numpy()
    patch, stride = module.patch, levels[2].stride
    figure, (first, second, third) = panels(3)
    show(first, image, f"image: {up.shape[1]} tokens of {patch}x{patch}")
    show(
        second, resize(feature, image.shape[:2])[0, 0].numpy(),
        f"map at stride {stride}, read as {module.grid}x{module.grid} tokens", cmap="gray",
    )  # fmt: skip
    for axes, steps in (
        (first, (patch, patch)),
        (second, (image.shape[0] / module.grid, image.shape[1] / module.grid)),
    ):
        for y in np.arange(0, image.shape[0], steps[0]):
            axes.axhline(y - 0.5, color="white", linewidth=0.4)
        for x in np.arange(0, image.shape[1], steps[1]):
            axes.axvline(x - 0.5, color="white", linewidth=0.4)
    show(
        third, relation, f"relation, {relation.shape[0]} x {relation.shape[1]} (untrained)",
        aspect="auto", cmap="Blues", interpolation="nearest",
    )  # fmt: skip
    third.set_xlabel("tokens of the map")
    third.set_ylabel("tokens of the image")
    return figure


def tile(maps: torch.Tensor) -> np.ndarray:
    """Lay sixteen maps out as four by four, brightened."""
    rows = [torch.cat(list(maps[n : n + 4]), 1) for n in range(0, 16, 4)]
    return torch.cat(rows).sqrt().numpy()


def se() -> Figure:
    """The mean of every channel becomes a gate of every channel."""
    image, _ = scene(size=(120, 160))
    torch.manual_seed(0)
    first_layer = nn.Conv2d(3, 16, 7, stride=2, padding=3)
    with torch.no_grad():
        x = first_layer(as_tensor(image) * 4 - 2).relu()
        means = x.mean((2, 3))[0]
        torch.manual_seed(1)
        block = SqueezeExcitation(16, 4, "sigmoid")
        for linear in (block.fc1, block.fc2):
            linear.weight.mul_(4)
        gates = block.gates(x)[0]
    figure, (first, second, third, fourth) = panels(4, height=2.5)
    show(first, tile(x[0]), "16 channels", cmap="gray")
    second.bar(range(16), means.numpy(), color=BLUE)
    second.set_title("squeeze: their means")
    third.bar(range(16), gates.numpy(), color=ORANGE)
    third.set_ylim(0, 1)
    third.set_title("excite: a gate each")
    with torch.no_grad():
        gated = block(x)[0]
    show(fourth, tile(gated), "channel times gate", cmap="gray", vmax=tile(x[0]).max())
    return figure


def control() -> Figure:
    """What methods add to a Unet of 11 classes, and what a control of each adds."""

    def build(*enhancements: str) -> tuple[int, int]:
        model = create_model(
            "unet", encoder_name="resnet18", classes=11, enhancements=enhancements
        ).eval()
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            model(torch.zeros(1, 3, 96, 128))
        return sum(p.numel() for p in model.parameters()), counter.get_total_flops() // 2

    plain, names = build(), ("afma", "dlinknet", "celt")
    methods = [build(name) for name in names]
    controls = [build(f"control:parameters={found[0] - plain[0]}") for found in methods]
    figure, axes = panels(2, height=2.2)
    for axis, part, unit, title in (
        (axes[0], 0, 1e6, "parameters added, in millions"),
        (axes[1], 1, 1e6, "multiply-adds added at 96 x 128, in millions"),
    ):
        for shift, color, found, label in (
            (-0.2, BLUE, methods, "method"),
            (0.2, GREY, controls, "its control"),
        ):
            heights = [(values[part] - plain[part]) / unit for values in found]
            places = [index + shift for index in range(len(names))]
            axis.bar(places, heights, width=0.38, color=color, label=label)
        axis.set_xticks(range(len(names)), names)
        axis.set_title(title)
    axes[0].legend(frameon=False)
    return figure


def fam() -> Figure:
    """A coarse map upsampled as it is, and along a flow that descends to the fine one."""
    image, mask = scene(size=(96, 128))
    label = torch.from_numpy(np.isin(mask, [CAMVID.classes.index("car")])).float()[None, None]
    coarse = F.avg_pool2d(label, 8)
    flow = torch.zeros(1, 2, *mask.shape, requires_grad=True)
    optimizer = torch.optim.Adam([flow], lr=0.3)
    for _ in range(80):
        optimizer.zero_grad()
        roughness = sum(flow.diff(dim=axis).square().mean() for axis in (2, 3))
        (F.mse_loss(warp(coarse, flow), label) + 2e-3 * roughness).backward()
        optimizer.step()
    field = flow.detach()[0].numpy()
    figure, axes = panels(4, height=2.3)
    show(axes[0], image, "image")
    plain = resize(coarse, mask.shape)[0, 0].numpy()
    show(axes[1], plain, "map at stride 8, upsampled", cmap="Blues", vmin=0, vmax=1)
    show(axes[2], np.full((*mask.shape, 3), 255, np.uint8), "flow: where to look")
    step = 5
    y, x = np.mgrid[step // 2 : mask.shape[0] : step, step // 2 : mask.shape[1] : step]
    axes[2].quiver(
        x, y, field[0, y, x], field[1, y, x], angles="xy", color=ORANGE, width=0.005, scale=120
    )
    moved = warp(coarse, flow).detach()[0, 0].numpy()
    show(axes[3], moved, "the same map along the flow", cmap="Blues", vmin=0, vmax=1)
    return figure


def fem() -> Figure:
    """One filter splits a map into low and high frequencies."""
    image, _ = scene(size=(120, 160))
    grey = as_tensor(image).mean(1, keepdim=True)
    with torch.no_grad():
        low = FrequencyFilter(1, "lowpass")(grey)[0, 0].numpy()
        high = FrequencyFilter(1)(grey)[0, 0].numpy()
    figure, axes = panels(3, height=2.6)
    show(axes[0], grey[0, 0].numpy(), "a map x", cmap="gray", vmin=0, vmax=1)
    show(axes[1], low, "k ∗ x, k the average of 9x9", cmap="gray", vmin=0, vmax=1)
    show(axes[2], high, "high-pass x − k ∗ x, as it begins", cmap="RdBu", vmin=-0.4, vmax=0.4)
    return figure


def dilation() -> Figure:
    """What one place of the deepest map sees, in a plain and a dilated encoder."""
    size = 1280
    figure, axes = panels(3, width=7.6, height=3.0)
    for place, (title, options) in zip(
        axes,
        [
            ("plain", {}),
            ("dilation of 2 and 4", {"enhancements": ["dilation"]}),
            ("output stride 8", {"output_stride": 8}),
        ],
        strict=True,
    ):
        model = create_model("unet", encoder_name="resnet18", classes=2, **options).eval()
        for module in model.encoder.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.constant_(module.weight, 1 / module.weight[0].numel())
        image = torch.rand(1, 3, size, size, requires_grad=True)
        deepest = model.encoder(image)[-1]
        middle = deepest.shape[-1] // 2
        deepest[0, :, middle, middle].sum().backward()
        seen = image.grad[0].abs().sum(0)
        columns = (seen.sum(0) > 0).nonzero()
        width = int(columns[-1] - columns[0] + 1)
        stride = size // deepest.shape[-1]
        share = (seen / seen.max()).sqrt().numpy()
        show(place, share, f"{title}\nstride {stride}, sees {width} pixels", cmap="Blues")
        place.set_xlim(size / 2 - 450, size / 2 + 450)
        place.set_ylim(size / 2 + 450, size / 2 - 450)
    return figure


def supervision() -> Figure:
    """What the two supervisions compare with: the labels themselves, and their borders."""
    image, mask = scene(size=(120, 160))
    target = torch.from_numpy(mask)[None].long()
    edges = inner_boundaries(target, background=True).reshape(mask.shape)
    figure, axes = panels(3, height=2.6)
    show(axes[0], image, "image")
    show(axes[1], colorize(mask, CAMVID.palette), "deep supervision: labels for inner maps")
    show(axes[2], 1 - edges.float().numpy(), "edge supervision: their borders", cmap="gray")
    return figure
