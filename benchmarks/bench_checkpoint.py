"""Memory and time of a training step with feature maps computed twice.

    python benchmarks/bench_checkpoint.py [--rounds 3] [--only afma]

Two steps, each with and without ``train.checkpoint_activations``, in a fresh process per round:

- FPN on ResNet-50, two images of 384x384, forward and backward. Goal: two thirds of the memory.
- Unet on ResNet-18 with AFMA at level 1, an image of 480x640, with AdamW: the step of
  ``bench_afma.py``, beside the dense form of the attention. Goal: less than 40 % of the dense
  step's memory at no more than 1.3 times the time. AFMA alone is what the steps need more than the
  plain network's.

Memory is the growth of the peak resident set. Freed memory goes back to the system at once
(``MALLOC_MMAP_THRESHOLD_``), so that it is what the step needs and not what the allocator keeps.
Time is processor time of a second step, without that.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

from measure import in_fresh_process, peak_growth, write_result

FPN_GOAL, AFMA_GOAL, AFMA_TIME = 2 / 3, 0.4, 1.3
KINDS = {"fpn": ("once", "twice"), "afma": ("dense", "factored", "saving", "plain")}
EXACT = {"MALLOC_MMAP_THRESHOLD_": "1048576", "MALLOC_TRIM_THRESHOLD_": "1048576"}
"""Of glibc."""


def make_step(case: str, kind: str) -> Callable[[], object]:
    """Build a network and return its training step."""
    import torch

    from segloom.config import LossConfig
    from segloom.losses import build_losses
    from segloom.models import create_model
    from segloom.training import TrainingStep
    from segloom.training.callbacks.activations import checkpoint_activations

    if case == "afma":
        from bench_afma import make_step as afma_step

        return afma_step(kind, 1, 1)
    torch.manual_seed(0)
    model = create_model("fpn", encoder_name="resnet50", classes=19).train()
    if kind == "twice":
        checkpoint_activations(model, "resnet50")
    losses = build_losses(LossConfig(), auxiliary=model.loss_weights)
    training = TrainingStep(model, losses, channels_last=True)
    image = torch.randint(0, 256, (2, 3, 384, 384), dtype=torch.uint8)
    mask = torch.randint(0, 19, (2, 384, 384), dtype=torch.uint8)
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)  # there in any case
    return lambda: training(image, mask)["total"].backward()


def measure(case: str, kind: str, what: str) -> float:
    """Measure the peak in MiB, or the processor seconds of a second step."""
    step = make_step(case, kind)
    if what == "peak_mib":
        return peak_growth(step) / 2**20
    step()
    start = time.process_time()
    step()
    return time.process_time() - start


def main() -> int:
    """Measure in turns; return 0 if the goals are reached."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", choices=tuple(KINDS))
    parser.add_argument("--no-write", action="store_true", help="print only")
    parser.add_argument("--one", nargs=3, help=argparse.SUPPRESS)
    words = parser.parse_args()
    if words.one:
        print(json.dumps(measure(*words.one)))
        return 0
    cases = [words.only] if words.only else list(KINDS)
    found = {case: measure_case(case, words.rounds) for case in cases}
    summary = {case: SUMMARIES[case](values["medians"]) for case, values in found.items()}
    print(json.dumps(summary, indent=2))
    reached = all(part["reached"] for part in summary.values())
    if not words.no_write:
        print(write_result("checkpoint", {"summary": summary, "reached": reached, "runs": found}))
    return 0 if reached else 1


def measure_case(case: str, rounds: int) -> dict[str, Any]:
    """Measure every kind of a case in turns, each time in a process of its own."""
    runs: dict[str, dict[str, list[float]]] = {
        kind: {"peak_mib": [], "processor_seconds": []} for kind in KINDS[case]
    }
    for _ in range(rounds):
        for kind, values in runs.items():
            for what, measured in values.items():
                environment = EXACT if what == "peak_mib" else {}
                arguments = ["--one", case, kind, what]
                measured.append(in_fresh_process(__file__, arguments, environment=environment))
            print(case, kind, {name: round(v[-1], 2) for name, v in values.items()}, flush=True)
    medians = {
        kind: {name: statistics.median(measured) for name, measured in values.items()}
        for kind, values in runs.items()
    }
    return {"medians": medians, "rounds": runs}


def fpn_summary(medians: dict[str, dict[str, float]]) -> dict[str, Any]:
    """Set both forms of FPN beside each other."""
    memory, seconds = (
        medians["twice"][name] / medians["once"][name] for name in ("peak_mib", "processor_seconds")
    )
    return {
        "memory": round(memory, 3),
        "time": round(seconds, 3),
        "goal": round(FPN_GOAL, 3),
        "reached": memory <= FPN_GOAL,
    }


def afma_summary(medians: dict[str, dict[str, float]]) -> dict[str, Any]:
    """Set AFMA alone and its whole step beside the dense form."""
    memory = {kind: values["peak_mib"] for kind, values in medians.items()}
    seconds = medians["saving"]["processor_seconds"] / medians["factored"]["processor_seconds"]
    whole = memory["saving"] / memory["dense"]
    alone = (memory["factored"] - memory["plain"]) / (memory["dense"] - memory["plain"])
    return {
        "afma alone": round(alone, 3),
        "whole step": round(memory["factored"] / memory["dense"], 3),
        "whole step, checkpointed": round(whole, 3),
        "time of checkpoints": round(seconds, 3),
        "goal": {"memory": AFMA_GOAL, "time": AFMA_TIME},
        "reached": whole < AFMA_GOAL and seconds <= AFMA_TIME,
    }


SUMMARIES = {"fpn": fpn_summary, "afma": afma_summary}


if __name__ == "__main__":
    sys.exit(main())
