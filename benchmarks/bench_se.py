"""Compare squeeze-and-excitation on every residual branch with its formulas written out.

Both sides are one encoder with the same weights: gates as modules inside the blocks, and a plain
restatement that spreads each gate to a full-size map before it multiplies. Run
``python benchmarks/bench_se.py``; it stops unless both give the same maps.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import torch
from measure import interleave, median_ratio, write_result
from torch import Tensor
from torch.nn import functional as F

from segloom.models import create_model


def dense_gate(block: torch.nn.Module, branch: Tensor) -> Tensor:
    """Equations 2 to 4 with full-size maps: pooled, 1x1 convolutions, spread, multiplied."""
    se = block.se
    squeezed = F.adaptive_avg_pool2d(branch, 1)  # (B, C, 1, 1)
    hidden = F.relu(F.conv2d(squeezed, se.fc1.weight[:, :, None, None], se.fc1.bias))
    gates = torch.sigmoid(F.conv2d(hidden, se.fc2.weight[:, :, None, None], se.fc2.bias))
    return branch * gates.expand_as(branch).contiguous()


def dense_block(block: torch.nn.Module, x: Tensor) -> Tensor:
    """A basic block of ResNet with `dense_gate` before the sum."""
    branch = block.bn2(block.conv2(F.relu(block.bn1(block.conv1(x)))))
    shortcut = x if block.downsample is None else block.downsample(x)
    return F.relu(dense_gate(block, branch) + shortcut)


def dense_encoder(encoder: torch.nn.Module, image: Tensor) -> Tensor:
    """Run the gated ResNet-18, block by block."""
    x = encoder.maxpool(F.relu(encoder.bn1(encoder.conv1(image))))
    for layer in (encoder.layer1, encoder.layer2, encoder.layer3, encoder.layer4):
        for block in layer:
            x = dense_block(block, x)
    return x


def main() -> None:
    """Parse the command line, check, measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9, help="measured passes per variant")
    parser.add_argument("--size", type=int, nargs=2, default=[360, 480])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--no-write", action="store_true", help="print only")
    words = parser.parse_args()
    torch.set_num_threads(words.threads)
    torch.manual_seed(0)
    plain = create_model("unet", encoder_name="resnet18").eval().encoder
    gated = create_model("unet", encoder_name="resnet18", enhancements="se").eval().encoder
    image = torch.randn(1, 3, *words.size)
    variants: dict[str, Callable[[], Tensor]] = {
        "plain": lambda: plain(image)[-1],
        "gated": lambda: gated(image)[-1],
        "dense": lambda: dense_encoder(gated, image),
    }
    with torch.inference_mode():
        expected = variants["dense"]()
        error = float((variants["gated"]() - expected).abs().max() / expected.abs().max())
        if error > 1e-5:
            raise SystemExit(f"the two forms differ by {error:.1e} of the largest value")
        timings = interleave(variants, rounds=words.rounds, warmup=2)
    result = {
        "what": f"ResNet-18 encoder with gates on 8 branches, {words.size}, one image, fp32",
        "relative_error": error,
        "seconds": timings,
        "times_faster_cpu": median_ratio(timings, "dense", "gated", "cpu_median_s"),
        "overhead_over_plain_cpu": median_ratio(timings, "gated", "plain", "cpu_median_s"),
    }
    print(
        f"equal to {error:.1e}; processor time: {result['times_faster_cpu']:.2f} times faster than "
        f"the dense form, {result['overhead_over_plain_cpu']:.2f} of the encoder without gates"
    )
    if not words.no_write:
        print(f"wrote {write_result('se', result)}")


if __name__ == "__main__":
    main()
