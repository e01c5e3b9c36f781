"""Finding images below folders, pairing them with label maps, and dividing them into splits.

Where folders train, val and test (or their usual other names) exist, they are the split; else the
images are divided by a hash of their names, so that a new image never moves an old one.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from segloom.data.locate import core, plain_name, resolve_place, shared_stem
from segloom.data.places import place_of
from segloom.data.source import SPLITS, check_split, data_root, unique_ids
from segloom.errors import DataError, NoSplitError
from segloom.images.read import DATA_ENDINGS, irregular, is_hidden
from segloom.types import Record

if TYPE_CHECKING:
    from segloom.config.data import DataConfig

__all__ = [
    "SPLIT_NAMES",
    "divide",
    "find_images",
    "folder_division",
    "hashed_division",
    "hashed_split",
    "images_alone",
    "match_keys",
    "pair_folders",
    "require_folder",
    "split_folder",
    "split_folders",
    "without_split",
]


SPLIT_NAMES = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation", "dev"),
    "test": ("test", "testing"),
}
"""Names that folders use for a split, in the order in which they are tried."""


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
    found = find_images(images, config.image_ending)
    if masks == images:
        found = images_alone(found, find_images(masks, config.mask_ending))
    division = hashed_division(config, found)
    return images, masks, lambda key: division.get(key) == split


def hashed_division(config: DataConfig, images: Mapping[Path, Path]) -> dict[Path, str]:
    """Choose the split of every image of folders that are not divided, by `divide`.

    Args:
        config: With the shares of the splits, and what keeps images together.
        images: `find_images` of the folder.

    Returns:
        Key of an image to its split.
    """
    names = {key: _group(config, key, path) for key, path in images.items()}
    division = divide(list(dict.fromkeys(names.values())), config.split_shares)
    return {key: division[name] for key, name in names.items()}


def _group(config: DataConfig, key: Path, path: Path) -> str:
    """Name what goes to one split together: the image, or its group."""
    return place_of(config, path).group if config.group_by else key.as_posix()


def split_folders(config: DataConfig, split: str) -> tuple[Path, Path, bool]:
    """Find the folders of the images and of the label maps of a split.

    Returns:
        Both, and whether they belong to this split alone; else they hold all splits together.

    Raises:
        NoSplitError: There are such folders for other splits.
        DataError: There are no such folders.
    """
    root = data_root(config)
    if (found := split_folder(root, config.images, split)) is not None:
        masks = split_folder(root, config.masks, split)
        wanted = root / config.masks.replace("{split}", split)
        return found, require_folder(masks or wanted, "masks"), True
    others = [name for name in SPLITS if split_folder(root, config.images, name) is not None]
    whole = resolve_place(root, without_split(config.images)) or root / without_split(config.images)
    if "{split}" in config.images and (others or not whole.is_dir() or whole == root):
        wanted = root / config.images.replace("{split}", split)
        raise _no_folder(wanted, others)
    masks = require_folder(root / without_split(config.masks), "masks")
    return require_folder(whole, "images"), masks, False


def _no_folder(wanted: Path, others: Sequence[str]) -> DataError:
    """Say that a split has no folder; ``others`` have one."""
    hint = f"it has {', '.join(others)}" if others else "it has no split at all"
    kind = NoSplitError if others else DataError
    return kind(f"there is no folder {wanted} ({hint}); set data.images and data.masks.")


def split_folder(root: Path, template: str, split: str) -> Path | None:
    """Find the folder of a split, by any of its names and whatever their capitals.

    Args:
        root: Of the data set.
        template: Folder below it, with ``{split}`` for the name of a split.
        split: train, val or test.

    Returns:
        The folder; None if there is none, or if the template divides nothing.
    """
    if "{split}" not in template:
        return None
    for name in SPLIT_NAMES[split]:
        found = resolve_place(root, template.replace("{split}", name))
        if found is not None and found.is_dir():
            return found
    return None


def without_split(template: str) -> str:
    """Leave out the parts of a folder template that name the split."""
    return "/".join(part for part in template.split("/") if "{split}" not in part)


def require_folder(folder: Path, option: str) -> Path:
    """Return ``folder`` as it is spelt on the disk; ``option`` is the one that names it.

    Raises:
        DataError: There is no such folder.
    """
    found = folder if folder.is_dir() else resolve_place(folder.parent, folder.name)
    if found is None or not found.is_dir():
        raise DataError(f"there is no folder {folder}; set data.{option}.")
    return found


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


def find_images(
    folder: Path, ending: str = "", *, faults: list[str] | None = None
) -> dict[Path, Path]:
    """Find the image files below a folder whose stems end with ``ending``.

    Args:
        folder: Searched to the bottom; hidden files and folders are left out.
        ending: See `segloom.data.locate.shared_stem`.
        faults: Gets a sentence for each thing that is named like an image and is none; None
            refuses it.

    Returns:
        Key, the path relative to the folder without ending and suffix, to file; in order.

    Raises:
        DataError: Two files have the same key, or what is named like an image is no file.
    """
    found: dict[Path, Path] = {}
    for path in sorted(folder.rglob("*")):
        inside = path.relative_to(folder)
        if any(map(is_hidden, inside.parts)):
            continue
        stem = shared_stem(path.stem, ending)
        if path.suffix.lower() not in DATA_ENDINGS or stem is None:
            continue
        if (fault := irregular(path)) is not None:
            if faults is None:
                raise DataError(fault)
            faults.append(fault)
            continue
        if path.is_dir():
            continue
        key = inside.with_name(stem)
        if key in found:
            raise DataError(
                f"{found[key]} and {path} differ only in their ending, so neither can be paired "
                "by name; remove or rename one."
            )
        found[key] = path
    return found


def images_alone(images: Mapping[Path, Path], labels: Mapping[Path, Path]) -> dict[Path, Path]:
    """Leave label maps out of the images of a folder that holds both.

    Besides ``labels`` these are further label maps of an image: ``x_label`` beside ``x``, which
    only says what it is, where ``x_mask`` is read.

    Args:
        images: `find_images` of the folder of images.
        labels: The same of label maps.
    """
    files = set(labels.values())
    found = {key: path for key, path in images.items() if path not in files}
    if len(found) == len(images):
        return found
    short = {(key.parent, core(key.name)): key.name for key in sorted(found, reverse=True)}
    return {
        key: path
        for key, path in found.items()
        if (name := short[key.parent, core(key.name)]) == key.name or not key.name.startswith(name)
    }


def match_keys(images: Mapping[Path, Path], labels: Mapping[Path, Path]) -> dict[Path, list[Path]]:
    """Give every image the label maps that its name may mean.

    The first of these rules by which it has any decides: the same place below its folder; the same
    stem; both again whatever their capitals and the form of their accents; the same sample by
    `segloom.data.locate.core`. By the last three a label map that another image has, or that fits
    two images, does not count.

    Args:
        images: `find_images` of the folder of images.
        labels: The same of label maps.

    Returns:
        Key of an image to label maps: the one of a pair, else none or several.
    """
    found: dict[Path, list[Path]] = {key: [labels[key]] for key in images if key in labels}
    for is_exact, rule in RULES:
        left = [key for key in images if key not in found]
        if not left:
            break
        taken = set() if is_exact else set(chain.from_iterable(found.values()))
        groups = _by_name(labels, rule, taken)
        found |= _matches({key: rule(key) for key in left}, groups, is_exact=is_exact)
    return {key: found.get(key, []) for key in images}


def _by_name(
    labels: Mapping[Path, Path], rule: Callable[[Path], str], taken: set[Path]
) -> dict[str, list[Path]]:
    """Group the label maps that are not taken by what a rule makes of their keys."""
    groups: dict[str, list[Path]] = {}
    for key, path in labels.items():
        if path not in taken:
            groups.setdefault(rule(key), []).append(path)
    return groups


def _matches(
    names: Mapping[Path, str], groups: Mapping[str, list[Path]], *, is_exact: bool
) -> dict[Path, list[Path]]:
    """Give images the label maps of their names; unless these are exact, only one may have each."""
    rivals = Counter(names.values())
    return {
        key: groups[name]
        for key, name in names.items()
        if name in groups and (is_exact or rivals[name] == 1)
    }


RULES: tuple[tuple[bool, Callable[[Path], str]], ...] = (
    (True, lambda key: key.name),
    (False, lambda key: plain_name(key.as_posix())),
    (False, lambda key: plain_name(key.name)),
    (False, lambda key: core(key.name)),
)
"""Whether a rule takes names as they are, and what of a key counts."""


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

    A label map belongs to the image of its name, see `match_keys`; label maps without an image are
    left out.

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
    found, labels = _tell_apart(images, masks, image_ending, mask_ending)
    if not found:
        raise DataError(
            f"{images} holds no image{f' that ends with {image_ending}' if image_ending else ''}; "
            f"images end in {' '.join(sorted(DATA_ENDINGS))}."
        )
    keys = [key for key in found if keep is None or keep(key)]
    pairs = match_keys(found, labels)
    missing = [key for key in keys if len(pairs[key]) != 1]
    if missing:
        hint = (
            " If each shows a class or an object, set data.name: mask_files, or data.mask_format: "
            "multilabel for folders of classes that overlap."
        ) * (len(pairs[missing[0]]) > 1)
        more = f" (nor have {len(missing) - 1} more of {len(keys)} images)" * (len(missing) > 1)
        ending = f" and ends with {mask_ending}" * bool(mask_ending)
        raise DataError(
            f"image {found[missing[0]]} has no {kind} of its own{more}: no one file below {masks} "
            f"has its stem{ending}; add it, move the image away, or set {option}.{hint}"
        )
    return tuple(
        Record(name, found[key], pairs[key][0])
        for name, key in zip(unique_ids(keys), keys, strict=True)
    )


def _tell_apart(
    images: Path, masks: Path, image_ending: str, mask_ending: str
) -> tuple[dict[Path, Path], dict[Path, Path]]:
    """Find images and label maps; one folder may lie in the other, or be the other."""
    found = find_images(images, image_ending)
    labels = find_images(masks, mask_ending)
    if images.is_relative_to(masks) and images != masks:
        labels = {key: path for key, path in labels.items() if not path.is_relative_to(images)}
    return images_alone(found, labels), labels
