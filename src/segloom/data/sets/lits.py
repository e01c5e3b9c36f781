"""The Liver Tumor Segmentation benchmark (LiTS): liver and tumours in CT, slice by slice.

Bilic et al., "The Liver Tumor Segmentation Benchmark (LiTS)", Medical Image Analysis 84, 2023.

volumes   volume-N.nii[.gz] with segmentation-N.nii[.gz], anywhere below the root
slices    *volume*.npy with *segmentation*.npy, (H, W) or (H, W, C), as AFMA reads them

Below folders train, val, test these are the splits; else the cases are divided by a hash of their
names, never the slices of a case. An image is a slice with Hounsfield units within `hu_window` as
grey 0 to 255: 500 units make steps of 2, a fifth of the noise of such a CT.

Regions as the challenge scores them: the liver with its tumours, and the tumours.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from segloom.data.pairing import SPLIT_NAMES, divide
from segloom.data.planes import Planes
from segloom.data.sets.base import DataSet
from segloom.data.source import SPLITS, DatasetSource, check_split, data_root, unique_ids
from segloom.errors import DataError, NoSplitError
from segloom.images.read import MAX_PIXELS, check_regular, is_volume
from segloom.images.volumes import count_slices, read_volume, window
from segloom.labels.decoder import LabelDecoder
from segloom.labels.stored import StoredLabels
from segloom.types import LabelSet, Record, Region

if TYPE_CHECKING:
    from segloom.config.data import DataConfig

__all__ = [
    "DATA_SET",
    "LITS",
    "REGIONS",
    "SliceDecoder",
    "is_here",
    "is_labels",
    "read",
    "read_slice",
]

LITS = LabelSet(("background", "liver", "tumour"), ((0, 0, 0), (190, 70, 60), (250, 220, 80)))
"""The three classes."""

REGIONS = (Region("liver with tumours", (1, 2)), Region("tumours", (2,)))

CASE = re.compile(r"volume[-_ ]?(\d+)")
ENDINGS = (".nii", ".nii.gz", ".npy")


@dataclass(frozen=True)
class SliceDecoder:
    """Reads a slice of a volume, or a file that is one; ``Record.part`` is the slice."""

    limits: tuple[float, float]
    """Hounsfield units that are shown black and white."""

    is_sequential = True

    @property
    def fingerprint(self) -> str:
        """Names what a slice depends on besides its files."""
        return f"slices 1 {self.limits}"

    def __call__(self, record: Record, decoder: LabelDecoder) -> Planes:
        """Read a slice and its labels.

        Raises:
            DataError: A file cannot be used, or image and labels do not lie on each other.
        """
        path = record.label_file
        if record.part is None:
            values, stored = _load_slice(record.image), _load_slice(path)
            stored = stored[..., 0] if stored.ndim == 3 else stored
        else:
            volume, mask = read_volume(record.image), read_volume(path)
            if volume.voxels.shape != mask.voxels.shape or (volume.turns != mask.turns).any():
                raise DataError(
                    f"{path} has other axes or another direction than {record.image}; save both "
                    "on one grid."
                )
            values, stored = volume.values(record.part), mask.values(record.part)
        if values.shape[:2] != stored.shape:
            raise DataError(f"{path} and {record.image} differ in size; save both on one grid.")
        ids = _whole_numbers(stored, path)
        image = _shown(values, self.limits)
        return Planes(image, decoder.convert(StoredLabels(ids, "grey", is_lossy=False), path))


def read(config: DataConfig, split: str) -> DatasetSource:
    """Read a split of LiTS; see `DatasetSource`. A slice is a sample, a volume is its case.

    Raises:
        NoSplitError: Folders divide the volumes, and none is of this split.
        DataError: There are no volumes, one has no labels or a damaged header, or the split is
            unknown.
        ConfigError: nibabel is not installed.
    """
    check_split(split)
    root = data_root(config)
    folder, chosen = _volumes(root, config, split)
    labels = _labels(folder)
    records = [r for path in chosen for r in _records(path, _own_labels(path, labels))]
    ids = unique_ids([Path(record.id) for record in records])
    named = tuple(
        Record(name, r.image, r.mask, part=r.part, case=r.case)
        for name, r in zip(ids, records, strict=True)
    )
    decode = SliceDecoder(config.hu_window)
    return DatasetSource(named, LITS, "index", regions=REGIONS, decode=decode)


def _volumes(root: Path, config: DataConfig, split: str) -> tuple[Path, list[Path]]:
    """Find the images of a split, and the folder that they and their labels lie in."""
    folders = {name: _split_folder(root, name) for name in SPLITS}
    if any(folders.values()):
        folder = folders[split]
        if folder is None:
            raise NoSplitError(f"{root} has no folder {split} with volumes; make one.")
        return folder, _images(folder)
    found = _images(root)
    if not found:
        raise DataError(
            f"{root} holds no LiTS: no volume-N.nii, volume-N.nii.gz or *volume*.npy with its "
            "segmentation is below it."
        )
    division = divide(sorted({_case(path) for path in found}), config.split_shares)
    return root, [path for path in found if division[_case(path)] == split]


def is_here(root: Path) -> bool:
    """Return whether volumes or slices with their segmentations lie below a folder."""
    pairs = (
        ("volume-*.nii*", "segmentation-*.nii*"),
        ("*volume*.npy", "*segmentation*.npy"),
    )
    return any(any(root.rglob(image)) and any(root.rglob(labels)) for image, labels in pairs)


def is_labels(path: Path) -> bool:
    """Return whether a file holds the labels of a volume or slice in the same folder."""
    stem = _stem(path)
    twin = stem.replace("segmentation", "volume")
    return stem != twin and any((path.parent / f"{twin}{ending}").is_file() for ending in ENDINGS)


def read_slice(path: Path, limits: tuple[float, float]) -> NDArray[np.uint8]:
    """Read a slice stored by NumPy as the image ``(H, W, 3)`` that a network is shown.

    Args:
        path: ``(H, W)`` or ``(H, W, C)`` with C of 1 or 3, in Hounsfield units.
        limits: Hounsfield units that are shown black and white.

    Raises:
        DataError: The file cannot be used.
    """
    check_regular(path)
    if not path.is_file():
        raise DataError(f"{path} does not exist.")
    return _shown(_load_slice(path), limits)


def _shown(values: NDArray[np.float32], limits: tuple[float, float]) -> NDArray[np.uint8]:
    image = window(values, limits)
    image = image[..., None] if image.ndim == 2 else image
    return np.ascontiguousarray(np.broadcast_to(image, (*image.shape[:2], 3)))


def _split_folder(root: Path, split: str) -> Path | None:
    places = (root / name for name in SPLIT_NAMES[split])
    return next((place for place in places if place.is_dir() and _images(place)), None)


def _images(folder: Path) -> list[Path]:
    """Find volumes or slices, those of the volumes in the order of their numbers."""
    found = [
        path
        for path in folder.rglob("*volume*")
        if path.name.endswith(ENDINGS) and path.is_file() and not path.name.startswith(".")
        if path.suffix == ".npy" or path.name.startswith("volume")  # test-volume-N has no labels
    ]
    return sorted(found, key=lambda path: (_number(path), path))


def _number(path: Path) -> int:
    found = CASE.search(path.name)
    return int(found[1]) if found else -1


def _case(path: Path) -> str:
    """Name the case of a file; a slice that names none is a case of its own."""
    found = CASE.search(path.name)
    return f"volume-{found[1]}" if found else path.stem


def _labels(folder: Path) -> dict[str, list[Path]]:
    found: dict[str, list[Path]] = {}
    for path in folder.rglob("*segmentation*"):
        if path.name.endswith(ENDINGS):
            found.setdefault(_stem(path), []).append(path)
    return found


def _stem(path: Path) -> str:
    return path.name.removesuffix(".gz").removesuffix(".nii").removesuffix(".npy")


def _own_labels(path: Path, labels: dict[str, list[Path]]) -> Path:
    """Find the labels of an image: beside it, else the only ones of its name."""
    name = _stem(path).replace("volume", "segmentation")
    found = labels.get(name, [])
    beside = [mask for mask in found if mask.parent == path.parent] or found
    if len(beside) != 1:
        what = f"several labels ({', '.join(map(str, beside))})" if beside else "no labels"
        raise DataError(f"{path} has {what}; keep one {name}{path.name[len(_stem(path)) :]}.")
    return beside[0]


def _records(path: Path, mask: Path) -> list[Record]:
    if not is_volume(path):
        return [Record(_stem(path), path, mask, case=_case(path) if CASE.search(path.name) else "")]
    return [
        Record(f"{_stem(path)}_{number:04}", path, mask, part=number, case=_case(path))
        for number in range(count_slices(path))
    ]


def _load_slice(path: Path) -> NDArray[np.float32]:
    """Read a slice stored by NumPy, ``(H, W)`` or ``(H, W, C)`` with C of 1 or 3."""
    try:
        stored = np.load(path, mmap_mode="r", allow_pickle=False)  # mapped: a header can claim all
    except (OSError, ValueError, EOFError, SyntaxError, MemoryError) as error:
        reason = " ".join(str(error).split())[:160]
        raise DataError(f"{path} is damaged or no array ({reason}); save it again.") from error
    is_image = stored.ndim == 2 or (stored.ndim == 3 and stored.shape[2] in (1, 3))
    if stored.dtype.kind not in "biuf" or not is_image or stored.size == 0:
        raise DataError(
            f"{path} holds {stored.dtype} of the shape {stored.shape}; a slice is (height, width) "
            "or has 1 or 3 channels."
        )
    if stored.shape[0] * stored.shape[1] > MAX_PIXELS:
        raise DataError(f"{path} has more than {MAX_PIXELS:,} pixels; cut it up.")
    values = np.asarray(stored, np.float32)
    if not np.isfinite(values).any():
        raise DataError(f"{path} holds no number, only NaN or infinity; export it again.")
    return values


def _whole_numbers(values: NDArray[np.float32], path: Path) -> NDArray[np.uint8]:
    is_whole = (values == np.rint(values)) & (values >= 0) & (values <= 255)
    if not is_whole.all():
        raise DataError(
            f"labels {path} hold {values[~is_whole][0]:g}, which is no class; save whole numbers "
            "from 0."
        )
    return values.astype(np.uint8)


DATA_SET = DataSet(
    read, is_here, options=frozenset({"hu_window", "split_shares"}), default_recipe="lits"
)
