"""Writing files so that a reader never sees half of one.

Every writer fills a temporary file in the same folder and renames it into place: a crash or a kill
leaves the old file or the new one.
"""

from __future__ import annotations

import csv
import json
import os
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from segloom.errors import ConfigError

__all__ = [
    "atomic_path",
    "hold_lock",
    "parse_json",
    "parse_yaml",
    "remove_temporary_files",
    "write_bytes",
    "write_csv",
    "write_json",
    "write_text",
]

TEMPORARY = ".segloom-"
"""Beginning of every temporary name, which is short: the name of the target may be as long as the
file system allows."""

ABANDONED_AFTER = 3600.0
"""Seconds after which a temporary file belongs to a writer that was killed."""

_swept: set[Path] = set()
"""Folders from which this process has removed what killed writers left."""


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; rename it into place if the block succeeds.

    Folders are made as needed. The temporary file keeps the ending, since image writers choose
    their format by it. The first use of a folder removes what killed writers left there.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.parent not in _swept:
        _swept.add(path.parent)
        remove_temporary_files(path.parent, older_than=ABANDONED_AFTER)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=TEMPORARY, suffix=path.suffix)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        mask = os.umask(0)
        os.umask(mask)
        temporary.chmod(0o666 & ~mask)  # mkstemp makes 0600; follow the user's umask instead
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def hold_lock(path: Path, refusal: str) -> Iterator[None]:
    """Hold a lock that the system releases when this process ends, however it ends.

    Args:
        path: The file of the lock; made if need be, with its folder.
        refusal: The sentence for the user if another process holds it.

    Raises:
        ConfigError: Another process holds it.
    """
    from filelock import FileLock, Timeout

    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise ConfigError(refusal) from None
    except NotImplementedError:  # a network file system without locks: as good as it gets
        yield
        return
    try:
        yield
    finally:
        lock.release()


def remove_temporary_files(folder: Path, *, older_than: float = 0.0) -> None:
    """Remove what killed writers left directly in a folder.

    Args:
        folder: Need not exist.
        older_than: Age in seconds below which a file may belong to a living writer.
    """
    for path in folder.glob(f"{TEMPORARY}*"):
        try:
            if time.time() - path.stat().st_mtime >= older_than:
                path.unlink()
        except OSError:  # another process was faster, or may not: it is in nobody's way
            continue


def parse_json(text: str | bytes) -> Any:
    """Read JSON that anybody may have written.

    Raises:
        ValueError: It is no JSON, or lists and objects are nested too deeply.
    """
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("lists or objects are nested too deeply") from None


def parse_yaml(text: str) -> Any:
    """Read YAML of plain values that anybody may have written.

    Raises:
        ValueError: It is no YAML, or lists and mappings are nested too deeply.
    """
    import yaml

    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(" ".join(str(error).split())) from error
    except RecursionError:
        raise ValueError("lists or mappings are nested too deeply") from None


def write_bytes(path: Path, content: bytes) -> None:
    """Write ``content`` to ``path`` in one step."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)


def write_text(path: Path, content: str) -> None:
    """Write ``content`` as UTF-8 to ``path`` in one step."""
    write_bytes(path, content.encode())


def write_json(path: Path, content: object) -> None:
    """Write ``content`` as indented JSON; NaN is refused, so pass None for "no value"."""
    write_text(path, json.dumps(content, indent=2, allow_nan=False) + "\n")


def write_csv(path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, object]]) -> None:
    """Write rows with the named columns; None becomes an empty cell."""
    with atomic_path(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(columns), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
