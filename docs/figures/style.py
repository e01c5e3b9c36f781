"""How all figures look: a light card, which stands on a dark page as well."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from segloom.scenes import make_scene

__all__ = ["BLUE", "GREEN", "GREY", "INK", "ORANGE", "PURPLE", "panels", "save", "scene", "show"]

INK = "#333333"
BLUE, ORANGE, GREEN, PURPLE, GREY = "#2a6fbb", "#d9661f", "#2f8f4e", "#7b4fa6", "#888888"

mpl.use("Agg")
mpl.rcParams.update(
    {
        "figure.facecolor": "#fbfbf8",
        "savefig.facecolor": "#fbfbf8",
        "axes.facecolor": "#fbfbf8",
        "font.size": 9,
        "font.family": "DejaVu Sans",
        "axes.titlesize": 9,
        "text.color": INK,
        "axes.edgecolor": INK,
        "axes.labelcolor": INK,
        "xtick.color": INK,
        "ytick.color": INK,
    }
)


def scene(index: int = 7, size: tuple[int, int] = (240, 320)) -> tuple[NDArray, NDArray]:
    """Draw a street scene ``(H, W, 3)`` and its labels ``(H, W)``."""
    return make_scene(0, "train", index, size=size)


def panels(count: int, *, width: float = 9.0, height: float = 2.9) -> tuple[Figure, list]:
    """Make a row of axes."""
    figure, axes = plt.subplots(1, count, figsize=(width, height), layout="constrained")
    return figure, list(np.atleast_1d(axes))


def show(axes, image: NDArray, title: str, **options) -> None:
    """Show an image without ticks."""
    axes.imshow(image, **options)
    axes.set_title(title)
    axes.set_xticks([])
    axes.set_yticks([])


def save(figure: Figure, path: Path) -> None:
    """Write a PNG of 128 colours: small, and the same each time."""
    path.parent.mkdir(parents=True, exist_ok=True)
    memory = BytesIO()
    figure.savefig(memory, format="png", dpi=100)
    plt.close(figure)
    with Image.open(memory) as drawn:
        drawn.convert("RGB").quantize(128, dither=Image.Dither.NONE).save(path, optimize=True)
