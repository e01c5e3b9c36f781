"""A user's own folders: images in one, label maps in another, paired by their stems.

Where folders train, val and test (or their usual other names) exist, they are the split; else the
images are divided by a hash of their names, so that a new image never moves an old one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from segloom.config.data import DataConfig
from segloom.data.source import SPLITS, DatasetSource, check_split, data_root, unique_ids
from segloom.errors import DataError, NoSplitError
from segloom.images import IMAGE_ENDINGS
from segloom.types import Record

__all__ = [
    "divide",
    "find_images",
    "folder_division",
    "hashed_split",
    "pair_folders",
    "read",
    "split_folders",
]

SPLIT_NAMES = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation", "dev"),
    "test": ("test", "testing"),
}
"""Names that folders use for a split, in the order in which they are tried."""


def read(config: DataConfig, split: str) -> DatasetSource:
    """Read a split of paired folders; see `DatasetSource`.

    Raises:
        DataError: A folder is missing, an image has no label map, or the split is unknown.
    """
    if config.mask_format == "multilabel":
        from segloom.data.multilabel import read as read_class_masks

        return read_class_masks(config, split)
    images, masks, keep = folder_division(config, split)
    records = pair_folders(
        images,
        masks,
        image_ending=config.image_ending,
        mask_ending=config.mask_ending,
        keep=keep,
    )
    if config.edges:
        edges = pair_folders(
            images,
            _edge_folder(config, split, images),
            image_ending=config.image_ending,
            keep=keep,
            kind="edge map",
            option="data.edges",
        )
        records = tuple(replace(r, edge=e.mask) for r, e in zip(records, edges, strict=True))
    return DatasetSource(records)


def folder_division(
    config: DataConfig, split: str
) -> tuple[Path, Path, Callable[[Path], bool] | None]:
    """Find the folders of a split, and which of their images are its own.

    Returns:
        Folders of the images and of the label maps, and which keys of `find_images` to keep; None
        keeps all.

    Raises:
        DataError: There are no such folders, or the split is unknown.
    """
    check_split(split)
    images, masks, is_divided = split_folders(config, split)
    if is_divided:
        return images, masks, None
    names = [key.as_posix() for key in find_images(images, config.image_ending)]
    division = divide(names, config.split_shares)
    return images, masks, lambda key: division[key.as_posix()] == split


def _edge_folder(config: DataConfig, split: str, images: Path) -> Path:
    """Find the folder of the edges beside that of the images."""
    root = data_root(config)
    for name in SPLIT_NAMES[split]:
        if root / config.images.replace("{split}", name) == images:
            return _require(root / config.edges.replace("{split}", name), "edges")
    return _require(root / _without_split(config.edges), "edges")


def split_folders(config: DataConfig, split: str) -> tuple[Path, Path, bool]:
    """Find the folders of the images and of the label maps of a split.

    Returns:
        Both, and whether they belong to this split alone; else they hold all splits together.

    Raises:
        NoSplitError: There are such folders for other splits.
        DataError: There are no such folders.
    """
    root = data_root(config)
    for name in SPLIT_NAMES[split]:
        images = root / config.images.replace("{split}", name)
        masks = root / config.masks.replace("{split}", name)
        if "{split}" in config.images and images.is_dir():
            return images, _require(masks, "masks"), True
    others = [
        name
        for other in SPLITS
        for name in SPLIT_NAMES[other]
        if (root / config.images.replace("{split}", name)).is_dir()
    ]
    whole = root / _without_split(config.images)
    if "{split}" in config.images and (others or not whole.is_dir() or whole == root):
        hint = f"it has {', '.join(others)}" if others else "it has no split at all"
        wanted = root / config.images.replace("{split}", split)
        kind = NoSplitError if others else DataError
        raise kind(f"there is no folder {wanted} ({hint}); set data.images and data.masks.")
    return _require(whole, "images"), _require(root / _without_split(config.masks), "masks"), False


def _without_split(template: str) -> str:
    return "/".join(part for part in template.split("/") if "{split}" not in part)


def _require(folder: Path, option: str) -> Path:
    if not folder.is_dir():
        raise DataError(f"there is no folder {folder}; set data.{option}.")
    return folder


def divide(names: Sequence[str], shares: tuple[float, float, float]) -> dict[str, str]:
    """Choose the split of every sample of an undivided folder.

    Each goes by its own name (`hashed_split`), so that a new image moves no other. Only where that
    would leave a split empty, as it may with a dozen images, the hashes are ranked and cut.

    Args:
        names: Names of all samples.
        shares: Of train, val and test; they add up to 1.

    Returns:
        Name to split.
    """
    division = {name: hashed_split(name, shares) for name in names}
    wanted = [split for split, share in zip(SPLITS, shares, strict=True) if share > 0]
    if set(wanted) <= set(division.values()) or len(names) < len(wanted):
        return division
    ranked = sorted(names, key=_place)
    counts = {
        split: max(1, round(share * len(names)))
        for split, share in zip(SPLITS[1:], shares[1:], strict=True)
        if share > 0
    }
    ends = [split for split, count in counts.items() for _ in range(count)]
    return dict.fromkeys(ranked, "train") | dict(zip(ranked, ends, strict=False))


def hashed_split(key: str, shares: tuple[float, float, float]) -> str:
    """Choose the split of a sample by its name alone.

    Args:
        key: Name of the sample.
        shares: Of train, val and test; they add up to 1.
    """
    place = _place(key)
    if place < shares[0]:
        return "train"
    return "val" if place < shares[0] + shares[1] else "test"


def _place(key: str) -> float:
    """Hash a name to a number from 0 to below 1."""
    digest = hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()
    return int.from_bytes(digest[:7], "big") / 256**7  # 56 bits: exact in a float


def find_images(folder: Path, ending: str = "") -> dict[Path, Path]:
    """Find the image files below a folder whose stems end with ``ending``.

    Returns:
        Key, the path relative to the folder without ending and suffix, to file; in order. Hidden
        files and folders are left out.

    Raises:
        DataError: Two files have the same key.
    """
    found: dict[Path, Path] = {}
    for path in sorted(folder.rglob("*")):
        inside = path.relative_to(folder)
        if any(part.startswith(".") for part in inside.parts) or not path.is_file():
            continue
        if path.suffix.lower() not in IMAGE_ENDINGS or not path.stem.endswith(ending):
            continue
        key = inside.with_name(path.stem.removesuffix(ending) or path.stem)
        if key in found:
            raise DataError(
                f"{found[key]} and {path} differ only in their ending, so neither can be paired "
                "by name; remove or rename one."
            )
        found[key] = path
    return found


def pair_folders(
    images: Path,
    masks: Path,
    *,
    image_ending: str = "",
    mask_ending: str = "",
    keep: Callable[[Path], bool] | None = None,
    kind: str = "label map",
    option: str = "data.masks and data.mask_ending",
) -> tuple[Record, ...]:
    """Pair the images below one folder with the label maps below another.

    A label map belongs to the image at the same place below its folder, whatever the file
    endings; if there is none, to the image of the same stem. Label maps without an image are left
    out.

    Args:
        images: Folder of the images.
        masks: Folder of the label maps; it may be the same if an ending tells them apart.
        image_ending: End of an image's stem that does not count.
        mask_ending: End of a label map's stem that does not count.
        keep: Which keys of `find_images` to keep; None keeps all.
        kind: What the files of the second folder are, for the message.
        option: What names that folder, likewise.

    Raises:
        DataError: There are no images, or one has no label map or several.
    """
    found = find_images(images, image_ending)
    labels = find_images(masks, mask_ending)
    if images.is_relative_to(masks) and images != masks:
        labels = {key: path for key, path in labels.items() if not path.is_relative_to(images)}
    label_files = set(labels.values())  # one folder may lie in the other, or be the other
    found = {key: path for key, path in found.items() if path not in label_files}
    if not found:
        raise DataError(
            f"{images} holds no image{f' that ends with {image_ending}' if image_ending else ''}; "
            f"images end in {' '.join(sorted(IMAGE_ENDINGS))}."
        )
    by_stem: dict[str, list[Path]] = {}
    for key, path in labels.items():
        by_stem.setdefault(key.name, []).append(path)
    keys = [key for key in found if keep is None or keep(key)]
    missing = [key for key in keys if key not in labels and len(by_stem.get(key.name, ())) != 1]
    if missing:
        several = len(by_stem.get(missing[0].name, ())) > 1
        hint = " If every folder there is a class, set data.mask_format: multilabel." * several
        more = f" (nor have {len(missing) - 1} more of {len(keys)} images)"
        ending = f" and ends with {mask_ending}" if mask_ending else ""
        raise DataError(
            f"image {found[missing[0]]} has no {kind} of its own{more * (len(missing) > 1)}: no "
            f"one file below {masks} has its stem{ending}; add it, move the image away, or set "
            f"{option}.{hint}"
        )
    return tuple(
        Record(name, found[key], labels.get(key) or by_stem[key.name][0])
        for name, key in zip(unique_ids(keys), keys, strict=True)
    )
