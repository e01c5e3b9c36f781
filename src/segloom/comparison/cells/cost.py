"""What a network costs: parameters, multiply-adds, time per image, memory."""

from __future__ import annotations

import contextlib
import statistics
import time
from pathlib import Path

from segloom.config.run import RunConfig

__all__ = ["PeakMemory", "measure_cost"]

NUM_TIMED = 5
"""Images whose time is taken, after one that warms up."""


class PeakMemory:
    """The largest memory since it was made: of the GPU if there is one, else of this process."""

    def __init__(self) -> None:
        import torch

        self._on_gpu = torch.cuda.is_available()
        if self._on_gpu:
            torch.cuda.reset_peak_memory_stats()
        else:
            # Linux: the mark of the resident set starts again from what is held now.
            with contextlib.suppress(OSError):
                Path("/proc/self/clear_refs").write_text("5")

    def gibibytes(self) -> float | None:
        """Return the peak; None where the system does not tell."""
        if self._on_gpu:
            import torch

            return round(torch.cuda.max_memory_allocated() / 2**30, 3)
        try:
            status = Path("/proc/self/status").read_text(encoding="ascii")
        except OSError:
            return None
        lines = (line.split() for line in status.splitlines() if line.startswith("VmHWM"))
        return next((round(int(words[1]) / 2**20, 3) for words in lines), None)


def measure_cost(run: Path, config: RunConfig) -> dict[str, object]:
    """Measure a trained network on images of its own test split.

    Returns:
        ``parameters``; ``multiply_adds`` of one pass over an image of ``image_size``, counted as
        torch counts them; ``latency_seconds``, the median time from the image to its label map
        with the options of the evaluation.
    """
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from segloom.data import build_dataset
    from segloom.inference import Predictor
    from segloom.models import from_pretrained

    model = from_pretrained(run).eval()
    dataset = build_dataset(config.data, config.eval.split)
    predictor = Predictor(model, dataset.labels, config.eval.inference)
    images = [predictor.pixels(dataset[k]) for k in range(min(NUM_TIMED, len(dataset)))]
    height, width, channels = images[0].shape
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model(torch.zeros(1, channels, height, width))
    seconds = []
    for image in [images[0], *images]:
        start = time.perf_counter()
        predictor.label_map(image)
        seconds.append(time.perf_counter() - start)
    return {
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "multiply_adds": counter.get_total_flops() // 2,
        "image_size": [height, width],
        "latency_seconds": round(statistics.median(seconds[1:]), 5),
    }
