"""Gradual unfreezing: the encoder learns later than the rest, from its last layer down.

Paper: Howard and Ruder, "Universal Language Model Fine-tuning for Text Classification", ACL 2018,
section 3.3.
"""

from __future__ import annotations

from lightning.pytorch import LightningModule, Trainer

from segloom.models import SegmentationModel
from segloom.training.callbacks.hook import Hook
from segloom.training.layers import encoder_layers

__all__ = ["Unfreezing"]


class Unfreezing(Hook):
    """Choose before every epoch which layers of the encoder learn.

    The choice follows from the epoch alone, so that a resumed run goes on as it would have. While
    a layer is frozen, the encoder's normalisation statistics stay as they are.

    Args:
        model: The network.
        frozen_epochs: Epochs in which no layer of the encoder learns.
        every: Epochs after which one more layer learns, the last one first; None lets all learn
            at once.
    """

    def __init__(self, model: SegmentationModel, frozen_epochs: int, every: int | None) -> None:
        self.model, self.frozen_epochs, self.every = model, frozen_epochs, every
        self.layers = encoder_layers(model)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Freeze and release."""
        self.choose(trainer.current_epoch)

    def choose(self, epoch: int) -> None:
        """Let the layers of an epoch, counted from 0, learn."""
        count = self.count(epoch)
        for number, parameters in enumerate(reversed(self.layers)):
            for parameter in parameters:
                parameter.requires_grad_(number < count)
                parameter.grad = parameter.grad if number < count else None
        if self.layers:  # an encoder that never learns, as that of a linear head, stays frozen
            self.model.is_encoder_frozen = count < len(self.layers)
            self.model.train(self.model.training)

    def count(self, epoch: int) -> int:
        """Count the layers that learn in an epoch."""
        if epoch < self.frozen_epochs:
            return 0
        if self.every is None:
            return len(self.layers)
        return min(1 + (epoch - self.frozen_epochs) // self.every, len(self.layers))
