"""What label maps in colour mean, said as options of the configuration."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from segloom.data_check.contents import Contents, rgb, spell
from segloom.data_check.finding import Finding
from segloom.data_check.meaning import (
    MANY_CLASSES,
    LabelOptions,
    Meaning,
    listed,
    many_classes,
)
from segloom.data_check.palettes import known_palette
from segloom.data_check.smeared import describe_smear, true_colors
from segloom.types import IGNORE_INDEX

__all__ = ["conclude_colors"]

Color = tuple[int, int, int]

BLACK_AND_WHITE = (0x000000, 0xFFFFFF)
MAX_COLORS = 256
"""More colours than this are those of photographs or of lossy files."""


def conclude_colors(contents: Contents, classes: Sequence[str]) -> Meaning:
    """Label maps stored as RGB; grey ones among them count as colours too."""
    meaning = Meaning("RGB colours")
    grey = contents.kinds["grey"] + contents.kinds["palette"] + contents.kinds["bit"]
    if grey:
        message = (
            f"{contents.kinds['color']} label maps hold colours and {grey} hold grey values or "
            "indices; files of one colour such as all black are fine, others should be exported "
            "alike."
        )
        others = _grey_alone(contents)
        if others:
            message += f" The values {listed(others)} are no colours of the others."
        level = "problem" if others else "note"
        meaning.findings.append(Finding(level, "mixed-kinds", message))
    codes = _drawn_colors(meaning, contents)
    if codes:
        ordered = sorted(codes, key=lambda code: (code != 0, -codes[code]))
        meaning.options["mask_format"] = "color"
        meaning.options.update(_color_classes(meaning, [rgb(code) for code in ordered], classes))
        _name_colors(meaning, ordered)
    return meaning


def _grey_alone(contents: Contents) -> list[int]:
    """List the grey values and indices of files that are none of the colours of other files."""
    if contents.num_lossy or contents.num_smeared:
        return []
    return [
        value
        for value in sorted(contents.values)
        if not contents.shows(value) <= {*contents.colors, *BLACK_AND_WHITE}
    ]


def _drawn_colors(meaning: Meaning, contents: Contents) -> Counter[int]:
    """Count the pixels of the colours that were drawn; none if no colour can be trusted."""
    codes = contents.color_codes()
    is_doubtful = bool(contents.num_lossy or contents.has_many_values or len(codes) > MAX_COLORS)
    if is_doubtful or contents.num_smeared:
        drawn = true_colors(contents)
        if drawn is not None:
            shown = [spell(rgb(code)) for code in drawn]
            meaning.findings.append(Finding("note", "smeared", describe_smear(contents, shown)))
            return Counter({code: contents.flat[code] for code in drawn})
    if not is_doubtful:
        return codes
    why = "are JPEG files" if contents.num_lossy else f"hold over {MAX_COLORS} colours"
    message = f"label maps in colour {why}, so no colour can be trusted; export them as PNG."
    meaning.findings.append(Finding("problem", "jpeg-labels", message))
    return Counter()


def _color_classes(meaning: Meaning, colors: list[Color], classes: Sequence[str]) -> LabelOptions:
    """Return the options that name the classes of colours."""
    known = known_palette(colors)
    if known and len(classes) in (0, len(known["classes"])):
        names = list(classes) or known["classes"]
        return {"classes": names, "palette": known["palette"], "label_map": known["label_map"]}
    if classes and len(classes) != len(colors):
        return _misfit(meaning, colors, classes)
    if len(colors) > MANY_CLASSES and not classes:
        meaning.findings.append(many_classes(f"{len(colors)} colours", "colour"))
    names = list(classes) or [f"color_{r}_{g}_{b}" for r, g, b in colors]
    message = f"{len(colors)} colours, listed below by their share; name them in data.classes."
    meaning.findings.append(Finding("note", "colors", message))
    return {"classes": names, "palette": list(map(list, colors))}


def _misfit(meaning: Meaning, colors: list[Color], classes: Sequence[str]) -> LabelOptions:
    """Return the first colours to the classes, of which there are more or fewer than colours."""
    message = (
        f"{len(classes)} classes are named but the label maps hold {len(colors)} colours: "
        f"{listed(colors)}; put data.palette into the order of the classes, and send the "
        "other colours to 255 with data.label_map."
    )
    meaning.findings.append(Finding("problem", "outside", message))
    palette = [list(color) for color in colors[: len(classes)]]
    options = LabelOptions(classes=list(classes), palette=palette)
    if rest := {spell(color): IGNORE_INDEX for color in colors[len(classes) :]}:
        options["label_map"] = rest
    return options


def _name_colors(meaning: Meaning, codes: list[int]) -> None:
    names, palette = meaning.options["classes"], meaning.options["palette"]
    label_map = meaning.options.get("label_map", {})
    for code in codes:
        color = rgb(code)
        class_id = label_map.get(spell(color), IGNORE_INDEX)
        if list(color) in palette:
            class_id = palette.index(list(color))
        meaning.names[code] = names[class_id] if class_id < len(names) else "(void)"
