"""People on foot and on bicycles, as small figures of a few limbs."""

from __future__ import annotations

import numpy as np

from segloom.scenes.camera import Camera
from segloom.scenes.canvas import BICYCLIST, PEDESTRIAN, Canvas, Colour
from segloom.scenes.style import jitter_colors, pick

__all__ = ["paint_bicyclist", "paint_pedestrian"]

_CLOTHES: tuple[Colour, ...] = (
    (30, 32, 38), (52, 54, 60), (84, 84, 88), (40, 48, 78), (120, 116, 108), (150, 40, 40),
    (196, 192, 186), (86, 98, 70), (120, 96, 72), (190, 170, 60), (70, 110, 160),
)  # fmt: skip
_SKIN: tuple[Colour, ...] = ((206, 166, 142), (168, 124, 98), (110, 78, 60))
_HAIR: tuple[Colour, ...] = ((40, 34, 30), (96, 76, 56), (150, 140, 128))


class _Figure:
    """Draws in metres around a foot point that faces the camera."""

    def __init__(self, canvas: Canvas, camera: Camera, x: float, z: float, label: int) -> None:
        self.canvas, self.z, self.label = canvas, z, label
        self.scale = camera.scale(z)
        self.foot = camera.project([x], [0.0], [z])[0]
        self.head = (0.0, 0.0)

    def place(self, across: float, up: float) -> tuple[float, float]:
        return (self.foot[0] + across * self.scale, self.foot[1] - up * self.scale)

    def limb(self, points: list[tuple[float, float]], width: float, colour: Colour) -> None:
        path = [self.place(*point) for point in points]
        self.canvas.line(path, width * self.scale, colour, self.z, self.label)

    def blob(self, across: float, up: float, wide: float, tall: float, colour: Colour) -> None:
        axes = (max(wide * self.scale, 0.5), max(tall * self.scale, 0.5))
        self.canvas.ellipse(self.place(across, up), axes, colour, self.z, self.label)

    def shape(self, points: list[tuple[float, float]], colour: Colour) -> None:
        path = [self.place(*point) for point in points]
        self.canvas.polygon(path, colour, self.z, self.label)


def paint_pedestrian(
    canvas: Canvas, camera: Camera, rng: np.random.Generator, x: float, z: float
) -> None:
    """One person on foot, 1.2 to 1.9 m tall, standing or walking."""
    figure = _Figure(canvas, camera, x, z, PEDESTRIAN)
    tall = float(rng.uniform(1.55, 1.9)) if rng.random() < 0.88 else float(rng.uniform(1.1, 1.4))
    coat, trousers = (jitter_colors(rng, pick(rng, _CLOTHES), 12, 8) for _ in range(2))
    skin, hair = (
        jitter_colors(rng, pick(rng, _SKIN), 8, 4),
        jitter_colors(rng, pick(rng, _HAIR), 8, 4),
    )
    step = float(rng.uniform(0.02, 0.32))
    hip, chest = 0.5 * tall, 0.82 * tall
    wide = float(rng.uniform(0.19, 0.26))
    canvas.ellipse(figure.place(0.1, 0), (0.4 * figure.scale, 0.1 * figure.scale), (38, 38, 40), z)
    for side in (-1, 1):
        knee = (side * step * 0.5, 0.27 * tall)
        figure.limb([(side * 0.07, hip), knee, (side * step, 0.03)], 0.17, trousers)
    figure.shape(
        [(-wide, chest), (-wide * 0.9, hip - 0.06), (wide * 0.9, hip - 0.06), (wide, chest)], coat
    )
    for side in (-1, 1):
        hand = (side * (wide + float(rng.uniform(0, 0.15))), hip + 0.02)
        figure.limb([(side * wide, chest - 0.05), hand], 0.1, coat)
    figure.blob(0, 0.925 * tall, 0.095, 0.125, skin)
    figure.blob(0, 0.955 * tall, 0.1, 0.085, hair)
    if rng.random() < 0.35:
        bag = jitter_colors(rng, pick(rng, _CLOTHES), 20, 15)
        figure.blob(float(rng.choice([-1, 1])) * (wide + 0.1), hip - 0.1, 0.12, 0.18, bag)


def paint_bicyclist(
    canvas: Canvas, camera: Camera, rng: np.random.Generator, x: float, z: float
) -> None:
    """One person on a bicycle, seen from the side or from behind; the bicycle belongs to it."""
    figure = _Figure(canvas, camera, x, z, BICYCLIST)
    coat, trousers = (jitter_colors(rng, pick(rng, _CLOTHES), 12, 8) for _ in range(2))
    skin, frame = (
        jitter_colors(rng, pick(rng, _SKIN), 8, 4),
        jitter_colors(rng, pick(rng, _CLOTHES), 20, 15),
    )
    canvas.ellipse(figure.place(0, 0), (0.7 * figure.scale, 0.1 * figure.scale), (38, 38, 40), z)
    if rng.random() < 0.55:
        _from_behind(figure, coat, trousers, skin)
    else:
        _from_the_side(figure, float(rng.choice([-1, 1])), coat, trousers, skin, frame)
    if rng.random() < 0.5:
        helmet = (215, 215, 210) if rng.random() < 0.5 else (60, 60, 70)
        up, across = figure.head
        figure.blob(across, up + 0.06, 0.12, 0.09, helmet)


def _from_behind(figure: _Figure, coat: Colour, trousers: Colour, skin: Colour) -> None:
    figure.limb([(0, 0.0), (0, 0.7)], 0.07, (30, 30, 32))
    for side in (-1, 1):
        figure.limb([(side * 0.1, 0.95), (side * 0.16, 0.6), (side * 0.12, 0.25)], 0.15, trousers)
        figure.limb([(side * 0.2, 1.4), (side * 0.3, 1.1)], 0.1, coat)
    figure.limb([(-0.3, 1.05), (0.3, 1.05)], 0.04, (40, 40, 42))
    figure.shape([(-0.22, 1.46), (-0.18, 0.9), (0.18, 0.9), (0.22, 1.46)], coat)
    figure.blob(0, 1.62, 0.1, 0.13, skin)
    figure.head = (1.62, 0.0)


def _from_the_side(
    figure: _Figure, way: float, coat: Colour, trousers: Colour, skin: Colour, frame: Colour
) -> None:
    angle = np.linspace(0, 2 * np.pi, 16)
    for hub in (-0.52, 0.52):
        ring = [(hub + 0.33 * float(np.cos(a)), 0.34 + 0.33 * float(np.sin(a))) for a in angle]
        disc = [figure.place(*point) for point in ring]
        figure.canvas.polygon(disc, None, figure.z, BICYCLIST)  # annotators fill the wheels
        figure.limb(ring, 0.06, (28, 28, 30))
    figure.limb([(-0.52 * way, 0.34), (0, 0.32), (0.42 * way, 0.82)], 0.05, frame)
    figure.limb([(-0.2 * way, 0.88), (0, 0.32)], 0.05, frame)
    figure.limb([(0.52 * way, 0.34), (0.4 * way, 1.0), (0.5 * way, 1.04)], 0.05, frame)
    figure.limb([(-0.15 * way, 0.95), (0.18 * way, 0.68), (0.02 * way, 0.28)], 0.16, trousers)
    figure.shape(
        [(-0.3 * way, 0.92), (-0.05 * way, 0.9), (0.24 * way, 1.4), (0.02 * way, 1.48)], coat
    )
    figure.limb([(0.14 * way, 1.36), (0.45 * way, 1.05)], 0.1, coat)
    figure.blob(0.2 * way, 1.58, 0.1, 0.13, skin)
    figure.head = (1.58, 0.2 * way)
