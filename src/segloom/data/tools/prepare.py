"""Turning a folder of colour label maps into class ids, once.

Each label map becomes a palette PNG, whose values are the class ids and which still shows colours.
A file appears in one step, so a run that was stopped goes on where it stood; `counts.json` comes
last, with the pixels of each class.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from segloom.data.pairing import find_images
from segloom.data.sets.camvid import CAMVID, MERGE
from segloom.errors import ConfigError, DataError
from segloom.files import parse_json, write_json
from segloom.labels.decoder import LabelDecoder, make_decoder
from segloom.labels.pictures import write_palette_png
from segloom.labels.stored import read_labels
from segloom.types import IGNORE_INDEX, LabelSet

__all__ = ["Prepared", "camvid_labels", "prepare", "read_palette"]

COUNTS, RULE = "counts.json", "rule.json"


@dataclass(frozen=True)
class Prepared:
    """What `prepare` did."""

    path: Path
    num_maps: int
    num_written: int
    """Label maps that were not there yet."""
    pixels: Mapping[str, int]
    """Pixels of each class, by name."""
    void_pixels: int


def prepare(
    source: Path,
    out: Path,
    labels: LabelSet,
    decoder: LabelDecoder,
    *,
    ending: str = "",
    progress: Callable[[int, int | None], None] | None = None,
) -> Prepared:
    """Write the class ids of every label map below ``source`` to the same place below ``out``.

    Args:
        source: Folder of label maps.
        out: Folder to write; files that an earlier call with the same decoder wrote are kept,
            unless their label map is newer.
        labels: Classes and the colours to show them in.
        decoder: What the stored values mean.
        ending: End of the stems, such as ``_L``, that is left out of the new names.
        progress: Called with the label maps done and their number.

    Raises:
        DataError: There are no label maps, one cannot be read or holds an unknown value, or
            ``out`` was prepared by another rule.
    """
    if not source.is_dir():
        raise DataError(f"there is no folder {source}.")
    found = find_images(source, ending)
    if not found:
        raise DataError(f"{source} holds no label map{f' ending in {ending}' if ending else ''}.")
    _keep_rule(out, decoder)
    counts = np.zeros(IGNORE_INDEX + 1, np.int64)
    written = 0
    for number, (key, path) in enumerate(found.items(), start=1):
        target = out / key.with_name(f"{key.name}.png")
        if target.is_file() and target.stat().st_mtime_ns >= path.stat().st_mtime_ns:
            ids = read_labels(target).pixels
        else:
            ids = decoder.decode(path)
            write_palette_png(target, ids, labels.palette)
            written += 1
        counts += np.bincount(ids.ravel(), minlength=len(counts))
        if progress is not None:
            progress(number, len(found))
    pixels = dict(zip(labels.classes, counts.tolist(), strict=False))
    done = Prepared(out, len(found), written, pixels, int(counts[IGNORE_INDEX]))
    write_json(
        out / COUNTS,
        {"label_maps": len(found), "pixels": pixels, "void_pixels": done.void_pixels},
    )
    return done


def _keep_rule(out: Path, decoder: LabelDecoder) -> None:
    """Note which decoder fills the folder; refuse to mix two."""
    path = out / RULE
    is_empty = not out.is_dir() or all(found == path for found in out.iterdir())
    if not is_empty and not path.is_file():
        raise DataError(f"{out} is not empty and was not prepared by segloom; give another --out.")
    # maps that were written while unknown values were refused hold none
    strict = replace(decoder, unknown=None).fingerprint
    if not is_empty and parse_json(path.read_text()).get("decoder") not in (
        decoder.fingerprint,
        strict,
    ):
        raise DataError(
            f"{out} holds label maps that were prepared with other colours or classes; give "
            "another --out, or remove it."
        )
    write_json(path, {"decoder": decoder.fingerprint, "label_map": decoder.label_map})


def camvid_labels(unknown: int | None = None) -> tuple[LabelSet, LabelDecoder]:
    """Give CamVid's 11 classes and the decoder that merges its 32 colours into them."""
    count = len(CAMVID.classes)
    decoder = make_decoder(count, "color", label_map=MERGE, unknown=unknown)
    return CAMVID, replace(
        decoder,
        mend="These 11 are CamVid's; give the colours of another data set with --palette FILE, or "
        "take the rest as void with --unknown void.",
    )


def read_palette(path: Path, unknown: int | None = None) -> tuple[LabelSet, LabelDecoder]:
    """Read classes from a text file: a line ``RED GREEN BLUE [NAME]`` for each, in order of ids.

    Args:
        path: The file; empty lines do not count.
        unknown: Class id of every other colour, 255 for void; None refuses them.

    Raises:
        ConfigError: The file is missing, a line is no colour, or two lines have one colour.
    """
    if not path.is_file():
        raise ConfigError(f"there is no palette file {path}.")
    names: list[str] = []
    colors: list[tuple[int, int, int]] = []
    for number, line in enumerate(path.read_text().splitlines(), start=1):
        words = line.split()
        if not words:
            continue
        if len(words) < 3 or not all(w.isdecimal() and int(w) <= 255 for w in words[:3]):
            raise ConfigError(
                f"line {number} of {path} is '{line}', not RED GREEN BLUE [NAME] with colours from "
                "0 to 255."
            )
        color = (int(words[0]), int(words[1]), int(words[2]))
        if color in colors:
            raise ConfigError(f"line {number} of {path} repeats a colour; give each class its own.")
        colors.append(color)
        names.append(" ".join(words[3:]) or f"class {len(names)}")
    labels = LabelSet(tuple(names), tuple(colors))
    decoder = make_decoder(len(colors), "color", palette=colors, unknown=unknown)
    return labels, replace(
        decoder, mend=f"Add them to {path}, or take the rest as void with --unknown void."
    )
