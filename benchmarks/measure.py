"""Shared by the benchmarks: the machine's description, interleaved timing, peak memory, results.

A benchmark is run as ``python benchmarks/bench_<name>.py``, so its folder is on the import path and
``from measure import interleave, machine, write_result`` works. Variants are timed in turns
(a, b, c, a, b, c, ...): a busy or throttling machine then slows all of them alike, and the ratio
of the medians stays fair. Memory is the growth of the peak resident set, measured in a process of
its own per variant (`in_fresh_process`), since an allocator does not give back what it holds.
"""

from __future__ import annotations

import gc
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from segloom.files import write_json

__all__ = [
    "RESULTS",
    "in_fresh_process",
    "interleave",
    "machine",
    "median_ratio",
    "peak_growth",
    "write_result",
]

RESULTS = Path(__file__).resolve().parent / "results"
"""Folder of the committed results, one JSON file per benchmark."""

PACKAGES = ("torch", "torchvision", "segmentation-models-pytorch", "timm", "lightning", "numpy")


def machine() -> dict[str, Any]:
    """Describe the machine: processor, cores, memory, system, versions, accelerator and date."""
    processor, flags = _processor()
    description: dict[str, Any] = {
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "processor": processor,
        "cores": len(os.sched_getaffinity(0)),
        "bf16_instructions": "avx512_bf16" in flags or "amx_bf16" in flags,
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "load_average": round(os.getloadavg()[0], 2),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
    }
    for package in PACKAGES:
        try:
            description[package] = version(package)
        except PackageNotFoundError:
            description[package] = None
    if "torch" in sys.modules:
        torch = sys.modules["torch"]
        description["threads"] = torch.get_num_threads()
        description["accelerator"] = (
            torch.cuda.get_device_name() if torch.cuda.is_available() else None
        )
    return description


def _processor() -> tuple[str, set[str]]:
    """Read the processor's name and its instruction flags; both may be unknown."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine(), set()
    entries = dict(line.split(":", 1) for line in reversed(lines) if ":" in line)
    fields = {key.strip(): value.strip() for key, value in entries.items()}
    return fields.get("model name", platform.machine()), set(fields.get("flags", "").split())


def interleave(
    variants: Mapping[str, Callable[[], object]],
    *,
    rounds: int = 7,
    warmup: int = 1,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, dict[str, Any]]:
    """Time the variants in turns.

    Args:
        variants: Name to a function without arguments; what it returns is dropped.
        rounds: Measured calls per variant.
        warmup: Calls per variant before the first measured one.
        clock: Seconds; `time.process_time` counts processor time of all threads instead of wall
            time, which is steadier on a machine that others use too.

    Returns:
        Per variant ``{"median_s", "best_s", "cpu_median_s", "samples_s"}``, in seconds; the third
        is processor time of all threads, whatever the clock.
    """
    for function in variants.values():
        for _ in range(warmup):
            function()
    samples: dict[str, list[float]] = {name: [] for name in variants}
    processor: dict[str, list[float]] = {name: [] for name in variants}
    for _ in range(rounds):
        for name, function in variants.items():
            gc.collect()
            start, start_processor = clock(), time.process_time()
            function()
            samples[name].append(clock() - start)
            processor[name].append(time.process_time() - start_processor)
    return {
        name: {
            "median_s": round(statistics.median(times), 6),
            "best_s": round(min(times), 6),
            "cpu_median_s": round(statistics.median(processor[name]), 6),
            "samples_s": [round(seconds, 6) for seconds in times],
        }
        for name, times in samples.items()
    }


def median_ratio(
    timings: Mapping[str, Mapping[str, Any]], slow: str, fast: str, key: str = "median_s"
) -> float:
    """Say how many times faster ``fast`` is than ``slow``, by the medians of `interleave`."""
    return round(float(timings[slow][key]) / float(timings[fast][key]), 3)


def peak_growth(function: Callable[[], object]) -> int:
    """Call ``function`` and return how far the peak resident set rose above where it was, bytes.

    Call it once per process, in a fresh one (see `in_fresh_process`).
    """
    gc.collect()
    before = _status("VmRSS")
    try:  # Linux: forget the peak of what ran before
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        before = max(before, _peak())
    function()
    return max(0, _peak() - before)


def _peak() -> int:
    return _status("VmHWM") or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _status(field: str) -> int:
    """Read a field of this process's status in bytes; 0 where the system does not tell."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(field)), 0)


def in_fresh_process(
    script: str | Path, words: Sequence[str] = (), *, environment: Mapping[str, str] | None = None
) -> Any:
    """Run ``python script words...`` and return the JSON value on the last line that it prints."""
    done = subprocess.run(
        [sys.executable, str(script), *words],
        stdout=subprocess.PIPE,
        check=True,
        text=True,
        env={**os.environ, **(environment or {})},
    )
    return json.loads(done.stdout.strip().splitlines()[-1])


def write_result(name: str, result: Mapping[str, Any], *, folder: Path = RESULTS) -> Path:
    """Write ``{"benchmark", "machine", **result}`` to ``<folder>/<name>.json``; return the path."""
    path = folder / f"{name}.json"
    write_json(path, {"benchmark": name, "machine": machine(), **result})
    return path
