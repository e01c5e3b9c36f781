"""Block diagrams of built networks: what feeds what, channels and strides are read off a pass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import log2
from typing import Any, Literal

from matplotlib.axes import Axes
from matplotlib.patches import FancyBboxPatch
from style import BLUE, GREEN, GREY, INK, ORANGE, PURPLE
from torch import Tensor, nn

__all__ = ["Block", "Trace", "draw_wiring", "trace"]

COLORS = {
    "encoder": BLUE, "lateral": GREY, "context": PURPLE, "join": ORANGE, "decoder": GREEN,
}  # fmt: skip
WIDTH, HEIGHT = 0.74, 0.52
Route = Literal["straight", "elbow", "down"]


@dataclass(frozen=True)
class Block:
    """A part of a network to draw; where it stands is chosen, the rest is measured."""

    path: str
    """Its name in the network; ``encoder:3`` is the encoder's third map."""
    label: str
    kind: str
    column: float
    row: float | None = None
    """None is the row of its stride."""


@dataclass
class Trace:
    """One block as a pass showed it."""

    block: Block
    channels: int
    stride: int
    sources: tuple[str, ...]
    """Paths of the blocks whose results it read."""
    tokens: int = 0
    """Rows of a result that is no map but a list of vectors, ``(B, tokens, channels)``."""

    @property
    def size(self) -> str:
        """What the block gives, in words."""
        return f"{self.tokens} x {self.channels}" if self.tokens else f"{self.channels} ch"


def trace(model: nn.Module, image: Tensor, blocks: Sequence[Block]) -> list[Trace]:
    """Run the model once and follow the gradients' graph back from each block to the others."""
    outputs: dict[str, Tensor] = {}
    handles = []
    for block in blocks:
        name, _, level = block.path.partition(":")

        def keep(
            _: nn.Module, __: Any, output: Any, path: str = block.path, level: str = level
        ) -> None:
            outputs[path] = output[int(level)] if level else output

        handles.append(model.get_submodule(name).register_forward_hook(keep))
    model(image)
    for handle in handles:
        handle.remove()
    owners = {output.grad_fn: path for path, output in outputs.items()}
    return [
        Trace(
            block,
            output.shape[2 if output.ndim == 3 else 1],
            round(image.shape[-1] / output.shape[-1]),
            _sources(output.grad_fn, owners),
            tokens=output.shape[1] if output.ndim == 3 else 0,
        )
        for block in blocks
        for output in [outputs[block.path]]
    ]


def _sources(start: Any, owners: Mapping[Any, str]) -> tuple[str, ...]:
    """Find the nearest blocks behind one."""
    found, seen, ahead = [], {start}, [start]
    while ahead:
        for node, _ in ahead.pop().next_functions:
            if node is None or node in seen:
                continue
            seen.add(node)
            if node in owners:
                found.append(owners[node])
            else:
                ahead.append(node)
    return tuple(found)


def draw_wiring(axes: Axes, traces: Sequence[Trace], route: Route = "straight") -> None:
    """Draw the blocks, one row per stride unless they say another, and an arrow from each source.

    Args:
        axes: Where.
        traces: What to draw.
        route: ``elbow`` goes along the row of the source, then to the target; ``down`` leaves a
            block below.
    """
    places = {}
    for traced in traces:
        block = traced.block
        row = -log2(traced.stride) if block.row is None else -block.row
        places[block.path] = (block.column, row)
    lefts, heights = zip(*places.values(), strict=True)
    for stride in sorted({traced.stride for traced in traces if traced.block.row is None}):
        y = -log2(stride)
        axes.hlines(y, min(lefts), max(lefts), color="#dddddd", linewidth=0.8, zorder=0)
        axes.text(min(lefts) - 0.5, y, f"stride {stride}", ha="right", va="center", size=8)
    for traced in traces:
        x, y = places[traced.block.path]
        for source in traced.sources:
            _arrow(axes, places[source], (x, y), route, set(places.values()))
        box = FancyBboxPatch(
            (x - WIDTH / 2, y - HEIGHT / 2), WIDTH, HEIGHT, zorder=3, linewidth=1.6,
            boxstyle="round,pad=0,rounding_size=0.08", facecolor="white",
            edgecolor=COLORS[traced.block.kind],
        )  # fmt: skip
        axes.add_patch(box)
        style = {"ha": "center", "va": "center", "zorder": 4}
        axes.text(x, y + 0.1, traced.block.label, size=8, **style)
        axes.text(x, y - 0.12, traced.size, size=7, **style)
    has_strides = any(traced.block.row is None for traced in traces)
    axes.set_xlim(min(lefts) - (1.2 if has_strides else 0.45), max(lefts) + 0.45)
    axes.set_ylim(min(heights) - 0.4, max(heights) + 0.45)
    axes.axis("off")


def _arrow(
    axes: Axes,
    start: tuple[float, float],
    end: tuple[float, float],
    route: Route,
    places: set[tuple[float, float]],
) -> None:
    """Leave a block on the side that faces the other one, around blocks in between."""
    (x, y), (to_x, to_y) = start, end
    style = {"arrowstyle": "-|>", "color": INK, "linewidth": 0.9, "mutation_scale": 9}
    style |= {"shrinkA": 0, "shrinkB": 0}
    up = HEIGHT / 2 if to_y > y else -HEIGHT / 2
    right = WIDTH / 2 if to_x > x else -WIDTH / 2
    if x == to_x or (route == "down" and y != to_y):
        begin, finish = (x, y + up), (to_x, to_y - up)
    elif y != to_y and route == "elbow":
        begin, finish = (x + right, y), (to_x, to_y - up)
        style["connectionstyle"] = "angle,angleA=0,angleB=90,rad=0"
    elif y == to_y and any(row == y and x < column < to_x for column, row in places):
        begin, finish = (x + right, y + 0.12), (to_x - right, to_y + 0.12)
        style["connectionstyle"] = "arc3,rad=-0.22"
    else:
        begin, finish = (x + right, y), (to_x - right, to_y)
    axes.annotate("", finish, begin, zorder=2, arrowprops=style)
