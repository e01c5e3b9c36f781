"""CT volumes as NIfTI files: reading them slice by slice, and writing labels back.

Format: Cox et al., "A (sort of) new image data format standard: NIfTI-1", 2004. Reading is
nibabel's (MIT; ``pip install segloom[medical]``).

Slices are axial, shown as a radiologist sees them: rows from front to back, columns from the
patient's right to the left, slices from the feet up. The affine of the file says which voxel axis
is which; files that store them otherwise are turned, and turned back when labels are written.

Axes: S slices, H rows, W columns.
"""

from __future__ import annotations

import gzip
import math
import zlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segloom.errors import ConfigError, DataError
from segloom.files import write_bytes
from segloom.images.read import check_regular, is_volume

__all__ = ["Volume", "count_slices", "read_volume", "window", "write_label_volume"]

MAX_VOXELS = 2**29
"""Largest volume that is read, twice that of LiTS' largest; a small file can claim any size."""
MAX_OFFSET = 2**24  # bytes between the header and the voxels, for extensions of the header


@dataclass(frozen=True)
class Volume:
    """A volume as it is stored, turned to axial slices."""

    voxels: NDArray[Any]
    """``(S, H, W)``, numbers as stored."""
    slope: float
    intercept: float
    """A stored number times the slope plus the intercept is the value, such as Hounsfield units."""
    affine: NDArray[np.float64]
    """``(4, 4)``, stored voxel indices to millimetres."""
    header: Any
    """nibabel's."""
    turns: NDArray[np.float64]
    """nibabel's orientation transform from the stored axes to W, H, S."""

    def values(self, index: int) -> NDArray[np.float32]:
        """Return the values of a slice, ``(H, W)``."""
        scaled: NDArray[np.float32] = self.voxels[index].astype(np.float32)
        return scaled * np.float32(self.slope) + np.float32(self.intercept)


def window(values: NDArray[np.floating], limits: tuple[float, float]) -> NDArray[np.uint8]:
    """Map values within limits to 0 to 255, those outside to the ends; what is no number to 0.

    Raises:
        ConfigError: The limits do not rise.
    """
    low, high = limits
    if not low < high:
        raise ConfigError(f"a window goes from low to high values, not from {low:g} to {high:g}.")
    shares = (np.clip(values, low, high) - low) / (high - low)
    grey: NDArray[np.uint8] = np.rint(np.nan_to_num(shares) * 255).astype(np.uint8)
    return grey


def count_slices(path: Path) -> int:
    """Count the axial slices of a volume by its header alone.

    Raises:
        DataError: See `read_volume`.
    """
    image = _open(path)
    axis = int(np.flatnonzero(_orientation(image, path)[:, 0] == 2)[0])
    return int(_shape(image, path)[axis])


def read_volume(path: Path) -> Volume:
    """Read a volume.

    The last two that a process read are kept, so that slices in order cost one reading.

    Raises:
        DataError: The file is missing, damaged, cut short, no volume of numbers along three axes,
            has no voxel that is a number, or claims a size beyond `MAX_VOXELS`.
        ConfigError: nibabel is not installed.
    """
    check_regular(path)
    try:
        changed = path.stat().st_mtime_ns
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}).") from error
    return _read(path, changed)


def write_label_volume(path: Path, labels: NDArray[np.uint8], source: Volume) -> None:
    """Write class ids as a compressed volume that lies on its source voxel by voxel.

    Args:
        path: A name that ends in .nii.gz.
        labels: uint8 ``(S, H, W)``, in the slices of the source.
        source: What was labelled; its affine, voxel size and axes are kept.
    """
    nibabel = _nibabel()
    orientations = nibabel.orientations
    back = orientations.ornt_transform(
        _targets(), orientations.io_orientation(source.affine)
    )  # from L, P, S to the stored axes
    stored = orientations.apply_orientation(labels.T, back)  # (W, H, S) to the stored axes
    header = source.header.copy()
    header.set_data_dtype(np.uint8)
    header.set_slope_inter(1, 0)
    header["cal_min"] = header["cal_max"] = 0
    image = nibabel.Nifti1Image(np.ascontiguousarray(stored), source.affine, header)
    write_bytes(path, gzip.compress(image.to_bytes(), compresslevel=6, mtime=0))


def _nibabel() -> ModuleType:
    try:
        import nibabel
    except ImportError as error:
        raise ConfigError(
            "NIfTI volumes need nibabel; install it with `pip install segloom[medical]`."
        ) from error
    return nibabel


@lru_cache(maxsize=2)  # an image and its labels
def _read(path: Path, _changed: int) -> Volume:
    image = _open(path)
    shape = _shape(image, path)
    orientation = _orientation(image, path)
    try:
        stored = np.asanyarray(image.dataobj.get_unscaled()).reshape(shape)
    except MemoryError as error:
        raise DataError(f"{path} does not fit into memory.") from error
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise DataError(_damaged(path, error)) from error
    orientations = _nibabel().orientations
    turned = orientations.apply_orientation(stored, orientation)  # (W, H, S)
    slope, intercept = float(image.dataobj.slope), float(image.dataobj.inter)
    volume = Volume(turned.T, slope, intercept, image.affine, image.header, orientation)
    # Slice by slice, and as a rule the first will do.
    if not any(np.isfinite(volume.values(index)).any() for index in range(len(volume.voxels))):
        raise DataError(f"{path} holds no number, only NaN or infinity; export it again.")
    return volume


def _open(path: Path) -> Any:
    """Read and check the header."""
    nibabel = _nibabel()
    if not is_volume(path):
        raise DataError(f"{path} does not end in .nii or .nii.gz; save it as NIfTI.")
    try:
        image = nibabel.load(path)
        offset = float(image.dataobj.offset)
    except FileNotFoundError as error:
        raise DataError(f"{path} does not exist.") from error
    except Exception as error:  # damaged headers meet nibabel with many kinds of exception
        raise DataError(_damaged(path, error)) from error
    dtype = image.get_data_dtype()
    if dtype.kind not in "iuf" or dtype.itemsize > 8:
        raise DataError(f"{path} holds voxels of the type {dtype}; save it with one number each.")
    if not 0 <= offset <= MAX_OFFSET:
        raise DataError(_damaged(path, ValueError(f"voxels at byte {offset:g}")))
    return image


def _shape(image: Any, path: Path) -> tuple[int, int, int]:
    """Return the three axes; more of length 1 may follow."""
    shape = tuple(int(length) for length in image.shape)
    sides, rest = shape[:3], shape[3:]
    if len(sides) != 3 or any(length != 1 for length in rest) or min(sides) < 1:
        raise DataError(f"{path} has the axes {shape}, not three; save one volume per file.")
    if math.prod(sides) > MAX_VOXELS:
        raise DataError(
            f"{path} claims {' x '.join(map(str, sides))} voxels, beyond {MAX_VOXELS:,}; its "
            "header is damaged, or it must be cut up."
        )
    return sides


def _targets() -> NDArray[np.float64]:
    """Columns to the patient's left, rows to the back, slices to the head."""
    axes: NDArray[np.float64] = _nibabel().orientations.axcodes2ornt("LPS")
    return axes


def _orientation(image: Any, path: Path) -> NDArray[np.float64]:
    """Find how to turn the stored axes to W, H, S."""
    orientations = _nibabel().orientations
    affine = image.affine
    found = orientations.io_orientation(affine) if np.isfinite(affine).all() else None
    if found is None or np.isnan(found).any():
        raise DataError(f"{path} has an affine that tells no directions; save it with another.")
    turns: NDArray[np.float64] = orientations.ornt_transform(found, _targets())
    return turns


def _damaged(path: Path, error: Exception) -> str:
    reason = " ".join(str(error).split())[:160] or type(error).__name__
    return f"{path} is damaged, cut short or no NIfTI volume ({reason}); copy it again."
