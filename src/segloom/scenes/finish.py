"""What the camera and the annotator do to a painted scene: light, lens, sensor, and void."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from segloom.scenes.canvas import VOID
from segloom.scenes.noise import cloud_tile, cut_noise
from segloom.scenes.style import Style

__all__ = ["expose", "mark_void"]


def expose(image: NDArray[np.uint8], style: Style, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Turn paint into a photograph: colour cast, contrast, vignette, blur and noise.

    Args:
        image: RGB ``(H, W, 3)``.
        style: Gives the exposure.
        rng: Draws the rest.
    """
    height, width = image.shape[:2]
    cast = 1 + np.array([1.0, 0.25, -1.0]) * rng.normal(0, 0.05) + rng.normal(0, 0.012, 3)
    gain = style.exposure * cast
    gamma = float(np.exp(rng.normal(0, 0.16)))
    levels = np.arange(256)[:, None] / 255 * gain
    table = (np.clip(levels, 0, 1) ** gamma).astype(np.float32)
    sigma = float(rng.uniform(0.35, 0.85)) * max(width / 320, 0.6)
    photo = cv2.LUT(cv2.GaussianBlur(image, (0, 0), sigma), table[:, None, :])
    saturation = float(rng.uniform(0.45, 1.05))
    mix = np.eye(3) * saturation + (1 - saturation) / 3
    photo = np.maximum(cv2.transform(photo, mix.astype(np.float32)), 0)
    stains = 1 + 0.035 * cut_noise(cloud_tile(), rng, height, width, 0.6 * 320 / width)
    rows = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    columns = np.linspace(-1, 1, width, dtype=np.float32)[None]
    stains *= 1 - float(rng.uniform(0.02, 0.2)) * (rows**2 + columns**2) / 2
    photo *= stains[..., None]
    noise = rng.standard_normal((height, width, 3), np.float32)
    read, shot = float(rng.uniform(0.004, 0.016)), float(rng.uniform(0.0, 0.03))
    noise *= np.float32(read) + np.float32(shot) * cv2.sqrt(photo)
    noise += photo
    shown: NDArray[np.uint8] = cv2.convertScaleAbs(np.maximum(noise, 0, out=noise), alpha=255)
    return shown


def mark_void(labels: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Set void where annotators left it: in ragged pieces of outlines and as small specks.

    Args:
        labels: Class ids ``(H, W)``; unchanged.
        rng: Draws which pixels.
    """
    square = np.ones((3, 3), np.uint8)
    outline = cv2.dilate(labels, square) != cv2.erode(labels, square)
    height, width = labels.shape
    ragged = cut_noise(cloud_tile(), rng, height, width, 1.5) > float(rng.uniform(0.7, 1.4))
    chance = rng.random((height, width), np.float32)
    near = cv2.dilate(outline.view(np.uint8), np.ones((5, 5), np.uint8)) > 0
    marked = labels.copy()
    marked[outline & (ragged | (chance < 0.06))] = VOID
    marked[(near & (chance < 0.003)) | (chance < 0.0003)] = VOID
    return marked
