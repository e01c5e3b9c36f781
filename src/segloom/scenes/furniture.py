"""Lamp posts, signs, traffic lights, bins and trees: what stands along a street."""

from __future__ import annotations

import numpy as np

from segloom.scenes.camera import Camera
from segloom.scenes.canvas import POLE, SIGN, TREE, VOID, Canvas, Colour
from segloom.scenes.noise import cloud_tile, cut_noise, grain_tile
from segloom.scenes.style import Style, jitter_colors, pick

__all__ = [
    "paint_bin",
    "paint_bollard",
    "paint_lamp_post",
    "paint_sign",
    "paint_traffic_light",
    "paint_tree",
]

_POSTS: tuple[Colour, ...] = (
    (58, 60, 62),
    (96, 98, 98),
    (150, 152, 150),
    (186, 184, 176),
    (64, 78, 66),
)
_PLATES: tuple[tuple[Colour, Colour], ...] = (
    ((190, 36, 40), (240, 240, 238)), ((36, 66, 150), (235, 235, 238)),
    ((232, 232, 226), (60, 60, 60)), ((60, 96, 66), (230, 226, 150)),
    ((200, 160, 50), (40, 40, 40)), ((120, 78, 56), (232, 230, 226)),
)  # fmt: skip


def paint_lamp_post(
    canvas: Canvas, camera: Camera, rng: np.random.Generator, x: float, z: float, side: int
) -> None:
    """A tall thin post, mostly with an arm over the road."""
    tall, scale = float(rng.uniform(5.0, 9.0)), camera.scale(z)
    colour = jitter_colors(rng, pick(rng, _POSTS), 12, 4)
    width = float(rng.uniform(0.12, 0.22)) * scale
    foot, middle, top = camera.project([x] * 3, [0, tall * 0.4, tall], [z] * 3)
    canvas.line([foot, middle], width, colour, z, POLE)
    canvas.line([middle, top], width * 0.75, colour, z, POLE)
    if rng.random() < 0.75:
        reach = float(rng.uniform(0.8, 2.2)) * scale * -side
        tip = np.add(top, (reach, -0.35 * scale))
        canvas.line([top, tip], 0.09 * scale, colour, z, POLE)
        canvas.line(
            [tip, np.add(tip, (0.4 * scale * -side, 0))], 0.16 * scale, (206, 204, 196), z, POLE
        )


def paint_bollard(
    canvas: Canvas, camera: Camera, rng: np.random.Generator, x: float, z: float
) -> None:
    """A short post at the kerb."""
    foot, top = camera.project([x, x], [0, float(rng.uniform(0.8, 1.1))], [z, z])
    colour = jitter_colors(rng, pick(rng, _POSTS), 12, 4)
    canvas.line([foot, top], 0.18 * camera.scale(z), colour, z, POLE)


def paint_sign(
    canvas: Canvas, camera: Camera, rng: np.random.Generator, x: float, z: float
) -> None:
    """A disc, a triangle or a board on a post."""
    scale, high = camera.scale(z), float(rng.uniform(2.0, 3.2))
    foot, top = camera.project([x, x], [0, high], [z, z])
    canvas.line([foot, top], 0.1 * scale, jitter_colors(rng, pick(rng, _POSTS), 12, 4), z, POLE)
    edge, field = _PLATES[int(rng.integers(len(_PLATES)))]
    size = float(rng.uniform(0.3, 0.5)) * scale
    kind = rng.random()
    if kind < 0.45:
        canvas.ellipse(top, (size, size), edge, z, SIGN)
        canvas.ellipse(top, (size * 0.68, size * 0.68), field, z)
        canvas.line(np.add(top, [(-size * 0.5, 0), (size * 0.5, 0)]), size * 0.25, edge, z)
    elif kind < 0.65:
        corners = np.array([[0, -1.1], [1, 0.65], [-1, 0.65]])
        canvas.polygon(top + corners * size, edge, z, SIGN)
        canvas.polygon(top + corners * size * 0.6, field, z)
    else:
        wide, tall = size * float(rng.uniform(0.9, 2.4)), size * float(rng.uniform(0.7, 1.6))
        corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]])
        canvas.polygon(top + corners * (wide, tall), edge, z, SIGN)
        for row in np.linspace(-0.6, 0.6, 3):
            line = np.add(top, [(-0.7 * wide, row * tall), (0.6 * wide, row * tall)])
            canvas.line(line, 0.25 * tall, field, z)


def paint_traffic_light(
    canvas: Canvas, camera: Camera, rng: np.random.Generator, x: float, z: float
) -> None:
    """A dark box with one lamp lit, on a post."""
    scale, high = camera.scale(z), float(rng.uniform(2.6, 3.4))
    foot, top = camera.project([x, x], [0, high], [z, z])
    canvas.line([foot, top], 0.12 * scale, jitter_colors(rng, pick(rng, _POSTS), 12, 4), z, POLE)
    corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]])
    canvas.polygon(top + corners * (0.24 * scale, 0.55 * scale), (26, 26, 28), z, SIGN)
    lamps: tuple[Colour, ...] = ((220, 50, 44), (224, 160, 50), (70, 210, 130))
    lit = int(rng.integers(3))
    for row, lamp in enumerate(lamps):
        colour = lamp if row == lit else (52, 50, 50)
        spot = np.add(top, (0, (row - 1) * 0.32 * scale)).tolist()
        canvas.ellipse(spot, (0.12 * scale, 0.12 * scale), colour, z)


def paint_bin(canvas: Canvas, camera: Camera, rng: np.random.Generator, x: float, z: float) -> None:
    """A bin or a box, which has no class: void."""
    wide, high = float(rng.uniform(0.25, 0.6)), float(rng.uniform(0.8, 1.7))
    corners = camera.project([x - wide, x + wide, x + wide, x - wide], [high, high, 0, 0], [z] * 4)
    colour = jitter_colors(rng, (70, 80, 72) if rng.random() < 0.6 else (130, 50, 44), 20, 12)
    canvas.polygon(corners, colour, z, VOID)


def paint_tree(
    canvas: Canvas, camera: Camera, style: Style, rng: np.random.Generator, x: float, z: float
) -> None:
    """A trunk and a crown; leafless crowns let what is behind shine through."""
    scale = camera.scale(z)
    trunk, radius = float(rng.uniform(1.6, 3.4)), float(rng.uniform(1.3, 3.2))
    tall = trunk + radius * float(rng.uniform(1.0, 1.6))
    foot, fork, crown = camera.project([x] * 3, [0, trunk, tall], [z] * 3)
    bark = jitter_colors(rng, (78, 68, 58) if rng.random() < 0.7 else (120, 114, 104), 12, 5)
    canvas.line([foot, fork], float(rng.uniform(0.2, 0.45)) * scale, bark, z, TREE)
    canvas.line([fork, crown], 0.16 * scale, bark, z, TREE)
    wide, high = radius * scale, (tall - trunk * 0.8) * scale
    height, image_width = canvas.labels.shape
    top, left = max(int(crown[1] - high), 0), max(int(crown[0] - wide), 0)
    rows = min(int(crown[1] + high) + 1, height) - top
    columns = min(int(crown[0] + wide) + 1, image_width) - left
    if rows <= 0 or columns <= 0:
        return
    vertical = (np.arange(top, top + rows, dtype=np.float32)[:, None] - crown[1]) / high
    horizontal = (np.arange(left, left + columns, dtype=np.float32)[None] - crown[0]) / wide
    reach = (1 - vertical**2 - horizontal**2).astype(np.float32)
    zoom = max(35 / max(wide, 1), 0.25)
    clumps = cut_noise(cloud_tile(), rng, rows, columns, zoom)
    crown_area = reach + 0.32 * clumps > 0.18
    fine = cut_noise(grain_tile(), rng, rows, columns, max(zoom * 0.6, 0.3))
    light = 1 + 0.22 * clumps + 0.16 * fine - 0.2 * vertical
    if style.bare:
        branches = np.abs(cut_noise(cloud_tile(), rng, rows, columns, zoom * 1.5)) < 0.32
        alpha = (crown_area & branches).astype(np.float32) * 0.85 + crown_area * 0.12
    else:
        holes = (clumps + 0.7 * fine) < -1.75
        crown_area = crown_area & ~holes
        alpha = crown_area.astype(np.float32)
    colour = np.asarray(canvas.faded(jitter_colors(rng, style.leaf, 9, 5), z), np.float32)
    colours = np.clip(light, 0.25, 1.9)[..., None] * colour
    canvas.blend(top, left, colours, alpha)
    canvas.stamp(top, left, crown_area, TREE)
