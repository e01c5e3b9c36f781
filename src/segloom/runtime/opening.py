"""Opening the file of an export with the runtime of its format."""

from __future__ import annotations

from pathlib import Path

from segloom.runtime.description import Description
from segloom.runtime.session import OnnxSession, Session

__all__ = ["open_session"]


def open_session(folder: Path, description: Description, *, threads: int = 0) -> Session:
    """Open the file that a description names.

    Args:
        folder: Where it lies.
        description: Of the export.
        threads: Of one image; 0 takes as many as there are cores.

    Raises:
        SegloomError: The runtime of its format is not installed.
        CheckpointError: The file is missing or damaged.
        ConfigError: The processor does not have the precision.
    """
    file = folder / description.file
    if description.format == "openvino":
        from segloom.runtime.openvino_session import OpenVinoSession

        return OpenVinoSession(file, description.precision, threads)
    return OnnxSession(file, threads)
