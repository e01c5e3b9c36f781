"""Unpacking a zip or tar archive from a stranger into a folder.

Only plain files are written, only below the folder, and only as many and as large as expected:
absolute paths, ``..``, links, devices and archives that swell are refused.
"""

from __future__ import annotations

import os
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, NamedTuple

from segloom.errors import DataError

__all__ = ["unpack"]

BLOCK = 1 << 18
MAX_MEMBERS = 200_000
"""More names than this are not even listed."""
MAX_NAME = 255
"""Bytes of a file's name that file systems allow."""


class _Member(NamedTuple):
    name: str
    is_plain: bool
    """A regular file: no folder, link or device."""
    is_folder: bool
    open: Callable[[], IO[bytes]]


def unpack(
    archive: Path,
    folder: Path,
    *,
    choose: Callable[[PurePosixPath], PurePosixPath | None],
    max_files: int,
    max_bytes: int,
) -> int:
    """Write the chosen members of an archive below a folder.

    Args:
        archive: A .zip, .tar, .tar.gz, .tar.bz2 or .tar.xz file, told by its content.
        folder: Made if it does not exist.
        choose: Gives the place below ``folder`` of a member, or None to leave it out.
        max_files: Refuse to write more files.
        max_bytes: Refuse to write more bytes in all, whatever the archive declares.

    Returns:
        The number of files written.

    Raises:
        DataError: The archive is damaged, or holds something that is refused.
    """
    num_files, num_bytes, seen = 0, 0, set()
    try:
        with _members(archive) as members:
            for member in members:
                name = _checked(archive, member)
                place = None if member.is_folder else choose(name)
                if place is None:
                    continue
                if not member.is_plain:
                    raise DataError(f"{archive} holds {name}, which is a link or a device.")
                if place in seen:
                    raise DataError(f"{archive} holds {place} twice.")
                seen.add(place)
                num_files += 1
                if num_files > max_files:
                    raise DataError(f"{archive} holds more than {max_files:,} files.")
                num_bytes += _write(archive, member, folder / place, max_bytes - num_bytes)
    except (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError, IndexError) as error:
        raise DataError(f"{archive} is damaged ({error}); remove it and fetch it again.") from error
    except (NotImplementedError, RuntimeError) as error:  # encrypted, unknown compression
        raise DataError(f"{archive} cannot be unpacked ({error}).") from error
    return num_files


@contextmanager
def _members(archive: Path) -> Iterator[Iterator[_Member]]:
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as opened:
            yield _zip_members(archive, opened)
    elif tarfile.is_tarfile(archive):
        with tarfile.open(archive) as opened_tar:
            yield _tar_members(archive, opened_tar)
    else:
        raise DataError(f"{archive} is neither a zip nor a tar archive; fetch it again.")


def _zip_members(archive: Path, opened: zipfile.ZipFile) -> Iterator[_Member]:
    if len(opened.infolist()) > MAX_MEMBERS:
        raise DataError(f"{archive} holds more than {MAX_MEMBERS:,} names.")
    for info in opened.infolist():
        kind = stat.S_IFMT(info.external_attr >> 16)
        is_folder = info.is_dir()
        is_plain = not is_folder and kind in (0, stat.S_IFREG)
        yield _Member(info.filename, is_plain, is_folder, partial(opened.open, info))


def _tar_members(archive: Path, opened: tarfile.TarFile) -> Iterator[_Member]:
    for number, info in enumerate(opened):
        if number >= MAX_MEMBERS:
            raise DataError(f"{archive} holds more than {MAX_MEMBERS:,} names.")

        def read(info: tarfile.TarInfo = info) -> IO[bytes]:
            content = opened.extractfile(info)
            assert content is not None  # noqa: S101 - only called for regular files
            return content

        yield _Member(info.name, info.isreg(), info.isdir(), read)


def _checked(archive: Path, member: _Member) -> PurePosixPath:
    path = PurePosixPath(member.name)
    if any(len(os.fsencode(part)) > MAX_NAME for part in path.parts):
        raise DataError(f"{archive} holds the name {member.name[:40]}..., which is too long.")
    bad = path.is_absolute() or ".." in path.parts or "\\" in member.name or ":" in member.name
    if bad or "\0" in member.name:
        raise DataError(f"{archive} holds the unsafe name {member.name!r}; do not use it.")
    return path


def _write(archive: Path, member: _Member, path: Path, room: int) -> int:
    """Write one member; return its size in bytes."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        target = path.open("xb")
    except (FileExistsError, NotADirectoryError):
        raise DataError(f"{archive} holds {member.name} both as a file and as a folder.") from None
    size = 0
    with target, member.open() as source:
        while block := source.read(BLOCK):
            size += len(block)
            if size > room:
                raise DataError(f"{archive} swells to more than it should when it is unpacked.")
            target.write(block)
    return size
