"""Pictures of the label maps of a data set, by what their values mean (`segloom.labels.space`).

A pixel of several classes that overlap is painted in the mean of their colours. A class called
background leaves the image as it is.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from segloom.images.form import as_rgb
from segloom.labels.form import checked_form
from segloom.labels.palette import background_of, void_color
from segloom.labels.pictures import (
    ERROR_LEGEND,
    LegendEntry,
    Picture,
    blend,
    check_alpha,
    check_picture,
    check_same_size,
    error_map,
    legend,
    montage,
)
from segloom.labels.space import space_of
from segloom.types import IGNORE_INDEX, LabelSet

__all__ = ["comparison", "draw_outlines", "legend_of", "paint", "tint", "void_of"]

THICKNESS = 1 / 300
"""Of an outline, as a share of the longer side of the image."""


def void_of(label_set: LabelSet) -> tuple[int, int, int]:
    """Return the colour of void in pictures of these classes."""
    return void_color([*label_set.palette, *space_of(label_set).extra_colors])


def paint(labels: NDArray[np.integer], label_set: LabelSet) -> Picture:
    """Paint a label map ``(H, W)`` of a data set in the colours of its classes and of void.

    Raises:
        DataError: It is no integer map, or holds a value without a colour.
    """
    return space_of(label_set).paint(checked_form(labels), label_set.palette)


def tint(
    image: Picture, labels: NDArray[np.integer], label_set: LabelSet, alpha: float = 0.5
) -> Picture:
    """Tint an image with the colours of its classes; background and void keep the image.

    Args:
        image: uint8 ``(H, W, 3)``.
        labels: ``(H, W)``.
        label_set: Classes and their colours.
        alpha: Share of the colour, 0 to 1.

    Raises:
        DataError: The sizes differ, an array has another form, or a value has no colour.
    """
    space, image = space_of(label_set), as_rgb(image)
    check_alpha(alpha)
    check_picture(image, "image")
    labels = checked_form(labels)
    check_same_size(image, labels, ("image", "label map"))
    bare = space.bare(labels, background_of(label_set.classes))
    return blend(image, space.paint(labels, label_set.palette), bare, alpha)


def draw_outlines(image: Picture, labels: NDArray[np.integer], label_set: LabelSet) -> Picture:
    """Draw a line in the colour of its class along the inside of every object.

    Args:
        image: uint8 ``(H, W, 3)``; it is not changed.
        labels: ``(H, W)``.
        label_set: Classes and their colours; a class called background has no line.

    Raises:
        DataError: The sizes differ, or an array has another form.
    """
    import cv2

    check_picture(image, "image")
    labels = checked_form(labels)
    check_same_size(image, labels, ("image", "label map"))
    width = max(1, round(max(labels.shape) * THICKNESS))
    drawn, space = image.copy(), space_of(label_set)
    for class_id, color in enumerate(label_set.palette):
        if class_id == background_of(label_set.classes):
            continue
        inside = space.where(labels, class_id)
        if inside.any():
            mask = inside.astype(np.uint8)
            core = cv2.erode(mask, np.ones((3, 3), np.uint8), iterations=width)
            drawn[inside & (core == 0)] = color
    return drawn


def comparison(
    image: Picture,
    truth: NDArray[np.integer],
    prediction: NDArray[np.integer],
    labels: LabelSet,
) -> Picture:
    """Put an image, its truth, a prediction and its errors side by side, with all their colours.

    Args:
        image: uint8 ``(H, W, 3)``.
        truth: Integer ``(H, W)``, class ids and 255 for void.
        prediction: Likewise.
        labels: Classes and their colours.

    Raises:
        DataError: The sizes differ, an array has another form, or an id has no colour.
    """
    panels = [
        ("image", as_rgb(image)),
        ("truth", paint(truth, labels)),
        ("prediction", paint(prediction, labels)),
        ("error", error_map(truth, prediction, void=void_of(labels))),
    ]
    return montage(panels, legend=[*legend_of(labels, truth, prediction), *ERROR_LEGEND])


def legend_of(labels: LabelSet, *shown: NDArray[np.integer]) -> list[LegendEntry]:
    """Pair every class, and no class where that is possible, with their colours.

    Args:
        labels: The classes.
        shown: Label maps that the legend is for; where one has void, so has the legend.
    """
    entries = legend(labels.classes, labels.palette)
    entries += [("none", color) for color in space_of(labels).extra_colors]
    if any((np.asarray(one) == IGNORE_INDEX).any() for one in shown):
        entries.append(("void", void_of(labels)))
    return entries
