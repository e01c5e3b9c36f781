"""GeoTIFF: rasters with a place on the ground, read in windows and written with the same place.

Through rasterio (extra ``segloom[geo]``). A file is never read as a whole: it may be larger than
the memory. Its no-data value and its mask say which pixels hold no measurement.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from segloom.errors import ConfigError, DataError
from segloom.files import atomic_path
from segloom.images.pixels import PixelFormat, band_files

__all__ = ["Raster", "Window", "is_geotiff", "open_raster", "write_raster"]

TIFF_HEADS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
GEO_TAGS = (33550, 33922, 34264, 34735)
"""Pixel scale, tie points, transformation and the directory of geographic keys."""
MAX_TAGS = 4096
CACHE = 128
"""MB of blocks that GDAL may hold; its own limit is a share of the machine's memory."""
BLOCK = 512
"""Side of the tiles that are written, in pixels."""


@dataclass(frozen=True)
class Window:
    """A part of a raster, in pixels."""

    top: int
    left: int
    height: int
    width: int


@dataclass(frozen=True)
class Raster:
    """An open raster."""

    file: Any
    """The data set of rasterio."""
    path: Path

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return int(self.file.height), int(self.file.width)

    @property
    def num_bands(self) -> int:
        """All bands; a fourth one counts although programs often call near infrared alpha."""
        return int(self.file.count)

    def read(
        self, window: Window, bands: int, pixels: PixelFormat | None = None
    ) -> NDArray[np.uint8]:
        """Read a window as uint8 ``(H, W, bands)``; one band is repeated where more are wanted.

        Args:
            window: Which part.
            bands: Channels of the network.
            pixels: What of the stored values becomes black and white, as the network was trained;
                None for bytes.

        Raises:
            DataError: The file has fewer bands, is no file of bytes, or is damaged there.
        """
        if pixels is not None and pixels.bands:
            return pixels.scale_file(self._files(window, pixels.bands), self.path)
        if pixels is not None:
            stored = self._bands(window, list(range(1, self.num_bands + 1)))
            return pixels.scale_file(stored, self.path)
        if self.num_bands < bands and self.num_bands != 1:
            raise DataError(
                f"{self.path} has {self.num_bands} bands, but the network takes {bands}; give a "
                "file with the bands of its training."
            )
        if set(self.file.dtypes[:bands]) != {"uint8"}:
            raise DataError(
                f"{self.path} holds {self.file.dtypes[0]}, but the network was trained on 8 bits; "
                "scale the values to bytes as in its training images (`gdal_translate -ot Byte "
                "-scale LOW HIGH`)."
            )
        indices = list(range(1, bands + 1)) if self.num_bands >= bands else [1] * bands
        return self._bands(window, indices)

    def _files(self, window: Window, bands: tuple[str, ...]) -> NDArray[Any]:
        """Read a window of files of one band each."""
        parts = []
        for path in band_files(self.path, bands):
            if not path.is_file():
                raise DataError(f"the band {path} of {self.path} does not exist; add it.")
            with open_raster(path) as other:
                if other.size != self.size:
                    raise DataError(
                        f"{path} and {self.path} have different sizes; bring all bands to one "
                        "grid, for example with gdalwarp -tr."
                    )
                parts.append(other._bands(window, [1]))
        return np.concatenate(parts, axis=2)

    def _bands(self, window: Window, indices: list[int]) -> NDArray[Any]:
        from rasterio.errors import RasterioError

        try:
            values = self.file.read(indices, window=_window(window))
        except (RasterioError, OSError) as error:
            raise DataError(
                f"{self.path} is damaged or cut short ({error}); copy it again."
            ) from error
        return np.ascontiguousarray(np.moveaxis(values, 0, -1))

    def is_measured(self, window: Window, bands: int) -> NDArray[np.bool_]:
        """Return which pixels ``(H, W)`` hold a measurement: not no-data, not transparent.

        A band of transparency that is among the first ``bands``, those that the network takes, is
        a measurement itself.
        """
        from rasterio.enums import ColorInterp

        part = _window(window)
        measured: NDArray[np.bool_]
        if ColorInterp.alpha not in self.file.colorinterp[:bands]:
            measured = self.file.dataset_mask(window=part) > 0
        elif self.file.nodata is None:
            measured = np.ones((window.height, window.width), bool)
        else:
            values = self.file.read(list(range(1, bands + 1)), window=part)
            measured = (values != self.file.nodata).any(0)
        return measured


def is_geotiff(path: Path) -> bool:
    """Return whether a file is a TIFF with a place on the ground, from its first directory."""
    if path.suffix.lower() not in (".tif", ".tiff"):
        return False
    try:
        with path.open("rb") as file:
            return any(tag in GEO_TAGS for tag in _tags(file))
    except (OSError, struct.error):
        return False


def _tags(file: BinaryIO) -> Iterator[int]:
    """Read the numbers of the tags in the first directory of a TIFF or BigTIFF."""
    head = file.read(8)
    if head[:4] not in TIFF_HEADS:
        return
    order = "<" if head[:2] == b"II" else ">"
    is_big = 43 in (head[2], head[3])
    (place,) = (
        struct.unpack(f"{order}Q", file.read(8)) if is_big else struct.unpack(f"{order}I", head[4:])
    )
    count_form, entry_size = (f"{order}Q", 20) if is_big else (f"{order}H", 12)
    file.seek(place)
    (count,) = struct.unpack(count_form, file.read(struct.calcsize(count_form)))
    for _ in range(min(count, MAX_TAGS)):
        (tag,) = struct.unpack_from(f"{order}H", file.read(entry_size))
        yield tag


@contextmanager
def open_raster(path: Path) -> Iterator[Raster]:
    """Open a raster for reading.

    Raises:
        ConfigError: rasterio is not installed.
        DataError: The file cannot be opened.
    """
    rasterio = _rasterio(path)
    with rasterio.Env(GDAL_CACHEMAX=CACHE):
        try:
            file = rasterio.open(path)
        except (rasterio.errors.RasterioError, OSError) as error:
            raise DataError(
                f"{path} cannot be opened as a raster ({error}); copy it again."
            ) from error
        with file:
            yield Raster(file, path)


@contextmanager
def write_raster(
    path: Path, like: Raster, *, colors: NDArray[np.uint8], names: tuple[str, ...], void: int
) -> Iterator[Any]:
    """Write a raster of class ids as Cloud-Optimized GeoTIFF, in one step.

    Args:
        path: The file.
        like: Its size, coordinate reference system and transform are taken over.
        colors: uint8 ``(K, 3)``, shown for the class ids.
        names: Of the classes; written as metadata.
        void: The no-data value.

    Yields:
        A function ``put(window, labels)`` with ``labels`` uint8 ``(H, W)``.

    Raises:
        OSError: It cannot be written.
    """
    rasterio = _rasterio(path)
    from rasterio.shutil import copy

    height, width = like.size
    profile = {
        "driver": "GTiff",
        "height": height,
        "width": width,
        "count": 1,
        "dtype": "uint8",
        "crs": like.file.crs,
        "transform": like.file.transform,
        "nodata": void,
        "tiled": True,
        "blockxsize": BLOCK,
        "blockysize": BLOCK,
        "compress": "deflate",
        "bigtiff": "if_safer",
    }
    with atomic_path(path) as temporary:
        tiles = temporary.with_name(f"{temporary.name}.tiles")
        try:
            with rasterio.open(tiles, "w", **profile) as file:
                shown = {k: (*map(int, color), 255) for k, color in enumerate(colors)}
                file.write_colormap(1, shown | {void: (0, 0, 0, 0)})
                file.update_tags(**{f"CLASS_{k}": name for k, name in enumerate(names)})
                yield lambda window, labels: file.write(labels, 1, window=_window(window))
            copy(tiles, temporary, driver="COG", compress="deflate", overview_resampling="mode")
        except rasterio.errors.RasterioError as error:
            raise OSError(str(error)) from error
        finally:
            tiles.unlink(missing_ok=True)


def _window(window: Window) -> Any:
    from rasterio.windows import Window as RasterWindow

    return RasterWindow(window.left, window.top, window.width, window.height)


def _rasterio(path: Path) -> Any:
    try:
        import rasterio
        import rasterio.errors
    except ImportError as error:
        raise ConfigError(
            f"{path} is a GeoTIFF, which needs rasterio; run `pip install 'segloom[geo]'`."
        ) from error
    return rasterio
