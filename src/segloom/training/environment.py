"""What a run was made with: versions, machine, command."""

from __future__ import annotations

import os
import platform
import shlex
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from segloom.plugins import plugin_words

__all__ = ["describe_environment", "resume_command"]

PACKAGES = (
    "segloom",
    "torch",
    "torchvision",
    "segmentation-models-pytorch",
    "timm",
    "lightning",
    "torchmetrics",
    "numpy",
    "opencv-python-headless",
    "pillow",
)


def describe_environment() -> dict[str, object]:
    """Describe this process and machine in JSON values."""
    import torch

    return {
        "python": platform.python_version(),
        "system": platform.platform(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "accelerators": [
            torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())
        ],
        "cuda": torch.version.cuda,
        "git": _git_commit(),
        "packages": {name: _version(name) for name in PACKAGES},
    }


def command_line() -> str:
    """Return the command of this process, ready for a shell."""
    program, *words = sys.argv
    return shlex.join([Path(program).name or "python", *words])


def resume_command(run: Path) -> str:
    """Return the command that goes on with a run."""
    return f"segloom train {shlex.quote(str(run / 'config.yaml'))} --train.resume{plugin_words()}"


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def _git_commit() -> str | None:
    """Return the commit of the working folder, the user's project, if it is one."""
    try:
        done = subprocess.run(
            ["git", "rev-parse", "HEAD"], capture_output=True, text=True, timeout=5, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None
