"""EoMT: queries run through the last blocks of a plain vision transformer, and become masks.

Paper: Kerssies et al., "Your ViT is Secretly an Image Segmentation Model", CVPR 2025; behaviour
follows https://github.com/tue-mps/eomt (MIT) and its port in transformers (Apache-2.0).
The encoder is the transformer up to its last blocks; the decoder takes those over once weights are
loaded, so that enhancements of encoder maps act where the queries enter.

A query q has a mask m_q and probabilities p_q of the classes and of "no object". A pixel's score of
class k is ``s_k = sum_q p_q(k) sigmoid(m_q)``, and its logit is ``log s_k``: softmax gives the
share of each class in the sum, and arg-max that of the published program.
Differences: scores, not masks, are resized to the image; masks are compared with labels on their
whole grid instead of at random points, see `segloom.losses.mask_classification`.
Axes: B batch, C channels of the image, D width, Q queries, K classes, N tokens, h w grid of tokens,
u v grid of masks (4 pixels each).
"""

from __future__ import annotations

from math import log2
from typing import Annotated, NamedTuple

import torch
from pydantic import Field
from timm.layers import LayerNorm2d
from torch import Tensor, nn
from torch.nn import functional as F

from segloom.errors import ConfigError
from segloom.losses.mask_classification import mask_classification_loss
from segloom.models.architectures import Network
from segloom.models.encoders.encoder import Encoder
from segloom.models.encoders.facts import encoder_facts
from segloom.models.encoders.transformer import PatchScale, make_transformer, token_stride
from segloom.ops.resize import resize

__all__ = ["EomtDecoder", "EomtEncoder", "MaskPrediction", "build_eomt"]

FAMILIES = ("vision_transformer", "deit", "eva")
"""Modules of timm whose blocks take a mask of attention."""
FLOOR = 1e-6
"""Added to a score before its logarithm."""


class MaskPrediction(NamedTuple):
    """What the queries say after one block."""

    masks: Tensor
    """Logits ``(B, Q, u, v)``."""
    classes: Tensor
    """Logits ``(B, Q, K + 1)``; the last is "no object"."""


def build_eomt(
    encoder_name: str,
    in_channels: int,
    classes: int,
    *,
    num_queries: Annotated[int, Field(ge=1)] = 100,
    num_blocks: Annotated[int, Field(ge=1)] | None = None,
) -> Network:
    """Build EoMT with random weights.

    Args:
        encoder_name: A plain vision transformer of timm: DINOv2, DINOv3, SigLIP and others.
        in_channels: C.
        classes: K; for 1, the two classes of a binary network are told apart inside.
        num_queries: Q; the paper takes 100 for semantic segmentation.
        num_blocks: Through which the queries run; None takes the paper's 3 for up to 12 blocks, 4
            for up to 24 and 5 for more.

    Raises:
        ConfigError: The encoder is no such transformer.
    """
    name = _transformer_name(encoder_name)
    encoder = EomtEncoder(name, in_channels)
    if getattr(encoder.model, "rope_mixed", False):
        raise ConfigError(f"eomt does not take {name}, whose positions differ from block to block.")
    depth = len(encoder.model.blocks)
    usual = 3 if depth <= 12 else 4 if depth <= 24 else 5
    blocks = min(usual, depth) if num_blocks is None else num_blocks
    if blocks > depth:
        raise ConfigError(f"eomt: num_blocks must be {depth} or less for {name}, not {blocks}.")
    decoder = EomtDecoder(
        encoder.out_channels[-1],
        encoder.output_stride,
        max(classes, 2),
        num_queries=num_queries,
        num_blocks=blocks,
    )
    return Network(encoder, decoder, (OneLogitHead(2) if classes == 1 else ScoreHead(classes)))


def _transformer_name(encoder_name: str) -> str:
    """Return timm's name of a plain transformer, and refuse other encoders."""
    name = encoder_name.removeprefix("tu-")
    facts = encoder_facts(name) if encoder_name.startswith("tu-") else None
    if facts is None or not facts.is_plain or facts.family not in FAMILIES:
        raise ConfigError(
            f"eomt needs a plain vision transformer of timm, such as tu-vit_small_patch14_dinov2, "
            f"not {encoder_name}."
        )
    return name


class EomtEncoder(Encoder):
    """A plain transformer whose tokens are handed on with what further blocks need.

    Args:
        name: timm's name, without ``tu-``.
        in_channels: C.
    """

    def __init__(self, name: str, in_channels: int) -> None:
        super().__init__()
        patch = encoder_facts(name).strides[-1]
        stride = token_stride(patch)
        self.scale = PatchScale(patch, stride)
        self.model = make_transformer(name, in_channels)
        self.out_channels = [encoder_facts(name).channels[-1]]
        self.output_strides = [stride]
        self.output_stride = stride

    def forward(self, image: Tensor) -> tuple[list[Tensor], Tensor, Tensor | None]:
        """Map ``(B, C, H, W)`` to the map ``(B, D, h, w)``, class tokens, and rotary positions."""
        x = self.scale(image)
        height, width = (side // self.scale.patch for side in x.shape[-2:])
        tokens, rope = self.model._pos_embed(self.model.patch_embed(x)), None
        if isinstance(tokens, tuple):
            tokens, rope = tokens
        tokens = self.model.norm_pre(tokens)
        for block in self.model.blocks:
            tokens = run_block(block, tokens, rope)
        count = self.model.num_prefix_tokens
        map_ = tokens[:, count:].transpose(1, 2).unflatten(2, (height, width))
        return [map_], tokens[:, :count], rope


def run_block(
    block: nn.Module, tokens: Tensor, rope: Tensor | None, mask: Tensor | None = None
) -> Tensor:
    """Run a block of timm on ``(B, N, D)``; ``mask`` is True where attention is allowed."""
    positions = {} if rope is None else {"rope": rope}
    result: Tensor = block(tokens, attn_mask=mask, **positions)
    return result


class EomtDecoder(nn.Module):
    """The last blocks, with queries, and what reads masks and classes off them.

    Args:
        width: D.
        stride: Pixels per token.
        classes: K.
        num_queries: Q.
        num_blocks: Number of blocks that `adopt` takes from the encoder.
    """

    def __init__(
        self, width: int, stride: int, classes: int, *, num_queries: int, num_blocks: int
    ) -> None:
        super().__init__()
        self.num_blocks = num_blocks
        self.blocks = nn.ModuleList()
        self.query = nn.Embedding(num_queries, width)
        self.norm: nn.Module = nn.Identity()
        self.upscale = nn.Sequential(*(_upscale(width) for _ in range(int(log2(stride)) - 2)))
        self.mask_head = nn.Sequential(
            nn.Linear(width, width),
            nn.GELU(),
            nn.Linear(width, width),
            nn.GELU(),
            nn.Linear(width, width),
        )
        self.class_head = nn.Linear(width, classes + 1)
        self.mask_probability = [1.0] * num_blocks

    def adopt(self, encoder: EomtEncoder) -> None:
        """Take over the last blocks and the last norm of an encoder whose weights are loaded."""
        blocks = list(encoder.model.blocks)
        cut = len(blocks) - self.num_blocks
        encoder.model.blocks = nn.ModuleList(blocks[:cut])
        self.blocks, self.norm = nn.ModuleList(blocks[cut:]), encoder.model.norm
        encoder.model.norm = nn.Identity()
        for block in blocks[cut:]:
            # Rotary positions belong to patches; queries come before them, as class tokens do.
            if hasattr(block.attn, "num_prefix_tokens"):
                block.attn.num_prefix_tokens += self.query.num_embeddings

    def encoder_parameters(self) -> list[nn.Parameter]:
        """List the parameters that came from the encoder and learn at its rate."""
        return [*self.blocks.parameters(), *self.norm.parameters()]

    def anneal(self, progress: float) -> None:
        """Choose how often masks limit attention: each block's share falls from 1 to 0 in turn.

        Paper, section 3.3; start and end of each block are those of the released configurations.

        Args:
            progress: Share of the training that is done, 0 to 1.
        """
        parts = self.num_blocks + 2
        for number in range(self.num_blocks):
            done = min(max(progress * parts - (number + 1), 0.0), 1.0)
            self.mask_probability[number] = (1 - done) ** 0.9

    def forward(
        self, features: list[Tensor], prefix: Tensor, rope: Tensor | None
    ) -> tuple[Tensor, list[Tensor], list[MaskPrediction]]:
        """Return scores ``(B, K, u, v)``, no further maps, and the predictions of every block.

        Inner predictions are made in training alone, where they limit attention and learn.
        """
        grid = features[-1].shape[-2:]
        query = self.query.weight.expand(prefix.shape[0], -1, -1)  # len() would fix an export's B
        tokens = torch.cat([query, prefix, features[-1].flatten(2).transpose(1, 2)], dim=1)
        predictions: list[MaskPrediction] = []
        for block, probability in zip(self.blocks, self.mask_probability, strict=True):
            mask = None
            if self.training:
                predictions.append(self.predict(tokens, grid))
                mask = self._attention(predictions[-1].masks, tokens.shape[1], grid, probability)
            tokens = run_block(block, tokens, rope, mask)
        predictions.append(self.predict(tokens, grid))
        return class_scores(predictions[-1]), [], predictions

    def predict(self, tokens: Tensor, grid: tuple[int, int] | torch.Size) -> MaskPrediction:
        """Read masks and classes off tokens ``(B, Q + prefix + h w, D)``."""
        tokens = self.norm(tokens)
        query = tokens[:, : self.query.num_embeddings]
        start = tokens.shape[1] - grid[0] * grid[1]
        patches = tokens[:, start:].transpose(1, 2)
        map_ = self.upscale(patches.reshape(*patches.shape[:2], *grid))
        masks = torch.einsum("bqd,bduv->bquv", self.mask_head(query), map_)
        return MaskPrediction(masks, self.class_head(query))

    def loss(self, signal: list[MaskPrediction], target: Tensor) -> Tensor:
        """Sum the loss of mask classification over all predictions; target int64 ``(B, H, W)``."""
        losses = [mask_classification_loss(*prediction, target) for prediction in signal]
        return torch.stack(losses).sum()

    @torch.no_grad()
    def _attention(
        self, masks: Tensor, tokens: int, grid: tuple[int, int] | torch.Size, probability: float
    ) -> Tensor | None:
        """Let each query see the patches of its own mask: ``(B, 1, N, N)``, True is seen."""
        if probability == 0:
            return None
        batch, count = masks.shape[:2]
        seen = F.interpolate(masks.float(), size=list(grid), mode="bilinear").flatten(2) > 0
        free = torch.rand(batch, count, 1, device=masks.device) > probability
        allowed = seen.new_ones(batch, tokens, tokens)
        allowed[:, :count, tokens - seen.shape[-1] :] = seen | free
        return allowed[:, None]


def class_scores(prediction: MaskPrediction) -> Tensor:
    """Sum class times mask over the queries: ``(B, K, u, v)``, in float32."""
    shares = prediction.classes.float().softmax(-1)[..., :-1]  # (B, Q, K)
    return torch.einsum("bqk,bquv->bkuv", shares, prediction.masks.float().sigmoid())


class ScoreHead(nn.Module):
    """Turn scores at a quarter of the size into logits of the image's size.

    Args:
        in_channels: K.
        is_binary: Return one logit, of the second class against the first.
    """

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        self.in_channels = in_channels

    def forward(self, scores: Tensor) -> Tensor:
        """Map ``(B, K, u, v)`` to ``(B, K, 4 u, 4 v)``."""
        height, width = scores.shape[-2:]
        return (resize(scores, (4 * height, 4 * width)) + FLOOR).log()


class OneLogitHead(ScoreHead):
    """Likewise, as one logit of the second of two classes against the first."""

    def forward(self, scores: Tensor) -> Tensor:
        """Map ``(B, 2, u, v)`` to ``(B, 1, 4 u, 4 v)``."""
        logits = super().forward(scores)
        return logits[:, 1:] - logits[:, :1]


def _upscale(width: int) -> nn.Sequential:
    return nn.Sequential(
        nn.ConvTranspose2d(width, width, 2, stride=2),
        nn.GELU(),
        nn.Conv2d(width, width, 3, padding=1, groups=width, bias=False),
        LayerNorm2d(width),
    )
