"""Finding files and folders by names that another system or another program wrote.

Windows divides paths by backslashes, and neither it nor macOS tells capitals from small letters;
macOS decomposes accents. A name that exists as it is always wins.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from pathlib import Path, PurePosixPath, PureWindowsPath

__all__ = [
    "core",
    "locate",
    "plain_name",
    "resolve_place",
    "shared_stem",
    "tails_of",
    "with_ending",
    "without_anchor",
]

ROLES = frozenset(
    {"image", "images", "img", "imgs", "im", "photo", "picture", "raw", "rgb", "input", "sat"}
    | {"mask", "masks", "label", "labels", "lbl", "gt", "groundtruth", "truth", "seg", "target"}
    | {"segmentation", "annot", "annotation", "annotations", "ann"}
)
"""Words of a name that say what a file is rather than which; they do not count in `core`."""
PARTS = re.compile(r"[^\W\d_]+|\d+|[^\w\s]")
"""Words, numbers and signs of a name."""
IMAGE_TAIL = re.compile(r"\.(jpe?g|png|tiff?|bmp|webp|jp2|gif)$", re.IGNORECASE)


def plain_name(name: str) -> str:
    """Return the form in which names are compared: composed, without regard to capitals."""
    return unicodedata.normalize("NFC", name).casefold()


def shared_stem(stem: str, ending: str) -> str | None:
    """Cut from a stem what an image and its label map do not share.

    Args:
        stem: Of the file.
        ending: Its end, such as ``_mask``, or all that does not count around a ``*``, such as
            ``mask_*``; capitals do not matter.

    Returns:
        The rest; the whole stem if nothing would be left, None if it is not of this form.
    """
    start, _, end = ending.rpartition("*")
    low = stem.casefold()
    if not low.startswith(start.casefold()) or not low.endswith(end.casefold()):
        return None
    return stem[len(start) : len(stem) - len(end)] or stem


def with_ending(name: str, ending: str) -> str:
    """Undo `shared_stem`."""
    start, _, end = ending.rpartition("*")
    return f"{start}{name}{end}"


def core(stem: str) -> str:
    """Reduce a stem to what tells which sample it is: ``img_007`` and ``Mask-7.jpg`` to ``7``.

    Words that say what a file is (`ROLES`), signs between words, zeros before a number and the
    ending of an image inside the stem do not count.
    """
    parts = PARTS.findall(IMAGE_TAIL.sub("", plain_name(stem)))
    kept = [part.lstrip("0") or "0" for part in parts if part not in (*ROLES, "-", ".", ",")]
    return " ".join(kept) or plain_name(stem)


def locate(name: str, folders: Sequence[Path]) -> Path | None:
    """Find a file that a list or a JSON names.

    Args:
        name: Path as it is written, perhaps with backslashes.
        folders: Where a relative path may start, in the order in which they are tried. Of an
            absolute path that is of another machine the longest end counts that lies there.

    Returns:
        The file, or None if there is none.
    """
    spellings = [name]
    if "\\" in name:
        spellings.append(PureWindowsPath(name).as_posix())
    if (inside := without_anchor(name)) != PurePosixPath(spellings[-1]):
        spellings += tails_of(inside)
    for find in (Path.joinpath, resolve_place):
        for spelling in spellings:
            for folder in folders:
                if (found := find(folder, spelling)) is not None and found.is_file():
                    return found
    return None


def without_anchor(name: str) -> PurePosixPath:
    r"""Write a path with ``/``, and an absolute one from its first folder on.

    ``C:\data\a.png``, ``\\server\share\data\a.png`` and ``/data/a.png`` become ``data/a.png``.
    """
    windows = PureWindowsPath(name)
    if windows.drive:
        return PurePosixPath(*windows.parts[1:] if windows.anchor else windows.parts)
    return PurePosixPath(name.replace("\\", "/").lstrip("/"))


def tails_of(inside: PurePosixPath) -> list[str]:
    """List the ends of a path, the longest first; none of them leads upwards."""
    ends = [inside.parts[start:] for start in range(len(inside.parts))]
    return ["/".join(end) for end in ends if ".." not in end]


def resolve_place(folder: Path, inside: str) -> Path | None:
    """Find what a relative path names below a folder, whatever capitals and accents it is in.

    Returns:
        The path, or None if no part, or more than one, fits.
    """
    found = folder
    for part in Path(inside).parts:
        exact = found / part
        if part in ("..", "/") or exact.exists():
            found = exact
            continue
        try:
            alike = [p for p in found.iterdir() if plain_name(p.name) == plain_name(part)]
        except OSError:
            return None
        if len(alike) != 1:
            return None
        found = alike[0]
    return found
