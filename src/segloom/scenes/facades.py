"""Fronts of houses, hedges and fences, drawn flat; the canvas lays them into the street."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from segloom.scenes.canvas import Colour
from segloom.scenes.noise import cloud_tile, cut_noise, grain_tile
from segloom.scenes.style import Style, jitter_colors, pick

__all__ = ["WALLS", "hedge", "house_front", "panel_fence", "railing", "roof_colour"]

Texture = NDArray[np.uint8]

WALLS: tuple[Colour, ...] = (
    (150, 88, 68), (122, 74, 58), (166, 122, 96), (186, 150, 116),  # bricks
    (226, 222, 208), (204, 194, 172), (236, 234, 230), (214, 200, 160),  # plaster
    (164, 152, 126), (138, 130, 116), (106, 102, 98),  # stone
    (128, 130, 130), (98, 102, 106), (74, 78, 84),  # concrete, close to asphalt
    (120, 140, 156), (96, 116, 104), (160, 176, 190),  # paint and cladding, close to sky and leaves
)  # fmt: skip
_ROOFS: tuple[Colour, ...] = ((86, 84, 88), (110, 96, 90), (132, 84, 66), (70, 66, 66))


def roof_colour(rng: np.random.Generator) -> Colour:
    """Slate or tiles."""
    return jitter_colors(rng, pick(rng, _ROOFS), 12, 5)


def _wall(rng: np.random.Generator, rows: int, columns: int, colour: Colour) -> Texture:
    """A bare wall with stains and courses of bricks or blocks."""
    stains = cut_noise(cloud_tile(), rng, rows, columns, 1.6)
    grain = cut_noise(grain_tile(), rng, rows, columns)
    shade = 1 + 0.06 * stains + 0.05 * grain
    if rng.random() < 0.6:
        course = int(rng.integers(3, 6))
        shade[::course] *= float(rng.uniform(0.78, 0.95))
        for odd in (0, 1):
            shade[odd * course :: 2 * course, odd * course :: 2 * course] *= 0.92
    wall: Texture = np.clip(shade[..., None] * np.asarray(colour, np.float32), 0, 255).astype(
        np.uint8
    )
    return wall


def _glass(rng: np.random.Generator, style: Style) -> Colour:
    """A pane: dark, or with the sky in it."""
    if rng.random() < 0.3:
        share = float(rng.uniform(0.45, 0.9))
        red, green, blue = style.sky
        return jitter_colors(rng, (share * red, share * green, share * blue), 10, 4)
    return jitter_colors(rng, (50, 56, 62), 14, 4)


def house_front(
    rng: np.random.Generator, style: Style, length: float, storeys: int, density: float
) -> Texture:
    """A front of ``length`` metres and ``storeys`` of 3 m, ``density`` pixels to the metre."""
    rows, columns = max(int(storeys * 3 * density), 6), max(int(length * density), 6)
    front = _wall(rng, rows, columns, jitter_colors(rng, pick(rng, WALLS), 14, 6))
    frame = jitter_colors(rng, (222, 220, 214) if rng.random() < 0.7 else (60, 52, 46), 14, 4)
    storey = rows / storeys
    count = max(1, round(length / float(rng.uniform(1.8, 3.4))))
    wide, tall = float(rng.uniform(0.35, 0.72)), float(rng.uniform(0.4, 0.68))
    shop = rng.random() < 0.4
    cell = columns / count
    panes = [_glass(rng, style) for _ in range(4)]
    choice = rng.integers(4, size=(storeys, count)).tolist()
    for floor in range(storeys):
        bottom = rows - floor * storey
        if floor == 0 and shop:
            _shop(front, rng, style, int(bottom - storey), rows)
            continue
        for column in range(count):
            left = int((column + 0.5 - wide / 2) * cell)
            right = int((column + 0.5 + wide / 2) * cell)
            low, high = int(bottom - 0.22 * storey), int(bottom - (0.24 + tall) * storey)
            pane = panes[choice[floor][column]]
            if floor == 0 and column == count // 2:  # the door
                low, pane = rows, jitter_colors(rng, (92, 74, 66), 26, 20)
            _window(front, (left, high, right, low), pane, frame, cell)
    if rng.random() < 0.5:
        front[: max(1, int(0.25 * density))] = jitter_colors(rng, (200, 196, 186), 30, 5)
    return front


def _window(
    front: Texture, box: tuple[int, int, int, int], pane: Colour, frame: Colour, cell: float
) -> None:
    """A pane in its frame; the wider its cell, in pixels, the more is drawn.

    A door, which reaches the ground, has no bars.
    """
    left, high, right, low = box
    if cell > 5:
        cv2.rectangle(front, (left - 1, high - 1), (right + 1, low + 1), frame, -1)
    cv2.rectangle(front, (left, high), (right, low), pane, -1)
    if low < front.shape[0] and cell > 12:
        middle = (left + right) // 2
        cv2.line(front, (middle, high), (middle, low), frame, 1)
        cv2.line(front, (left, (high + low) // 2), (right, (high + low) // 2), frame, 1)


def _shop(front: Texture, rng: np.random.Generator, style: Style, top: int, rows: int) -> None:
    """Shop windows under a coloured board."""
    columns = front.shape[1]
    board = jitter_colors(rng, (110, 100, 100), 50, 50)
    sill = top + (rows - top) // 4
    cv2.rectangle(front, (0, top), (columns, sill), board, -1)
    left = 1
    while left < columns - 2:
        right = min(columns - 1, left + int(rng.integers(8, 40)))
        cv2.rectangle(front, (left, sill + 1), (right - 1, rows - 3), _glass(rng, style), -1)
        for _ in range(3 if rows > 40 else 0):  # goods behind the glass
            spot = (int(rng.integers(left, right + 1)), int(rng.integers(sill, rows)))
            cv2.circle(
                front,
                spot,
                int(rng.integers(1, 4)),
                jitter_colors(rng, (120, 110, 100), 50, 40),
                -1,
            )
        left = right + 1
    for _ in range(int(rng.integers(2, 8))):  # letters
        letter = int(rng.integers(0, columns))
        cv2.rectangle(
            front, (letter, top + 1), (letter + 2, max(sill - 2, top + 1)), (225, 222, 210), -1
        )


def hedge(rng: np.random.Generator, style: Style, length: float, density: float) -> Texture:
    """Leaves; 2 m high."""
    rows, columns = max(int(2 * density), 6), max(int(length * density), 6)
    colour = jitter_colors(rng, (66, 80, 46) if rng.random() < 0.6 else style.leaf, 12, 8)
    leaves = cut_noise(cloud_tile(), rng, rows, columns, 2.6)
    leaves = leaves + 0.8 * cut_noise(grain_tile(), rng, rows, columns)
    shade = np.clip(1 + 0.3 * leaves, 0.3, 1.8)[..., None]
    leafy: Texture = np.clip(shade * np.asarray(colour, np.float32), 0, 255).astype(np.uint8)
    return leafy


def railing(rng: np.random.Generator, length: float, density: float) -> tuple[Texture, Texture]:
    """Upright bars with rails; returns colours and what of it is opaque (255)."""
    rows, columns = max(int(1.3 * density), 8), max(int(length * density), 8)
    colour = jitter_colors(rng, (60, 62, 64) if rng.random() < 0.6 else (176, 178, 176), 20, 6)
    bars = np.zeros((rows, columns), np.uint8)
    bars[:, :: int(rng.integers(3, 6))] = 255
    bars[:2] = bars[-3:-1] = bars[rows // 3] = 255
    colours = np.empty((rows, columns, 3), np.uint8)
    colours[:] = np.asarray(colour, np.uint8)
    return colours, bars


def panel_fence(rng: np.random.Generator, length: float, density: float) -> Texture:
    """Boards or sheets between posts; 1.6 m high."""
    rows, columns = max(int(1.6 * density), 6), max(int(length * density), 6)
    tone = ((130, 98, 70), (110, 104, 98), (150, 132, 108), (92, 104, 112))
    colour = jitter_colors(rng, pick(rng, tone), 16, 8)
    shade = 1 + 0.08 * cut_noise(grain_tile(), rng, rows, columns)
    board = int(rng.integers(3, 8))
    shade[:, ::board] *= 0.7
    shade[:, :: board * 8] *= 0.6
    shade[:2] *= 1.15
    boards: Texture = np.clip(shade[..., None] * np.asarray(colour, np.float32), 0, 255).astype(
        np.uint8
    )
    return boards
