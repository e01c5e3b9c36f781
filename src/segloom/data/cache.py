"""Decoded samples as memory-mapped files, so that every image is decompressed once.

One entry per sample, a file that never changes once it has its name: it is written aside and
renamed into place, so a reader, a second writer or a kill at any moment meets a whole entry or
none. An entry names the size and the time of change of the files that it was made from; if they
differ now it is made anew and replaced. Its checksum is verified when a process first opens it, so
that what a crash of the machine or a full disk left behind counts as missing.

Entry: a header of 64 bytes (`HEADER`), then the image (H, W, 3), the mask (H, W) and, if any, the
edges (H, W). All are uint8 but the mask of more than seven classes that overlap, int32 or int64.
"""

from __future__ import annotations

import hashlib
import logging
import mmap
import os
import struct
import sys
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from segloom.data.planes import Planes
from segloom.errors import DataError
from segloom.files import atomic_path
from segloom.types import Record

__all__ = ["SampleCache", "default_cache_dir"]

MAGIC = b"SEGLOOM1"
HEADER = struct.Struct("<8s32sIIII8x")
"""Magic, digest of the source files, height, width, bytes per pixel (`MASK_TYPES`), CRC-32."""

MASK_TYPES = {4: "uint8", 5: "uint8", 7: "int32", 8: "int32", 11: "int64", 12: "int64"}
"""Bytes per pixel, with an image of three, to the dtype of the mask; the larger of two has a byte
of edges."""

ABANDONED_AFTER = 3600.0  # seconds after which an unfinished file belongs to a dead writer

logger = logging.getLogger(__name__)


def default_cache_dir() -> Path:
    """Return the folder of the user's cached samples, by the habit of the operating system."""
    home = Path.home()
    if sys.platform == "darwin":
        base = home / "Library" / "Caches"
    elif sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA", home / "AppData" / "Local"))
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache")
    return base / "segloom" / "samples"


class _Header(NamedTuple):
    magic: bytes
    stamp: bytes
    height: int
    width: int
    num_planes: int
    checksum: int


class SampleCache:
    """Decoded samples of data sets in one folder; any number of processes may share it.

    Args:
        folder: Where the entries lie; made when the first is written.
        fingerprint: Text that differs where the same files decode differently.
        channels: Of the images.
    """

    def __init__(self, folder: Path, fingerprint: str, *, channels: int = 3) -> None:
        self.folder, self.fingerprint, self.channels = folder, fingerprint, channels
        self._verified: set[tuple[str, int, int]] = set()
        self._entries: dict[Record, Path] = {}
        self.is_writable = True
        self._is_swept = False

    def fetch(self, record: Record, decode: Callable[[], Planes]) -> Planes:
        """Return a sample from its entry, or decode it and make the entry.

        The arrays of an entry are read-only views of the mapped file. If the cache cannot be
        written, the sample is decoded each time, and a warning is logged once.

        Raises:
            DataError: A file of the sample does not exist, or ``decode`` raises it.
        """
        stamp = self._stamp(record)  # before decoding: a change in between makes the entry stale
        path = self.entry(record)
        planes = self._load(path, stamp)
        if planes is None:
            planes = decode()
            self._store(path, stamp, planes)
        return planes

    def holds(self, record: Record) -> bool:
        """Tell whether there is an entry of the files as they are now, without reading its pixels.

        Raises:
            DataError: A file of the sample does not exist.
        """
        stamp = self._stamp(record)
        try:
            with self.entry(record).open("rb") as file:
                return _read_header(file, stamp, self.channels) is not None
        except OSError:
            return False

    def entry(self, record: Record) -> Path:
        """Return where the entry of a sample lies, whether or not it exists."""
        if record not in self._entries:
            self._entries[record] = self._name(record)
        return self._entries[record]

    def _name(self, record: Record) -> Path:
        names = [str(path.absolute()) for path in record.files]
        names += [] if record.part is None else [str(record.part)]
        digest = hashlib.sha256("\0".join([self.fingerprint, *names]).encode("utf-8", "replace"))
        name = digest.hexdigest()[:40]
        return self.folder / name[:2] / f"{name[2:]}.sample"

    def _stamp(self, record: Record) -> bytes:
        parts = []
        for path in record.files:
            try:
                status = path.stat()
            except OSError as error:
                raise DataError(f"{path} cannot be read ({error.strerror}).") from error
            parts.append((status.st_size, status.st_mtime_ns))
        return hashlib.sha256(repr(parts).encode()).digest()

    def _load(self, path: Path, stamp: bytes) -> Planes | None:
        try:
            with path.open("rb") as file:
                header = _read_header(file, stamp, self.channels)
                if header is None:
                    return None
                status = os.fstat(file.fileno())
                mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except OSError:
            return None
        values = np.frombuffer(mapped, np.uint8, offset=HEADER.size)
        key = (path.name, header.checksum, status.st_mtime_ns)
        if key not in self._verified:
            if zlib.crc32(values.data) != header.checksum:
                return None
            self._verified.add(key)
        return _unpack(values, header, self.channels)

    def _store(self, path: Path, stamp: bytes, planes: Planes) -> None:
        if not self.is_writable:
            return
        arrays = [np.ascontiguousarray(plane) for plane in planes if plane is not None]
        checksum = 0
        for array in arrays:
            checksum = zlib.crc32(array.data, checksum)
        height, width = planes.mask.shape
        num_bytes = sum(array.nbytes for array in arrays) // planes.mask.size
        header = HEADER.pack(MAGIC, stamp, height, width, num_bytes, checksum)
        try:
            self._sweep()
            with atomic_path(path) as temporary, temporary.open("wb") as file:
                file.write(header)
                for array in arrays:
                    file.write(array.data)
        except OSError as error:
            self.is_writable = False
            logger.warning(
                "no more samples are cached, %s cannot be written (%s); free space or set "
                "data.cache_dir",
                self.folder,
                error.strerror,
            )

    def _sweep(self) -> None:
        """Remove what killed writers left, once per process."""
        if self._is_swept:
            return
        self._is_swept = True
        limit = time.time() - ABANDONED_AFTER
        for path in self.folder.glob("??/.*.sample"):
            try:
                if path.stat().st_mtime < limit:
                    path.unlink()
            except OSError:  # another process swept it first
                continue


def _read_header(file: BinaryIO, stamp: bytes, channels: int) -> _Header | None:
    """Read the header of an entry; None if it is unfinished or of other files."""
    content = file.read(HEADER.size)
    if len(content) < HEADER.size:
        return None
    header = _Header(*HEADER.unpack(content))
    if header.magic != MAGIC or header.stamp != stamp:
        return None
    pixels = header.height * header.width
    is_whole = os.fstat(file.fileno()).st_size == HEADER.size + pixels * header.num_planes
    return (
        header if pixels and is_whole and header.num_planes + 3 - channels in MASK_TYPES else None
    )


def _unpack(values: NDArray[np.uint8], header: _Header, channels: int) -> Planes:
    height, width = header.height, header.width
    pixels = height * width
    image = values[: channels * pixels].reshape(height, width, channels)
    kind = np.dtype(MASK_TYPES[header.num_planes + 3 - channels])
    end = (channels + kind.itemsize) * pixels
    mask = values[channels * pixels : end].view(kind).reshape(height, width)
    if not mask.flags.aligned:  # wide integers after an odd number of bytes
        mask = mask.copy()
    if end == len(values):
        return Planes(image, mask)
    return Planes(image, mask, values[end:].reshape(height, width))
