"""Sky, road and pavement of a scene: everything that is not a thing standing on the ground."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from segloom.scenes.camera import Camera
from segloom.scenes.canvas import PAVEMENT, ROAD, SKY, TREE, Canvas
from segloom.scenes.noise import TILE, cloud_tile, cut_noise, grain_tile
from segloom.scenes.style import Style

__all__ = ["Junction", "paint_ground", "paint_sky"]

Plane = NDArray[np.float32]


@dataclass(frozen=True)
class Junction:
    """A side street that opens on one side."""

    side: int
    """-1 left, 1 right."""
    start: float
    """Metres ahead of the camera."""
    end: float


def paint_sky(canvas: Canvas, camera: Camera, style: Style, rng: np.random.Generator) -> None:
    """Fill the picture with sky: brighter towards the horizon, with clouds."""
    height, width = canvas.labels.shape
    rows = np.arange(height, dtype=np.float32)[:, None]
    climb = np.clip(1 - rows / max(camera.horizon, 1.0), 0, 1)
    clouds = cut_noise(cloud_tile(), rng, height, width, 0.45 * 320 / width)
    strength = {"overcast": 9.0, "sunny": 16.0, "dusk": 18.0, "haze": 4.0}[style.weather]
    if style.weather == "sunny":
        clouds = np.maximum(clouds - 0.4, 0) * 2.2
    glow = 14 * (1 - climb) + strength * clouds * (0.4 + 0.6 * climb)
    colours = np.asarray(style.sky, np.float32) + glow[..., None]
    canvas.image[:] = np.clip(colours, 0, 255)
    canvas.labels[:] = SKY


def _sample(tile: Plane, x: Plane, z: Plane, cells: float, shift: float) -> Plane:
    """Noise at road-plane points, ``cells`` noise cells to the metre."""
    across = np.broadcast_to(
        (x * cells + shift) % (TILE - 1), np.broadcast_shapes(x.shape, z.shape)
    )
    along = np.broadcast_to((z * cells + shift) % (TILE - 1), across.shape)
    sampled: Plane = cv2.remap(
        tile, across.astype(np.float32), along.astype(np.float32), cv2.INTER_LINEAR
    )
    return sampled


def _stripe(x: Plane, z: Plane, at: float, width: float, camera: Camera) -> Plane:
    """Coverage 0..1 of a line along the street, ``width`` metres wide, anti-aliased."""
    pixels = np.float32(camera.focal) / z
    half = np.maximum(np.float32(width / 2), 0.35 / pixels)
    covered: Plane = np.clip((half - np.abs(x - np.float32(at))) * pixels + 0.5, 0, 1)
    return covered


def paint_ground(
    canvas: Canvas,
    camera: Camera,
    style: Style,
    rng: np.random.Generator,
    junctions: tuple[Junction, ...],
) -> None:
    """Paint the road plane: asphalt, markings, kerbs, slabs, verges and shadows."""
    first, x, z = camera.ground()
    if first >= camera.height:
        return
    walked = np.abs(x) > style.half_road
    for junction in junctions:
        opening = (z > junction.start) & (z < junction.end) & (x * junction.side > 0)
        walked &= ~opening
    verge_width = float(rng.uniform(0.6, 2.0)) if rng.random() < 0.25 else 0.0
    outer = style.half_road + style.pavement
    verge = walked & (np.abs(x) > outer - verge_width) & (verge_width > 0)
    verge &= np.abs(x) < outer + 0.2
    near = np.clip(np.float32(12) / z, 0, 1)  # fine texture fades where a pixel covers many cells
    shift = float(rng.uniform(0, TILE))
    stains = _sample(cloud_tile(), x, z, 3.0, shift)
    grain = _sample(grain_tile(), x, z, 34.0, shift) * near
    road = _road(camera, style, rng, x, z)
    ways = _slabs(style, rng, x, z, near)
    colours = np.where(walked[..., None], ways, road)
    grass = np.asarray(style.leaf, np.float32) * 1.1
    colours = np.where(verge[..., None], grass + 14 * grain[..., None], colours)
    kerb = _stripe(np.abs(x), z, style.half_road, 0.16, camera) * walked
    colours += kerb[..., None] * (np.asarray(style.kerb, np.float32) - colours)
    colours *= (1 + 0.07 * stains + 0.06 * grain)[..., None]
    colours *= _shadows(style, rng, x, z)[..., None]
    share = 1 - np.exp(-z / np.float32(canvas.sight))
    colours += share[..., None] * (np.asarray(canvas.haze, np.float32) - colours)
    canvas.image[first:] = np.clip(colours, 0, 255)
    canvas.labels[first:] = np.where(verge, TREE, np.where(walked, PAVEMENT, ROAD))


def _road(camera: Camera, style: Style, rng: np.random.Generator, x: Plane, z: Plane) -> Plane:
    """Asphalt with its markings, tracks and patches: ``(rows, W, 3)``."""
    colours = np.empty((*x.shape, 3), np.float32)
    colours[:] = style.road
    tracks = np.cos(np.clip(np.abs(np.abs(x) - style.half_road / 2), 0, 1.2) * 2.6)
    colours *= (1 - 0.06 * tracks * float(rng.uniform(0, 1.5)))[..., None]
    if rng.random() < 0.2:  # a red or green lane for bicycles
        lane = _stripe(x, z, float(rng.choice([-1, 1])) * (style.half_road - 0.8), 1.3, camera)
        tone = np.array([118, 66, 56] if rng.random() < 0.7 else [70, 96, 66], np.float32)
        colours += (0.8 * lane)[..., None] * (tone - colours)
    paint = np.zeros(x.shape, np.float32)
    phase = float(rng.uniform(0, 9))
    kind = rng.random()
    if kind < 0.75:
        dash = float(rng.uniform(2, 4))
        on = (z + phase) % (dash * 2.2) < dash if kind < 0.55 else np.ones_like(z, bool)
        paint = np.maximum(paint, _stripe(x, z, 0.0, 0.13, camera) * on)
    if rng.random() < 0.25:  # zigzag beside a crossing
        wave = np.abs((z + phase) % 4 - 2) * 0.35 - 0.35
        paint = np.maximum(paint, _stripe(x - wave, z, style.half_road * 0.55, 0.12, camera))
    if rng.random() < 0.3:
        start = float(rng.uniform(7, 22))
        bars = (x % 1.1 < 0.55) if rng.random() < 0.5 else np.ones_like(x, bool)
        depth = 2.6 if not bars.all() else 0.4
        paint = np.maximum(paint, (bars & (z > start) & (z < start + depth)).astype(np.float32))
    worn = float(rng.uniform(0.45, 0.95))
    colours += (worn * paint)[..., None] * (np.array([226, 226, 220], np.float32) - colours)
    if rng.random() < 0.5:  # yellow lines along the kerb
        lines = _kerb_lines(camera, style, x, z, is_double=rng.random() < 0.6)
        colours += (0.7 * lines)[..., None] * (np.array([196, 170, 70], np.float32) - colours)
    return colours


def _kerb_lines(camera: Camera, style: Style, x: Plane, z: Plane, *, is_double: bool) -> Plane:
    """Where there is paint, 0 to 1."""
    lines = _stripe(np.abs(x), z, style.half_road - 0.25, 0.09, camera)
    if is_double:
        lines = np.maximum(lines, _stripe(np.abs(x), z, style.half_road - 0.5, 0.09, camera))
    return lines


def _slabs(style: Style, rng: np.random.Generator, x: Plane, z: Plane, near: Plane) -> Plane:
    """Pavement with joints between slabs: ``(rows, W, 3)``."""
    side = float(rng.uniform(0.45, 0.95))
    joint = ((x % side < 0.05) | (z % side < 0.06)).astype(np.float32) * near
    darker = 1 - 0.22 * joint * float(rng.uniform(0.2, 1.2))
    return np.asarray(style.pavement_colour, np.float32) * darker[..., None]


def _shadows(style: Style, rng: np.random.Generator, x: Plane, z: Plane) -> Plane:
    """Brightness 0..1 of the ground: shade of the sunward houses and of unseen trees."""
    light = np.ones(np.broadcast_shapes(x.shape, z.shape), np.float32)
    if style.contrast > 0.2:
        steps = rng.uniform(-style.half_road * 1.2, style.half_road * 0.7, 16).astype(np.float32)
        edge = steps[np.clip(z / float(rng.uniform(5, 9)), 0, 15).astype(np.int64)]
        light[x * -style.sun_side < edge] = 1 - style.contrast
    if rng.random() < 0.45:
        start, length = float(rng.uniform(3, 20)), float(rng.uniform(3, 12))
        leaves = _sample(cloud_tile(), x, z, 16.0, float(rng.uniform(0, TILE))) > -0.2
        leaves &= (z > start) & (z < start + length)
        light[leaves] *= 1 - 0.7 * style.contrast - 0.1
    return light
