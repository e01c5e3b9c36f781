"""Names and colours of the classes from the files that exporters put beside label maps.

labelmap.txt    CVAT, Segmentation mask 1.1: ``label:red,green,blue:parts:actions``
_classes.csv    Roboflow, Semantic Segmentation Masks: ``Pixel Value, Class``
class_dict.csv  and others with the columns name, r, g, b
dataset.json    nnU-Net and MONAI: ``labels``, name to value or value to name
classes.txt     a name per line, also labels.txt, class_names.txt, obj.names; data.yaml: ``names``
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Generic, TypeVar

from segloom.data.pairing import SPLIT_NAMES
from segloom.data.sets.shapes import BACKGROUND, IGNORED, NAME_FILES
from segloom.data_check.conclude import conclude
from segloom.data_check.contents import Contents, ValueCount, rgb, spell
from segloom.data_check.finding import Finding
from segloom.data_check.meaning import Meaning
from segloom.data_check.smeared import true_colors, true_values
from segloom.errors import DataError
from segloom.files import parse_json, parse_yaml
from segloom.labels.smear import MIN_GAP
from segloom.types import IGNORE_INDEX

__all__ = ["NamedClasses", "conclude_named", "find_names"]

Color = tuple[int, int, int]

NAME_COLUMNS = ("class", "name", "class_name", "label")
MAX_BYTES = 2**20
"""Of a file of names."""


@dataclass(frozen=True)
class NamedClasses:
    """What a file says about the classes."""

    path: Path
    names: tuple[str, ...]
    """In the order of the file."""
    values: dict[int, str] = field(default_factory=dict)
    """Stored value to name, where the file says so."""
    colors: dict[Color, str] = field(default_factory=dict)
    """Colour to name, where the file says so."""


def find_names(root: Path) -> NamedClasses | None:
    """Read the file that names the classes of a folder; None if there is none.

    The folder itself is looked at, and its folders of the splits.

    Raises:
        DataError: There is such a file, but it is damaged.
    """
    splits = (root / name for names in SPLIT_NAMES.values() for name in names)
    for folder in (root, *splits):
        for name, read in READERS.items():
            path = folder / name
            if path.is_file() and (found := _read(path, read)) is not None and found.names:
                return found
    return None


def conclude_named(contents: Contents, named: NamedClasses) -> Meaning | None:
    """Describe what label values mean by the names that a file gives them.

    Returns:
        None if the file cannot be about these label maps: it names no colours and they hold some,
        or it names fewer classes than they hold values.
    """
    if not (contents.values or contents.colors):
        return None
    if contents.num_lossy or contents.num_smeared:
        return _smeared(contents, named)
    if contents.colors or (named.colors and not named.values and _has_palette(contents, named)):
        return _by_color(contents, named) if named.colors else None
    return _by_value(contents, named)


def _smeared(contents: Contents, named: NamedClasses) -> Meaning | None:
    """Name what was drawn before it was smeared; None if that is not clear."""
    meaning = conclude(contents)
    if any(finding.level == "problem" and finding.kind != "trimap" for finding in meaning.findings):
        return None
    is_two = meaning.options.get("mask_format") == "binary"
    if is_two:
        return _name_two(meaning, contents, named)
    found = conclude_named(_as_drawn(contents, named), named)
    if found is not None:
        found.findings += [one for one in meaning.findings if one.kind == "smeared"]
        found.names = {}  # the stored values are not those that were drawn
    return found


def _name_two(meaning: Meaning, contents: Contents, named: NamedClasses) -> Meaning | None:
    """Name dark and bright; None if the file does not name two."""
    drawn = Contents(kinds=contents.kinds, values={0: ValueCount(), 255: ValueCount()})
    table = named.values or _number_names(drawn, named.names) or {}
    if table.keys() != {0, 255} and table.keys() != {0, 1}:
        return None
    meaning.options["classes"] = [table[value] for value in sorted(table)]
    meaning.findings.insert(0, _note(named))
    return meaning


def _as_drawn(contents: Contents, named: NamedClasses) -> Contents:
    """Return what the files held before they were smeared, as far as names depend on it."""
    if contents.colors:
        colors = map(rgb, true_colors(contents) or ())
        codes = [_nearest(color, named.colors, _color_gap) for color in colors]
        counts = {red << 16 | green << 8 | blue: ValueCount() for red, green, blue in codes}
        return Contents(kinds=contents.kinds, colors=counts)
    values = [_nearest(v, named.values, _value_gap) for v in true_values(contents) or ()]
    return Contents(kinds=contents.kinds, values={value: ValueCount() for value in values})


Code = TypeVar("Code", int, Color)
"""What a label map stores: a value or a colour."""


def _nearest(code: Code, known: Iterable[Code], gap: Callable[[Code, Code], int]) -> Code:
    """Take a code for the known one that it was before compression changed it, if any is near."""
    near = [one for one in known if gap(one, code) < MIN_GAP]
    return min(near, key=lambda one: gap(one, code), default=code)


def _value_gap(one: int, other: int) -> int:
    return abs(one - other)


def _color_gap(one: Color, other: Color) -> int:
    return max(abs(first - second) for first, second in zip(one, other, strict=True))


@dataclass(frozen=True)
class _Legend(Generic[Code]):
    """Which class every stored value or colour is."""

    given: dict[Code, str]
    """To their names, in the order of the classes."""
    found: frozenset[Code]
    """What the label maps hold."""

    @cached_property
    def kept(self) -> dict[Code, str]:
        """What is given, without what is named as void."""
        return {code: name for code, name in self.given.items() if name.lower() not in IGNORED}

    @cached_property
    def first(self) -> dict[str, Code]:
        """The first value or colour of every class."""
        return {name: code for code, name in reversed(self.kept.items())}

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The classes."""
        return tuple(dict.fromkeys(self.kept.values()))

    @cached_property
    def unknown(self) -> list[Code]:
        """What is found without being named."""
        return sorted(self.found - self.given.keys())

    @property
    def voids(self) -> list[Code]:
        """What is void by its name, then what has no name."""
        return [code for code in self.given if code not in self.kept] + self.unknown

    def class_ids(self) -> dict[Code, int]:
        """Number everything that is given or found; void is 255."""
        ids = {code: self.names.index(name) for code, name in self.kept.items()}
        return ids | dict.fromkeys(self.voids, IGNORE_INDEX)

    def name(self, code: Code) -> str:
        """Name a value or colour for the table."""
        return self.kept.get(code, "(void)")


def _by_color(contents: Contents, named: NamedClasses) -> Meaning:
    if contents.colors:
        meaning = Meaning("RGB colours")
        stored = {code: code for code in contents.color_codes()}
    else:
        meaning = Meaning("palette indices")
        stored = {value: min(contents.shown[value]) for value in contents.values}
    legend = _Legend(named.colors, frozenset(map(rgb, stored.values())))
    meaning.findings.append(_note(named))
    palette = [list(legend.first[name]) for name in legend.names]
    meaning.options = {"mask_format": "color", "classes": list(legend.names), "palette": palette}
    ids = legend.class_ids()
    if label_map := {spell(color): ids[color] for color in ids if list(color) not in palette}:
        meaning.options["label_map"] = label_map
    if legend.unknown:
        meaning.findings.append(_outside(named, "colours", legend.unknown))
    meaning.names = {value: legend.name(rgb(code)) for value, code in stored.items()}
    return meaning


def _by_value(contents: Contents, named: NamedClasses) -> Meaning | None:
    table = named.values or _number_names(contents, named.names)
    if table is None:
        return None
    found = frozenset(contents.values) - {IGNORE_INDEX}
    legend = _Legend(dict(sorted(table.items())), found)
    meaning = Meaning("palette indices" if contents.kinds["palette"] else "class ids")
    meaning.findings.append(_note(named))
    meaning.options = {"mask_format": "index", "classes": list(legend.names)}
    _number(meaning, legend)
    if legend.unknown:
        meaning.findings.append(_outside(named, "values", legend.unknown))
    meaning.names = {value: legend.name(value) for value in contents.values}
    return meaning


def _number(meaning: Meaning, legend: _Legend[int]) -> None:
    """Add the options that make class ids of stored values, where these are none."""
    voids = [value for value in legend.voids if value != IGNORE_INDEX]
    is_plain = [legend.first.get(name) for name in legend.names] == list(range(len(legend.names)))
    if not is_plain or len(legend.kept) > len(legend.names):
        ids = legend.class_ids()
        meaning.options["label_map"] = {str(value): class_id for value, class_id in ids.items()}
    elif voids:
        meaning.options["ignore_values"] = sorted(voids)


def _number_names(contents: Contents, names: tuple[str, ...]) -> dict[int, str] | None:
    """Number names of a file without numbers; None if the label maps hold more values."""
    values = sorted(value for value in contents.values if value != IGNORE_INDEX)
    highest = max(values, default=-1)
    with_background = (BACKGROUND, *names)
    if BACKGROUND in map(str.lower, names):
        with_background = names
    if highest == len(names):
        names = with_background
    if values == [0] and IGNORE_INDEX in contents.values:
        two = with_background if len(names) == 1 else names
        if len(two) == 2:
            return {0: two[0], IGNORE_INDEX: two[1]}
    if highest < len(names):
        return dict(enumerate(names))
    for spread in (values, sorted(contents.values)):  # grey values that are apart for the eye
        if len(spread) == len(names):
            return dict(zip(spread, names, strict=True))
    return None


def _has_palette(contents: Contents, named: NamedClasses) -> bool:
    """Whether every index shows one colour, and a colour that the file names."""
    shown = [contents.shown.get(value, set()) for value in contents.values]
    known = {red << 16 | green << 8 | blue for red, green, blue in named.colors}
    return all(len(colors) == 1 and colors <= known for colors in shown)


def _note(named: NamedClasses) -> Finding:
    return Finding("note", "names", f"{named.path} names the classes.")


def _outside(named: NamedClasses, what: str, unknown: Iterable[object]) -> Finding:
    listed = ", ".join(map(str, list(unknown)[:12]))
    message = (
        f"{what} that {named.path} does not name: {listed}; as the lines below stand they become "
        "void. If they are classes, name them there."
    )
    return Finding("problem", "outside", message)


Parsed = tuple[tuple[str, ...], dict[int, str], dict[Color, str]]


def _read(path: Path, read: Callable[[str], Parsed]) -> NamedClasses | None:
    if path.stat().st_size > MAX_BYTES:
        return None
    try:
        return NamedClasses(path, *read(path.read_text(encoding="utf-8-sig")))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OSError) as error:
        raise DataError(
            f"{path} names no classes in a form that is known ({error}); correct it or move it "
            "away."
        ) from error


def _labelmap(text: str) -> Parsed:
    colors: dict[Color, str] = {}
    names = []
    for line in text.splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        name, *rest = line.strip().split(":")
        names.append(name)
        if rest and rest[0]:
            colors[_color(rest[0].split(","))] = name
    return tuple(names), {}, colors


def _table(text: str) -> Parsed:
    """Read a CSV with the columns of a name and of a value, or of red, green and blue."""
    place, rows = _cells(text)
    name = place[next((word for word in NAME_COLUMNS if word in place), "name")]
    names = tuple(row[name] for row in rows)
    if "pixel value" in place:
        values = {int(row[place["pixel value"]]): row[name] for row in rows}
        return names, values, {}
    red, green, blue = (
        place[channel[0]] if channel[0] in place else place[channel]
        for channel in ("red", "green", "blue")
    )
    return names, {}, {_color([row[red], row[green], row[blue]]): row[name] for row in rows}


def _cells(text: str) -> tuple[dict[str, int], list[list[str]]]:
    """Read a CSV: the place of every column by its name in lower case, and the rows."""
    header, *rows = (
        [cell.strip() for cell in row] for row in csv.reader(io.StringIO(text)) if any(row)
    )
    return {cell.lower(): column for column, cell in enumerate(header)}, rows


def _dataset_json(text: str) -> Parsed:
    labels: dict[str, int | str] = parse_json(text).get("labels") or {}
    if not isinstance(labels, dict):
        return (), {}, {}
    if all(re.fullmatch(r"\d+", key) for key in labels):  # of the Decathlon: value to name
        values = {int(key): str(name) for key, name in labels.items()}
    else:
        values = {int(value): name for name, value in labels.items()}
    return tuple(values[key] for key in sorted(values)), values, {}


def _lines(text: str) -> Parsed:
    return tuple(line.strip() for line in text.splitlines() if line.strip()), {}, {}


def _yaml(text: str) -> Parsed:
    names = (parse_yaml(text) or {}).get("names") or []
    if isinstance(names, dict):
        values = {int(key): str(name) for key, name in names.items()}
        return tuple(values[key] for key in sorted(values)), values, {}
    return tuple(map(str, names)), {}, {}


def _color(words: Iterable[str]) -> Color:
    red, green, blue = map(int, words)
    if not all(0 <= channel <= 255 for channel in (red, green, blue)):
        raise ValueError(f"{red},{green},{blue} is no colour")
    return red, green, blue


READERS: dict[str, Callable[[str], Parsed]] = {
    "labelmap.txt": _labelmap,
    "_classes.csv": _table,
    "class_dict.csv": _table,
    "class_dict_seg.csv": _table,
    "dataset.json": _dataset_json,
    **dict.fromkeys(NAME_FILES, _lines),
    "data.yaml": _yaml,
}
