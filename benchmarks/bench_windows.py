"""Large images against the usual sliding window: ``python benchmarks/bench_windows.py``.

Unet with ResNet-18, 12 classes, 1024 x 2048, uint8 array in, uint8 label map out:

    usual          windows of 512 x 512 that overlap by half, float32, NCHW, each one's logits
                   padded to the whole image and added up, divided by a map of counts
    windows fp32   `Predictor` with the same windows, blended with Gaussian weights
    windows bf16   the same in bfloat16
    whole fp32     `Predictor` without windows
    whole bf16     the same in bfloat16

Time is processor seconds; memory is the growth of the peak resident set, each way in a process of
its own. Goals, where the processor has bfloat16: windows at least 2.8 times as fast as the usual
way at no more than half of its memory; whole at least 5 times as fast.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from measure import in_fresh_process, interleave, median_ratio, peak_growth, write_result

from segloom.config import InferenceConfig
from segloom.inference import Predictor, bfloat16_is_fast
from segloom.labels.palette import default_palette
from segloom.models import SegmentationModel, create_model
from segloom.types import LabelSet

SIZE, WINDOW, NUM_CLASSES = (1024, 2048), 512, 12
GOALS = {"windows bf16": 2.8, "whole bf16": 5.0}
MEMORY_GOAL = 0.5


def usual(model: SegmentationModel, image: np.ndarray) -> np.ndarray:
    """Slide a window the way segmentation toolboxes commonly do."""
    with torch.no_grad():
        pixels = torch.from_numpy(image).permute(2, 0, 1).contiguous()[None]
        normalized = model.normalize(pixels)
        height, width = SIZE
        stride = WINDOW // 2
        scores = normalized.new_zeros(1, NUM_CLASSES, height, width)
        counts = normalized.new_zeros(1, 1, height, width)
        for top in range(0, height - WINDOW + 1, stride):
            for left in range(0, width - WINDOW + 1, stride):
                logits = model(normalized[..., top : top + WINDOW, left : left + WINDOW])
                below, right = height - top - WINDOW, width - left - WINDOW
                scores += F.pad(logits, (left, right, top, below))
                counts[..., top : top + WINDOW, left : left + WINDOW] += 1
        return (scores / counts).argmax(1)[0].to(torch.uint8).numpy()


def ways(names: list[str]) -> dict[str, Callable[[], np.ndarray]]:
    """Build the network once and the ways asked for."""
    torch.manual_seed(0)
    model = create_model("unet", encoder_name="resnet18", classes=NUM_CLASSES).eval()
    labels = LabelSet(tuple(map(str, range(NUM_CLASSES))), default_palette(NUM_CLASSES))
    image = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), dtype=np.uint8)

    def build(name: str) -> Callable[[], np.ndarray]:
        if name == "usual":
            return lambda: usual(model, image)
        kind, precision = name.split()
        window = (WINDOW, WINDOW) if kind == "windows" else None
        config = InferenceConfig(window=window, precision=precision, device="cpu")
        predictor = Predictor(model, labels, config)
        return lambda: predictor.label_map(image)

    return {name: build(name) for name in names}


def main() -> int:
    """Measure, print, write the result; return 1 if a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5, help="measured calls of each way")
    parser.add_argument("--threads", type=int, default=1, help="0 takes torch's own number")
    parser.add_argument("--memory", help="only print the memory of one way")
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    if arguments.memory:
        (run,) = ways([arguments.memory]).values()
        print(json.dumps(peak_growth(run)))
        return 0
    precisions = ["fp32", "bf16"] if bfloat16_is_fast() else ["fp32"]
    names = ["usual"] + [f"{kind} {p}" for kind in ("windows", "whole") for p in precisions]
    timings = interleave(ways(names), rounds=arguments.rounds, clock=time.process_time)
    threads = ["--threads", str(arguments.threads)]
    rows: dict[str, Any] = {}
    for name in names:
        memory = in_fresh_process(Path(__file__), [*threads, "--memory", name])
        rows[name] = {
            **timings[name],
            "times_usual": median_ratio(timings, "usual", name),
            "peak_mib": round(memory / 2**20, 1),
        }
        print(
            f"{name:<14} {rows[name]['median_s']:7.2f} s  {rows[name]['times_usual']:5.2f} x  "
            f"{rows[name]['peak_mib']:7.1f} MiB",
            flush=True,
        )
    memory_share = round(
        rows[f"windows {precisions[-1]}"]["peak_mib"] / rows["usual"]["peak_mib"], 3
    )
    is_fast = all(rows[name]["times_usual"] >= goal for name, goal in GOALS.items() if name in rows)
    passed = is_fast and memory_share <= MEMORY_GOAL
    path = write_result(
        "windows",
        {
            "threads": torch.get_num_threads(),
            "goals": {"times_usual": GOALS, "memory_share_of_windows": MEMORY_GOAL},
            "memory_share_of_windows": memory_share,
            "passed": passed,
            "ways": rows,
        },
    )
    print(f"{'passed' if passed else 'MISSED A GOAL'}; written to {path}")
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
