"""What the joins of SFNet and FENet cost: against the formulas restated, and against a plain sum.

    python benchmarks/bench_joins.py            # a few minutes; writes results/joins.json
    python benchmarks/bench_joins.py --rounds 3

Each join runs forward and backward on maps of 128 channels at 90x120 and 45x60, stride 4 and 8 of
a 360x480 image. The restated forms are the papers' formulas step by step in plain torch, with the
same weights; their results must agree with ours, or nothing is measured. Times are processor
seconds of all threads.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import torch
from measure import interleave, median_ratio, write_result
from torch import Tensor
from torch.nn import functional as F

from segloom.enhancements.fem import StructureEnhance
from segloom.enhancements.flow_align import FlowJoin

CHANNELS, HEIGHT, WIDTH = 128, 90, 120
Join = Callable[[Tensor, Tensor], Tensor]


def up(coarse: Tensor, fine: Tensor) -> Tensor:
    """Resize with corners on corners."""
    return F.interpolate(coarse, size=fine.shape[-2:], mode="bilinear", align_corners=True)


def plain(low: Tensor, high: Tensor) -> Tensor:
    """Join as a feature pyramid does."""
    return low + up(high, low)


def restated_fam(module: FlowJoin) -> Join:
    """FAM with a stacked grid of linspace and four explicit neighbours."""

    def join(low: Tensor, high: Tensor) -> Tensor:
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

    return join


def restated_fem(module: StructureEnhance) -> Join:
    """FEM-S, with both filters applied where the figure draws them."""

    def filtered(x: Tensor) -> Tensor:
        return x - F.conv2d(x, module.filter.weight, padding=4, groups=x.shape[1])

    def join(low: Tensor, high: Tensor) -> Tensor:
        z = module.merge(torch.cat([filtered(low), up(filtered(high), low)], dim=1))
        z = torch.relu(module.residual(z) + z)
        result: Tensor = module.fuse(torch.relu(module.norm(z + up(high, low))))
        return result

    return join


def main() -> None:
    """Measure and write the result."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    torch.manual_seed(0)
    low = torch.randn(1, CHANNELS, HEIGHT, WIDTH, requires_grad=True)
    high = torch.randn(1, CHANNELS, HEIGHT // 2, WIDTH // 2, requires_grad=True)
    fam, fem = FlowJoin(CHANNELS), StructureEnhance(CHANNELS)
    joins: dict[str, Join] = {
        "plain": plain,
        "fam": fam,
        "fam_restated": restated_fam(fam),
        "fem": fem,
        "fem_restated": restated_fem(fem),
    }
    with torch.no_grad():
        for name in ("fam", "fem"):
            torch.testing.assert_close(
                joins[name](low, high), joins[f"{name}_restated"](low, high), rtol=1e-3, atol=1e-3
            )

    def step(join: Join) -> Callable[[], None]:
        return lambda: join(low, high).square().mean().backward()

    timings = interleave(
        {name: step(join) for name, join in joins.items()}, rounds=rounds, clock=time.process_time
    )
    ratios = {
        "fam: restated / ours": median_ratio(timings, "fam_restated", "fam"),
        "fem: restated / ours": median_ratio(timings, "fem_restated", "fem"),
        "fam / plain sum": median_ratio(timings, "fam", "plain"),
        "fem / plain sum": median_ratio(timings, "fem", "plain"),
    }
    print(write_result("joins", {"rounds": rounds, "timings": timings, "ratios": ratios}))
    for name, ratio in ratios.items():
        print(f"{name}: {ratio}")


if __name__ == "__main__":
    main()
