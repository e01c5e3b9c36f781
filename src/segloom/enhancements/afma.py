"""Across Feature Map Attention (AFMA): how each patch of the image relates to an encoder map.

Paper: Sang, Zhou, Islam, Xing, "Small-Object Sensitive Segmentation Using Across Feature Map
Attention", IEEE TPAMI 45(5), 2023. Its program has no licence; this is written from the formulas.
For every class, image patches are compared with patches of one encoder map. The relation, learnt
from the labels themselves (a patch of pole resembles the same pole pooled), carries the pooled
prediction back to full resolution and scales the logits with it.

Sites: enrich (the relation's two factors), correct (scales the logits), loss (gold relation).
Differences from the released program are listed at `AfmaConfig`.
Axes: B batch, C channels, K classes, H W image, h w encoder map, N image patches, M feature
patches, Q pixels of a patch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from segloom.enhancements.base import Enhancement, EnhancementConfig
from segloom.errors import ConfigError
from segloom.ops.convolution import convolve_twice
from segloom.ops.low_rank_attention import average_values, materialize, squared_error
from segloom.ops.patches import from_patches, to_patches
from segloom.types import IGNORE_INDEX, ModelShape

__all__ = [
    "Afma",
    "AfmaConfig",
    "AfmaSignal",
    "attention_loss",
    "gold_attention",
    "rename_reference_key",
]


class AfmaSignal(NamedTuple):
    """The relation as two factors, float32 and non-negative: ``A = image feature^T / Q``."""

    image: Tensor
    """``(B, K, N, Q)``; ``(B, 1, N, Q)`` where one image channel serves all classes."""
    feature: Tensor
    """``(B, K, M, Q)``."""


class GoldAttention(NamedTuple):
    """The relation that the labels ask for, as factors, and how much each patch counts."""

    image: Tensor
    """``(B, K, N, Q)``: 1 where the pixel has the class."""
    feature: Tensor
    """``(B, K, M, Q)``: share of the class among the labelled pixels under a feature pixel."""
    image_weight: Tensor | None
    """``(B, 1, N, 1)``: labelled share of the patch; None if all count alike."""
    feature_weight: Tensor | None
    """``(B, 1, M, 1)``."""


@dataclass(frozen=True, kw_only=True)
class AfmaConfig(EnhancementConfig):
    """Options of AFMA.

    Differences of ``mode="default"`` from the released program: any number of classes and image
    channels; void pixels take no part in the gold relation, and patches count in the loss by
    their labelled share; a remainder that fills no patch is padded with copies of the border
    instead of dropped, so every pixel is corrected; the feature embedding is scaled by the level's
    real stride, also where dilation keeps it. ``mode="parity"`` is the program to the rounding
    error: void pixels have no class but count, the remainder is dropped, the scale is 4^-level.

    Both modes use the real stride for pooling (the program's rule for DeepLabV3 and PSPNet), read
    one class as "object or not" (label 1, positive logits), and never build the relation.
    """

    level: int = 3
    """Encoder level compared with the image. Lower levels cost more; 3 is an assumption."""
    patch: int = 10
    """Side of a patch in pixels, of the image and of the map; 10 in the released program."""
    image_embed_channels: int | None = None
    """None: one channel per class, as in the released program. 1: one for all, as in the paper."""
    mode: Literal["default", "parity"] = "default"
    """``parity`` equals the released program, limits included."""

    def __post_init__(self) -> None:
        if self.level < 0:
            raise ConfigError(f"afma: level must be at least 0, not {self.level}.")
        if self.patch < 1:
            raise ConfigError(f"afma: patch must be at least 1 pixel, not {self.patch}.")
        if self.image_embed_channels not in (None, 1):
            raise ConfigError(
                "afma: image_embed_channels must be 1 (one channel for all classes) or left out "
                f"(one per class), not {self.image_embed_channels}."
            )
        if self.mode not in ("default", "parity"):
            raise ConfigError(f"afma: mode must be default or parity, not '{self.mode}'.")

    def build(self, shape: ModelShape) -> Afma:
        """Make the module.

        Raises:
            ConfigError: The encoder has no map at the level.
        """
        index, feature = shape.level(self.level)
        return Afma(
            self,
            feature_index=index,
            feature_channels=feature.channels,
            stride=feature.stride,
            image_channels=shape.image_channels,
            num_classes=shape.num_classes,
        )


class Afma(Enhancement):
    """Across feature map attention; see `AfmaConfig` for the options.

    Args:
        config: The options.
        feature_index: Where the encoder's list holds the map.
        feature_channels: Channels of the map.
        stride: Image pixels per pixel of the map.
        image_channels: Channels of the image.
        num_classes: Channels of the logits.
    """

    def __init__(
        self,
        config: AfmaConfig,
        *,
        feature_index: int,
        feature_channels: int,
        stride: int,
        image_channels: int,
        num_classes: int,
    ) -> None:
        super().__init__()
        self.patch, self.stride, self.feature_index = config.patch, stride, feature_index
        self.is_parity = config.mode == "parity"
        self.feature_scale = 4.0**-config.level if self.is_parity else 1 / stride**2
        self.input_multiple = stride
        inner = config.patch**2
        # Initialised as torch does, as in the released program: relations start near 2e-4, so a
        # new model starts as its baseline.
        self.image_first = nn.Conv2d(image_channels, 64, 7, padding=3)
        self.image_second = nn.Conv2d(64, config.image_embed_channels or num_classes, 3, padding=1)
        self.feature_embed = nn.Conv2d(feature_channels, num_classes, 1)
        self.expand = nn.Linear(inner, 2 * inner, bias=False)
        self.reduce = nn.Linear(2 * inner, inner, bias=False)

    def enrich(
        self, image: Tensor, features: list[Tensor], signal: object
    ) -> tuple[list[Tensor], AfmaSignal]:
        """Relate the image with the encoder map; the features pass unchanged.

        Raises:
            ConfigError: The map is not ``stride`` times smaller than the image, or, in parity
                mode, it does not fill a single patch.
        """
        feature = features[self.feature_index]
        self._check_size(image, feature)
        return features, self.relate(image, feature)

    def relate(self, image: Tensor, feature: Tensor) -> AfmaSignal:
        """Compute the factors of the relation of ``(B, C, H, W)`` with ``(B, C', h, w)``."""
        return AfmaSignal(
            self._describe(convolve_twice(image, self.image_first, self.image_second), 1.0),
            self._describe(self.feature_embed(feature), self.feature_scale),
        )

    def _describe(self, embedding: Tensor, scale: float) -> Tensor:
        """Turn an embedding ``(B, K, H, W)`` into non-negative patch features ``(B, K, N, Q)``."""
        with torch.autocast(embedding.device.type, enabled=False):
            # Two linear layers with nothing between them are one.
            weight = _precise(self.reduce.weight) @ _precise(self.expand.weight)
            tokens = to_patches(_precise(embedding), self.patch, self._remainder)
            return F.linear(tokens, weight * scale).relu_()

    def correct(self, logits: Tensor, signal: AfmaSignal) -> Tensor:
        """Scale the logits ``(B, K, H, W)`` by one plus what the related patches predict.

        Returns:
            float32 or wider, also under autocast: the gains of a young model drown in bfloat16.
        """
        with torch.autocast(logits.device.type, enabled=False):
            logits = _precise(logits)
            with torch.no_grad():
                pooled = _pool_winners(logits, self.stride)
                values = to_patches(pooled, self.patch, self._remainder)
            patches = average_values(signal.image, signal.feature, values)
            size = (logits.shape[-2], logits.shape[-1])
            gain = from_patches(patches, size, self.patch, self._remainder)
            return torch.addcmul(logits, logits, gain)

    def loss(self, signal: AfmaSignal, target: Tensor) -> Tensor:
        """Compare the relation with the gold one; see `attention_loss`."""
        return attention_loss(
            signal, target, patch=self.patch, stride=self.stride, parity=self.is_parity
        )

    def attention(self, signal: AfmaSignal) -> Tensor:
        """Write the relation out: ``(B, K, N, M)``, to look at; large."""
        return materialize(signal.image, signal.feature)

    @property
    def _remainder(self) -> Literal["pad", "drop"]:
        return "drop" if self.is_parity else "pad"

    def _check_size(self, image: Tensor, feature: Tensor) -> None:
        if torch.compiler.is_compiling():  # traced sizes are the model's, which pads
            return
        (height, width), size = image.shape[-2:], tuple(feature.shape[-2:])
        if size != (height / self.stride, width / self.stride):
            raise ConfigError(
                f"afma: the encoder map is {size[0]}x{size[1]} for a {height}x{width} image, but "
                f"its stride is {self.stride}; pad the image to a multiple of {self.stride}."
            )
        if self.is_parity and min(size) < self.patch:
            raise ConfigError(
                f"afma: parity mode needs images of {self.patch * self.stride} pixels or more a "
                f"side at this level, not {height}x{width}; use mode=default or a lower level."
            )


def attention_loss(
    signal: AfmaSignal,
    target: Tensor,
    *,
    patch: int,
    stride: int,
    ignore_index: int = IGNORE_INDEX,
    parity: bool = False,
) -> Tensor:
    """Mean squared difference between a relation and the one that the labels ask for.

    Usable without the rest: any pair of non-negative patch features will do.

    Args:
        signal: Factors of the relation.
        target: Label map, integer ``(B, H, W)``; H and W multiples of ``stride``.
        patch: Side of a patch in pixels.
        stride: Image pixels per feature pixel.
        ignore_index: Label of a void pixel.
        parity: Count as the released program does: void pixels have no class but weigh, and a
            remainder that fills no patch is dropped.

    Returns:
        Scalar; 0 with zero gradients if no pixel is labelled.
    """
    with torch.autocast(signal.image.device.type, enabled=False):
        image, feature = _precise(signal.image), _precise(signal.feature)
        gold = gold_attention(
            target,
            feature.shape[1],
            patch=patch,
            stride=stride,
            ignore_index=ignore_index,
            parity=parity,
            dtype=image.dtype,
        )
        return squared_error(image, feature, *gold)


@torch.no_grad()
def gold_attention(
    target: Tensor,
    num_classes: int,
    *,
    patch: int,
    stride: int,
    ignore_index: int = IGNORE_INDEX,
    parity: bool = False,
    dtype: torch.dtype = torch.float32,
) -> GoldAttention:
    """Make the gold relation of a label map, in ``dtype``; arguments as in `attention_loss`.

    An entry of it says in how many of the Q places an image patch and a feature patch have the
    class both, the feature patch by its share.
    """
    remainder: Literal["pad", "drop"] = "drop" if parity else "pad"
    # With one class the channel is the object, label 1, and 0 is the background.
    ids = torch.arange(num_classes, device=target.device).view(-1, 1, 1) + (num_classes == 1)
    labelled = target.unsqueeze(1) != ignore_index  # (B, 1, H, W)
    classes = ((target.unsqueeze(1) == ids) & labelled).to(dtype)  # (B, K, H, W)
    pooled = F.avg_pool2d(classes, stride)
    if parity:
        image, feature = (to_patches(part, patch, remainder) for part in (classes, pooled))
        return GoldAttention(image, feature, None, None)
    known = labelled.to(dtype)
    cover = F.avg_pool2d(known, stride)
    pooled = pooled / cover.clamp(min=0.5 / stride**2)  # share among the labelled pixels
    image, feature, image_weight, feature_weight = (
        to_patches(part, patch, remainder) for part in (classes, pooled, known, cover)
    )
    return GoldAttention(
        image,
        feature,
        image_weight.mean(-1, keepdim=True),
        feature_weight.mean(-1, keepdim=True),
    )


REFERENCE_KEYS = {
    "encoder.conv_img.0.": "enhancements.afma.image_first.",
    "encoder.conv_img.1.": "enhancements.afma.image_second.",
    "encoder.conv_feamap.0.": "enhancements.afma.feature_embed.",
    "encoder.resolution_trans.0.": "enhancements.afma.expand.",
    "encoder.resolution_trans.1.": "enhancements.afma.reduce.",
    "decoder.segmentation.conv_x.": "segmentation_head.0.",
}


def rename_reference_key(key: str) -> str:
    """Translate a state-dict key of the released program to a model's with an ``afma``.

    The attention's and the head's keys change, the others are kept; where the released decoder
    names its layers otherwise than SMP does, that is left to the caller.
    """
    for old, new in REFERENCE_KEYS.items():
        if key.startswith(old):
            return new + key.removeprefix(old)
    return key


def _pool_winners(logits: Tensor, stride: int) -> Tensor:
    """Share of pixels whose largest logit is each class, ``(B, K, H / stride, W / stride)``.

    The first of equal ones wins; with one class, a positive logit does. Class by class, since an
    argmax and a full one-hot map take several times longer.
    """
    if logits.shape[1] == 1:
        return F.avg_pool2d((logits > 0).to(logits.dtype), stride)
    logits = logits.contiguous()
    best = logits.amax(1, keepdim=True)
    is_free = torch.ones_like(best, dtype=torch.bool)
    shares = []
    for k in range(logits.shape[1]):
        wins = (logits[:, k : k + 1] == best) & is_free
        is_free = is_free ^ wins
        shares.append(F.avg_pool2d(wins.to(logits.dtype), stride))
    return torch.cat(shares, dim=1)


def _precise(values: Tensor) -> Tensor:
    """Widen to float32, or keep what is wider."""
    return values.to(torch.promote_types(values.dtype, torch.float32))
