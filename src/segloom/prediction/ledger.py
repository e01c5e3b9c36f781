"""Which files of a folder `segloom predict` wrote, so that it replaces no others.

A label map that a person drew, or corrected after a prediction, has the name that a prediction
would have. The ledger, a file beside the results, holds a digest of each result: only a file with
that very content is replaced.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from segloom.errors import ConfigError
from segloom.files import parse_json

__all__ = ["LEDGER", "Ledger"]

LEDGER = ".segloom_results.jsonl"
"""Name of the ledger: a JSON array of name and digest per line; the digest is null while the file
is being written, and empty where none came of it."""


class Ledger:
    """The results that lie in one folder.

    Args:
        folder: Folder of the results; need not exist.
        replaces: Replace files of others too, but never one that is read.
    """

    def __init__(self, folder: Path, *, replaces: bool = False) -> None:
        self.folder, self.replaces = folder, replaces
        self._digests = _read(folder / LEDGER)

    def check(self, targets: Iterable[Path], sources: Iterable[Path]) -> None:
        """Refuse to write where this would destroy what segloom did not write.

        Args:
            targets: Files that are to be written.
            sources: Files that are read: images, ground truth, edge maps.

        Raises:
            ConfigError: A target is one of the sources, or holds what is not in the ledger.
        """
        there = list(filter(os.path.lexists, targets))
        if not there:
            return
        read = {os.path.realpath(path) for path in sources}
        lost = [path for path in there if os.path.realpath(path) in read]
        if lost:
            raise ConfigError(
                f"{_named(lost)} would be replaced by a prediction but is read as an image, ground "
                "truth or edge map; choose another folder with --out."
            )
        foreign = [] if self.replaces else [path for path in there if not self.holds(path)]
        if foreign:
            raise ConfigError(
                f"{_named(foreign)} would be replaced by a prediction but was not written by "
                "`segloom predict`, or was changed since; choose another folder with --out, or add "
                "--overwrite."
            )

    def holds(self, path: Path) -> bool:
        """Return whether a file that is there is a result of segloom, unchanged."""
        name = self._name(path)
        if name not in self._digests or path.is_symlink():
            return False
        digest = self._digests[name]
        return digest is None or (digest != "" and digest == _digest(path))

    @contextmanager
    def writing(self, targets: Sequence[Path]) -> Iterator[None]:
        """Enter targets before they are written, and their digests afterwards.

        A kill in between leaves the names, which were free to be written. Where nothing came of any
        file, neither the ledger nor a folder made for it stays.
        """
        is_new = not self.folder.exists()
        self.folder.mkdir(parents=True, exist_ok=True)
        self._enter({self._name(path): None for path in targets})
        try:
            yield
        finally:
            with suppress(OSError):  # a full disk has its own error
                self._enter({self._name(path): _digest(path) for path in targets})
                self._tidy(is_new)

    def _enter(self, digests: dict[str, str | None]) -> None:
        self._digests.update(digests)
        lines = [json.dumps(entry) + "\n" for entry in digests.items()]
        # One write at the end of the file: two programs that write at once do not mix lines.
        with (self.folder / LEDGER).open("a", encoding="utf-8") as file:
            file.write("".join(lines))

    def _tidy(self, is_new: bool) -> None:
        """Remove a ledger, and a folder made for it, of which nothing came."""
        path = self.folder / LEDGER
        if not any(self._digests.values()) and set(_read(path).values()) <= {""}:
            path.unlink()
            if is_new:
                self.folder.rmdir()

    def _name(self, path: Path) -> str:
        return Path(os.path.relpath(path, self.folder)).as_posix()


def _read(path: Path) -> dict[str, str | None]:
    digests: dict[str, str | None] = {}
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return digests
    for line in lines:
        try:
            name, digest = parse_json(line)
        except (ValueError, TypeError):  # cut off by a kill or a full disk
            continue
        if isinstance(name, str) and isinstance(digest, str | None):
            digests[name] = digest
    return digests


def _digest(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""


def _named(paths: Sequence[Path]) -> str:
    return f"{paths[0]}" + (f" (and {len(paths) - 1} more)" if len(paths) > 1 else "")
