"""Files that belong to images by their names: edge maps, or the truth of loose photographs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from segloom.data.locate import shared_stem, with_ending
from segloom.data.pairing import find_images
from segloom.errors import DataError

__all__ = ["files_by_name", "match_files", "nearest"]


def files_by_name(folder: Path, kind: str, ending: str = "") -> dict[str, list[Path]]:
    """Find files by every name that they may belong to: their own, or the start before a "_".

    Args:
        folder: Searched to the bottom.
        kind: What the files are, for the message.
        ending: End of a file's stem that does not count; files without it are left out, and the
            others belong to the one name before it.

    Raises:
        DataError: There is no such folder.
    """
    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder; give the one of the {kind}s.")
    found: dict[str, list[Path]] = {}
    for key, path in find_images(folder, ending).items():
        if ending:
            found.setdefault(key.name, []).append(path)
            continue
        parts = path.stem.split("_")
        for end in range(1, len(parts) + 1):
            found.setdefault("_".join(parts[:end]), []).append(path)
    return found


def match_files(
    images: Sequence[Path],
    folder: Path,
    kind: str,
    *,
    image_ending: str = "",
    ending: str = "",
    hint: str = "",
) -> dict[Path, Path]:
    """Give every image the file below a folder that belongs to it.

    That is the one of the same stem, else the one whose stem goes on with a "_" after it. Where
    several folders hold that name, the image's own folders tell which.

    Args:
        images: The images.
        folder: Searched to the bottom.
        kind: What the files are, such as "edge map", for the message.
        image_ending: End of an image's stem that does not count.
        ending: End of the other file's stem that does not count; only files that have it count.
        hint: What fixes a name that fits no file or several, for the message.

    Raises:
        DataError: There is no such folder, or an image has no file or several.
    """
    by_name = files_by_name(folder, kind, ending)
    found = {}
    for image in images:
        name = shared_stem(image.stem, image_ending) or image.stem
        candidates = by_name.get(name, [])
        near = nearest(image, with_ending(name, ending), candidates, folder)
        if len(near) != 1:
            number = f"{len(candidates)} {kind}s" if candidates else f"no {kind}"
            raise DataError(
                f"image {image} has {number} of its name below {folder}; it needs one, such as "
                f"{with_ending(name, ending)}.png{f' ({hint})' if hint else ''}."
            )
        found[image] = near[0]
    return found


def nearest(image: Path, stem: str, candidates: list[Path], folder: Path) -> list[Path]:
    """Keep the candidates of the very stem, if any, and of these the ones in folders alike.

    Args:
        image: Whose folders count.
        stem: That of its file.
        candidates: Files below ``folder``.
        folder: From where on their folders count.
    """
    candidates = [path for path in candidates if path.stem == stem] or candidates
    if len(candidates) < 2:
        return candidates
    parents = image.absolute().parent.parts
    depths = {
        path: _shared_depth(path.relative_to(folder).parent.parts, parents) for path in candidates
    }
    deepest = max(depths.values())
    return [path for path, depth in depths.items() if depth == deepest > 0]


def _shared_depth(folders: tuple[str, ...], parents: tuple[str, ...]) -> int:
    """Count folders if they are the last of the parents too; else 0."""
    return len(folders) if folders and folders == parents[-len(folders) :] else 0
