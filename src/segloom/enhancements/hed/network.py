"""Holistically-nested edge detection (HED): the network.

Paper: Xie and Tu, "Holistically-Nested Edge Detection", ICCV 2015, sections 3 and 4. VGG16 up to
conv5_3; after each of its five stages a 1x1 convolution scores edges, the five score maps are
brought to the size of the image, and a sixth, fused score is a weighted sum of them:

    S_k = up(w_k * stage_k + b_k), k = 1..5        P = sigmoid(sum_k h_k S_k + h_0)

Layers have the names of the authors' caffe model, so that weights travel under them. Written from
the formulas; what the two geometries do was measured on the programs named in `Geometry`.
Axes: B batch, H W image.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from segloom.ops.sizes import larger_size

__all__ = ["STAGES", "Geometry", "HedNetwork"]

Geometry = Literal["caffe", "simple"]
"""How score maps lie on the image.

caffe: the authors' program. The first convolution pads by 35 pixels, pooling rounds sizes up, and
score maps are enlarged by exactly 1, 2, 4, 8 and 16 and cropped to the image. The published weights
were trained like this.

simple: of later reimplementations. Every convolution pads by 1, pooling rounds sizes down, and
score maps are stretched to the size of the image. About a quarter less work on small images.
"""

STAGES = ((3, 64, 64), (64, 128, 128), (128, 256, 256, 256), (256, 512, 512, 512), (512,) * 4)
"""Channels of each stage: of its input and of its convolutions."""

CAFFE_PADDING = 35
MINIMUM_SIZE = 2 ** (len(STAGES) - 1)  # of an image that four poolings leave a pixel of


class HedNetwork(nn.Module):
    """Score edges at every pixel, from five depths and fused.

    Starts as the authors' training does, apart from VGG16's own weights: side scores of 0, fused
    by 0.2 each.

    Args:
        geometry: How score maps lie on the image; see `Geometry`.
    """

    mean: Tensor

    def __init__(self, geometry: Geometry = "caffe") -> None:
        super().__init__()
        self.is_caffe = geometry == "caffe"
        for stage, channels in enumerate(STAGES, start=1):
            for number, (before, after) in enumerate(pairwise(channels), start=1):
                is_first = self.is_caffe and (stage, number) == (1, 1)
                padding = CAFFE_PADDING if is_first else 1
                convolution = nn.Conv2d(before, after, 3, padding=padding)
                nn.init.kaiming_normal_(convolution.weight, nonlinearity="relu")
                nn.init.zeros_(convolution.bias)  # type: ignore[arg-type]  # it has one
                self.add_module(f"conv{stage}_{number}", convolution)
            self.add_module(f"score_dsn{stage}", nn.Conv2d(channels[-1], 1, 1))
        self.score_final = nn.Conv2d(len(STAGES), 1, 1)
        for name, parameter in self.named_parameters():
            if name.startswith("score_"):
                nn.init.constant_(parameter, 0.2 if name == "score_final.weight" else 0.0)
        # Part of the weights: files differ in what they subtract. This is the authors' choice.
        self.register_buffer("mean", torch.tensor([104.00698793, 116.66876762, 122.67891434]))

    def forward(self, image: Tensor) -> Tensor:
        """Compute the logits of the five sides and, last, of the fusion: ``(B, 6, H, W)``.

        Args:
            image: Float ``(B, 3, H, W)``, RGB, 0 to 255, of any size.
        """
        height, width = image.shape[-2:]
        if self.is_caffe:
            # A transposed convolution with a fixed bilinear filter (kernel 2s, stride s) differs
            # from this only where it meets the border, which the crop takes away; its own offset
            # of s / 2 is why the authors crop at 34, 35, 36, 38 and 42 and not always at 34.
            margin = CAFFE_PADDING - 1  # by which the first stage goes beyond the image
            scaled = [
                F.interpolate(score, scale_factor=float(2**k), mode="bilinear") if k else score
                for k, score in enumerate(self.scores(image))
            ]
        else:
            margin = 0
            image = _at_least(image, MINIMUM_SIZE)
            size = image.shape[-2:]
            scaled = [F.interpolate(s, size=size, mode="bilinear") for s in self.scores(image)]
        sides = torch.cat([_crop(score, margin, height, width) for score in scaled], dim=1)
        return torch.cat([sides, self.score_final(sides)], dim=1)

    def edges(self, image: Tensor) -> Tensor:
        """Compute the fused probability of an edge, ``(B, 1, H, W)``; ``image`` as in `forward`."""
        fused: Tensor = self(image)[:, -1:]
        return fused.sigmoid()

    def scores(self, image: Tensor) -> list[Tensor]:
        """Compute the five score maps ``(B, 1, h, w)``, each at the size of its stage.

        Args:
            image: As in `forward`; for the geometry ``simple`` of at least 16 pixels a side.
        """
        values = image.flip(1) - self.mean.view(1, 3, 1, 1)  # BGR
        scores = []
        for stage, channels in enumerate(STAGES, start=1):
            if stage > 1:
                values = F.max_pool2d(values, 2, ceil_mode=self.is_caffe)
            for number in range(1, len(channels)):
                values = getattr(self, f"conv{stage}_{number}")(values).relu_()
            scores.append(getattr(self, f"score_dsn{stage}")(values))
        return scores


def _crop(values: Tensor, margin: int, height: int, width: int) -> Tensor:
    """Take ``height x width`` from ``margin`` on, both ways."""
    # A negative padding crops; a slice would write a guard on the size into an export.
    below, beside = (size + margin for size in (height, width))
    return F.pad(values, (-margin, beside - values.shape[-1], -margin, below - values.shape[-2]))


def _at_least(image: Tensor, size: int) -> Tensor:
    """Repeat the last column and row of an image until both sides have ``size`` pixels."""
    height, width = image.shape[-2:]
    beside, below = (larger_size(length, size) - length for length in (width, height))
    return F.pad(image, (0, beside, 0, below), mode="replicate")
