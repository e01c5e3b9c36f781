"""Fetching public data sets: with resume, bounds, safe unpacking and a check of the result."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

from segloom.data.sets.cityscapes import HOW_TO_GET
from segloom.data.tools.download.fetch import Patience, Progress, fetch
from segloom.data.tools.download.sets import DOWNLOADS, Download
from segloom.data.tools.download.unpack import unpack
from segloom.errors import DataError, UnknownNameError

__all__ = ["DOWNLOADS", "Download", "Downloaded", "Patience", "download", "find_download"]


@dataclass(frozen=True)
class Downloaded:
    """A data set that lies on the disk."""

    name: str
    path: Path
    splits: dict[str, int]
    """Pairs per split."""
    was_there: bool
    """Whether it was complete before, so that nothing was fetched."""


def find_download(name: str) -> Download:
    """Find a data set by name.

    Raises:
        UnknownNameError: There is none of this name.
        DataError: It is one that its makers give only to registered users.
    """
    if name == "cityscapes":
        raise DataError(HOW_TO_GET)
    if name not in DOWNLOADS:
        raise UnknownNameError("download", name, DOWNLOADS)
    return DOWNLOADS[name]


def download(
    name: str,
    out: Path,
    *,
    patience: Patience = Patience(),  # noqa: B008 - frozen
    progress: Progress | None = None,
    source: Download | None = None,
) -> Downloaded:
    """Fetch a data set, unpack it and check it.

    The folder appears only when it is complete. An interrupted call leaves ``OUT.archive.part``,
    from which the next goes on.

    Args:
        name: One of `DOWNLOADS`.
        out: Folder of the data set, new or empty.
        patience: How long to bear with a bad line.
        progress: Told the bytes fetched and, if known, the bytes to fetch.
        source: Take this instead of the table's entry.

    Raises:
        UnknownNameError: There is no such data set.
        DataError: It cannot be fetched, is not what it should be, or the folder is in use.
    """
    source = source or find_download(name)
    out = out.expanduser().absolute()
    if out.exists() and not out.is_dir():
        raise DataError(f"{out} is a file; give a folder with --out DIR.")
    if out.is_dir() and any(out.iterdir()):
        try:
            return Downloaded(name, out, source.verify(out), was_there=True)
        except DataError as error:
            raise DataError(
                f"{out} is not empty and holds no complete '{name}' ({error}) Give another folder "
                "with --out DIR."
            ) from error
    archive = out.with_name(f"{out.name}.archive")
    if not archive.is_file():
        fetch(
            source.url,
            archive,
            sha256=source.sha256,
            max_bytes=source.max_bytes,
            patience=patience,
            progress=progress,
        )
    splits = _unpack_checked(source, archive, out)
    archive.unlink()
    return Downloaded(name, out, splits, was_there=False)


def _unpack_checked(source: Download, archive: Path, out: Path) -> dict[str, int]:
    """Unpack beside ``out``, check, and only then give it its name."""
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.") as temporary:
        folder = Path(temporary, "data")
        try:
            unpack(
                archive,
                folder,
                choose=source.choose,
                max_files=source.max_files,
                max_bytes=source.max_unpacked,
            )
            splits = source.verify(folder)
        except OSError as error:
            raise DataError(
                f"cannot unpack {archive} ({error.strerror or error}); free some space or choose "
                "another folder."
            ) from error
        except DataError:
            archive.unlink(missing_ok=True)  # so that the next call fetches it anew
            raise
        if out.is_dir():
            out.rmdir()
        folder.rename(out)
    return splits
