"""Label maps as pictures: colours, overlays, error maps, legends and montages, and writing them.

Pictures are uint8 ``(H, W, 3)``, RGB. Label maps are integer ``(H, W)``: class ids, and 255 for a
pixel without a class (void), which is black, or of another colour where a class is as dark
(`segloom.labels.palette.void_color`). `segloom.labels.painting` paints what a data set's values
mean, which may be bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from segloom.errors import ConfigError, DataError
from segloom.files import atomic_path
from segloom.labels.form import checked_form, checked_ids
from segloom.labels.palette import Color, void_color
from segloom.types import IGNORE_INDEX

__all__ = [
    "ERROR_LEGEND",
    "FLIP_LEGEND",
    "colorize",
    "draw_legend",
    "error_map",
    "flip_map",
    "legend",
    "montage",
    "overlay",
    "write_image",
    "write_label_png",
    "write_palette_png",
]

Picture: TypeAlias = NDArray[np.uint8]
LegendEntry: TypeAlias = tuple[str, tuple[int, int, int]]

BLACK = (0, 0, 0)
RIGHT, WRONG = (92, 108, 122), (255, 166, 33)
ERROR_LEGEND: tuple[LegendEntry, ...] = (("right", RIGHT), ("wrong", WRONG))
"""Colours of `error_map`. They differ in lightness, so every kind of colour vision tells them."""

MENDED, SPOILED = (92, 230, 168), (226, 48, 32)
STILL_RIGHT, STILL_WRONG = (58, 68, 78), (136, 142, 148)
FLIP_LEGEND: tuple[LegendEntry, ...] = (
    ("wrong before, right now", MENDED),
    ("right before, wrong now", SPOILED),
    ("right in both", STILL_RIGHT),
    ("wrong in both", STILL_WRONG),
)
"""Colours of `flip_map`: green and red of very different lightness, on dark and middle grey."""

PAPER, INK = (255, 255, 255), (32, 36, 40)
GAP = 10  # pixels between panels and around them


def colorize(labels: NDArray[np.integer], palette: Sequence[Color]) -> Picture:
    """Paint a label map ``(H, W)`` in the colours of its classes; void has `void_color`.

    Raises:
        DataError: ``labels`` is no integer map, or holds an id without a colour.
    """
    colors = _color_table(palette)
    picture: Picture = colors[checked_ids(labels, len(palette))]
    return picture


def overlay(
    image: Picture,
    labels: NDArray[np.integer],
    palette: Sequence[Color],
    alpha: float = 0.5,
    *,
    background: int | None = None,
) -> Picture:
    """Tint an image with the colours of its classes; void pixels keep the image.

    Args:
        image: uint8 ``(H, W, 3)``.
        labels: Integer ``(H, W)``.
        palette: One RGB colour per class.
        alpha: Share of the colour, 0 to 1.
        background: Id of a class whose pixels keep the image too.

    Raises:
        DataError: The sizes differ, an array has another form, or an id has no colour.
    """
    check_alpha(alpha)
    check_picture(image, "image")
    labels = checked_ids(labels, len(palette))
    check_same_size(image, labels, ("image", "label map"))
    bare = labels == IGNORE_INDEX
    if background is not None:
        bare |= labels == background
    return blend(image, _color_table(palette)[labels], bare, alpha)


def blend(image: Picture, colors: Picture, bare: NDArray[np.bool_], alpha: float) -> Picture:
    """Mix an image with the share ``alpha`` of colours ``(H, W, 3)``, but where it is bare."""
    # One part rounds down, so that the sum of the two tables cannot pass 255.
    shade = np.floor(np.arange(256) * (1 - alpha)).astype(np.uint8)
    color = np.round(np.arange(256) * alpha).astype(np.uint8)
    mixed: Picture = shade[image] + color[colors]
    mixed[bare] = image[bare]
    return mixed


def error_map(
    truth: NDArray[np.integer],
    prediction: NDArray[np.integer],
    *,
    void: tuple[int, int, int] = BLACK,
) -> Picture:
    """Show where a prediction is wrong: slate right, orange wrong, ``void`` without truth.

    Raises:
        DataError: The sizes differ or an array is no integer label map.
    """
    truth, prediction = checked_form(truth), checked_form(prediction)
    check_same_size(truth, prediction, ("truth", "prediction"))
    kind = (truth != prediction).astype(np.uint8)
    kind[truth == IGNORE_INDEX] = 2
    picture: Picture = np.array([RIGHT, WRONG, void], dtype=np.uint8)[kind]
    return picture


def flip_map(
    truth: NDArray[np.integer],
    before: NDArray[np.integer],
    after: NDArray[np.integer],
    *,
    void: tuple[int, int, int] = BLACK,
) -> Picture:
    """Show which pixels a second prediction corrects and which it spoils.

    Args:
        truth: Integer ``(H, W)``.
        before: The first prediction, likewise.
        after: The second prediction, likewise.
        void: Colour of pixels without truth.

    Raises:
        DataError: The sizes differ or an array is no integer label map.
    """
    truth, before, after = (checked_form(part) for part in (truth, before, after))
    check_same_size(truth, before, ("truth", "first prediction"))
    check_same_size(truth, after, ("truth", "second prediction"))
    colors = np.array([STILL_WRONG, MENDED, SPOILED, STILL_RIGHT, void], dtype=np.uint8)
    kind = 2 * (before == truth).astype(np.uint8) + (after == truth)
    kind[truth == IGNORE_INDEX] = 4
    picture: Picture = colors[kind]
    return picture


def legend(classes: Sequence[str], palette: Sequence[Color]) -> list[LegendEntry]:
    """Pair every class with its colour, for `montage` or `draw_legend`.

    Raises:
        ConfigError: There is not one colour per class.
    """
    if len(classes) != len(palette):
        raise ConfigError(
            f"legend: {len(classes)} classes but {len(palette)} colours; give one per class."
        )
    colors = _color_table(palette)[: len(palette)].tolist()
    return [
        (name, (color[0], color[1], color[2])) for name, color in zip(classes, colors, strict=True)
    ]


def draw_legend(entries: Sequence[LegendEntry], *, width: int, size: int = 14) -> Picture:
    """Draw swatches with names, in as many rows as ``width`` pixels ask for.

    Args:
        entries: Names and colours; a name that is too long for a row ends in "...".
        width: Of the picture, in pixels; at least 4 times ``size`` is used.
        size: Of the letters, in pixels.
    """
    font = ImageFont.load_default(size)
    width = max(width, 4 * size)
    row_height, swatch = round(size * 1.6), size
    names = [_shorten(_plain(name), font, width - 2 * GAP - swatch - 6) for name, _ in entries]
    places: list[tuple[int, int]] = []
    x = y = GAP
    for name in names:
        length = swatch + 6 + int(font.getlength(name)) + 16
        if x > GAP and x + length - 16 > width - GAP:
            x, y = GAP, y + row_height
        places.append((x, y))
        x += length
    canvas = Image.new("RGB", (width, y + row_height + GAP // 2), PAPER)
    draw = ImageDraw.Draw(canvas)
    for (x, y), name, (_, color) in zip(places, names, entries, strict=True):
        draw.rectangle((x, y, x + swatch - 1, y + swatch - 1), fill=color, outline=(128, 128, 128))
        draw.text((x + swatch + 6, y + swatch // 2), name, fill=INK, font=font, anchor="lm")
    return np.asarray(canvas)


def montage(
    panels: Sequence[tuple[str, Picture]],
    *,
    legend: Sequence[LegendEntry] | None = None,
    panel_limits: tuple[int, int] = (160, 1024),
) -> Picture:
    """Put pictures side by side with their titles above and a legend below.

    Args:
        panels: Title and uint8 ``(H, W, 3)``; sizes may differ.
        legend: Entries of the strip below, as `legend` makes them; None draws no strip.
        panel_limits: A panel is shrunk until no side is longer than the second number, and
            repeated pixel by pixel until it is as wide as the first. Both in pixels.

    Returns:
        uint8 ``(H, W, 3)`` on white.

    Raises:
        DataError: There is no panel, or one has another form.
    """
    if not panels:
        raise DataError("montage: there is nothing to show; give at least one panel.")
    pictures = []
    for title, picture in panels:
        check_picture(picture, f"panel '{title}'")
        pictures.append(_fit(picture, *panel_limits))
    width = GAP + sum(picture.width + GAP for picture in pictures)
    size = int(np.clip(width // 75, 14, 32))  # still readable when the whole is a page wide
    font = ImageFont.load_default(size)
    top = GAP + round(size * 1.6)
    strip = Image.fromarray(draw_legend(legend, width=width, size=size)) if legend else None
    below = top + max(picture.height for picture in pictures) + GAP
    canvas = Image.new("RGB", (width, below + (strip.height if strip else 0)), PAPER)
    draw = ImageDraw.Draw(canvas)
    x = GAP
    for (title, _), panel in zip(panels, pictures, strict=True):
        name = _shorten(_plain(title), font, panel.width)
        draw.text((x, GAP // 2 + size), name, fill=INK, font=font, anchor="ls")
        canvas.paste(panel, (x, top - GAP // 2))
        x += panel.width + GAP
    if strip:
        canvas.paste(strip, (0, below - GAP))
    return np.asarray(canvas)


def _fit(picture: Picture, least: int, most: int) -> Image.Image:
    """Shrink a large picture, enlarge a tiny one; pictures of labels keep their exact colours."""
    height, width = picture.shape[:2]
    image = Image.fromarray(np.ascontiguousarray(picture))
    if max(height, width) > most:
        share = most / max(height, width)
        step = max(1, min(height, width) // 256)
        sample = picture[::step, ::step].reshape(-1, 3)
        # A label map has at most 256 colours; averaging would invent colours of other classes.
        has_few_colors = len(np.unique(sample, axis=0)) <= 256
        method = Image.Resampling.NEAREST if has_few_colors else Image.Resampling.BOX
        size = (max(1, round(width * share)), max(1, round(height * share)))
        return image.resize(size, method)
    factor = min(-(-least // width), max(1, most // max(height, width)))
    return image.resize((width * factor, height * factor), Image.Resampling.NEAREST)


def _plain(text: str) -> str:
    """Keep a name on one line."""
    return " ".join("".join(c if c.isprintable() else " " for c in text[:400]).split())


def _shorten(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: float) -> str:
    """Cut a text to ``width`` pixels, with three dots where something is missing."""
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(text + "...") > width:
        text = text[:-1]
    return text.rstrip() + "..."


def write_image(path: Path, rgb: Picture) -> None:
    """Write a picture uint8 ``(H, W, 3)`` as PNG or JPEG (quality 92), by the ending of ``path``.

    Raises:
        DataError: The ending is another, or the array has another form.
    """
    check_picture(rgb, str(path))
    ending = path.suffix.lower()
    if ending not in (".png", ".jpg", ".jpeg"):
        raise DataError(f"{path}: pictures are written as .png, .jpg or .jpeg, not '{ending}'.")
    with atomic_path(path) as temporary:
        picture = Image.fromarray(np.ascontiguousarray(rgb))
        if ending == ".png":
            picture.save(temporary)
        else:
            picture.save(temporary, quality=92, subsampling=0)


def write_label_png(path: Path, labels: NDArray[np.integer]) -> None:
    """Write a label map ``(H, W)`` as 8-bit grey PNG whose values are the class ids.

    Raises:
        DataError: ``labels`` is no integer map with values from 0 to 255, or no ``.png`` is asked.
    """
    _write_png(path, Image.fromarray(checked_ids(labels, IGNORE_INDEX)))


def write_palette_png(path: Path, labels: NDArray[np.integer], palette: Sequence[Color]) -> None:
    """Write a label map ``(H, W)`` as palette PNG: ids for programs, colours for the eye.

    Raises:
        DataError: ``labels`` is no integer map, holds an id without a colour, or no ``.png`` is
            asked.
    """
    image = Image.fromarray(checked_ids(labels, len(palette)))
    image.putpalette(_color_table(palette).tobytes())  # turns mode L into P, values unchanged
    _write_png(path, image)


def _write_png(path: Path, image: Image.Image) -> None:
    if path.suffix.lower() != ".png":
        raise DataError(f"{path}: label maps are written as .png; other formats change the ids.")
    with atomic_path(path) as temporary:
        image.save(temporary)


def _color_table(palette: Sequence[Color]) -> Picture:
    """Make the table of 256 colours that an id indexes; what is not in the palette is black."""
    colors = np.asarray(palette)
    if colors.ndim != 2 or colors.shape[1] != 3 or not 1 <= len(colors) <= IGNORE_INDEX:
        raise DataError(f"a palette is 1 to 255 RGB colours; this one has shape {colors.shape}.")
    if colors.dtype.kind not in "iu" or colors.min() < 0 or colors.max() > 255:
        raise DataError("the colours of a palette are whole numbers from 0 to 255.")
    table = np.zeros((256, 3), dtype=np.uint8)
    table[: len(colors)] = colors
    table[IGNORE_INDEX] = void_color(colors)
    return table


def check_alpha(alpha: float) -> None:
    """Refuse a share that is none.

    Raises:
        DataError: It is not from 0 to 1.
    """
    if not 0 <= alpha <= 1:
        raise DataError(f"overlay: alpha is a share from 0 to 1, not {alpha}.")


def check_picture(picture: NDArray[np.integer], name: str) -> None:
    picture = np.asarray(picture)
    if picture.ndim != 3 or picture.shape[2] != 3 or picture.dtype != np.uint8 or not picture.size:
        raise DataError(
            f"{name}: a picture is a uint8 array (height, width, 3); "
            f"this one is {picture.dtype} of shape {picture.shape}."
        )


def check_same_size(
    first: NDArray[np.integer], second: NDArray[np.integer], names: tuple[str, str]
) -> None:
    if first.shape[:2] != second.shape[:2]:
        raise DataError(
            f"{names[0]} and {names[1]} differ in size: {first.shape[0]}x{first.shape[1]} and "
            f"{second.shape[0]}x{second.shape[1]} pixels (height x width)."
        )
