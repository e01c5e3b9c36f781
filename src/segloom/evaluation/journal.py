"""Counts of an evaluation, image by image: a stopped one goes on, two finished ones compare.

One JSON line per image, after a first line with the fingerprint of everything that the results
depend on. A line that a kill cut short is dropped; another fingerprint starts from nothing.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from segloom.config.evaluation import EvalConfig
from segloom.errors import DataError
from segloom.evaluation.image_counts import ImageCounts, counts_from_json, counts_to_json
from segloom.evaluation.measures import configured_measures
from segloom.files import parse_json, write_text

__all__ = ["Journal", "fingerprint", "read_counts"]

FORMAT = 1
"""Raised when the meaning of a line changes, so that old journals are not read."""


def fingerprint(values: Mapping[str, object], files: Mapping[str, Path]) -> str:
    """Hash JSON values and the content of files (sha256, hexadecimal)."""
    digest = hashlib.sha256(json.dumps([FORMAT, values], sort_keys=True, default=str).encode())
    for name, path in sorted(files.items()):
        with path.open("rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
        digest.update(f"\n{name} {content}".encode())
    return digest.hexdigest()


class Journal:
    """Counts by image index, kept in a file.

    Args:
        path: The file; it is made, or taken over where its fingerprint is the same.
        key: The fingerprint.
        num_classes: K.
        config: What is counted.
    """

    def __init__(self, path: Path, key: str, num_classes: int, config: EvalConfig) -> None:
        self.path, self.key = path, key
        self.done: dict[int, ImageCounts] = {}
        lines = self._read(num_classes, config)
        # Written anew, so that the next line does not continue one that was cut short.
        write_text(path, "".join(line + "\n" for line in [self._head(), *lines]))

    def append(self, index: int, counts: ImageCounts) -> None:
        """Keep the counts of one image."""
        self.done[index] = counts
        with self.path.open("a", encoding="utf-8") as file:
            file.write(_line(index, counts) + "\n")

    def publish(self, path: Path) -> None:
        """Move the file to its place in a complete result; whoever compares runs reads it."""
        self.path.replace(path)

    def _head(self) -> str:
        return json.dumps({"fingerprint": self.key})

    def _read(self, num_classes: int, config: EvalConfig) -> list[str]:
        """Fill `done` from the file and return the lines that could be used."""
        try:
            head, *lines = self.path.read_text(encoding="utf-8", errors="replace").splitlines()
        except (OSError, ValueError):
            return []
        if head != self._head():
            return []
        measures, good = configured_measures(config), []
        for line in lines:
            try:
                values = parse_json(line)
                counts = counts_from_json(values, num_classes, measures)
                self.done[int(values["index"])] = counts
            except (ValueError, TypeError, KeyError, IndexError):
                continue
            good.append(line)
        return good


def read_counts(path: Path, num_classes: int, config: EvalConfig) -> list[ImageCounts]:
    """Read a published journal, in the order of the images.

    Args:
        path: The file.
        num_classes: K.
        config: What was counted: its size limits, tolerances and measures.

    Raises:
        DataError: The file is missing or damaged.
    """
    counts, measures = {}, configured_measures(config)
    try:
        for line in path.read_text(encoding="utf-8").splitlines()[1:]:
            values = parse_json(line)
            counts[int(values["index"])] = counts_from_json(values, num_classes, measures)
    except (OSError, ValueError, TypeError, KeyError, IndexError) as error:
        raise DataError(
            f"{path} cannot be read ({error}); measure that run again with `segloom eval`."
        ) from error
    return [counts[index] for index in sorted(counts)]


def _line(index: int, counts: ImageCounts) -> str:
    return json.dumps({"index": index, **counts_to_json(counts)}, separators=(",", ":"))
