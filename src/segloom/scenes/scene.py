"""One generated street scene, a pure function of a seed, a split and a number."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from segloom.scenes.camera import Camera
from segloom.scenes.canvas import VOID, Canvas
from segloom.scenes.finish import expose, mark_void
from segloom.scenes.ground import paint_ground, paint_sky
from segloom.scenes.street import Street
from segloom.scenes.style import SPLITS, Style, draw_style, jitter_colors

__all__ = ["make_scene"]


def make_scene(
    seed: int, split: str, index: int, *, size: tuple[int, int] = (240, 320)
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Generate one scene; the same arguments give the same pixels in every process.

    Args:
        seed: Chooses the whole data set.
        split: train, val or test; each has its own draws and its own style.
        index: Number of the scene in its split.
        size: Height and width in pixels.

    Returns:
        The picture, RGB uint8 ``(H, W, 3)``, and the class ids uint8 ``(H, W)`` with void 255.
    """
    rng = np.random.default_rng([seed, SPLITS.index(split), index])
    style = draw_style(rng, split)
    camera = _draw_camera(rng, style, *size)
    haze = jitter_colors(rng, style.sky, 4, 3)
    canvas = Canvas(np.empty((*size, 3), np.uint8), np.empty(size, np.uint8), haze, style.sight)
    paint_sky(canvas, camera, style, rng)
    street = Street(canvas, camera, style, rng)
    junctions = street.junctions()
    paint_ground(canvas, camera, style, rng, junctions)
    street.build(junctions)
    if rng.random() < 0.2:
        _paint_bonnet(canvas, rng)
    return expose(canvas.image, style, rng), mark_void(canvas.labels, rng)


def _draw_camera(rng: np.random.Generator, style: Style, height: int, width: int) -> Camera:
    """A windscreen camera on the left or the right lane, nearly level."""
    return Camera(
        height=height,
        width=width,
        focal=width * float(rng.uniform(0.85, 1.15)),
        horizon=height * float(rng.uniform(0.4, 0.54)),
        middle=width * float(rng.uniform(0.4, 0.6)),
        eye=float(rng.uniform(1.3, 1.9)),
        offset=float(rng.choice([-1, 1])) * style.half_road * float(rng.uniform(0.3, 0.55)),
        turn=float(rng.normal(0, 0.06)),
        bend=float(rng.normal(0, 0.0012)),
    )


def _paint_bonnet(canvas: Canvas, rng: np.random.Generator) -> None:
    """The own car's bonnet at the lower edge, which has no class: void."""
    height, width = canvas.labels.shape
    rise = float(rng.uniform(0.02, 0.07)) * height
    u = np.linspace(0, width, 24)
    v = height - rise * np.sqrt(np.clip(1 - ((u / width - 0.5) / 0.62) ** 2, 0, 1))
    points = np.concatenate([np.stack([u, v], -1), [[width, height + 2], [0, height + 2]]])
    tone = float(rng.uniform(30, 190))
    canvas.polygon(points, jitter_colors(rng, (tone, tone, tone), 10, 8), 1.0, VOID)
