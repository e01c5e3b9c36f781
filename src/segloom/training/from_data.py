"""Options that follow from the data and the machine where nobody gave them.

The recipe `folder` leaves crop, batch size and length open (``data.crop`` 0 0, ``data.batch_size``
0, ``train.epochs`` 0), and all recipes the precision (``train.precision`` auto).
What is chosen stands in the run's config.yaml, so that a resumed run never chooses anew. After
nnU-Net (Isensee et al., Nature Methods 2021), which derives the patch from the median shape of the
images, then the batch from what memory is left; our numbers are our own.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from math import log10, sqrt
from pathlib import Path
from statistics import median

from PIL import Image, UnidentifiedImageError

from segloom.config.data import OPEN_CROP
from segloom.config.load import read_config
from segloom.config.run import RunConfig
from segloom.data.readers import read_labelled_source, read_source
from segloom.data.source import DatasetSource
from segloom.images.read import is_turned
from segloom.processor import bfloat16_is_fast
from segloom.run_directory import RunDirectory

__all__ = ["choose_options", "image_sizes", "open_options", "training_device"]

STRIDE = 32
"""Sides of a crop are multiples of this, the stride of the deepest feature map."""
CROP_PIXELS = {"cpu": 320 * 320, "gpu": 512 * 512}
"""Largest crop; a step on a CPU takes seconds with more."""
BATCH_PIXELS = {"cpu": 900_000, "gpu": 4_500_000}
"""Most pixels of a batch: 8 or 16 of the largest crops, whose sides are rounded."""
BYTES_PER_PIXEL = 3000
"""Memory that a pixel of a batch takes in training: Unet with EfficientNet-Lite0 in fp32, which
took 2.9 kB."""
MEMORY_SHARE = 0.5
UNKNOWN_MEMORY = 8 * 2**30
BF16_CAPABILITY = 8.0
"""Of an NVIDIA GPU (Ampere), from which on it computes bfloat16."""
LARGEST_BATCH = 16
FEWEST_STEPS = 8
"""Per epoch, where the images allow it with batches of two."""
USUAL_IMAGES, USUAL_EPOCHS = 600, 30
"""A training set of so many images is passed so often; see `_epochs`."""
LOOK_AT = 64
"""Images whose sizes are read."""
DECODED = 4
"""Images that are decoded where no header tells a size."""
FALLBACK = (320, 320)
"""Crop of volumes."""


def open_options(config: RunConfig) -> set[str]:
    """Name the options that are to follow from the data; the precision follows from the machine."""
    found = {
        "data.crop": config.data.crop == OPEN_CROP,
        "data.batch_size": config.data.batch_size == 0,
        "train.epochs": config.train.epochs == 0,
    }
    return {name for name, is_open in found.items() if is_open}


def choose_options(config: RunConfig, say: Callable[[str], None] = lambda _: None) -> RunConfig:
    """Give the options that are open a value; options that have one stay.

    Args:
        config: Its training set is looked at, unless nothing is open. A run that is to be resumed
            keeps what it began with.
        say: Shows a line of text per option that was chosen, with the reason.

    Raises:
        DataError: The training images cannot be found.
        ConfigError: The options of the data contradict one another.
    """
    names = open_options(config)
    is_auto = config.train.precision == "auto"
    if config.train.resume and config.train.out is not None:
        further = {"train.precision"} if is_auto else set()
        return _resumed(config, RunDirectory(config.train.out), names | further)
    if is_auto:
        precision, why = _precision(config)
        config = config.override(train_precision=precision)
        say(f"train.precision {precision}: {why}")
    if not names:
        return config
    source = read_source(config.data, "train")
    device, memory = training_device(config)
    chosen: dict[str, object] = {}
    crop, why = config.data.crop, ""
    if "data.crop" in names:
        size = _median_size(config, source)
        crop, why = _crop(size, CROP_PIXELS[device]) if size else (FALLBACK, "sizes unknown")
        chosen["data_crop"] = crop
        say(f"data.crop {crop[0]} {crop[1]}: {why}")
    number = len(source.records)
    if "data.batch_size" in names:
        pixels = min(BATCH_PIXELS[device], int(MEMORY_SHARE * memory / BYTES_PER_PIXEL))
        height, width = crop or _median_size(config, source) or FALLBACK
        chosen["data_batch_size"] = _batch(config, number, pixels // (height * width))
        say(f"data.batch_size {chosen['data_batch_size']}: {_batch_reason(number, device, memory)}")
    if "train.epochs" in names:
        chosen["train_epochs"] = _epochs(number)
        say(f"train.epochs {chosen['train_epochs']}: {number} training images")
    return config.override(**chosen)


def _resumed(config: RunConfig, run: RunDirectory, names: Iterable[str]) -> RunConfig:
    """Take the open options from the configuration of a run, if there is one."""
    if not run.config.is_file():
        return config
    stored = read_config(run.config)
    values = {"data": stored.data.model_dump(), "train": stored.train.model_dump()}
    chosen = {}
    for name in names:
        section, option = name.split(".")
        chosen[f"{section}_{option}"] = values[section][option]
    return config.override(**chosen)


def _crop(size: tuple[int, int], limit: int) -> tuple[tuple[int, int], str]:
    """Shape a crop like an image of this height and width, of at most ``limit`` pixels or so."""
    height, width = size
    factor = min(1.0, sqrt(limit / (height * width)))
    crop = (_side(height, factor), _side(width, factor))
    what = f"the training images are {width}x{height} in the median"
    return crop, what if factor == 1.0 else f"{what}, and a crop has about {limit} pixels at most"


def _side(length: int, factor: float) -> int:
    nearest = round(length * factor / STRIDE) * STRIDE
    inside = nearest if nearest <= length else nearest - STRIDE  # no border of void where avoidable
    return max(2 * STRIDE, inside)


def _batch(config: RunConfig, number: int, room: int) -> int:
    """Choose the largest power of two that memory has room for and that leaves enough steps."""
    most = min(room, LARGEST_BATCH, number // FEWEST_STEPS)
    batch = max(2, 1 << (max(1, most).bit_length() - 1))
    parts = config.train.devices * config.train.accumulate
    return -(-batch // parts) * parts


def _epochs(number: int) -> int:
    """Choose twice as many epochs for a tenth of the images, between 10 and 100."""
    return round(min(100.0, max(10.0, USUAL_EPOCHS * 2 ** log10(USUAL_IMAGES / number))))


def _batch_reason(number: int, device: str, memory: int) -> str:
    place = "GPU" if device == "gpu" else "machine"
    return f"{number} training images, {memory / 2**30:.0f} GiB of memory of the {place}"


def _median_size(config: RunConfig, source: DatasetSource) -> tuple[int, int] | None:
    """Find height and width of the training images; None of volumes, which take long to read."""
    sizes = image_sizes([record.image for record in source.records], LOOK_AT)
    if not sizes and not source.decode.is_sequential:  # in memory, or arrays in files
        whole, _, decoder = read_labelled_source(config.data, "train")
        step = max(1, len(whole.records) // DECODED)
        samples = [whole.decode(record, decoder) for record in whole.records[::step][:DECODED]]
        sizes = [(sample.mask.shape[0], sample.mask.shape[1]) for sample in samples]
    if not sizes:
        return None
    return int(median(size[0] for size in sizes)), int(median(size[1] for size in sizes))


def image_sizes(images: Sequence[Path], number: int) -> list[tuple[int, int]]:
    """Read height and width of evenly spread images from their headers.

    Args:
        images: Files; those that are no pictures, such as volumes and arrays, are left out.
        number: How many to read, about.
    """
    sizes = []
    for path in images[:: max(1, len(images) // number)]:
        try:
            with Image.open(path) as image:
                width, height = image.size
        except (OSError, UnidentifiedImageError, Image.DecompressionBombError):
            continue
        sizes.append((width, height) if is_turned(path) else (height, width))
    return sizes


def _precision(config: RunConfig) -> tuple[str, str]:
    """Choose bfloat16 where the device computes it; where it is emulated, it is much slower."""
    if config.train.accelerator != "cpu" and (found := _ask_driver("compute_cap")):
        has_it, place = min(found) >= BF16_CAPABILITY, "GPU"
    else:
        has_it, place = bfloat16_is_fast(), "processor"
    if has_it:
        return "bf16", f"the {place} computes bfloat16"
    return "fp32", f"the {place} does not compute bfloat16"


def training_device(config: RunConfig) -> tuple[str, int]:
    """Name where the training will run, and its memory in bytes, without loading torch."""
    found = [] if config.train.accelerator == "cpu" else _ask_driver("memory.total")
    if found:
        return "gpu", int(min(found)) * 2**20 * config.train.devices
    try:
        return "cpu", os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # not on Windows
        return "cpu", UNKNOWN_MEMORY


@cache
def _ask_driver(fact: str) -> list[float]:
    """Ask NVIDIA's driver for a number about every GPU; empty if there is none."""
    command = ["nvidia-smi", f"--query-gpu={fact}", "--format=csv,noheader,nounits"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
        return [float(line) for line in done.stdout.split()]
    except (OSError, subprocess.SubprocessError, ValueError):
        return []
