"""What FAM, FEM, SE and HED cost against their formulas restated, all in one interleaved run.

    python benchmarks/bench_enhancements.py       # minutes; writes results/enhancements.json
    python benchmarks/bench_enhancements.py --rounds 3 --no-write

FAM and FEM join maps of 128 channels at 90x120 and 45x60, stride 4 and 8 of a 360x480 image,
forward and backward; a plain sum is measured beside them. SE stands on every residual branch of a
ResNet-18, forward on a 360x480 image, beside the encoder without gates; HED runs forward on a
320x480 image, in the authors' geometry and in the simple one. The restated forms (restatements.py)
have the same weights, and their results must agree with ours, or nothing is measured. Ratios are of
processor seconds of all threads.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial

import restatements
import torch
from measure import interleave, median_ratio, write_result
from torch import Tensor, nn

from segloom.blocks.fem import StructureEnhance
from segloom.blocks.flow import FlowJoin
from segloom.enhancements.hed.network import HedNetwork
from segloom.models import create_model

Join = Callable[[Tensor, Tensor], Tensor]
RATIOS = {
    "fam: restated / ours": ("fam_restated", "fam"),
    "fem: restated / ours": ("fem_restated", "fem"),
    "se: restated / ours": ("se_restated", "se"),
    "hed: restated / ours": ("hed_restated", "hed"),
    "fam / plain sum": ("fam", "plain_join"),
    "fem / plain sum": ("fem", "plain_join"),
    "se / encoder without gates": ("se", "encoder"),
    "hed: authors' / simple geometry": ("hed", "hed_simple"),
}


def joins() -> dict[str, Callable[[], object]]:
    """Set up FAM and FEM, one step forward and backward each."""
    low = torch.randn(1, 128, 90, 120, requires_grad=True)
    high = torch.randn(1, 128, 45, 60, requires_grad=True)
    fam, fem = FlowJoin(128), StructureEnhance(128)
    variants: dict[str, Join] = {
        "plain_join": restatements.plain_join,
        "fam": fam,
        "fam_restated": partial(restatements.fam, fam),
        "fem": fem,
        "fem_restated": partial(restatements.fem, fem),
    }
    with torch.no_grad():
        for name in ("fam", "fem"):
            restated = variants[f"{name}_restated"](low, high)
            torch.testing.assert_close(variants[name](low, high), restated, rtol=1e-3, atol=1e-3)

    def step(join: Join) -> None:
        join(low, high).square().mean().backward()

    return {name: partial(step, join) for name, join in variants.items()}


@torch.inference_mode()
def squeeze_and_excitation() -> dict[str, Callable[[], object]]:
    """Set up an encoder with gates on its eight branches, and one without."""
    image = torch.randn(1, 3, 360, 480)
    plain = create_model("unet", encoder_name="resnet18").eval().encoder
    gated = create_model("unet", encoder_name="resnet18", enhancements="se").eval().encoder
    expected = restatements.gated_resnet(gated, image)
    error = float((gated(image)[-1] - expected).abs().max() / expected.abs().max())
    if error > 1e-5:
        raise SystemExit(f"the two forms of SE differ by {error:.1e} of the largest value")
    return {
        "encoder": torch.inference_mode()(lambda: plain(image)),
        "se": torch.inference_mode()(lambda: gated(image)),
        "se_restated": torch.inference_mode()(lambda: restatements.gated_resnet(gated, image)),
    }


@torch.inference_mode()
def edges() -> dict[str, Callable[[], object]]:
    """Set up HED in both geometries."""
    image = 255 * torch.rand(1, 3, 320, 480)
    network = HedNetwork("caffe").eval()
    for name, parameter in network.named_parameters():
        if name.startswith("score_dsn"):
            nn.init.normal_(parameter, std=5e-4)
    simple = HedNetwork("simple").eval()
    simple.load_state_dict(network.state_dict())
    restated = restatements.hed(network, image)
    torch.testing.assert_close(network.edges(image), restated, rtol=1e-4, atol=1e-5)
    return {
        "hed": torch.inference_mode()(lambda: network.edges(image)),
        "hed_restated": torch.inference_mode()(lambda: restatements.hed(network, image)),
        "hed_simple": torch.inference_mode()(lambda: simple.edges(image)),
    }


def main() -> None:
    """Parse the command line, compare, measure, print and write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9, help="measured passes per variant")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--no-write", action="store_true", help="print only")
    words = parser.parse_args()
    torch.set_num_threads(words.threads)
    torch.manual_seed(0)
    variants = {**joins(), **squeeze_and_excitation(), **edges()}
    seconds = interleave(variants, rounds=words.rounds, warmup=2)
    ratios = {
        name: median_ratio(seconds, slow, fast, "cpu_median_s")
        for name, (slow, fast) in RATIOS.items()
    }
    for name, ratio in ratios.items():
        print(f"{name}: {ratio}")
    if not words.no_write:
        result = {"rounds": words.rounds, "seconds": seconds, "ratios": ratios}
        print(f"wrote {write_result('enhancements', result)}")


if __name__ == "__main__":
    main()
