"""HED as an enhancement: edges of the photograph as one more channel of the network's input.

Network: Xie and Tu, "Holistically-Nested Edge Detection", ICCV 2015 (`hed_network`). Edges as an
input channel are an idea of course projects on street scenes; no paper reports a gain. One of them
made the training edges from coloured label images, which gives the answer away in training and
nothing in testing: here edges come from the image that the network is shown, or from files that
are made before (`source=file`) and never from the file of the labels.

Site: prepare. The encoder's first convolution gets one more input channel, with weights of zero,
so a network starts as its baseline. Axes: B batch, C image channels, H W image.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import ClassVar, Literal

import torch
from torch import Tensor

from segloom.enhancements.base import Enhancement, EnhancementConfig
from segloom.enhancements.hed.network import HedNetwork
from segloom.enhancements.hed.weights import load_hed
from segloom.errors import ConfigError
from segloom.types import ModelShape

__all__ = ["Hed", "HedConfig"]


@dataclass(frozen=True, kw_only=True)
class HedConfig(EnhancementConfig):
    """Options of HED edges as an input channel."""

    extra_input_channels: ClassVar[int] = 1
    variants: ClassVar[tuple[Mapping[str, object], ...]] = ({"weights": "random"},)

    source: Literal["network", "file"] = "network"
    """``network`` finds the edges while it runs; ``file`` takes maps that were made before, as the
    data's edges or `segloom predict --edges`."""
    weights: str = ""
    """File with trained weights (docs/enhancements/hed.md says which kinds); ``random`` where a
    checkpoint of the whole network will fill them."""
    geometry: Literal["caffe", "simple"] = "caffe"
    """``caffe`` is the authors' placing of the score maps, ``simple`` costs less."""
    trainable: bool = False
    """Whether the edge network learns with the rest."""

    def __post_init__(self) -> None:
        if self.source not in ("network", "file"):
            raise ConfigError(f"hed: source must be network or file, not '{self.source}'.")
        if self.source == "file":
            if self.weights or self.trainable:
                raise ConfigError(
                    "hed: source=file takes edge maps as they are and has no network; leave "
                    "weights and trainable out."
                )
            return
        if not self.weights:
            raise ConfigError(
                "hed: name a file of trained weights with weights=FILE; `segloom edges train` "
                "makes one, and docs/enhancements/hed.md says where others are."
            )
        if self.geometry not in ("caffe", "simple"):
            raise ConfigError(f"hed: geometry must be caffe or simple, not '{self.geometry}'.")

    @property
    def edge_channels(self) -> int:
        """Whether an edge map must come with the image."""
        return int(self.source == "file")

    def build(self, shape: ModelShape) -> Enhancement:
        """Make the module.

        Raises:
            ConfigError: The image has two channels.
            CheckpointError: The weight file cannot be read or does not fit.
        """
        if self.source == "file":
            return GivenEdges()
        if shape.image_channels == 2:
            raise ConfigError("hed: edges are found in grey (1 channel) or RGB (3 or more), not 2.")
        if self.weights == "random":
            return Hed(HedNetwork(self.geometry), trainable=self.trainable)
        path = Path(self.weights).expanduser()
        network = load_hed(path, self.geometry, for_training=self.trainable)
        return Hed(network, trainable=self.trainable)

    def saved_options(self) -> dict[str, object]:
        """Return the options without the file, since a saved model holds the weights itself."""
        return {**asdict(self), "weights": "random" if self.source == "network" else ""}


class GivenEdges(Enhancement):
    """Leave edges that come with the image where they are, its last channel; they are the signal.

    They were divided by 255, as what `Hed` appends is from 0 to 1.
    """

    def prepare(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Return the image ``(B, C + 1, H, W)`` and its edges ``(B, 1, H, W)``, 0 to 1."""
        return image, image[:, -1:]


class Hed(Enhancement):
    """Append the probability of an edge to the image; it is also the signal, to look at.

    Args:
        network: Finds the edges.
        trainable: Whether it learns with the rest.
    """

    pixel_mean: Tensor
    pixel_std: Tensor

    def __init__(self, network: HedNetwork, *, trainable: bool) -> None:
        super().__init__()
        self.network = network
        self.network.requires_grad_(trainable)
        # Not persistent: what the model says of its images is saved by the model.
        self.register_buffer("pixel_mean", torch.zeros(1, 1, 1, 1), persistent=False)
        self.register_buffer("pixel_std", torch.ones(1, 1, 1, 1), persistent=False)

    def set_normalization(self, mean: Tensor, std: Tensor) -> None:
        """Keep what turns the image that `prepare` gets back into pixels."""
        self.pixel_mean, self.pixel_std = mean[:, :3].clone(), std[:, :3].clone()

    def prepare(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Append the edges to a normalised image: ``(B, C, H, W) -> (B, C + 1, H, W)``.

        The first three channels are RGB; one channel is grey.

        Returns:
            The image with the edges as its last channel, and the edges ``(B, 1, H, W)``, 0 to 1.
        """
        pixels = 255 * (image[:, :3] * self.pixel_std + self.pixel_mean)
        edges = self.network.edges(pixels.expand(-1, 3, -1, -1))
        return torch.cat([image, edges.to(image.dtype)], dim=1), edges
