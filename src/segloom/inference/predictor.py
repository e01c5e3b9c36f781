"""One image in, one answer out: what evaluation and prediction call."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from segloom.config.evaluation import InferenceConfig
from segloom.errors import ConfigError
from segloom.images.form import checked_image
from segloom.images.windows import FALLBACK_OVERLAP, WHOLE_LIMIT, fallback_window
from segloom.inference.graph import InferenceGraph
from segloom.inference.optimize import choose_device, optimize
from segloom.inference.tiles import blend_windows
from segloom.inference.tta import average_views
from segloom.labels.palette import default_palette
from segloom.labels.space import MODES, space_of
from segloom.models.model import SegmentationModel
from segloom.models.weights.checkpoint import from_pretrained, read_saved
from segloom.types import LabelSet

__all__ = ["WHOLE_LIMIT", "Predictor"]

GPU_WINDOWS = 4  # scored together on a GPU; on a CPU one by one is faster and smaller


class Predictor:
    """Answers for single images of any size, through the one `InferenceGraph`.

    The network is copied and made fast (`optimize`); the one that is handed in stays as it is.

    With a window, zooms and mirror images are averaged inside every window. An image of more than
    `whole_limit` pixels is seen through windows of 1024 x 1024 (less for many classes and very
    wide images) with an overlap of a quarter even where the options ask for the whole image; so
    is, on a GPU, one that does not fit into its memory.

    Args:
        model: The network.
        labels: Its classes, in the order of their ids.
        config: Window, zooms, mirror image, precision and device.
        whole_limit: Largest image that is seen whole, in pixels.

    Raises:
        ConfigError: The device or the precision is not there, the window or a zoom is not above
            0, or the labels do not fit the network.
    """

    def __init__(
        self,
        model: SegmentationModel,
        labels: LabelSet,
        config: InferenceConfig | None = None,
        *,
        whole_limit: int = WHOLE_LIMIT,
    ) -> None:
        # What the network was built for counts; a label set may have been made without it.
        self.labels = replace(labels, is_multilabel=MODES[model.mode].overlaps)
        self.space = space_of(self.labels)
        self.config = config or InferenceConfig()
        _check(self.config)
        self.whole_limit = whole_limit
        self.device = choose_device(self.config.device)
        self.num_classes = model.num_labels
        self.num_channels = model.input_channels
        self.takes_edges = model.edge_channels > 0
        self.pixel_format = model.pixels
        if len(labels.classes) != self.num_classes:
            raise ConfigError(
                f"the network has {self.num_classes} classes but the labels name "
                f"{len(labels.classes)}; take the labels it was trained with."
            )
        fast = optimize(model, precision=self.config.precision, device=self.device)
        self.graph = InferenceGraph(fast).eval().to(self.device)

    @classmethod
    def from_path(cls, path: Path | str, config: InferenceConfig | None = None) -> Predictor:
        """Load a run (its best checkpoint) or a model directory.

        A network that was saved without labels gets the names ``class_0``, ``class_1``, ...

        Raises:
            CheckpointError: There is none, or it cannot be loaded.
            ConfigError: The device or the precision is not there.
        """
        model = from_pretrained(path)
        labels = read_saved(path).labels or _numbered_labels(model.num_labels)
        return cls(model, labels, config)

    def pixels(self, sample: Mapping[str, Any]) -> NDArray[np.uint8]:
        """Return what `label_map` takes, of a sample of a `SegmentationDataset`: ``(H, W, C)``.

        Edges come last, and are left out where the network does not take them.
        """
        image: NDArray[np.uint8] = np.ascontiguousarray(sample["image"].permute(1, 2, 0).numpy())
        return np.dstack([image, sample["edge"].numpy()]) if self.takes_edges else image

    def label_map(self, image: NDArray[np.uint8] | Image.Image) -> NDArray[np.integer]:
        """Name the class of every pixel.

        Args:
            image: uint8 ``(H, W, C)``, RGB for a network of three channels, of any size; for one
                that takes edges, the edge map is the last channel. Or a PIL image.

        Returns:
            uint8 ``(H, W)``, class ids; of a network of mode multilabel the bits of
            `segloom.labels.bits`.

        Raises:
            DataError: The image has another form.
        """
        image = self._checked(image)
        tensor = self._tensor(image)
        with torch.inference_mode():
            if self._window(tensor) is None and not self._averages_views:
                try:
                    return self.graph.label(tensor)[0].numpy(force=True)
                except torch.OutOfMemoryError:  # of a GPU; below it goes on in windows
                    pass
            labels = np.empty(image.shape[:2], self.space.label_type)
            for top, scores in self._score_rows(tensor):
                rows = self._label(scores[None])[0].numpy(force=True)
                labels[top : top + len(rows)] = rows
        return labels

    def probabilities(self, image: NDArray[np.uint8] | Image.Image) -> NDArray[np.float32]:
        """Compute the probability of every class at every pixel.

        Args:
            image: As in `label_map`.

        Returns:
            float32 ``(K, H, W)``, summing to 1 over K unless the classes may overlap. For an image
            of 8000 x 8000 pixels and 12 classes that is 3 GB; `label_map` needs no such map.

        Raises:
            DataError: The image has another form.
        """
        image = self._checked(image)
        tensor = self._tensor(image)
        values = np.empty((self.num_classes, *image.shape[:2]), np.float32)
        with torch.inference_mode():
            for top, scores in self._score_rows(tensor):
                if not self._scores_are_probabilities:
                    scores = self.graph.activate(scores[None])[0]
                values[:, top : top + scores.shape[1]] = scores.numpy(force=True)
        return values

    @property
    def _averages_views(self) -> bool:
        return self.config.flip or tuple(self.config.scales) != (1.0,)

    @property
    def _scores_are_probabilities(self) -> bool:
        return self._averages_views and self.config.average == "probabilities"

    def _checked(self, image: object) -> NDArray[np.uint8]:
        return checked_image(image, self.num_channels, takes_edges=self.takes_edges)

    def _tensor(self, image: NDArray[np.uint8]) -> Tensor:
        """Bring ``(H, W, C)`` to the device as ``(1, C, H, W)``, channels last, without a copy."""
        pixels = torch.from_numpy(np.require(image, requirements=["C", "W"]))
        return pixels.to(self.device).permute(2, 0, 1)[None]

    def _window(self, image: Tensor) -> tuple[int, int] | None:
        """Choose the window; None is the whole image at once."""
        height, width = image.shape[-2:]
        if self.config.window is not None or height * width <= self.whole_limit:
            return self.config.window
        return fallback_window(width, self.num_classes)

    def _score_rows(self, image: Tensor) -> Iterator[tuple[int, Tensor]]:
        """Yield a first row and float32 scores ``(K, rows, W)``, as `_score` gives them."""
        window = self._window(image)
        if window is None:
            try:
                scores = self._score(image)[0]
            except torch.OutOfMemoryError:
                window = fallback_window(image.shape[-1], self.num_classes)
            else:
                yield 0, scores
                return
        yield from blend_windows(
            image,
            self._score,
            window=window,
            overlap=FALLBACK_OVERLAP if self.config.window is None else self.config.overlap,
            blend=self.config.blend,
            batch_size=GPU_WINDOWS if self.device.type == "cuda" else 1,
        )

    def _label(self, scores: Tensor) -> Tensor:
        """Label what `_score` gives: uint8 ``(B, H, W)``."""
        if self._scores_are_probabilities:
            return self.graph.label_probabilities(scores)
        return self.graph.label_logits(scores)

    def _score(self, image: Tensor) -> Tensor:
        """Score uint8 ``(B, C, H, W)``: logits, or an average of views."""
        if not self._averages_views:
            return self.graph.logits(image)
        return average_views(
            image,
            self.graph.logits,
            scales=self.config.scales,
            flip=self.config.flip,
            activate=self.graph.activate if self._scores_are_probabilities else None,
        )


def _numbered_labels(num_classes: int) -> LabelSet:
    names = tuple(f"class_{index}" for index in range(num_classes))
    return LabelSet(names, default_palette(num_classes))


def _check(config: InferenceConfig) -> None:
    if config.window is not None and min(config.window) < 1:
        raise ConfigError(
            f"inference.window is {config.window}; give a height and a width of 1 pixel or more."
        )
    if not config.scales or min(config.scales) <= 0:
        raise ConfigError(
            f"inference.scales is {config.scales}; give one or more zooms above 0, such as 1.0."
        )
