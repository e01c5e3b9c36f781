"""Every error that segloom raises on purpose, as one tree.

    SegloomError                a sentence for the user: what is wrong, where, and the mend
    |-- ConfigError             an option, a recipe or a name that does not exist or does not fit
    |   `-- UnknownNameError    a name outside a known list; suggests the nearest
    |-- DataError               an image, a label map or a list that cannot be used
    |   `-- NoSplitError        a split, or the labels of one, that a data set does not have
    |-- CheckpointError         weights or a run directory that cannot be loaded
    `-- TrainingError           a training that cannot start or go on (for example a NaN loss)

The command line prints the sentence and exits with code 2; everything else is a bug and keeps its
traceback.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

__all__ = [
    "CheckpointError",
    "ConfigError",
    "DataError",
    "NoSplitError",
    "SegloomError",
    "TrainingError",
    "UnknownNameError",
]


class SegloomError(Exception):
    """Root of the tree; its message is one sentence that names the file or option and the mend."""


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


class NoSplitError(DataError):
    """A data set that is in order has no such split, or no labels for it."""


class CheckpointError(SegloomError):
    """Weights or a run directory cannot be loaded."""


class TrainingError(SegloomError):
    """A training cannot start or cannot go on."""
