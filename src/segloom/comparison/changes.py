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

from segloom.comparison.results import Measured
from segloom.errors import DataError, SegloomError
from segloom.pictures import colorize, flip_map, legend, montage, write_image
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
        group = with_it.group
        place = {
            "recipe": group.recipe,
            "architecture": group.architecture,
            "encoder": group.encoder,
            "variant": with_it.variant,
            "seed": with_it.seed,
        }
        try:
            images = list(_draw(folder / str(rank), without, with_it, number))
        except (SegloomError, OSError) as error:
            drawn.append(ChangedPair(**place, cause=" ".join(str(error).split())))
        else:
            drawn.append(ChangedPair(**place, images=tuple(images)))
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
    """Give the runs without and with every variant, of the first seed that both have."""
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
                f"the label maps of {run.name} were not kept; `segloom eval {run.path} "
                "--eval.predictions True` writes them."
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
    planes = dataset.read(index)
    maps = [_prediction(run, name, planes.mask.shape) for run in (without, with_it)]
    panels = [
        ("image", planes.image),
        ("truth", colorize(planes.mask, dataset.palette)),
        (f"without: {without.variant}", colorize(maps[0], dataset.palette)),
        (f"with: {with_it.variant}", colorize(maps[1], dataset.palette)),
        ("what flipped", flip_map(planes.mask, maps[0], maps[1])),
    ]
    return montage(panels, legend=legend(dataset.classes, dataset.palette))


def _prediction(run: Measured, name: str, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Read a label map by the name that an evaluation gives it, or a label PNG of any program."""
    from segloom.data.label_files import read_labels

    folder = run.predictions or Path()
    names = (name.replace("/", "_").replace("\\", "_"), Path(name).name)
    path = next((p for n in names if (p := folder / f"{n}.png").is_file()), None)
    if path is None:
        raise DataError(f"{folder} holds no label map of {name}.")
    pixels = read_labels(path).pixels
    if pixels.shape != shape:
        raise DataError(f"{path} has another size than its image.")
    return pixels.astype(np.uint8)
