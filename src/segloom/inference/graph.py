"""The one inference path: pixels in, scores out, at the size of the image.

    uint8, any size -> normalise -> pad -> network -> crop -> logits, probabilities or labels

Evaluation, prediction and every exported form run this module, so that a network gives the same
answer wherever it runs. Nothing in it branches on a value: `torch.export` takes it with dynamic
batch, height and width.

A network of one channel answers for two classes (`segloom.ops.binary`); in mode multilabel each
class is answered for itself, and labels are bits (`segloom.labels.bits`).

Axes: B batch, C image channels, K classes, H W image size.
"""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn

from segloom.models.model import SegmentationModel
from segloom.ops.channels import channels_of, label_scores

__all__ = ["InferenceGraph", "Output", "label_scores"]

Output = Literal["logits", "probabilities", "labels"]


class InferenceGraph(nn.Module):
    """A network together with all that lies between a decoded image and its answer.

    Args:
        model: The network; it pads and crops inside. It is neither copied nor switched to
            evaluation mode: call ``.eval()`` on the graph.
        output: What calling the graph gives.
    """

    pixel_scale: Tensor
    pixel_shift: Tensor

    def __init__(self, model: SegmentationModel, output: Output = "logits") -> None:
        super().__init__()
        self.model = model
        self.output = output
        self.channels = channels_of(model.mode)
        # (pixel / 255 - mean) / std as one multiplication and one addition, in float32 even for
        # a bfloat16 network: bfloat16 has too few bits for mean and std.
        mean, std = model.pixel_mean.double(), model.pixel_std.double()
        self.register_buffer("pixel_scale", (1 / (255 * std)).float(), persistent=False)
        self.register_buffer("pixel_shift", (-mean / std).float(), persistent=False)

    def forward(self, image: Tensor) -> Tensor:
        """Compute what `output` says.

        Args:
            image: uint8 ``(B, C, H, W)``, 0 to 255, of any size.

        Returns:
            float32 ``(B, K, H, W)`` logits, or probabilities that sum to 1 over K, or uint8
            ``(B, H, W)`` class ids. In mode multilabel every probability stands for itself, and
            the labels are bits.
        """
        if self.output == "labels":
            return self.label(image)
        if self.output == "probabilities":
            return self.activate(self.logits(image))
        return self.logits(image)

    def logits(self, image: Tensor) -> Tensor:
        """Compute float32 logits ``(B, K, H, W)`` of a uint8 image ``(B, C, H, W)``."""
        return self._scores(image).float()

    def label(self, image: Tensor) -> Tensor:
        """Compute class ids, uint8, or bits ``(B, H, W)`` of a uint8 image ``(B, C, H, W)``."""
        return self.label_logits(self._scores(image))

    def activate(self, logits: Tensor) -> Tensor:
        """Turn float32 logits ``(B, K, H, W)`` into probabilities."""
        return self.channels.activate(logits)

    def label_logits(self, logits: Tensor) -> Tensor:
        """Label logits ``(B, K, H, W)``: integers ``(B, H, W)``."""
        return self.channels.label_logits(logits)

    def label_probabilities(self, probabilities: Tensor) -> Tensor:
        """Label probabilities ``(B, K, H, W)``: integers ``(B, H, W)``."""
        return self.channels.label_probabilities(probabilities)

    def _scores(self, image: Tensor) -> Tensor:
        normalized = image.float() * self.pixel_scale + self.pixel_shift
        return self.channels.per_class(self.model(normalized.to(self.model.pixel_mean.dtype)))
