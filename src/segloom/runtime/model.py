"""An exported network that answers images, with numpy and the runtime of its file alone.

Axes: C image channels, K classes, H W image size.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from segloom.images.form import checked_image
from segloom.images.pixels import PixelFormat
from segloom.images.read import read_image
from segloom.images.windows import FALLBACK_OVERLAP, WHOLE_LIMIT, fallback_window
from segloom.labels.space import LabelSpace
from segloom.prediction.segmentation import Segmentation
from segloom.runtime.description import Description
from segloom.runtime.opening import open_session
from segloom.runtime.options import Options
from segloom.runtime.session import Session
from segloom.runtime.views import average_views
from segloom.runtime.windows import blend_windows
from segloom.types import Blend, LabelSet

__all__ = ["ExportedModel", "load", "load_described"]


class ExportedModel:
    """Answers for single images of any size.

    Args:
        description: What the network is.
        session: Its opened file.
        options: How it sees an image.
        whole_limit: Largest image that is seen whole, in pixels; a larger one is seen through a
            window in any case.
    """

    def __init__(
        self,
        description: Description,
        session: Session,
        options: Options | None = None,
        *,
        whole_limit: int = WHOLE_LIMIT,
    ) -> None:
        self.description = description
        self.session = session
        self.options = options or Options()
        self.whole_limit = whole_limit

    @property
    def labels(self) -> LabelSet:
        """Classes and palette."""
        return self.description.labels

    @property
    def space(self) -> LabelSpace:
        """What the values of the label map mean."""
        return self.description.space

    @property
    def num_channels(self) -> int:
        """Channels of what goes in."""
        return self.description.num_channels

    @property
    def pixel_format(self) -> PixelFormat | None:
        """How files of many bands or deep pixels are read; None for RGB of 8 bits."""
        return self.description.pixels

    @property
    def takes_edges(self) -> bool:
        """The last channel of an image is its edge map."""
        return self.description.edge_channels > 0

    def __call__(
        self, image: NDArray[np.uint8] | Image.Image | Path | str, *, probabilities: bool = False
    ) -> Segmentation:
        """Answer one image.

        Args:
            image: A file, a picture of Pillow, or uint8 ``(H, W, C)`` as in `label_map`.
            probabilities: Compute these as well; they take 4 bytes per class and pixel.

        Raises:
            DataError: The image cannot be read or has another form.
        """
        pixels = self._pixels(image)
        values = self.probabilities(pixels) if probabilities else None
        labels = self.label_map(pixels) if values is None else self.space.decide(values)
        return Segmentation(pixels, labels, self.labels, values, self._shown)

    @property
    def _shown(self) -> tuple[int, ...]:
        return self.pixel_format.shown if self.pixel_format else ()

    def label_map(self, image: NDArray[np.uint8] | Image.Image) -> NDArray[np.integer]:
        """Name the class of every pixel.

        Args:
            image: uint8 ``(H, W, C)``, RGB for a network of three channels, of any size; for one
                that takes edges, the edge map is the last channel. Or a PIL image.

        Returns:
            uint8 ``(H, W)``, class ids; where classes may overlap, the bits of
            `segloom.labels.bits`.

        Raises:
            DataError: The image has another form.
        """
        image = self._checked(image)
        if self._window(image) is None and not self.options.averages_views:
            whole: NDArray[np.integer] = self.session.labels(_batch(image))[0]
            return whole
        labels = np.empty(image.shape[:2], self.space.label_type)
        for top, scores in self._score_rows(image):
            labels[top : top + scores.shape[1]] = self._decide(scores)
        return labels

    def probabilities(self, image: NDArray[np.uint8] | Image.Image) -> NDArray[np.float32]:
        """Compute the probability of every class at every pixel.

        Args:
            image: As in `label_map`.

        Returns:
            float32 ``(K, H, W)``, summing to 1 over K unless the classes may overlap.

        Raises:
            DataError: The image has another form.
        """
        image = self._checked(image)
        values = np.empty((self.space.num_classes, *image.shape[:2]), np.float32)
        for top, scores in self._score_rows(image):
            known = self.options.scores_are_probabilities
            values[:, top : top + scores.shape[1]] = scores if known else self._activate(scores)
        return values

    def _pixels(self, image: NDArray[np.uint8] | Image.Image | Path | str) -> NDArray[np.uint8]:
        if isinstance(image, Path | str):
            return self.pixel_format.read(image) if self.pixel_format else read_image(image)
        if isinstance(image, Image.Image):
            return np.array(ImageOps.exif_transpose(image).convert("RGB"))
        return image

    def _checked(self, image: object) -> NDArray[np.uint8]:
        return checked_image(image, self.num_channels, takes_edges=self.takes_edges)

    def _window(self, image: NDArray[np.uint8]) -> tuple[int, int] | None:
        """Choose the window; None is the whole image at once."""
        height, width = image.shape[:2]
        if self.options.window is not None or height * width <= self.whole_limit:
            return self.options.window
        return fallback_window(width, self.space.num_classes)

    def _score_rows(self, image: NDArray[np.uint8]) -> Iterator[tuple[int, NDArray[np.float32]]]:
        """Yield a first row and scores ``(K, rows, W)``, as `_score` gives them."""
        window, options = self._window(image), self.options
        if window is None:
            yield 0, self._score(image)
            return
        yield from blend_windows(
            image,
            self._score,
            window=window,
            overlap=FALLBACK_OVERLAP if options.window is None else options.overlap,
            blend=options.blend,
        )

    def _score(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Score ``(H, W, C)``: logits, or an average of views."""
        if not self.options.averages_views:
            return self._logits(image)
        return average_views(
            image,
            self._logits,
            scales=self.options.scales,
            flip=self.options.flip,
            activate=self._activate if self.options.scores_are_probabilities else None,
        )

    def _logits(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        logits: NDArray[np.float32] = self.session.logits(_batch(image))[0]
        return logits

    def _activate(self, logits: NDArray[np.float32]) -> NDArray[np.float32]:
        return self.space.activate(logits)

    def _decide(self, scores: NDArray[np.float32]) -> NDArray[np.integer]:
        """Label what `_score` gives, ``(K, H, W)``."""
        if self.options.scores_are_probabilities:
            return self.space.decide(scores)
        return self.space.decide_logits(scores)


def _batch(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.ascontiguousarray(image)[None]


def load(
    folder: Path | str,
    *,
    window: tuple[int, int] | None = None,
    overlap: float = 0.5,
    blend: Blend = "smooth",
    scales: Sequence[float] = (1.0,),
    flip: bool = False,
    average: Literal["probabilities", "logits"] = "probabilities",
    threads: int = 0,
) -> ExportedModel:
    """Open a folder that `segloom export` wrote.

    Args:
        folder: The folder.
        window: Height and width of a sliding window; None sees the whole image at once, one of
            more than 4 megapixels through windows of 1024 x 1024.
        overlap: Share of a window that it has in common with the next.
        blend: Windows evenly spaced and weighted by the distance from their centre, or (average)
            at a fixed step and averaged.
        scales: Scales of the image whose scores are averaged.
        flip: Average with the scores of the mirrored image.
        average: What is averaged over scales and mirror images.
        threads: Of one image; 0 takes as many as there are cores.

    Raises:
        CheckpointError: It is no exported network, or its files are damaged.
        ConfigError: A value is out of its range.
        SegloomError: The runtime of its format is not installed.
    """
    folder = Path(folder).expanduser()
    options = Options(window, overlap, blend, tuple(scales), flip, average)
    return load_described(folder, Description.read(folder), options, threads=threads)


def load_described(
    folder: Path, description: Description, options: Options | None = None, *, threads: int = 0
) -> ExportedModel:
    """Open the file of a folder whose description is known already."""
    session = open_session(folder, description, threads=threads)
    return ExportedModel(description, session, options)
