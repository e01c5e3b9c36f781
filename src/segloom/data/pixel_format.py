"""Finding how the stored values of a training set become uint8: ``data.value_range``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np

from segloom.config.data import DataConfig
from segloom.data.planes import FileDecoder
from segloom.data.readers import read_source
from segloom.errors import ConfigError, DataError
from segloom.images.pixels import PixelFormat, has_plain_pixels, read_pixels

__all__ = ["find_pixel_format"]

NUM_IMAGES = 48
"""Images whose values are looked at, evenly spread over the training set."""
NUM_PIXELS = 20_000
"""Pixels of each."""
PERCENTILES = (0.5, 99.5)
"""Of the values of a band; what lies outside becomes black or white."""


def find_pixel_format(config: DataConfig) -> PixelFormat | None:
    """Find out how the images of a data set are read.

    Returns:
        None where `segloom.images.read_image` reads them without loss, or where
        ``data.value_range full`` asks for it.

    Raises:
        ConfigError: ``data.value_range`` is stated for a reader that does not look at it.
        DataError: The training set is not there, or its images have different bands.
    """
    if config.value_range == "full":
        if config.bands:
            raise ConfigError(
                "data.value_range full keeps the high byte of one file, but data.bands names files "
                "of bands; state the range, such as 0 65535."
            )
        return None
    try:
        source = read_source(config, "train")
    except DataError:
        return None  # a set without training images is still one to test a network on
    if not isinstance(source.decode, FileDecoder):
        if config.value_range != "auto":
            raise ConfigError(
                f"data.value_range is for images in files of their own, and the reader "
                f"{config.name} reads 8 bits; leave it out."
            )
        return None
    paths = [record.image for record in source.records]
    step = max(1, len(paths) // NUM_IMAGES)
    stated = None if config.value_range == "auto" else config.value_range
    changed = tuple((path, _changed(path)) for path in paths[::step][:NUM_IMAGES])
    return _with_picture(config, _look(changed, stated, config.bands))


def _with_picture(config: DataConfig, found: PixelFormat | None) -> PixelFormat | None:
    """Add the bands that pictures show."""
    if config.picture_bands is None:
        return found
    number = len(found.low) if found else 3
    if max(config.picture_bands) > number:
        raise ConfigError(
            f"data.picture_bands {' '.join(map(str, config.picture_bands))} goes beyond the "
            f"{number} bands of the images; bands count from 1."
        )
    return replace(found, shown=tuple(b - 1 for b in config.picture_bands)) if found else None


def _changed(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0  # whoever reads it says what is wrong


@lru_cache(maxsize=8)
def _look(
    files: tuple[tuple[Path, int], ...],
    stated: tuple[float, float] | None,
    bands: tuple[str, ...],
) -> PixelFormat | None:
    paths = [path for path, _ in files]
    if stated is None and not bands and all(map(has_plain_pixels, paths)):
        return None
    values = np.concatenate(_samples(paths, bands))  # (N, C)
    low, high = _range(values, stated)
    plain = PixelFormat(low, high, bands=bands)
    if plain.channels == 3:  # what the encoder's weights expect stays
        return plain
    scaled = plain.scale(values[None])[0] / 255
    mean, std = scaled.mean(axis=0), np.maximum(scaled.std(axis=0), 1e-3)
    return PixelFormat(low, high, _numbers(mean), _numbers(std), bands)


def _samples(paths: Sequence[Path], bands: tuple[str, ...]) -> list[np.ndarray]:
    """Read some pixels ``(N, C)`` of every image."""
    samples: list[np.ndarray] = []
    for path in paths:
        pixels = read_pixels(path, bands)
        flat = pixels.reshape(-1, pixels.shape[2])
        samples.append(flat[:: max(1, len(flat) // NUM_PIXELS)].astype(np.float64))
        if samples[-1].shape[1] != samples[0].shape[1]:
            raise DataError(
                f"{path} has {pixels.shape[2]} bands, but {paths[0]} has {samples[0].shape[1]}; "
                "give all images the same bands."
            )
    return samples


def _range(
    values: np.ndarray, stated: tuple[float, float] | None
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    bands = values.shape[1]
    if stated is not None:
        return (stated[0],) * bands, (stated[1],) * bands
    finite = np.where(np.isfinite(values), values, np.nan)
    if np.isnan(finite).all(axis=0).any():
        raise DataError("a band of the training images holds no finite number; leave it out.")
    # One range for red, green and blue, or the colours would change.
    axis = None if bands == 3 else 0
    low, high = np.nanpercentile(finite, PERCENTILES, axis=axis)
    low, high = np.broadcast_to(low, bands), np.broadcast_to(high, bands)
    return _numbers(low), _numbers(np.where(high > low, high, low + 1))


def _numbers(values: np.ndarray) -> tuple[float, ...]:
    return tuple(float(f"{value:.6g}") for value in values)
