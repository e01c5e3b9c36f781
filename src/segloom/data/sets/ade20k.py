"""ADE20K as the MIT Scene Parsing Benchmark gives it: 150 classes of things and stuff.

Zhou et al., "Scene Parsing through ADE20K Dataset", CVPR 2017; the release
``ADEChallengeData2016``, not the full one with its colour-coded label maps.

[ADEChallengeData2016/]{images,annotations}/{training,validation}/ADE_*.{jpg,png}

Label maps hold 1 to 150; 0 is what none of them is, and void here. The ids begin at 0.
"""

from __future__ import annotations

from pathlib import Path

from segloom.config.data import DataConfig
from segloom.data.pairing import pair_folders
from segloom.data.sets.base import DataSet
from segloom.data.source import DatasetSource, check_split, data_root
from segloom.errors import DataError, NoSplitError
from segloom.labels.palette import default_palette
from segloom.types import IGNORE_INDEX, LabelSet

__all__ = ["ADE20K", "DATA_SET", "is_here", "read"]

CLASSES = tuple(
    name.strip()
    for name in """
wall, building, sky, floor, tree, ceiling, road, bed, windowpane, grass, cabinet, sidewalk, person,
earth, door, table, mountain, plant, curtain, chair, car, water, painting, sofa, shelf, house, sea,
mirror, rug, field, armchair, seat, fence, desk, rock, wardrobe, lamp, bathtub, railing, cushion,
base, box, column, signboard, chest of drawers, counter, sand, sink, skyscraper, fireplace,
refrigerator, grandstand, path, stairs, runway, case, pool table, pillow, screen door, stairway,
river, bridge, bookcase, blind, coffee table, toilet, flower, book, hill, bench, countertop, stove,
palm, kitchen island, computer, swivel chair, boat, bar, arcade machine, hovel, bus, towel, light,
truck, tower, chandelier, awning, streetlight, booth, television, airplane, dirt track, apparel,
pole, land, bannister, escalator, ottoman, bottle, buffet, poster, stage, van, ship, fountain,
conveyer belt, canopy, washer, plaything, swimming pool, stool, barrel, basket, waterfall, tent,
bag, minibike, cradle, oven, ball, food, step, tank, trade name, microwave, pot, animal, bicycle,
lake, dishwasher, screen, blanket, sculpture, hood, sconce, vase, traffic light, tray, ashcan, fan,
pier, crt screen, plate, monitor, bulletin board, shower, radiator, glass, clock, flag
""".replace("\n", " ").split(",")
)

ADE20K = LabelSet(CLASSES, default_palette(len(CLASSES)))
"""The 150 classes, by the first of their names, in colours of ours."""

FOLDERS = {"train": "training", "val": "validation"}
LABEL_MAP = {"0": IGNORE_INDEX} | {str(number + 1): number for number in range(len(CLASSES))}


def read(config: DataConfig, split: str) -> DatasetSource:
    """Read a split of the benchmark; see `DatasetSource`.

    Raises:
        NoSplitError: The split is test, whose label maps are not public.
        DataError: The folder holds no such release, an image has no label map, or the split is
            unknown.
    """
    check_split(split)
    root = data_root(config)
    folder = _base(root)
    if folder is None:
        raise DataError(
            f"{root} holds no ADEChallengeData2016: no images/training with annotations/training "
            "is in it; the full release of ADE20K is stored in another way and is not read."
        )
    if split not in FOLDERS:
        raise NoSplitError(
            "the label maps of ADE20K's test images are not public; measure on the validation "
            "images with --split val."
        )
    name = FOLDERS[split]
    for place in (folder / "images" / name, folder / "annotations" / name):
        if not place.is_dir():
            raise DataError(f"there is no folder {place}; unpack the release again.")
    records = pair_folders(folder / "images" / name, folder / "annotations" / name)
    return DatasetSource(records, ADE20K, "index", label_map=LABEL_MAP)


def is_here(root: Path) -> bool:
    """Return whether a folder holds the release of the benchmark."""
    folder = _base(root)
    return folder is not None and any((folder / "images/training").glob("ADE_train_*"))


def _base(root: Path) -> Path | None:
    for folder in (root, root / "ADEChallengeData2016"):
        if (folder / "images/training").is_dir() and (folder / "annotations/training").is_dir():
            return folder
    return None


DATA_SET = DataSet(read, is_here, default_recipe="ade20k")
