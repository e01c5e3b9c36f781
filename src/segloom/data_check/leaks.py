"""Images of training that lie in another split too, byte for byte."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from segloom.config.data import DataConfig
from segloom.data.readers import read_source
from segloom.data.source import DatasetSource
from segloom.data_check.finding import Finding
from segloom.errors import ConfigError, DataError
from segloom.types import Record

__all__ = ["find_leaks"]


def find_leaks(config: DataConfig, training: DatasetSource) -> list[Finding]:
    """Find images of training in val and test; only files of equal length are read.

    Args:
        config: The options of the data.
        training: Its training split.
    """
    by_length: dict[int, list[Path]] = {}
    for record in training.records:
        by_length.setdefault(_length(record.image), []).append(record.image)
    listed = []
    digests: dict[Path, str] = {}
    for record in _others(config):
        # Slices of air of volumes are alike, and images of one file are parts of it.
        alike = by_length.get(_length(record.image), ()) if record.part is None else ()
        same = (one for one in alike if one == record.image or _same(one, record.image, digests))
        if (found := next(same, None)) is not None:
            listed.append(f"{record.image} = {found}")
    if not listed:
        return []
    message = (
        f"{len(listed)} images of val or test are in training too ({listed[0]}), so scores on them "
        "mean nothing; remove them from one."
    )
    return [Finding("problem", "leak", message, tuple(listed))]


def _others(config: DataConfig) -> Iterator[Record]:
    """Return the samples of val and test; a set may lack one of them."""
    for split in ("val", "test"):
        with suppress(DataError, ConfigError):
            yield from read_source(config, split).records


def _length(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return -1  # whoever reads it says what is wrong


def _same(one: Path, other: Path, digests: dict[Path, str]) -> bool:
    return _digest(one, digests) == _digest(other, digests)


def _digest(path: Path, digests: dict[Path, str]) -> str:
    if path not in digests:
        try:
            digests[path] = hashlib.sha256(path.read_bytes()).hexdigest()
        except OSError:
            digests[path] = str(path)
    return digests[path]
