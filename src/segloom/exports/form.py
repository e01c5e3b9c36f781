"""The form in which a network is exported: decoded pixels in, label map and logits out.

Axes: B batch, C image channels, K classes, H W image size.
"""

from __future__ import annotations

import hashlib
from copy import deepcopy

import torch
from torch import Tensor, nn

from segloom.blocks.smp import speed_up_blocks
from segloom.exports.operators import swap_operators
from segloom.exports.resampling import MatrixResampling
from segloom.inference.fold import fold_batch_norms
from segloom.inference.graph import InferenceGraph
from segloom.models.model import SegmentationModel
from segloom.ops.crop import crop_by_slices

__all__ = ["ExportForm", "weights_digest"]


class ExportForm(nn.Module):
    """A copy of a network with all that lies between a decoded image and its label map.

    Batch norms are folded into the convolutions before them.

    Args:
        model: The network; it stays as it is.
        probabilities: Give the probabilities as well.
    """

    def __init__(self, model: SegmentationModel, *, probabilities: bool = False) -> None:
        super().__init__()
        copy: SegmentationModel = deepcopy(model).cpu().float().eval().requires_grad_(False)
        fold_batch_norms(copy)
        image = torch.zeros(1, copy.input_channels, 64, 64)
        # Upsampling stays apart from the convolution: other runtimes have no faster equal.
        speed_up_blocks(copy, lambda: copy(image), merge_upsampling=False)
        swap_operators(copy)
        copy.crop = crop_by_slices
        self.inference = InferenceGraph(copy)  # not "graph": torch.export has one of its own
        self.has_probabilities = probabilities
        self.eval()

    @property
    def outputs(self) -> list[str]:
        """Names of what `forward` returns."""
        return ["labels", "logits", *["probabilities"] * self.has_probabilities]

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """Answer uint8 ``(B, H, W, C)`` of any size.

        Returns:
            Integers ``(B, H, W)``, float32 logits ``(B, K, H, W)`` and perhaps probabilities.
        """
        with MatrixResampling():
            logits = self.inference.logits(image.permute(0, 3, 1, 2))
        more = [self.inference.activate(logits)] if self.has_probabilities else []
        return self.inference.channels.label_exported(logits), logits, *more


def weights_digest(model: nn.Module) -> str:
    """Hash the names and values of a network's weights (sha256, hexadecimal)."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        array = tensor.detach().cpu().contiguous().numpy()
        digest.update(f"{name} {array.dtype} {array.shape}\n".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()
