"""Cars, vans and buses as boxes in space; their class is car."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from segloom.scenes.camera import NEAR, Camera
from segloom.scenes.canvas import CAR, Canvas, Colour
from segloom.scenes.style import Style, jitter_colors, pick

__all__ = ["Vehicle", "paint_vehicle", "random_vehicle"]

_PAINTS: tuple[Colour, ...] = (
    (32, 32, 36), (62, 64, 70), (104, 106, 110), (150, 152, 156), (196, 198, 200), (236, 236, 234),
    (40, 54, 96), (128, 34, 34), (70, 92, 72), (150, 128, 96), (88, 116, 160), (206, 196, 160),
)  # fmt: skip


Point = tuple[float, float, float]
"""Along and across, in shares of the vehicle, and the height in metres."""


@dataclass(frozen=True)
class Vehicle:
    """A vehicle on the road; lengths in metres."""

    x: float
    """Middle of the vehicle."""
    z: float
    """Middle of the vehicle."""
    yaw: float
    """Radians from the direction of the street."""
    length: float
    width: float
    belt: float
    """Height of the lower body."""
    height: float
    cabin: tuple[float, float]
    """Where the windows begin and end at the belt, from -0.5 (tail) to 0.5 (nose)."""
    colour: Colour
    oncoming: bool


def random_vehicle(
    rng: np.random.Generator, x: float, z: float, yaw: float, *, oncoming: bool
) -> Vehicle:
    """Draw a saloon, an estate, a van or, rarely, a bus."""
    kind = rng.random()
    colour = jitter_colors(rng, pick(rng, _PAINTS), 10, 6)
    if kind < 0.5:
        return Vehicle(x, z, yaw, 4.2, 1.75, 0.95, 1.45, (-0.4, 0.22), colour, oncoming)
    if kind < 0.78:
        return Vehicle(x, z, yaw, 4.0, 1.75, 1.0, 1.58, (-0.49, 0.24), colour, oncoming)
    if kind < 0.93:
        return Vehicle(x, z, yaw, 4.9, 1.95, 1.25, 2.15, (-0.5, 0.36), colour, oncoming)
    return Vehicle(x, z, yaw, 10.0, 2.5, 1.4, 3.0, (-0.5, 0.5), colour, oncoming)


class _Body:
    """Maps the vehicle's own coordinates to the picture."""

    def __init__(self, car: Vehicle, camera: Camera) -> None:
        self.car, self.camera = car, camera
        self.cosine, self.sine = float(np.cos(car.yaw)), float(np.sin(car.yaw))

    def points(self, triples: list[Point]) -> NDArray[np.float64]:
        """Image points of (along 0.5 nose .. -0.5 tail, across -0.5 .. 0.5, height in metres)."""
        along, across, up = np.asarray(triples, np.float64).T
        ahead, aside = along * self.car.length, across * self.car.width
        x = self.car.x + aside * self.cosine + ahead * self.sine
        z = self.car.z - aside * self.sine + ahead * self.cosine
        return self.camera.project(x, up, z)


def paint_vehicle(
    canvas: Canvas, camera: Camera, style: Style, rng: np.random.Generator, car: Vehicle
) -> None:
    """Paint one vehicle with its shadow."""
    if car.z < NEAR + car.length / 2:
        return
    body, z = _Body(car, camera), car.z
    scale = camera.scale(z)
    roof, slant = (0.42, 0.13) if car.height < 2 else (0.48, 0.03)
    back, front = car.cabin
    canvas.polygon(body.points(SHADOW), (30, 30, 32), z)
    dark = tuple(0.62 * part for part in car.colour)
    glass = tuple(0.35 * part for part in style.sky)
    if scale > 6:
        _wheels(canvas, body, z, far=True)
    canvas.hull(body.points(_upper(car, slant, roof)), dark, z, CAR)
    canvas.hull(body.points(_lower(car)), dark, z, CAR)
    right_seen = _faces(camera, car, across=0.5)
    side = 0.5 if right_seen else -0.5
    _side(canvas, body, car, style, side, (back, front, slant, roof))
    _wheels(canvas, body, z, side=side)
    tail = _tail_seen(camera, car)
    end = -0.5 if tail else 0.5
    _end(canvas, body, car, end, glass, rng, scale)


SHADOW: list[Point] = [
    (-0.53, -0.58, 0.0), (-0.53, 0.58, 0.0), (0.53, 0.58, 0.0), (0.53, -0.58, 0.0)
]  # fmt: skip


def _lower(car: Vehicle) -> list[Point]:
    """Corners of the lower body."""
    return [(a, b, h) for a in (-0.5, 0.5) for b in (-0.5, 0.5) for h in (0.22, car.belt)]


def _upper(car: Vehicle, slant: float, roof: float) -> list[Point]:
    """Corners of the cabin."""
    back, front = car.cabin
    ends = (back, 0.47, car.belt), (front, 0.47, car.belt)
    top = (back + slant * 0.6, roof, car.height), (front - slant, roof, car.height)
    return [(along, side * across, up) for along, across, up in (*ends, *top) for side in (-1, 1)]


def _faces(camera: Camera, car: Vehicle, across: float) -> bool:
    """Whether the right flank (across > 0) is turned to the camera."""
    normal = (np.cos(car.yaw), -np.sin(car.yaw))
    place = (car.x + float(camera.sideways(car.z)), car.z)
    return bool(float(np.dot(normal, place)) * across < 0)


def _tail_seen(camera: Camera, car: Vehicle) -> bool:
    ahead = (np.sin(car.yaw), np.cos(car.yaw))
    place = (car.x + float(camera.sideways(car.z)), car.z)
    return float(np.dot(ahead, place)) > 0


def _side(
    canvas: Canvas,
    body: _Body,
    car: Vehicle,
    style: Style,
    side: float,
    cabin: tuple[float, float, float, float],
) -> None:
    """The flank: lower body, pillar colour and windows."""
    back, front, slant, roof = cabin
    z = car.z
    lit = 0.95 if side * style.sun_side > 0 else 0.78
    paint = tuple(lit * part for part in car.colour)
    low = [(-0.5, side, 0.25), (-0.5, side, car.belt), (0.5, side, car.belt * 0.93)]
    canvas.polygon(body.points([*low, (0.5, side, 0.25)]), paint, z, CAR)
    tilt = np.sign(side) * roof
    rim = [(back, side, car.belt), (back + slant * 0.6, tilt, car.height)]
    rim += [(front - slant, tilt, car.height), (front, side, car.belt)]
    canvas.polygon(body.points(rim), paint, z, CAR)
    glass = tuple(0.3 * part + 12 for part in style.sky)
    low_edge, high_edge = car.belt + 0.03, car.height - 0.1
    count = 2 if car.length < 6 else 5
    for pane in range(count):
        begin = back + 0.03 + (front - back - 0.05) * pane / count
        end = back + 0.01 + (front - back - 0.05) * (pane + 1) / count
        lean_begin = slant * 0.5 if pane == 0 else 0.0
        lean_end = slant * 0.95 if pane == count - 1 else 0.0
        window = [(begin, side, low_edge), (begin + lean_begin, tilt, high_edge)]
        window += [(end - lean_end, tilt, high_edge), (end, side, low_edge)]
        canvas.polygon(body.points(window), glass, z)


def _wheels(
    canvas: Canvas, body: _Body, z: float, side: float | None = None, *, far: bool = False
) -> None:
    """Wheels of the flank that is seen, or the dark feet of all four."""
    radius = 0.32
    for along in (-0.31, 0.31):
        for across in (-0.42, 0.42) if far or side is None else (side,):
            reach = radius / body.car.length
            angle = np.linspace(0, 2 * np.pi, 14, endpoint=False)
            ring = [
                (along + reach * float(np.cos(a)), across, radius + radius * float(np.sin(a)))
                for a in angle
            ]
            canvas.polygon(body.points(ring), (24, 24, 26), z, CAR)
            if not far and radius * body.camera.scale(z) > 1.5:
                rim = [(along + (a - along) * 0.5, b, 0.16 + h * 0.5) for a, b, h in ring]
                canvas.polygon(body.points(rim), (132, 134, 138), z)


def _end(
    canvas: Canvas,
    body: _Body,
    car: Vehicle,
    end: float,
    glass: tuple[float, ...],
    rng: np.random.Generator,
    scale: float,
) -> None:
    """The tail or the nose: sheet metal, window, lights, number plate."""
    z = car.z - car.length / 2
    roof = 0.42 if car.height < 2 else 0.48
    paint = tuple(0.86 * part for part in car.colour)
    sheet = [(end, -0.5, 0.3), (end, -0.5, car.belt), (end, 0.5, car.belt), (end, 0.5, 0.3)]
    canvas.polygon(body.points(sheet), paint, z, CAR)
    base = car.cabin[0] if end < 0 else car.cabin[1]
    lean = (0.08 if end < 0 else -0.13) if car.height < 2 else 0.0
    window = [(base, -0.46, car.belt + 0.04), (base + lean, -roof * 0.93, car.height - 0.08)]
    window += [(base + lean, roof * 0.93, car.height - 0.08), (base, 0.46, car.belt + 0.04)]
    canvas.polygon(body.points(window), glass, z, CAR)
    bumper = [(end, -0.5, 0.3), (end, -0.5, 0.5), (end, 0.5, 0.5), (end, 0.5, 0.3)]
    canvas.polygon(body.points(bumper), tuple(0.45 * part for part in car.colour), z)
    if scale >= 5:
        _lights(canvas, body, end, z, rng)


def _lights(canvas: Canvas, body: _Body, end: float, z: float, rng: np.random.Generator) -> None:
    """Lamps and the number plate."""
    lamp = (190, 40, 36) if end < 0 else (238, 236, 220)
    for across in (-0.42, 0.42):
        inner = across * 0.72
        light = [(end, across, 0.66), (end, across, 0.84), (end, inner, 0.84), (end, inner, 0.66)]
        canvas.polygon(body.points(light), lamp, z)
    plate = [(end, -0.14, 0.52), (end, -0.14, 0.64), (end, 0.14, 0.64), (end, 0.14, 0.52)]
    yellow = (206, 178, 70) if rng.random() < 0.5 else (226, 226, 220)
    canvas.polygon(body.points(plate), yellow, z)
