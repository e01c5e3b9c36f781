"""The pipeline that every network runs. Read this file first.

    image -> [prepare] -> encoder -> [enrich] -> decoder -> [refine] -> head -> [correct] -> logits

Brackets are the sites where enhancements act, in the order in which they were given. Encoder,
decoder and head are those of SMP, under SMP's own parameter names, so that plain weights go in and
out; enhancements add ``enhancements.<name>.*`` and nothing else.

Axes: B batch, C image channels, K classes, H W image size.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segloom.enhancements.base import Enhancement
from segloom.images.pixels import PixelFormat
from segloom.labels.space import LabelSpace, network_space
from segloom.ops.crop import crop_by_padding
from segloom.ops.resize import resize
from segloom.ops.sizes import larger_size
from segloom.types import IGNORE_INDEX, LabelSet, Mode, ModelShape, Prediction

__all__ = ["SegmentationModel"]


class SegmentationModel(nn.Module):
    """A segmentation network with enhancements; build one with `create_model`.

    Args:
        encoder: Returns maps by level; SMP's or timm's.
        decoder: Takes those maps, returns ``(B, D, h, w)``.
        segmentation_head: Takes that, returns logits at the size of its input image.
        enhancements: By name, in the order in which they act.
        shape: Static sizes of the parts.
        multiple: Height and width are padded to a multiple of this.
        minimum_size: Height and width are padded to at least this.
        mean: Per image channel, in 0..1 pixel units; what the encoder's weights expect.
        std: Likewise.
        spec: JSON values from which `create_model` builds the same network.
        loss_weights: Default weight of each enhancement's auxiliary loss.
        edge_channels: 1 if an edge map comes with every image as its last channel, else 0.
    """

    pixel_mean: Tensor
    pixel_std: Tensor

    def __init__(
        self,
        encoder: nn.Module,
        decoder: nn.Module,
        segmentation_head: nn.Module,
        enhancements: Mapping[str, Enhancement],
        *,
        shape: ModelShape,
        multiple: int,
        minimum_size: int,
        mean: tuple[float, ...],
        std: tuple[float, ...],
        spec: dict[str, Any],
        loss_weights: dict[str, float],
        edge_channels: int = 0,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder
        self.segmentation_head = segmentation_head
        self.enhancements = nn.ModuleDict(enhancements)
        self.crop = crop_by_padding  # exports take another way
        self.shape = shape
        self.multiple = multiple
        self.minimum_size = minimum_size
        self.spec = spec
        self.loss_weights = loss_weights
        self.edge_channels = edge_channels
        self.pixels: PixelFormat | None = None
        self.is_encoder_frozen = False
        # Not persistent: the state dict keeps exactly SMP's keys.
        self.register_buffer("pixel_mean", None, persistent=False)
        self.register_buffer("pixel_std", None, persistent=False)
        self.set_normalization(mean, std)

    @property
    def mode(self) -> Mode:
        """What the channels of the logits are."""
        mode: Mode = self.spec["mode"]
        return mode

    @property
    def num_labels(self) -> int:
        """Count the classes that the network tells apart: two for one logit, else the channels."""
        return self.space.num_classes

    @property
    def space(self) -> LabelSpace:
        """What the channels mean."""
        return network_space(self.mode, self.shape.num_classes)

    @property
    def input_channels(self) -> int:
        """Channels of what goes in: those of the image, and an edge map if one is to come along."""
        return self.shape.image_channels + self.edge_channels

    @property
    def normalization(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Mean and standard deviation per channel, in 0..1 pixel units."""
        return tuple(self.pixel_mean.flatten().tolist()), tuple(self.pixel_std.flatten().tolist())

    def set_normalization(self, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
        """Choose what `normalize` subtracts and divides by, and let the enhancements know.

        Values may be those of the image alone; an edge map is then divided by 255.
        """
        missing = self.input_channels - len(mean)
        mean, std = (*mean, *[0.0] * missing), (*std, *[1.0] * missing)
        self.pixel_mean = torch.tensor(mean).view(1, -1, 1, 1)
        self.pixel_std = torch.tensor(std).view(1, -1, 1, 1)
        for _, part in self._parts():
            part.set_normalization(self.pixel_mean, self.pixel_std)

    def normalize(self, image: Tensor) -> Tensor:
        """Turn pixels of 0 to 255, any dtype, ``(B, C, H, W)``, into what the network expects."""
        return (image.to(self.pixel_mean.dtype) / 255 - self.pixel_mean) / self.pixel_std

    def forward(self, image: Tensor) -> Tensor:
        """Compute logits ``(B, K, H, W)`` of a normalised image ``(B, C, H, W)`` of any size."""
        return self.run(image).logits

    def run(self, image: Tensor) -> Prediction:
        """Compute logits and the signals that the auxiliary losses need.

        Args:
            image: Float ``(B, C, H, W)``, normalised, of any size: it is padded at its right and
                bottom edge inside and the logits are cropped back. C is `input_channels`.
        """
        height, width = image.shape[-2:]
        image = self._pad(image)
        seen = image[:, : self.shape.image_channels] if self.edge_channels else image
        parts = self._parts()
        prepared = image
        signals: dict[str, object] = {}  # `dict[str, object]()` would break compilation
        for name, part in parts:
            prepared, signals[name] = part.prepare(prepared)
        encoded = self.encoder(prepared)
        # DPT's encoder returns its maps and the prefix tokens (class token, registers).
        features, rest = (encoded[0], encoded[1:]) if isinstance(encoded, tuple) else (encoded, ())
        for name, part in parts:
            features, signals[name] = part.enrich(seen, list(features), signals[name])
        decoded = self.decoder(features, *rest)
        # A decoder of ours may hand out inner maps too, for auxiliary heads, and its own signal.
        decoded, *handed = decoded if isinstance(decoded, tuple) else (decoded, [])
        pyramid = handed[0]
        if handed[1:]:
            signals[self.spec["architecture"]] = handed[1]
        for name, part in parts:
            signals[name] = part.supervise(pyramid, signals[name])
        for name, part in parts:
            decoded = part.refine(decoded, signals[name])
        logits = self.segmentation_head(decoded)
        for name, part in parts:
            logits = part.correct(logits, signals[name])
        return Prediction(self.crop(logits, height, width), signals)

    def auxiliary_losses(self, prediction: Prediction, target: Tensor) -> dict[str, Tensor]:
        """Compute the enhancements' own losses, not weighted, by name.

        Args:
            prediction: What `run` returned.
            target: int64 ``(B, H, W)``, class ids and 255 for void.
        """
        padding = self._padding(*target.shape[-2:])
        target = F.pad(target, padding, value=IGNORE_INDEX)
        losses = {}
        parts: list[tuple[str, object]] = [*self._parts()]
        for name, part in [*parts, (self.spec["architecture"], self.decoder)]:
            if hasattr(part, "loss"):
                loss = part.loss(prediction.signals[name], target)
                if loss is not None:
                    losses[name] = loss
        return losses

    def auxiliary_logits(self, prediction: Prediction) -> dict[str, list[Tensor]]:
        """Collect the enhancements' own logits at the size of the main ones, by name.

        Args:
            prediction: What `run` returned.
        """
        height, width = prediction.logits.shape[-2:]
        _, right, _, bottom = self._padding(height, width)
        padded = (height + bottom, width + right)
        found: dict[str, list[Tensor]] = {}
        for name, part in self._parts():
            logits = part.auxiliary_logits(prediction.signals[name])
            if logits:
                found[name] = [resize(map_, padded)[..., :height, :width] for map_ in logits]
        return found

    def save_pretrained(
        self,
        directory: Path | str,
        labels: LabelSet | None = None,
        metrics: Mapping[str, object] | None = None,
    ) -> None:
        """Write weights, configuration and card; see `segloom.models.save_pretrained`."""
        from segloom.models.weights.checkpoint import save_pretrained

        save_pretrained(self, directory, labels, metrics)

    @staticmethod
    def from_pretrained(source: Path | str, **changes: object) -> SegmentationModel:
        """Open a directory, a run or a hub model; see `segloom.models.from_pretrained`."""
        from segloom.models.weights.checkpoint import from_pretrained

        return from_pretrained(source, **changes)

    def push_to_hub(
        self,
        repo_id: str,
        *,
        labels: LabelSet | None = None,
        metrics: Mapping[str, object] | None = None,
        private: bool = False,
        token: str | None = None,
    ) -> str:
        """Upload to the hub; see `segloom.models.push_to_hub`."""
        from segloom.models.weights.checkpoint import push_to_hub

        return push_to_hub(
            self, repo_id, labels=labels, metrics=metrics, private=private, token=token
        )

    def freeze_encoder(self) -> None:
        """Keep the encoder's weights and its normalisation statistics as they are."""
        self._set_encoder_trainable(trainable=False)

    def unfreeze_encoder(self) -> None:
        """Undo `freeze_encoder`."""
        self._set_encoder_trainable(trainable=True)

    def train(self, mode: bool = True) -> SegmentationModel:
        """Switch to training; a frozen encoder stays in evaluation mode."""
        super().train(mode)
        if self.is_encoder_frozen:
            self.encoder.eval()
        return self

    def _set_encoder_trainable(self, *, trainable: bool) -> None:
        self.is_encoder_frozen = not trainable
        for parameter in self.encoder.parameters():
            parameter.requires_grad_(trainable)
        self.train(self.training)

    def _parts(self) -> list[tuple[str, Enhancement]]:
        """List the enhancements; torch's container knows them as modules only."""
        return cast("list[tuple[str, Enhancement]]", list(self.enhancements.items()))

    def _padding(self, height: int, width: int) -> tuple[int, int, int, int]:
        """Left, right, top and bottom padding in pixels; left and top are 0."""

        def missing(size: int) -> int:
            padded = larger_size(size, self.minimum_size)
            return (padded + self.multiple - 1) // self.multiple * self.multiple - size

        return 0, missing(width), 0, missing(height)

    def _pad(self, image: Tensor) -> Tensor:
        # Not skipped where nothing is missing: a branch on the size would be baked into an export.
        return F.pad(image, self._padding(*image.shape[-2:]), mode="replicate")
