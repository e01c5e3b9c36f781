"""The contract between a model and what plugs into it.

A model runs ``prepare -> encoder -> enrich -> decoder -> refine -> head -> correct``, and shows
what the decoder hands out to ``supervise``. An
enhancement overrides one or two of these sites and leaves the others as they are: the identity.
What it needs later, for `correct` or for its auxiliary loss, it returns as its *signal*, a value:
nothing is stored on ``self``, so that copying, compiling and exporting a model are safe. Its type
is the enhancement's own business, hence ``Any`` here.

Axes: B batch, C image channels, D decoder channels, K classes, H W image size, h w decoder size.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

from torch import Tensor, nn

from segloom.types import ModelShape

__all__ = ["Enhancement", "EnhancementConfig"]


class Enhancement(nn.Module):
    """A network part that acts at one or more sites of any architecture."""

    input_multiple: int = 1
    """Height and width of the input are padded to a multiple of this."""

    def set_normalization(self, mean: Tensor, std: Tensor) -> None:
        """Learn how images are normalised: ``(pixel / 255 - mean) / std``, both ``(1, C, 1, 1)``.

        Called when a model is built and when a checkpoint brings another normalisation.
        """

    def prepare(self, image: Tensor) -> tuple[Tensor, Any]:
        """Change the image before the encoder: ``(B, C, H, W) -> (B, C + extra, H, W)``, signal."""
        return image, None

    def enrich(
        self, image: Tensor, features: list[Tensor], signal: Any
    ) -> tuple[list[Tensor], Any]:
        """Change the encoder's maps, each keeping its shape, and return the signal."""
        return features, signal

    def supervise(self, pyramid: list[Tensor], signal: Any) -> Any:
        """Look at the maps that the decoder hands out, of any sizes, and return the signal.

        The list is empty for SMP's decoders.
        """
        return signal

    def refine(self, decoded: Tensor, signal: Any) -> Tensor:
        """Change the decoder's output ``(B, D, h, w)``, keeping its shape."""
        return decoded

    def correct(self, logits: Tensor, signal: Any) -> Tensor:
        """Change the logits ``(B, K, H, W)``, keeping their shape."""
        return logits

    def loss(self, signal: Any, target: Tensor) -> Tensor | None:
        """Compute the auxiliary loss: an unweighted scalar, or None if there is none.

        Args:
            signal: What the sites returned, last.
            target: int64 ``(B, H, W)``, class ids and 255 for void.
        """
        return None

    def auxiliary_logits(self, signal: Any) -> list[Tensor]:
        """Return further logits ``(B, K, h, w)`` of any size that learn from the labels.

        Training computes the losses of the main logits on each of them.
        """
        return []

    def rewire(self, model: nn.Module) -> None:
        """Swap blocks of the finished model, once, keeping the names of its parameters."""


@dataclass(frozen=True, kw_only=True)
class EnhancementConfig:
    """Options of one enhancement; a subclass adds fields and builds the module."""

    extra_input_channels: ClassVar[int] = 0
    """Channels that the encoder gets beside those of the image."""

    variants: ClassVar[tuple[Mapping[str, object], ...]] = ({},)
    """Options under which it is a thing of its own, for tables of what fits what."""

    loss_weight: float = 1.0
    """Weight of the auxiliary loss unless the training configuration names another."""

    @property
    def edge_channels(self) -> int:
        """How many of these channels the image must bring along: 1 for an edge map of its own."""
        return 0

    def saved_options(self) -> dict[str, Any]:
        """Give the options from which a saved model is built again, before its weights are read."""
        return asdict(self)

    def build(self, shape: ModelShape) -> Enhancement:
        """Make the module for a model of this shape."""
        raise NotImplementedError(f"{type(self).__name__} does not say how it is built")
