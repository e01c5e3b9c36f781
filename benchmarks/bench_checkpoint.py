"""Memory and time of a training step with the encoder's maps computed twice.

    python benchmarks/bench_checkpoint.py [--encoder resnet50] [--crop 384] [--batch 2]

The same step (forward, backward, no optimiser) with and without ``train.checkpoint_activations``,
each in a fresh process per round; memory is the growth of the peak resident set over what the
network itself takes, time is processor time. Goal: at most two thirds of the memory.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time

from measure import in_fresh_process, peak_growth, write_result

GOAL = 2 / 3


def step(arguments: argparse.Namespace) -> dict[str, float]:
    """Take one step; return its peak in MiB and its processor seconds."""
    import torch

    from segloom.config import LossConfig
    from segloom.losses import build_losses
    from segloom.models import create_model
    from segloom.training import TrainingStep
    from segloom.training.callbacks.activations import checkpoint_activations

    torch.manual_seed(0)
    model = create_model("fpn", encoder_name=arguments.encoder, classes=19).train()
    if arguments.variant == "twice":
        checkpoint_activations(model, arguments.encoder)
    losses = build_losses(LossConfig(), auxiliary=model.loss_weights)
    training = TrainingStep(model, losses, channels_last=True)
    size = (arguments.batch, arguments.crop, arguments.crop)
    image = torch.randint(0, 256, (size[0], 3, *size[1:]), dtype=torch.uint8)
    mask = torch.randint(0, 19, size, dtype=torch.uint8)
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)  # there in any case
    start = time.process_time()
    peak = peak_growth(lambda: training(image, mask)["total"].backward())
    return {"peak_mib": peak / 2**20, "processor_seconds": time.process_time() - start}


def main() -> int:
    """Measure both in turns; return 0 if the goal is reached."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--encoder", default="resnet50")
    parser.add_argument("--crop", type=int, default=384)
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--variant", choices=("once", "twice"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.variant:
        print(json.dumps(step(arguments)))
        return 0
    words = ["--encoder", arguments.encoder, "--crop", str(arguments.crop)]
    words += ["--batch", str(arguments.batch), "--variant"]
    runs: dict[str, list[dict[str, float]]] = {"once": [], "twice": []}
    for _ in range(arguments.rounds):
        for variant, outcomes in runs.items():
            outcomes.append(in_fresh_process(__file__, [*words, variant]))
            print(variant, {k: round(v, 2) for k, v in outcomes[-1].items()}, flush=True)
    ratios = {
        key: round(
            statistics.median(run[key] for run in runs["twice"])
            / statistics.median(run[key] for run in runs["once"]),
            3,
        )
        for key in ("peak_mib", "processor_seconds")
    }
    memory = ratios["peak_mib"]
    print(f"{memory:.2f} of the memory (goal: {GOAL:.2f}), {ratios['processor_seconds']:.2f} times")
    case = {"network": f"fpn, {arguments.encoder}", "crop": arguments.crop}
    result = {
        "case": {**case, "batch": arguments.batch},
        "ratios": ratios,
        "goal": GOAL,
        "reached": memory <= GOAL,
        "runs": runs,
    }
    print(write_result("checkpoint", result))
    return 0 if result["reached"] else 1


if __name__ == "__main__":
    sys.exit(main())
