"""HED in the authors' geometry against a plain restatement of their program, forward.

    python benchmarks/bench_hed.py            # a few minutes; writes results/hed.json

The restatement does what the caffe model does: padding by 35, transposed convolutions with fixed
bilinear filters, crops at 34, 35, 36, 38 and 42. Its edges must agree with ours, or nothing is
measured. The simple geometry is measured beside them.
"""

from __future__ import annotations

import argparse

import torch
from measure import interleave, median_ratio, write_result
from torch import Tensor, nn
from torch.nn import functional as F

from segloom.enhancements.hed_network import STAGES, HedNetwork

HEIGHT, WIDTH = 320, 480
CROPS = (34, 35, 36, 38, 42)


def restated(network: HedNetwork, image: Tensor) -> Tensor:
    """Compute the fused edges ``(1, 1, H, W)`` layer by layer, as the caffe model lists them."""
    values = image.flip(1) - network.mean.view(1, 3, 1, 1)
    sides = []
    for stage, (channels, crop) in enumerate(zip(STAGES, CROPS, strict=True), start=1):
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
        sides.append(score[..., crop : crop + HEIGHT, crop : crop + WIDTH])
    return network.score_final(torch.cat(sides, dim=1)).sigmoid()


def main() -> None:
    """Parse the command line, compare, measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7, help="measured passes per variant")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--no-write", action="store_true", help="print only")
    words = parser.parse_args()
    torch.set_num_threads(words.threads)
    torch.manual_seed(0)
    network = HedNetwork("caffe").eval()
    for name, parameter in network.named_parameters():
        if name.startswith("score_dsn"):
            nn.init.normal_(parameter, std=5e-4)
    simple = HedNetwork("simple").eval()
    simple.load_state_dict(network.state_dict())
    image = 255 * torch.rand(1, 3, HEIGHT, WIDTH)
    with torch.inference_mode():
        torch.testing.assert_close(
            network.edges(image), restated(network, image), rtol=1e-4, atol=1e-5
        )
        timings = interleave(
            {
                "restated": lambda: restated(network, image),
                "caffe": lambda: network.edges(image),
                "simple": lambda: simple.edges(image),
            },
            rounds=words.rounds,
        )
    result = {
        "what": f"HED, forward, one image of {HEIGHT}x{WIDTH}, fp32",
        "rounds": words.rounds,
        "seconds": timings,
        "times_faster_cpu": median_ratio(timings, "restated", "caffe", "cpu_median_s"),
        "simple_times_faster_cpu": median_ratio(timings, "caffe", "simple", "cpu_median_s"),
    }
    print(
        f"caffe geometry: {result['times_faster_cpu']:.2f} times as fast as the restatement in "
        f"processor time; simple: {result['simple_times_faster_cpu']:.2f} times as fast as caffe"
    )
    if not words.no_write:
        print(f"wrote {write_result('hed', result)}")


if __name__ == "__main__":
    main()
