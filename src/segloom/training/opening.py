"""What a training says and settles before torch is loaded: layout, images, sizes, folder."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from segloom.config import DataConfig, RunConfig
from segloom.data.readers import has_split, read_source
from segloom.data_check import check
from segloom.errors import DataError
from segloom.training.from_data import image_sizes

if TYPE_CHECKING:
    from segloom.data.source import DatasetSource

__all__ = ["describe_data", "settle_layout"]

LOOK_AT = 60
"""Pairs that are read to recognise the layout of an unknown folder."""
LAYOUT_OPTIONS = ("images", "masks", "image_ending", "mask_ending", "mask_format", "classes")
"""Options of `DataConfig` that say how a folder is laid out; one that is given is obeyed."""


def settle_layout(config: RunConfig, say: Callable[[str], None]) -> RunConfig:
    """Recognise the layout of a folder that is not laid out as the reader ``folder`` expects.

    Only where no option of `LAYOUT_OPTIONS` is given, so that nothing a user says is overruled.

    Args:
        config: What is to be trained.
        say: Shows a line of text, the options that were found.

    Returns:
        ``config`` with the options that read the folder.

    Raises:
        DataError: The folder is missing, or `segloom data check` finds problems in it.
    """
    data = config.data
    if data.root is None or not _is_open(data, data.root):
        return config
    options = _recognise(data.root)
    shown = ", ".join(f"data.{name} {_shown(value)}" for name, value in options.items())
    say(f"read as {shown} (`segloom data check {data.root}` tells more)")
    merged = DataConfig.model_validate({**data.model_dump(), **options})
    return config.model_copy(update={"data": merged})


def _is_open(data: DataConfig, root: Path) -> bool:
    """Return whether nothing says how a folder is laid out, and it is not laid out as usual."""
    plain = DataConfig()
    is_told = any(getattr(data, name) != getattr(plain, name) for name in LAYOUT_OPTIONS)
    if data.name != "folder" or is_told or not root.is_dir():
        return False
    return not ((root / data.images.replace("{split}", "train")).is_dir() and _is_paired(data))


def _recognise(root: Path) -> dict[str, object]:
    """Return the options of `DataConfig`, but for the root, that read a folder."""
    report = check(root, limit=LOOK_AT)
    problem = next((found for found in report.findings if found.level == "problem"), None)
    if problem is not None or not report.options:
        why = problem.message if problem else "no label maps were found."
        raise DataError(f"{root}: {why} See `segloom data check {root}`.")
    return {name: value for name, value in report.options.items() if name != "root"}


def _is_paired(data: DataConfig) -> bool:
    """Return whether every image has its label map, rather than several masks, say."""
    try:
        return bool(read_source(data, "train").records)
    except DataError:
        return False


def _shown(value: object) -> str:
    return ",".join(str(part) for part in value) if isinstance(value, list) else str(value)


def describe_data(config: RunConfig) -> str:
    """Say in one line how many images each split has, how large they are, and where the run goes.

    Raises:
        DataError: The training images or their label maps cannot be found.
    """
    sources = {"train": read_source(config.data, "train")}
    if has_split(config.data, "val"):
        sources["val"] = read_source(config.data, "val")
    if not all(source.records for source in sources.values()) or len(sources) < 2:
        raise DataError(
            f"{config.data.root or config.data.name} has no training or no validation images "
            f"({_counts(sources)}); a training is judged on validation images, so give it more "
            "images, or folders train and val."
        )
    counts = _counts(sources)
    labels = sources["train"].labels
    classes = len(labels.classes) if labels is not None else len(config.data.classes)
    named = f", {classes} classes" if classes else ""
    sizes = _sizes([record.image for record in sources["train"].records])
    weights = config.model.encoder_weights or "none"
    return (
        f"data: {counts} images{sizes}{named}; encoder weights: {weights}; "
        f"run folder: {config.train.out}"
    )


def _counts(sources: Mapping[str, DatasetSource]) -> str:
    return ", ".join(f"{len(source.records)} {split}" for split, source in sources.items())


def _sizes(images: list[Path]) -> str:
    """Describe the size of the images by the headers of a few of them."""
    found = Counter(image_sizes(images, 16))
    if not found:
        return ""  # volumes or another format; the reader says what is wrong with it
    (height, width), number = found.most_common(1)[0]
    most = "" if number == found.total() else "mostly "
    return f" of {most}{width}x{height}"
