"""Squeeze-and-excitation (SE): one gate per channel, from the mean of every channel.

Paper: Hu, Shen, Sun, "Squeeze-and-Excitation Networks", CVPR 2018, section 3, equations 2 to 4.
The softmax gates are those of the DLSE program (github.com/SatishKumarAnbalagan/Semantic-
Segmentation); written from the formulas.

    z = mean of x over its pixels                      (B, C)     squeeze, eq. 2
    g = gate(W2 relu(W1 z + b1) + b2)                  (B, C)     excitation, eq. 3
    y[c] = g[c] x[c]                                   (B, C, h, w)         eq. 4

Sites by `SeConfig.place`: encoder and aspp rewire blocks inside the network, under the names that
these have, plus ``.se`` (encoder) or a last entry of the projection (aspp); skips acts in enrich,
decoder in refine.
Axes: B batch, C channels, h w size of the map, r ratio.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from segloom.blocks.smp import gate_pooling_pyramids, gate_residual_branches
from segloom.enhancements.base import Enhancement, EnhancementConfig
from segloom.errors import ConfigError
from segloom.types import FeatureSpec, ModelShape

__all__ = ["Gate", "Place", "Se", "SeConfig", "SqueezeExcitation"]

Gate = Literal["sigmoid", "softmax", "scaled_softmax"]
Place = Literal["encoder", "aspp", "skips", "decoder"]

WINNER_SCALE = 1.5
"""What ``scaled_softmax`` multiplies the largest gate with."""


class SqueezeExcitation(nn.Module):
    """Scales each channel of a map by a gate made from the means of all channels.

    Args:
        channels: C of the map.
        ratio: C / r hidden units, at least one.
        gate: What turns the excitation into gates; see `SeConfig.gate`.
    """

    def __init__(self, channels: int, ratio: int = 16, gate: Gate = "sigmoid") -> None:
        super().__init__()
        hidden = max(channels // ratio, 1)
        self.kind = gate
        self.fc1 = nn.Linear(channels, hidden)
        self.fc2 = nn.Linear(hidden, channels)

    def gates(self, x: Tensor) -> Tensor:
        """Compute the gates ``(B, C)`` of a map ``(B, C, h, w)``: positive, at most 1.5."""
        squeezed = x.mean((2, 3))  # (B, C)
        excited = self.fc2(torch.relu(self.fc1(squeezed)))  # (B, C)
        if self.kind == "sigmoid":
            return torch.sigmoid(excited)
        gates = torch.softmax(excited, dim=1)
        if self.kind == "softmax":
            return gates
        winner = gates.argmax(1, keepdim=True)  # (B, 1)
        return gates.scatter(1, winner, WINNER_SCALE * gates.gather(1, winner))

    def forward(self, x: Tensor) -> Tensor:
        """Scale a map ``(B, C, h, w)``, keeping shape and dtype."""
        return x * self.gates(x).to(x.dtype)[:, :, None, None]


@dataclass(frozen=True, kw_only=True)
class SeConfig(EnhancementConfig):
    """Options of squeeze-and-excitation.

    With ``sigmoid`` and ``place="encoder"`` it is the published method. Softmax gates add up to 1,
    so that they average 1 / C and almost switch off the branch they stand on.
    """

    variants: ClassVar[tuple[Mapping[str, object], ...]] = tuple(
        {"place": place} for place in ("encoder", "aspp", "skips", "decoder")
    )

    gate: Gate = "sigmoid"
    """``sigmoid`` as published; ``softmax`` over the channels; ``scaled_softmax`` multiplies the
    largest softmax gate by 1.5, which the DLSE program means to do and, in TensorFlow 1, does not.
    """
    ratio: int = 16
    """The hidden layer has C / ratio units; 16 in the paper."""
    place: Place = "encoder"
    """``encoder``: every residual branch of a ResNet, before the sum. ``aspp``: after the pooling
    pyramid of a DeepLab. ``skips``: every encoder map that the decoder takes. ``decoder``: its
    output."""

    def __post_init__(self) -> None:
        if self.gate not in ("sigmoid", "softmax", "scaled_softmax"):
            raise ConfigError(
                f"se: gate must be sigmoid, softmax or scaled_softmax, not '{self.gate}'."
            )
        if self.place not in ("encoder", "aspp", "skips", "decoder"):
            raise ConfigError(
                f"se: place must be encoder, aspp, skips or decoder, not '{self.place}'."
            )
        if self.ratio < 1:
            raise ConfigError(f"se: ratio must be 1 or more, not {self.ratio}.")

    def build(self, shape: ModelShape) -> Se:
        """Make the module; the gates inside the network follow in `Se.rewire`."""
        return Se(self, shape)


class Se(Enhancement):
    """Squeeze-and-excitation at one place of a network; see `SeConfig`."""

    def __init__(self, config: SeConfig, shape: ModelShape) -> None:
        super().__init__()
        self.config = config
        self.features = shape.features
        channels = {"decoder": shape.decoded_channels} if config.place == "decoder" else {}
        if config.place == "skips":
            channels = {
                str(index): spec.channels
                for index, spec in enumerate(shape.features)
                if spec.level > 0 and spec.channels > 0
            }
        self.gates = nn.ModuleDict({key: self._gate(count) for key, count in channels.items()})

    def enrich(
        self, image: Tensor, features: list[Tensor], signal: object
    ) -> tuple[list[Tensor], object]:
        """Gate the encoder's maps, if that is the place."""
        if self.config.place == "skips":
            features = [
                self.gates[str(index)](map_) if str(index) in self.gates else map_
                for index, map_ in enumerate(features)
            ]
        return features, signal

    def refine(self, decoded: Tensor, signal: object) -> Tensor:
        """Gate the decoder's output ``(B, D, h, w)``, if that is the place."""
        return self.gates["decoder"](decoded) if self.config.place == "decoder" else decoded

    def rewire(self, model: nn.Module) -> None:
        """Put the gates inside the network, or drop those of maps that its decoder leaves out.

        Raises:
            ConfigError: The network lacks the place.
        """
        network: Any = model
        place = self.config.place
        if place == "encoder" and gate_residual_branches(network.encoder, self._gate) == 0:
            name = getattr(network.encoder, "title", network.spec["encoder_name"])
            instead = getattr(network.encoder, "instead", "such an encoder")
            raise ConfigError(
                "se: place encoder needs an encoder of residual blocks without gates of their "
                f"own, such as resnet50 or tu-resnet50, not {name}; take {instead}, or place skips "
                "or decoder, which every network has."
            )
        if place == "aspp" and gate_pooling_pyramids(network.decoder, self._gate) == 0:
            raise ConfigError(
                "se: place aspp needs an atrous pooling pyramid, which deeplabv3, deeplabv3plus "
                "and dlse have and this one has not; take one of them, or "
                "place skips or decoder, which every network has."
            )
        # A vision transformer's list starts at level 1, and its one decoder (DPT) takes all maps.
        if place == "skips" and self.features[0].level == 0:
            for index in _unused(network.decoder, self.features):
                if str(index) in self.gates:
                    del self.gates[str(index)]

    def _gate(self, channels: int) -> SqueezeExcitation:
        return SqueezeExcitation(channels, self.config.ratio, self.config.gate)


def _unused(decoder: nn.Module, features: tuple[FeatureSpec, ...]) -> list[int]:
    """Find the maps that a decoder does not read; their gates would never get a gradient."""
    parameter = next(decoder.parameters())
    side = 4 * max(32, *(spec.stride for spec in features))  # pixels
    maps = [
        parameter.new_zeros(1, spec.channels, side // spec.stride, side // spec.stride)
        for spec in features
    ]
    was_training = decoder.training
    decoder.eval()  # running statistics must not see this
    with torch.enable_grad():
        decoded = decoder([map_.requires_grad_() for map_ in maps])
        decoded = decoded[0] if isinstance(decoded, tuple) else decoded  # without inner maps
        gradients = torch.autograd.grad(decoded.sum(), maps, allow_unused=True)
    decoder.train(was_training)
    return [index for index, gradient in enumerate(gradients) if gradient is None]
