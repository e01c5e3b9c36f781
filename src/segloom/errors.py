"""Every error that segloom raises on purpose, as one tree.

    SegloomError                a sentence for the user: what is wrong, where, and the fix
    |-- ConfigError             an option, a recipe or a name that does not exist or does not fit
    |   `-- UnknownNameError    a name outside a known list; suggests the nearest
    |-- DataError               an image, a label map or a list that cannot be used
    |   |-- ImageTooLargeError  an image of more pixels than are decoded
    |   `-- NoSplitError        a split, or the labels of one, that a data set does not have
    |-- CheckpointError         weights or a run directory that cannot be loaded
    |-- ExportRefusedError      an exported file that does not answer as its network does
    `-- TrainingError           a training that cannot start or go on (for example a NaN loss)

The command line prints the sentence and exits with code 2; everything else is a bug and keeps its
traceback.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Iterable
from difflib import get_close_matches

__all__ = [
    "CheckpointError",
    "ConfigError",
    "DataError",
    "ExportRefusedError",
    "ImageTooLargeError",
    "NoSplitError",
    "SegloomError",
    "TrainingError",
    "UnknownNameError",
    "describe_system_error",
    "is_memory_error",
]

REASONS = {
    errno.ENOSPC: "the disk is full; free some space there or choose another folder",
    errno.EDQUOT: "the disk quota is used up; free some space there or choose another folder",
    errno.EROFS: "the file system is read-only; choose another folder",
    errno.EACCES: "permission denied; choose another folder or change its permissions",
    errno.EPERM: "the operation is not permitted; choose another folder",
    errno.ENAMETOOLONG: "the name is too long; choose a shorter one",
    errno.EFBIG: "the file system allows no file of that size; choose another folder",
    errno.ENOTDIR: "a part of the path is a file; choose another folder",
    errno.EEXIST: "a file of that name is in the way; choose another folder",
    errno.EISDIR: "it is a folder; choose another name",
    errno.ELOOP: "its links lead in a circle; give the real path",
    errno.EIO: "the disk reports an error",
    errno.ESTALE: "the network file system has lost it; try again",
    errno.EMFILE: "too many open files; raise the limit with `ulimit -n`",
    errno.ENFILE: "too many open files on this machine",
}
"""Refusals of the operating system that a user can do something about."""

MEMORY_SIGNS = (
    *("not enough memory", "can't allocate memory", "cannot allocate memory"),
    *("out of memory", "Unable to allocate", "killed by signal: Killed"),
)


class SegloomError(Exception):
    """Root of the tree; its message is one sentence that names the file or option and the fix."""


class ConfigError(SegloomError):
    """An option, a recipe or a combination of them cannot be used."""


class UnknownNameError(ConfigError):
    """A name is not in the list of known names.

    Args:
        kind: What is being named, for example ``"architecture"``.
        name: The name as given.
        known: Every name that would have been accepted.
    """

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        known = sorted(known)
        lowered = {candidate.lower(): candidate for candidate in known}
        near = get_close_matches(name.lower(), lowered, n=1, cutoff=0.5)
        hint = f"did you mean '{lowered[near[0]]}'?" if near else f"choose from {', '.join(known)}."
        super().__init__(f"unknown {kind} '{name}': {hint}")
        self.kind, self.name, self.known = kind, name, known


class DataError(SegloomError):
    """An image, a label map or a list of them cannot be used."""


class ImageTooLargeError(DataError):
    """An image has more pixels than are decoded."""


class NoSplitError(DataError):
    """A data set that is in order has no such split, or no labels for it."""


class CheckpointError(SegloomError):
    """Weights or a run directory cannot be loaded."""


class ExportRefusedError(SegloomError):
    """An exported file does not answer as its network does; the command exits with code 1."""


class TrainingError(SegloomError):
    """A training cannot start or cannot go on."""


def is_memory_error(error: BaseException) -> bool:
    """Return whether an error says that memory has run out, in any library's words."""
    if isinstance(error, MemoryError):
        return True
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    return isinstance(error, RuntimeError) and any(sign in str(error) for sign in MEMORY_SIGNS)


def describe_system_error(error: BaseException) -> str | None:
    """Describe in a sentence what the system refuses: space, permission, memory.

    Libraries wrap such errors in their own; the errors that led to one are looked at too.

    Returns:
        The sentence, or None for any other error, which is a bug or has its own message.
    """
    found: BaseException | None = error
    while found is not None:
        if is_memory_error(found):
            return (
                "out of memory; lower data.batch_size, data.crop or the number of workers, or use "
                "inference.window for large images."
            )
        number = _error_number(found)
        if number in REASONS:
            place = getattr(found, "filename", None)
            return f"cannot use {place}: {REASONS[number]}." if place else f"{REASONS[number]}."
        found = found.__cause__ or found.__context__
    return None


def _error_number(error: BaseException) -> int | None:
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno
    text = str(error)
    # Writers in Rust and C++ (safetensors, torch) quote the system in a text.
    quoted = re.search(r"os error (\d+)|code: (\d+), kind", text)
    if quoted and type(error).__module__.startswith("safetensors"):
        return int(quoted[1] or quoted[2])
    if "No space left on device" in text or "PytorchStreamWriter failed writing" in text:
        return errno.ENOSPC
    return None
