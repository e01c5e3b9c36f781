"""Pictures of the images that a variant changed most: what it mended and what it spoiled.

The images are chosen by the difference of their own mIoU, of the runs with the first seed that
both kinds have; image and truth are read from the data set that the run was tested on.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from segloom.comparison.statistics.label_pngs import read_prediction
from segloom.comparison.statistics.results import Measured
from segloom.errors import DataError, SegloomError
from segloom.labels.painting import legend_of, paint, void_of
from segloom.labels.pictures import (
    FLIP_LEGEND,
    flip_map,
    montage,
    write_image,
)
from segloom.report.changed import ChangedImage, ChangedPair

if TYPE_CHECKING:
    from segloom.data import SegmentationDataset

__all__ = ["choose_changed", "draw_changes"]


def draw_changes(
    folder: Path, runs: Sequence[Measured], *, baseline: str, number: int
) -> list[ChangedPair]:
    """Draw image, truth, prediction without, prediction with, and what flipped, side by side.

    Args:
        folder: Where the pictures are written.
        runs: What was measured.
        baseline: Name of the kind that the others are compared with.
        number: How many of the most improved and of the most worsened images of a pair are shown.

    Returns:
        The pairs in the order of the comparison. One that cannot be drawn says why.
    """
    drawn = []
    for rank, (without, with_it) in enumerate(_pairs(runs, baseline)):
        images: tuple[ChangedImage, ...] = ()
        cause = ""
        try:
            images = tuple(_draw(folder / str(rank), without, with_it, number))
        except (SegloomError, OSError) as error:
            cause = " ".join(str(error).split())
        drawn.append(
            ChangedPair(
                recipe=with_it.group.recipe,
                architecture=with_it.group.architecture,
                encoder=with_it.group.encoder,
                variant=with_it.variant,
                seed=with_it.seed,
                images=images,
                cause=cause,
            )
        )
    return drawn


def choose_changed(
    without: NDArray[np.float64], with_it: NDArray[np.float64], number: int
) -> tuple[list[int], list[int]]:
    """Choose the images whose own mIoU ``(N,)`` rose most and fell most, the largest change first.

    An image without a counted pixel (NaN) or without a change is in neither list.
    """
    change = np.nan_to_num(with_it - without)
    order = np.argsort(change, kind="stable").tolist()
    worse = [index for index in order[:number] if change[index] < 0]
    better = [index for index in order[::-1][:number] if change[index] > 0]
    return better, worse


def _pairs(runs: Sequence[Measured], baseline: str) -> Iterator[tuple[Measured, Measured]]:
    """Return the runs without and with every variant, of the first seed that both have."""
    places = dict.fromkeys((run.group, run.variant) for run in runs if run.variant != baseline)
    for group in dict.fromkeys(run.group for run in runs):
        own = {(run.variant, run.seed): run for run in runs if run.group == group}
        for variant in (name for place, name in places if place == group):
            seeds = {seed for name, seed in own if name == variant}
            if common := sorted(seed for seed in seeds if (baseline, seed) in own):
                yield own[baseline, common[0]], own[variant, common[0]]


def _draw(
    folder: Path, without: Measured, with_it: Measured, number: int
) -> Iterator[ChangedImage]:
    from segloom.data import build_dataset

    for run in (without, with_it):
        if run.predictions is None:
            raise DataError(
                f"the label maps of {run.name} were not kept; `segloom eval {run.path} --split "
                f"{run.split} --predictions` writes them."
            )
    data = with_it.data or without.data
    if data is None:
        raise DataError(f"the data set of {with_it.name} is not known.")
    dataset = build_dataset(data.model_copy(update={"cache": False}), with_it.split)
    better, worse = choose_changed(without.image_miou, with_it.image_miou, number)
    for index in [*better, *worse]:
        path = folder / f"{index}.png"
        write_image(path, _picture(dataset, index, without, with_it))
        yield ChangedImage(
            id=with_it.ids[index],
            without=float(without.image_miou[index]),
            with_it=float(with_it.image_miou[index]),
            path=path,
        )


def _picture(
    dataset: SegmentationDataset, index: int, without: Measured, with_it: Measured
) -> NDArray[np.uint8]:
    name = with_it.ids[index]
    if index >= len(dataset) or dataset.records[index].id != name:
        raise DataError(f"the data set no longer holds {name} where the run found it.")
    planes, labels = dataset.read(index), dataset.labels
    before, after = (
        read_prediction(run.predictions or Path(), name, labels, planes.mask.shape)
        for run in (without, with_it)
    )
    panels = [
        ("image", planes.image),
        ("truth", paint(planes.mask, labels)),
        (f"without: {without.variant}", paint(before, labels)),
        (f"with: {with_it.variant}", paint(after, labels)),
        ("what flipped", flip_map(planes.mask, before, after, void=void_of(labels))),
    ]
    return montage(panels, legend=[*legend_of(labels, planes.mask), *FLIP_LEGEND])
