"""CELT: attention between two feature layers, added to the logits.

Method: "CELT: Using feature layer interactions to improve semantic segmentation models" (2021,
anonymous program without a licence or a findable paper; written here from its formulas alone).
Two small transformers relate patches of the image with patches of an encoder map; their relation
gives one non-negative map of image size, which a convolution turns into an addition to the logits.

Sites: enrich (computes the map, leaves the encoder's features as they are), correct (adds).
Differences of the default mode from the original are listed at `CeltConfig`.
Axes: B batch, C channels, K classes, H W image, h w map of a level, S and T tokens of the source
and of the level, D = patch * patch values of a token, G = grid * grid fixed relation columns.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from segloom.enhancements.base import Enhancement, EnhancementConfig
from segloom.errors import ConfigError
from segloom.ops.patches import from_patches, num_patches, to_patches
from segloom.types import ModelShape

__all__ = ["Celt", "CeltConfig", "rename_reference_key"]


@dataclass(frozen=True, kw_only=True)
class CeltConfig(EnhancementConfig):
    """Options of CELT.

    The original compares each image patch with the 64 patches that a stride-4 map of a 320x320
    image has, because a linear layer takes exactly 64 relations. The default mode takes any size:
    the relation of every source patch, seen as an image over the level's patch grid, is resampled
    by area to ``grid x grid`` cells. A grid that is already 8x8 is resampled by the identity, so
    a 320x320 image at level 2 gives exactly the original's result. The relation is linear in the
    level's tokens, hence the tokens are resampled instead and no S x T matrix is built.

    Further differences of ``mode="default"``: a remainder that fills no patch is padded by
    repeating the border instead of dropped; attention weights are not dropped out (that would force
    the S x S matrix into memory), the other dropouts are kept; the last convolution starts near
    zero, so a new model starts as its baseline. ``mode="parity"`` is the original to the rounding
    error and refuses sizes with another number of patches.
    """

    level: int = 2
    """Encoder level compared with the source; 2 (stride 4) in the original."""
    source_level: int = 0
    """What the map is drawn on: 0 is the image (the original), otherwise an encoder level."""
    patch: int = 10
    """Side of a patch, in pixels of its map."""
    grid: int = 8
    """Side of the fixed grid of relations; 8 x 8 = 64 in the original."""
    feedforward: int = 2048
    """Hidden channels of the transformers' feed-forward layers."""
    hidden: int = 1024
    """Channels between the two linear layers after the relation."""
    kernel: int = 3
    """Side of the last convolution; the original has the head's: 1 in FPN, Linknet, DeepLabV3."""
    dropout: float = 0.1
    """Dropout of the transformers, 0 to 1."""
    position: Literal["none", "sine"] = "none"
    """Whether tokens carry their place; the original's do not."""
    mode: Literal["default", "parity"] = "default"
    """``parity`` equals the original program, limits included."""

    def __post_init__(self) -> None:
        for name in ("patch", "grid", "feedforward", "hidden"):
            if getattr(self, name) < 1:
                raise ConfigError(f"celt: {name} must be at least 1, not {getattr(self, name)}.")
        if self.kernel < 1 or self.kernel % 2 == 0:
            raise ConfigError(f"celt: kernel must be odd, not {self.kernel}.")
        if not 0 <= self.dropout < 1:
            raise ConfigError(f"celt: dropout must be in [0, 1), not {self.dropout}.")
        if self.mode not in ("default", "parity"):
            raise ConfigError(f"celt: mode must be default or parity, not '{self.mode}'.")
        if self.position not in ("none", "sine"):
            raise ConfigError(f"celt: position must be none or sine, not '{self.position}'.")
        if self.level == self.source_level:
            raise ConfigError(
                f"celt: level and source_level are both {self.level}; choose two different ones."
            )

    def build(self, shape: ModelShape) -> Celt:
        """Make the module.

        Raises:
            ConfigError: The encoder has no map at one of the levels.
        """
        index, feature = shape.level(self.level)
        if self.source_level == 0:
            return Celt(
                self, None, shape.image_channels, index, feature.channels, shape.num_classes
            )
        source_index, source = shape.level(self.source_level)
        return Celt(self, source_index, source.channels, index, feature.channels, shape.num_classes)


class Celt(Enhancement):
    """Cross-layer transformer pair; see `CeltConfig` for the options and the module for the source.

    The signal is the attention map, ``(B, 1, H_s, W_s)``, non-negative, at the size of the source.
    """

    def __init__(
        self,
        config: CeltConfig,
        source_index: int | None,
        source_channels: int,
        feature_index: int,
        feature_channels: int,
        num_classes: int,
    ) -> None:
        super().__init__()
        self.patch, self.grid = config.patch, config.grid
        self.is_parity = config.mode == "parity"
        self.has_position = config.position == "sine"
        self.source_index, self.feature_index = source_index, feature_index
        width = config.patch**2
        attention_dropout = config.dropout if self.is_parity else 0.0
        sizes = (width, config.feedforward, config.dropout, attention_dropout)
        self.source_embed = nn.Conv2d(source_channels, 1, 1)
        self.feature_embed = nn.Conv2d(feature_channels, 1, 1)
        self.up = CrossTransformer(*sizes)
        self.down = CrossTransformer(*sizes)
        self.expand = nn.Linear(config.grid**2, config.hidden)
        self.reduce = nn.Linear(config.hidden, width)
        self.project = nn.Conv2d(1, num_classes, config.kernel, padding=config.kernel // 2)
        self._initialize()

    def _initialize(self) -> None:
        """Start as the original does; it also overwrote the encoder, which is left alone here."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_uniform_(module.weight, nonlinearity="relu")
            elif isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
            if isinstance(module, nn.Conv2d | nn.Linear) and module.bias is not None:
                nn.init.zeros_(module.bias)
        if self.is_parity:
            nn.init.xavier_uniform_(self.project.weight)
        else:
            # The map is of the order of 10: its first additions stay near 0.01, yet have gradients.
            nn.init.normal_(self.project.weight, std=1e-3)

    def enrich(
        self, image: Tensor, features: list[Tensor], signal: object
    ) -> tuple[list[Tensor], Tensor]:
        """Compute the attention map ``(B, 1, H_s, W_s)``; the features pass unchanged.

        Raises:
            ConfigError: In parity mode, the level has another number of patches than ``grid**2``.
        """
        source = image if self.source_index is None else features[self.source_index]
        return features, self.attend(source, features[self.feature_index])

    def correct(self, logits: Tensor, signal: object) -> Tensor:
        """Add the convolved map to the logits ``(B, K, H, W)``."""
        addition: Tensor = self.project(signal)
        if self.source_index is not None:
            addition = F.interpolate(
                addition, size=logits.shape[-2:], mode="bilinear", align_corners=False
            )
        return logits + addition

    def attend(self, source: Tensor, feature: Tensor) -> Tensor:
        """Relate ``(B, C, H_s, W_s)`` with ``(B, C', h, w)``: non-negative ``(B, 1, H_s, W_s)``."""
        up, down = self.relate(self.source_embed(source), self.feature_embed(feature))
        # The two linear layers and the product are all linear in `up`: o = up M + c, M is D x D.
        weight = self.reduce.weight @ self.expand.weight  # (D, G)
        bias = F.linear(self.expand.bias, self.reduce.weight, self.reduce.bias)
        patches = up @ (down.transpose(1, 2) @ weight.t()) + bias  # (B, S, D)
        size = (source.shape[-2], source.shape[-1])
        drawn = from_patches(patches.unsqueeze(1), size, self.patch, self._remainder)
        return F.relu(drawn)

    def relate(self, source: Tensor, feature: Tensor) -> tuple[Tensor, Tensor]:
        """Run both transformers.

        Args:
            source: Embedded source, ``(B, 1, H_s, W_s)``.
            feature: Embedded level, ``(B, 1, h, w)``.

        Returns:
            ``up`` ``(B, S, D)`` and ``down`` ``(B, G, D)``; their inner products are the relation.
        """
        sources, targets = self._tokens(source), self._tokens(feature)
        down = self.down(sources, targets)  # (B, T, D)
        up = self.up(targets, sources)  # (B, S, D)
        rows, columns = self._grid(feature)
        if not self.is_parity:
            area = down.reshape(-1, rows, columns, down.shape[-1])
            along = _area_weights(rows, self.grid, down)
            across = _area_weights(columns, self.grid, down)
            down = torch.einsum("gr,brcd,ec->bged", along, area, across).flatten(1, 2)
        elif rows * columns != self.grid**2:
            raise ConfigError(
                f"celt: parity mode needs {self.grid**2} patches at its level (320x320 images in "
                f"the original), not {rows * columns}; use mode=default for other sizes."
            )
        return up, down

    @property
    def _remainder(self) -> Literal["pad", "drop"]:
        return "drop" if self.is_parity else "pad"

    def _grid(self, plane: Tensor) -> tuple[int, int]:
        """Count the patches of a map in each direction."""
        height, width = plane.shape[-2:]
        patch, remainder = self.patch, self._remainder
        return num_patches(height, patch, remainder), num_patches(width, patch, remainder)

    def _tokens(self, plane: Tensor) -> Tensor:
        """Cut ``(B, 1, H, W)`` into patches ``(B, S, D)``, with their places if asked for."""
        tokens = to_patches(plane, self.patch, self._remainder).squeeze(1)
        return tokens + _sine_positions(*self._grid(plane), tokens) if self.has_position else tokens


class CrossTransformer(nn.Module):
    """One encoder and one decoder layer, post-norm, one head, with a closing norm on each.

    Args:
        width: Channels of a token, D.
        feedforward: Hidden channels.
        dropout: On the residual branches and inside the feed-forward layers.
        attention_dropout: On the attention weights.
    """

    def __init__(
        self, width: int, feedforward: int, dropout: float, attention_dropout: float
    ) -> None:
        super().__init__()
        self.encode_attention = Attention(width, attention_dropout)
        self.encode_feedforward = FeedForward(width, feedforward, dropout)
        self.decode_attention = Attention(width, attention_dropout)
        self.cross_attention = Attention(width, attention_dropout)
        self.decode_feedforward = FeedForward(width, feedforward, dropout)
        self.encode_norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(3))
        self.decode_norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(4))
        self.dropout = nn.Dropout(dropout)

    def forward(self, source: Tensor, target: Tensor) -> Tensor:
        """Read ``source`` ``(B, S, D)`` into ``target`` ``(B, T, D)``; return ``(B, T, D)``."""
        first, second, last = self.encode_norms
        memory = first(source + self.dropout(self.encode_attention(source, source)))
        memory = last(second(memory + self.dropout(self.encode_feedforward(memory))))
        first, second, third, last = self.decode_norms
        target = first(target + self.dropout(self.decode_attention(target, target)))
        target = second(target + self.dropout(self.cross_attention(target, memory)))
        out: Tensor = last(third(target + self.dropout(self.decode_feedforward(target))))
        return out


class Attention(nn.Module):
    """Single-head attention whose weights are never stored, where the backend can avoid it."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.in_proj = nn.Linear(width, 3 * width)
        self.out_proj = nn.Linear(width, width)
        self.dropout = dropout

    def forward(self, query: Tensor, memory: Tensor) -> Tensor:
        """Attend from ``query`` ``(B, T, D)`` to ``memory`` ``(B, S, D)``: ``(B, T, D)``."""
        width = query.shape[-1]
        weight, bias = self.in_proj.weight, self.in_proj.bias
        queries = F.linear(query, weight[:width], bias[:width])
        keys, values = F.linear(memory, weight[width:], bias[width:]).chunk(2, dim=-1)
        mixed = F.scaled_dot_product_attention(
            queries.unsqueeze(1),  # (B, 1, T, D): one head
            keys.unsqueeze(1),
            values.unsqueeze(1),
            dropout_p=self.dropout if self.training else 0.0,
        )
        out: Tensor = self.out_proj(mixed.squeeze(1))
        return out


class FeedForward(nn.Sequential):
    """Two linear layers with a ReLU and dropout between them."""

    def __init__(self, width: int, hidden: int, dropout: float) -> None:
        super().__init__(
            nn.Linear(width, hidden), nn.ReLU(), nn.Dropout(dropout), nn.Linear(hidden, width)
        )


def _area_weights(size: int, cells: int, like: Tensor) -> Tensor:
    """Weights ``(cells, size)`` that average ``size`` samples over ``cells`` equal intervals.

    Row i holds the overlap of cell i with each sample's interval, summing to 1; the identity where
    ``size == cells``. Written with ``arange`` so that an exported graph keeps the size free.
    """
    start = torch.arange(cells, device=like.device)[:, None] * size / cells
    left = torch.arange(size, device=like.device)[None, :]
    overlap = torch.minimum(left + 1, start + size / cells) - torch.maximum(left, start)
    return (overlap.clamp(min=0) * cells / size).to(like.dtype)


def _sine_positions(rows: int, columns: int, like: Tensor) -> Tensor:
    """Sine and cosine of row and column, ``(1, rows * columns, D)``, a quarter of D for each.

    Source: Vaswani et al., "Attention is all you need" (2017), section 3.5.
    """
    width = like.shape[-1]
    count = math.ceil(width / 4)
    rates = 10000.0 ** (-torch.arange(count, device=like.device) / count)
    down = (torch.arange(rows, device=like.device)[:, None] * rates)[:, None, :]
    right = (torch.arange(columns, device=like.device)[:, None] * rates)[None, :, :]
    parts = [down.sin(), down.cos(), right.sin(), right.cos()]
    places = torch.cat([part.expand(rows, columns, count) for part in parts], dim=-1)
    return places[..., :width].reshape(1, rows * columns, width).to(like.dtype)


_CELT = "enhancements.celt."
_RENAMES = (
    (r"^encoder\.unfold_layer_up\.0\.", _CELT + "source_embed."),
    (r"^encoder\.unfold_layer_down\.0\.", _CELT + "feature_embed."),
    (r"^encoder\.linear_layer_1\.", _CELT + "expand."),
    (r"^encoder\.linear_layer_2\.", _CELT + "reduce."),
    (r"^encoder\.transformer_layer_(up|down)\.", _CELT + r"\1."),
    (r"^segmentation_head\.conv_att_to_all_1\.", _CELT + "project."),
    (r"^segmentation_head\.conv2d\.", "segmentation_head.0."),
    (r"^decoder\.0\.", "decoder.aspp."),
    (r"^decoder\.1\.", "decoder.conv."),
    (r"^decoder\.2\.", "decoder.bn."),
    (r"\.encoder\.norm\.", ".encode_norms.2."),
    (r"\.decoder\.norm\.", ".decode_norms.3."),
    (r"\.encoder\.layers\.0\.self_attn\.", ".encode_attention."),
    (r"\.decoder\.layers\.0\.self_attn\.", ".decode_attention."),
    (r"\.decoder\.layers\.0\.multihead_attn\.", ".cross_attention."),
    (r"\.(en|de)coder\.layers\.0\.norm1\.", r".\1code_norms.0."),
    (r"\.(en|de)coder\.layers\.0\.norm2\.", r".\1code_norms.1."),
    (r"\.decoder\.layers\.0\.norm3\.", ".decode_norms.2."),
    (r"\.(en|de)coder\.layers\.0\.linear1\.", r".\1code_feedforward.0."),
    (r"\.(en|de)coder\.layers\.0\.linear2\.", r".\1code_feedforward.3."),
    (r"\.in_proj_(weight|bias)$", r".in_proj.\1"),
)


def rename_reference_key(key: str) -> str:
    """Translate a state-dict key of the original program into ours.

    Covers all eight of its architectures; a key that both share comes back as it is.
    """
    for pattern, replacement in _RENAMES:
        key = re.sub(pattern, replacement, key)
    return key
