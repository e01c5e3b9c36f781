"""The Cambridge-driving Labeled Video Database (CamVid), as SegNet cut it and as it came.

Brostow, Fauqueur, Cipolla, "Semantic object classes in video: a high-definition ground truth
database", Pattern Recognition Letters 30(2), 2009; split and 11 classes from Badrinarayanan,
Kendall, Cipolla, "SegNet", PAMI 2017.

SegNet layout   {train,val,test}/STEM.*  {train,val,test}annot/STEM.*      ids 0 to 10, 11 is void
original        701_StillsRaw_full/STEM.*  LabeledApproved_full/STEM_L.*   960x720, 32 colours
"""

from __future__ import annotations

from pathlib import Path

from segloom.config.data import DataConfig
from segloom.data.pairing import pair_folders
from segloom.data.sets.base import DataSet
from segloom.data.source import DatasetSource, check_split, data_root
from segloom.errors import DataError
from segloom.types import ALONE, IGNORE_INDEX, LabelSet, Place

__all__ = ["CAMVID", "COLORS", "DATA_SET", "MERGE", "NUM_FRAMES", "read", "split_of"]

CAMVID = LabelSet(
    classes=(
        "sky",
        "building",
        "pole",
        "road",
        "pavement",
        "tree",
        "signsymbol",
        "fence",
        "car",
        "pedestrian",
        "bicyclist",
    ),
    palette=(
        (128, 128, 128),
        (128, 0, 0),
        (192, 192, 128),
        (128, 64, 128),
        (60, 40, 222),  # SegNet's colour for pavement; the original sidewalk is 0,0,192
        (128, 128, 0),
        (192, 128, 128),
        (64, 64, 128),
        (64, 0, 128),
        (64, 64, 0),
        (0, 128, 192),
    ),
)
"""The 11 classes of the SegNet split, with its colours."""

VOID_ID = 11  # "unlabelled" in SegNet's label maps

COLORS: dict[str, tuple[tuple[int, int, int], str | None]] = {
    "Animal": ((64, 128, 64), "pedestrian"),
    "Archway": ((192, 0, 128), "building"),
    "Bicyclist": ((0, 128, 192), "bicyclist"),
    "Bridge": ((0, 128, 64), "building"),
    "Building": ((128, 0, 0), "building"),
    "Car": ((64, 0, 128), "car"),
    "CartLuggagePram": ((64, 0, 192), "pedestrian"),
    "Child": ((192, 128, 64), "pedestrian"),
    "Column_Pole": ((192, 192, 128), "pole"),
    "Fence": ((64, 64, 128), "fence"),
    "LaneMkgsDriv": ((128, 0, 192), "road"),
    "LaneMkgsNonDriv": ((192, 0, 64), "road"),
    "Misc_Text": ((128, 128, 64), "signsymbol"),
    "MotorcycleScooter": ((192, 0, 192), "bicyclist"),
    "OtherMoving": ((128, 64, 64), "car"),
    "ParkingBlock": ((64, 192, 128), "pavement"),
    "Pedestrian": ((64, 64, 0), "pedestrian"),
    "Road": ((128, 64, 128), "road"),
    "RoadShoulder": ((128, 128, 192), "pavement"),
    "Sidewalk": ((0, 0, 192), "pavement"),
    "SignSymbol": ((192, 128, 128), "signsymbol"),
    "Sky": ((128, 128, 128), "sky"),
    "SUVPickupTruck": ((64, 128, 192), "car"),
    "TrafficCone": ((0, 0, 64), "pole"),
    "TrafficLight": ((0, 64, 64), "signsymbol"),
    "Train": ((192, 64, 128), "car"),
    "Tree": ((128, 128, 0), "tree"),
    "Truck_Bus": ((192, 128, 192), "car"),
    "Tunnel": ((64, 0, 64), "building"),
    "VegetationMisc": ((192, 192, 0), "tree"),
    "Void": ((0, 0, 0), None),
    "Wall": ((64, 192, 0), "building"),
}
"""The 32 classes of the original release: colour, and the SegNet class they merge into."""

MERGE = {
    ",".join(map(str, color)): IGNORE_INDEX if name is None else CAMVID.classes.index(name)
    for color, name in COLORS.values()
}
"""Colour to class id, as `data.label_map` spells it."""

STILLS, LABELED = "701_StillsRaw_full", "LabeledApproved_full"
NUM_FRAMES = {"train": 367, "val": 101, "test": 233}
"""Frames of each split of the whole data set."""


def read(config: DataConfig, split: str) -> DatasetSource:
    """Read a split of CamVid in either layout; see `DatasetSource`.

    Raises:
        DataError: The folder holds neither layout, a label map is missing, or the split is
            unknown or empty.
    """
    check_split(split)
    root = data_root(config)
    for folder in (root, root / "CamVid", root / "camvid"):
        if (folder / split).is_dir() and (folder / f"{split}annot").is_dir():
            records = pair_folders(folder / split, folder / f"{split}annot")
            return DatasetSource(records, CAMVID, "index", ignore_values=(VOID_ID,))
        if (folder / STILLS).is_dir():
            return _read_original(folder, split)
    raise DataError(
        f"{root} holds no CamVid: neither the folders {split} and {split}annot nor {STILLS} and "
        f"{LABELED} are in it; `segloom data download camvid` fetches the data set."
    )


def split_of(stem: str) -> str:
    """Return the split of an original frame by its name, as in the 367/101/233 list of SegNet.

    Sequences 0006R0 and 0016E5 at 1 frame per second, and the first half of 0001TP, train; the
    15 Hz part of 0016E5 validates; Seq05VD and the second half of 0001TP test.
    """
    sequence, _, number = stem.partition("_")
    frame = int(number.lstrip("f") or 0) if number.lstrip("f").isdecimal() else -1
    if sequence == "Seq05VD" or (sequence == "0001TP" and frame >= 8550):
        return "test"
    return "val" if sequence == "0016E5" and 7959 <= frame <= 8159 and frame % 2 else "train"


def _read_original(folder: Path, split: str) -> DatasetSource:
    labeled = folder / LABELED
    if not labeled.is_dir():
        raise DataError(
            f"{folder} has the images of CamVid ({STILLS}) but not its labels; unpack them to "
            f"{labeled}."
        )
    frames = pair_folders(
        folder / STILLS, labeled, mask_ending="_L", keep=lambda key: split_of(key.name) == split
    )
    return DatasetSource(frames, CAMVID, "color", label_map=MERGE)


def place(name: str) -> Place:
    """Return the film of a frame and its number, ``Seq05VD_f00090`` or ``0001TP_008550``."""
    film, _, number = name.rpartition("__")[2].partition("_")
    digits = number.lstrip("f")
    return Place(film, int(digits)) if digits.isdecimal() else ALONE


DATA_SET = DataSet(read, default_recipe="camvid", place=place)
