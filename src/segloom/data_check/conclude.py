"""From what label files hold to what it means, said as options of the configuration."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from segloom.data_check.conclude_colors import conclude_colors
from segloom.data_check.contents import Contents
from segloom.data_check.finding import Finding
from segloom.data_check.meaning import MANY_CLASSES, LabelOptions, Meaning, listed, many_classes
from segloom.data_check.smeared import describe_smear, has_third_value, true_values
from segloom.labels.decoder import BRIGHT, DARK
from segloom.labels.storage import THRESHOLD
from segloom.types import IGNORE_INDEX

__all__ = ["conclude"]

MAX_CLASSES = 255
FEW_VALUES = 32
"""With more values than this, label maps must also have areas to be taken for label maps."""


def conclude(contents: Contents, classes: Sequence[str] = ()) -> Meaning:
    """Describe what label values mean and which options make them usable.

    Args:
        contents: What the files hold.
        classes: Names of the classes if they are known, in the order of their ids.
    """
    if contents.colors:
        return conclude_colors(contents, classes)
    if not contents.values:
        return Meaning("nothing readable")
    if contents.num_lossy and len(contents.values) > 2:
        return _lossy_grey(contents, classes)
    if contents.num_smeared and (drawn := true_values(contents)) is not None:
        return _smeared(contents, classes, drawn)
    if _shows_two(contents, classes):
        return _binary(contents, classes)
    if pictured := _pictured(contents):
        return _no_labels(pictured)
    return _ids(contents, classes)


def _shows_two(contents: Contents, classes: Sequence[str]) -> bool:
    two = {0, 255} if max(contents.values) < 256 else {0, 65535}
    is_bits = set(contents.kinds) == {"bit"}
    return is_bits or (set(contents.values) == two and len(classes) in (0, 2))


def _pictured(contents: Contents) -> str:
    """Describe what shows that the files are pictures; empty if they may be label maps."""
    if contents.has_many_values or len(contents.values.keys() - {IGNORE_INDEX}) > MAX_CLASSES:
        return f"more than {MAX_CLASSES} different values"
    equal, pairs = contents.like_neighbour
    if len(contents.values) > FEW_VALUES and equal < 0.5 * pairs:
        return (
            f"{len(contents.values)} different values that change from pixel to pixel "
            f"({1 - equal / pairs:.0%} of neighbours differ)"
        )
    return ""


def _no_labels(what: str) -> Meaning:
    meaning = Meaning("grey values without steps")
    message = (
        f"label maps hold {what}, so they are pictures or soft masks, not label maps; export "
        "class ids."
    )
    meaning.findings.append(Finding("problem", "not-labels", message))
    return meaning


def _binary(contents: Contents, classes: Sequence[str]) -> Meaning:
    names = list(classes) if len(classes) == 2 else ["background", "foreground"]
    options = LabelOptions(mask_format="binary", classes=names)
    meaning = Meaning("two values, dark and bright", options)
    bright = 1 if set(contents.kinds) == {"bit"} else max(contents.values)
    meaning.names = {0: names[0], bright: names[1]}
    note = f"the label maps hold 0 and {bright}: {bright} is read as class 1, not as void."
    meaning.findings.append(Finding("note", "binary", note))
    return meaning


def _lossy_grey(contents: Contents, classes: Sequence[str]) -> Meaning:
    near, total = contents.near_binary
    is_two = total and near / total > 0.9 and max(contents.values) > THRESHOLD
    drawn = true_values(contents)
    if is_two and not has_third_value(contents, drawn) and len(classes) in (0, 2):
        meaning = _binary(contents, classes)
        meaning.names = {}
        note = (
            f"{contents.num_lossy} label maps are JPEG files, whose compression made "
            f"{len(contents.values)} values out of two; they are cut at 127, and their outlines "
            "are a little rough. Export label maps as PNG if you can."
        )
        meaning.findings = [Finding("note", "jpeg-binary", note)]
        return meaning
    if drawn is not None:
        return _smeared(contents, classes, drawn)
    meaning = Meaning("grey values changed by JPEG")
    message = (
        f"{contents.num_lossy} label maps are JPEG files, whose compression mixes neighbouring "
        "class ids into wrong ones; export them again as PNG."
    )
    meaning.findings.append(Finding("problem", "jpeg-labels", message))
    return meaning


def _smeared(contents: Contents, classes: Sequence[str], drawn: list[int]) -> Meaning:
    """Read smeared grey label maps by the values that were drawn."""
    is_two = len(drawn) == 2 and drawn[0] <= DARK and drawn[1] >= BRIGHT
    note = Finding("note", "smeared", describe_smear(contents, drawn))
    if is_two and len(classes) in (0, 2):
        meaning = _binary(contents, classes)
        meaning.findings, meaning.names = [note], {}
        return meaning
    meaning = Meaning("grey values, smeared", {"mask_format": "index"}, [note])
    if not classes and len(drawn) == 3 and (drawn[0], drawn[2]) == (0, 255):
        _trimap(meaning, drawn[1])
    else:
        _number_drawn(meaning, classes, drawn)
    return meaning


def _number_drawn(meaning: Meaning, classes: Sequence[str], drawn: list[int]) -> None:
    """Number the values that were drawn in the order of the classes."""
    has_void = len(drawn) == len(classes) + 1 and drawn[-1] == IGNORE_INDEX
    kept = drawn[:-1] if classes and has_void else drawn
    names = list(classes) or _numbered(kept)
    meaning.options["classes"] = names
    meaning.options["label_map"] = {
        str(value): place if place < len(names) else IGNORE_INDEX
        for place, value in enumerate(kept)
    }
    if len(kept) != len(names):
        message = f"{len(classes)} classes are named but areas have the values {listed(drawn)}."
        meaning.findings.append(Finding("problem", "outside", message))


def _ids(contents: Contents, classes: Sequence[str]) -> Meaning:
    values = [value for value in sorted(contents.values) if 0 <= value != IGNORE_INDEX]
    meaning = Meaning("palette indices" if contents.kinds["palette"] else "class ids")
    if not values:
        message = "every label pixel is 255, so nothing is labelled; export the label maps again."
        meaning.findings.append(Finding("problem", "all-void", message))
        return meaning
    if len(values) == 1 and len(classes) < 2:
        message = (
            f"every labelled pixel is {values[0]}, which leaves nothing to tell apart; label the "
            "background too, or name the classes with --classes."
        )
        meaning.findings.append(Finding("problem", "one-class", message))
    meaning.options["mask_format"] = "index"
    if classes:
        _declared(meaning, values, list(classes))
    else:
        _guessed(meaning, values, contents)
    _ignore_negative(meaning, contents)
    _note_palette(meaning, contents)
    _name_ids(meaning, values, contents)
    return meaning


def _ignore_negative(meaning: Meaning, contents: Contents) -> None:
    if negative := [value for value in sorted(contents.values) if value < 0]:
        ignored = [*negative, *meaning.options.get("ignore_values", ())]
        meaning.options["ignore_values"] = ignored
        message = f"{listed(negative)} is below 0, as values of no data are; it is read as void."
        meaning.findings.append(Finding("note", "no-data", message))


def _name_ids(meaning: Meaning, values: list[int], contents: Contents) -> None:
    ids = meaning.options.get("label_map") or {str(value): value for value in values}
    names = meaning.options["classes"]
    voids = set(meaning.options.get("ignore_values", ()))
    for value in contents.values:
        class_id = IGNORE_INDEX if value in voids else ids.get(str(value), IGNORE_INDEX)
        meaning.names[value] = names[class_id] if class_id < len(names) else "(void)"


def _declared(meaning: Meaning, values: list[int], classes: list[str]) -> None:
    count = len(classes)
    meaning.options["classes"] = classes
    outside = [value for value in values if value >= count]
    if outside == [count] and 0 not in values:
        _shift(meaning, count)
    elif outside:
        meaning.options["ignore_values"] = outside
        message = (
            f"values outside the {count} classes: {listed(outside)}; as the lines below stand "
            "they become void. If they are classes, name them."
        )
        meaning.findings.append(Finding("problem", "outside", message))


def _guessed(meaning: Meaning, values: list[int], contents: Contents) -> None:
    highest, count = values[-1], len(values)
    if count > MANY_CLASSES:
        meaning.findings.append(many_classes(f"{count} values", "number"))
    if _is_trimap(values) and IGNORE_INDEX in contents.values:
        _trimap(meaning, highest)
        return
    if values == list(range(1, count + 1)):
        meaning.options["classes"] = _numbered(values)
        _shift(meaning, count)
        return
    if count > 2 and values == list(range(count)) and _is_outline(contents):
        meaning.options["classes"] = _numbered(values[1:])
        _shift(meaning, count - 1, void_zero=True)
        return
    if highest + 1 <= 2 * count + 2 and highest < MAX_CLASSES:
        _keep_ids(meaning, values)
    else:
        _close_gaps(meaning, values)


def _keep_ids(meaning: Meaning, values: list[int]) -> None:
    places = range(values[-1] + 1)
    meaning.options["classes"] = _numbered(places)
    if unused := sorted(set(places) - set(values)):
        message = f"the ids {listed(unused)} never occur; they keep their places."
        meaning.findings.append(Finding("note", "unused-ids", message))


def _close_gaps(meaning: Meaning, values: list[int]) -> None:
    meaning.options["classes"] = _numbered(values)
    meaning.options["label_map"] = {str(value): place for place, value in enumerate(values)}
    message = f"the values {listed(values)} have gaps; data.label_map numbers them from 0."
    meaning.findings.append(Finding("note", "gaps", message))


def _is_trimap(values: list[int]) -> bool:
    """Return whether the values besides 255 are those of a trimap: black and a grey."""
    return len(values) == 2 and values[0] == 0 and values[1] > 100


def _is_outline(contents: Contents) -> bool:
    """Return whether 0 is only drawn along the edges of other values."""
    zeros, core = contents.zero
    return zeros > 0 and core < 0.3 * zeros


def _trimap(meaning: Meaning, unsure: int) -> None:
    meaning.options["classes"] = ["background", "foreground"]
    meaning.options["label_map"] = {"0": 0, "255": 1, str(unsure): IGNORE_INDEX}
    message = (
        f"the label maps hold 0, {unsure} and 255, as trimaps do: the lines below read 255 as "
        f"foreground and {unsure} as unsure, which is void. If 255 is void, write "
        f'data.label_map: {{"0": 0, "{unsure}": 1}} in their place.'
    )
    meaning.findings.append(Finding("problem", "trimap", message))


def _shift(meaning: Meaning, count: int, *, void_zero: bool = False) -> None:
    label_map = {str(value + 1): value for value in range(count)}
    message = f"the ids go from 1 to {count} and 0 is never used; data.label_map shifts them to 0."
    if void_zero:
        label_map = {"0": IGNORE_INDEX, **label_map}
        message = (
            f"the ids go from 1 to {count}, and 0 only draws outlines, so it is taken for void; "
            "data.label_map shifts the rest. If 0 is a class, leave data.label_map out and name it."
        )
    meaning.options["label_map"] = label_map
    meaning.findings.append(Finding("note", "off-by-one", message))


def _note_palette(meaning: Meaning, contents: Contents) -> None:
    if not contents.palettes:
        return
    clash = sum(len(colors) > 1 for colors in contents.shown.values())
    if clash:
        message = (
            f"the label maps have {len(contents.palettes)} different palettes, in which {clash} "
            "indices that occur have different colours; the indices are read, so check that one "
            "index means the same class in every file. If the colours count, set "
            "data.mask_format: color and data.palette."
        )
        meaning.findings.append(Finding("problem", "palettes", message))
        return
    colors = np.frombuffer(next(iter(contents.palettes)), np.uint8).reshape(256, 3)
    label_map = meaning.options.get("label_map")
    count = len(meaning.options["classes"])
    stored = {class_id: int(value) for value, class_id in (label_map or {}).items()}
    shown = [colors[stored.get(class_id, class_id)].tolist() for class_id in range(count)]
    if len({tuple(color) for color in shown}) == count:
        meaning.options["palette"] = shown
    note = "the label maps have a palette; its indices are the ids, its colours only for pictures."
    meaning.findings.append(Finding("note", "palette", note))


def _numbered(values: Iterable[int]) -> list[str]:
    return [f"class_{value}" for value in values]
