"""Predicting a GeoTIFF window by window, into a raster of class ids at the same place.

A window is read with a margin, so that the pixels at its border see what lies around them; only the
window itself is kept. Memory is that of a few windows, whatever the size of the file.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from segloom.errors import DataError
from segloom.files import atomic_path
from segloom.images.geo import Raster, Window, open_raster, write_raster
from segloom.prediction.predicts import Predicts, pixels_for
from segloom.prediction.results import PredictedFile, shares_of
from segloom.types import IGNORE_INDEX

__all__ = ["GEO_LABEL_ENDING", "MARGIN", "WINDOW", "predict_raster", "write_geojson"]

GEO_LABEL_ENDING = "_label.tif"
WINDOW = 1024
"""Side of a window, in pixels: a multiple of the tiles that are written."""
MARGIN = 128
"""Pixels around a window that are read with it; of a multiple of 32, so that the network's grid
lies alike in every window."""


def predict_raster(
    predictor: Predicts, file: Path, target: Path, *, window: int = WINDOW, margin: int = MARGIN
) -> PredictedFile:
    """Predict a GeoTIFF; one that cannot be read gives an entry with error.

    Args:
        predictor: Answers the windows.
        file: GeoTIFF with at least as many bands as the network has channels, or one band.
        target: Where the class ids go: uint8, 255 where the file has no data.
        window: Side of a window, in pixels.
        margin: Pixels around it that are read with it.

    Raises:
        ConfigError: rasterio is not installed.
        OSError: The result cannot be written.
    """
    if problem := predictor.space.no_single:
        return PredictedFile(
            file,
            error=f"{file} is a GeoTIFF, whose labels are one class per pixel, {problem}; cut it "
            "into images.",
        )
    labels = predictor.labels
    counts = np.zeros(256, np.int64)
    try:
        with open_raster(file) as raster:
            colors = np.array(labels.palette, np.uint8)
            output = write_raster(
                target, raster, colors=colors, names=labels.classes, void=IGNORE_INDEX
            )
            with output as put:
                for part in _windows(raster.size, window):
                    classes = _label(predictor, raster, part, margin)
                    put(part, classes)
                    counts += np.bincount(classes.ravel(), minlength=256)
            size = raster.size
    except DataError as error:
        return PredictedFile(file, error=str(error))
    known = counts[: len(labels.classes)]
    return PredictedFile(
        file,
        size=size,
        written={"label": target},
        shares=shares_of(known, int(known.sum()), labels),
    )


def write_geojson(raster: Path, out: Path, classes: tuple[str, ...], *, min_area: int = 1) -> None:
    """Outline the classes of a raster of class ids, in its coordinate reference system.

    The file names that system in the member ``crs``, as GIS programs read it; RFC 7946 alone knows
    longitude and latitude.

    Args:
        raster: What `predict_raster` wrote.
        out: The GeoJSON file.
        classes: Names of the classes; the first one, the background, is left out.
        min_area: Smallest object that is kept, in pixels.

    Raises:
        OSError: It cannot be written.
    """
    import rasterio
    from rasterio.features import shapes

    with open_raster(raster) as labels, atomic_path(out) as temporary:
        band, crs = rasterio.band(labels.file, 1), labels.file.crs
        name = crs.to_string() if crs else None
        pixel = abs(labels.file.transform.determinant)
        with temporary.open("w", encoding="utf-8") as file:
            head: dict[str, object] = {"type": "FeatureCollection"}
            if name:
                head["crs"] = {"type": "name", "properties": {"name": name}}
            file.write(json.dumps(head)[:-1] + ', "features": [')
            separator = "\n"
            for geometry, value in shapes(band, connectivity=4, transform=labels.file.transform):
                class_id = int(value)
                if class_id in (0, IGNORE_INDEX) or _area(geometry) < min_area * pixel:
                    continue
                feature = {
                    "type": "Feature",
                    "properties": {"class": classes[class_id], "class_id": class_id},
                    "geometry": geometry,
                }
                file.write(separator + json.dumps(feature))
                separator = ",\n"
            file.write("\n]}\n")


def _windows(size: tuple[int, int], side: int) -> Iterator[Window]:
    height, width = size
    for top in range(0, height, side):
        for left in range(0, width, side):
            yield Window(top, left, min(side, height - top), min(side, width - left))


def _label(predictor: Predicts, raster: Raster, part: Window, margin: int) -> NDArray[np.uint8]:
    """Label a window: uint8 ``(H, W)``, void where nothing was measured."""
    measured = raster.is_measured(part, predictor.num_channels)
    if not measured.any():
        return np.full(measured.shape, IGNORE_INDEX, np.uint8)
    height, width = raster.size
    top, left = max(0, part.top - margin), max(0, part.left - margin)
    bottom = min(height, part.top + part.height + margin)
    right = min(width, part.left + part.width + margin)
    window = Window(top, left, bottom - top, right - left)
    image = raster.read(window, predictor.num_channels, pixels_for(predictor))
    classes = predictor.label_map(image)[part.top - top :, part.left - left :]
    classes = classes[: part.height, : part.width]
    return np.where(measured, classes, IGNORE_INDEX).astype(np.uint8)


def _area(geometry: Mapping[str, Sequence[ArrayLike]]) -> float:
    """Area of a polygon with holes, in units of its coordinates."""
    total = 0.0
    for number, ring in enumerate(geometry["coordinates"]):
        points = np.asarray(ring, np.float64)
        x, y = points[:, 0], points[:, 1]
        area = abs(float((x[:-1] * y[1:] - x[1:] * y[:-1]).sum())) / 2
        total += area if number == 0 else -area
    return total
