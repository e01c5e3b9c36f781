"""The answer to one image: label map, probabilities, classes, polygons and pictures; no torch.

Axes: K classes, H height, W width.
"""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from segloom.errors import DataError, UnknownNameError
from segloom.images.form import as_rgb
from segloom.labels import painting
from segloom.labels.pictures import Picture, montage
from segloom.labels.polygons import trace_polygons
from segloom.labels.space import space_of
from segloom.prediction.annotations import BACKGROUND
from segloom.prediction.results import shares_of
from segloom.types import LabelSet

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from segloom.labels.polygons import Polygon

__all__ = ["Segmentation"]


@dataclass(frozen=True, eq=False)
class Segmentation:
    """What a network says about one image.

    In a notebook it shows itself as the image, its classes and both together, with a legend.

    Raises:
        DataError: The arrays do not fit each other or the classes.
    """

    image: NDArray[np.uint8]
    """``(H, W, C)``; of other than three channels, pictures show ``shown``."""
    label_map: NDArray[np.integer]
    """``(H, W)``: class ids uint8, or bits (`segloom.labels.bits`) where classes may overlap."""
    labels: LabelSet
    """Names and colours of the classes, in the order of their ids."""
    probabilities: NDArray[np.float32] | None = None
    """``(K, H, W)``, summing to 1 over K unless classes may overlap; None if not asked for."""
    shown: tuple[int, ...] = ()
    """Channels that pictures show as red, green and blue; empty for the first three, or the first
    as grey."""

    def __post_init__(self) -> None:
        if self.label_map.shape != self.image.shape[:2] or self.image.ndim != 3:
            raise DataError(
                f"the label map of an image of shape {self.image.shape} has its height and width, "
                f"not shape {self.label_map.shape}."
            )
        expected = (len(self.classes), *self.label_map.shape)
        if self.probabilities is not None and self.probabilities.shape != expected:
            raise DataError(
                f"probabilities of {len(self.classes)} classes have shape {expected} here, not "
                f"{self.probabilities.shape}."
            )

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names in the order of their ids."""
        return self.labels.classes

    @property
    def confidence(self) -> NDArray[np.float32] | None:
        """Probability of the most probable class at every pixel, ``(H, W)``; None without any."""
        return None if self.probabilities is None else self.probabilities.max(axis=0)

    def mask(self, name: str) -> NDArray[np.bool_]:
        """Return the pixels of one class, ``(H, W)``.

        Raises:
            UnknownNameError: There is no such class.
        """
        if name not in self.classes:
            raise UnknownNameError("class", name, self.classes)
        class_id = self.classes.index(name)
        return space_of(self.labels).where(self.label_map, class_id)

    def shares(self) -> dict[str, float]:
        """Return the share of the pixels, 0 to 1, of every class that is there."""
        counts = space_of(self.labels).count(self.label_map)
        return shares_of(counts.classes, counts.labelled, self.labels)

    def polygons(self, *, min_area: int = 1, tolerance: float = 0.0) -> dict[str, list[Polygon]]:
        """Outline the objects of every class but one called background.

        Args:
            min_area: Smallest object and smallest hole that is kept, in pixels.
            tolerance: Largest distance in pixels by which an outline is simplified.

        Returns:
            Polygons by class, classes without any too; see `segloom.labels.polygons`.
        """
        return {
            name: trace_polygons(self.mask(name), min_area=min_area, tolerance=tolerance)
            for name in self.classes
            if name != BACKGROUND
        }

    def colors(self) -> Picture:
        """Paint the label map in the colours of its classes, uint8 ``(H, W, 3)``."""
        return painting.paint(self.label_map, self.labels)

    def overlay(self, *, alpha: float = 0.5, outline: bool = False) -> Picture:
        """Show the classes over the image, uint8 ``(H, W, 3)``; background keeps the image.

        Args:
            alpha: Share of the colours that tint the classes, 0 to 1.
            outline: Draw lines around objects too.
        """
        tinted = painting.tint(self._rgb(), self.label_map, self.labels, alpha)
        return painting.draw_outlines(tinted, self.label_map, self.labels) if outline else tinted

    def picture(self) -> Picture:
        """Put image, classes and overlay side by side with a legend, uint8 ``(H, W, 3)``."""
        panels = [("image", self._rgb()), ("classes", self.colors()), ("overlay", self.overlay())]
        return montage(panels, legend=painting.legend_of(self.labels, self.label_map))

    def plot(self) -> Figure:
        """Draw image, classes and overlay with Matplotlib.

        Returns:
            The figure, for `Figure.savefig`; a notebook shows it by itself.
        """
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
        from matplotlib.patches import Patch

        panels = {"image": self._rgb(), "classes": self.colors(), "overlay": self.overlay()}
        height, width = self.label_map.shape
        figure = Figure(figsize=(12, 4 * height / width + 0.8), dpi=100, layout="constrained")
        FigureCanvasAgg(figure)
        for axes, (title, picture) in zip(figure.subplots(1, 3), panels.items(), strict=True):
            axes.imshow(picture, interpolation="nearest")
            axes.set_title(title)
            axes.set_axis_off()
        patches = [
            Patch(facecolor=f"#{red:02x}{green:02x}{blue:02x}", edgecolor="grey", label=name)
            for name, (red, green, blue) in painting.legend_of(self.labels, self.label_map)
        ]
        figure.legend(handles=patches, loc="outside lower center", ncols=min(len(patches), 8))
        return figure

    def _rgb(self) -> Picture:
        return as_rgb(self.image[..., list(self.shown)] if self.shown else self.image)

    def _repr_png_(self) -> bytes:
        """Show it in a notebook."""
        content = BytesIO()
        Image.fromarray(self.picture()).save(content, "png")
        return content.getvalue()

    def __repr__(self) -> str:
        height, width = self.label_map.shape
        shares = ", ".join(f"{name} {share:.1%}" for name, share in self.shares().items())
        return f"Segmentation({height}x{width}: {shares})"
