"""From a batch to its losses: the part of training that is arithmetic."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from segloom.losses import SegmentationLosses
from segloom.models import SegmentationModel
from segloom.ops.channels import channels_of
from segloom.types import Batch

__all__ = ["TrainingStep"]


class TrainingStep(nn.Module):
    """Normalise, run the network, compute every loss.

    Args:
        model: The network.
        losses: The losses of the labels, and the weights of all.
        channels_last: Hand the image on with the channels of a pixel together in memory.
    """

    def __init__(
        self, model: SegmentationModel, losses: SegmentationLosses, *, channels_last: bool = False
    ) -> None:
        super().__init__()
        self.model = model
        self.losses = losses
        self.memory_format = torch.channels_last if channels_last else torch.contiguous_format

    def forward(self, image: Tensor, mask: Tensor) -> dict[str, Tensor]:
        """Compute scalar losses by name; ``total`` is their weighted sum.

        Args:
            image: uint8 ``(B, C, H, W)``, 0 to 255, of any size, see `pixels`.
            mask: Integers ``(B, H, W)``, class ids (in mode multilabel, bits) and 255 for void.
        """
        prediction = self.model.run(self.normalize(image))
        target = mask.long()
        values = self.label_losses(prediction.logits, target)
        values |= self.model.auxiliary_losses(prediction, target)
        for name, maps in self.model.auxiliary_logits(prediction).items():
            totals = [self.losses.total(self.label_losses(logits, target)) for logits in maps]
            values[name] = torch.stack(totals).sum()
        return {**values, "total": self.losses.total(values)}

    def pixels(self, batch: Batch) -> Tensor:
        """Return what the network looks at, uint8 ``(B, C, H, W)``: the image, with its edges last.

        Edges are left out where the network does not take them.
        """
        image = batch["image"]
        if not self.model.edge_channels:
            return image
        return torch.cat([image, batch["edge"][:, None]], dim=1)

    def normalize(self, image: Tensor) -> Tensor:
        """Turn a uint8 batch into what the network expects, float ``(B, C, H, W)``."""
        return self.model.normalize(image.contiguous(memory_format=self.memory_format))

    def label_losses(self, logits: Tensor, target: Tensor) -> dict[str, Tensor]:
        """Compute the losses of the labels alone, not weighted, in float32."""
        logits = channels_of(self.model.mode).per_class(logits)
        with torch.autocast(logits.device.type, enabled=False):
            values: dict[str, Tensor] = self.losses(logits, target)
        return values
