"""Options of the training of HED. The numbers are those of its authors' program."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator

from segloom.config.base import Section
from segloom.config.data import OPEN_CROP, DataConfig

__all__ = ["EdgeTrainingConfig"]


class EdgeTrainingConfig(Section):
    """Train HED on edge maps, or on the borders between the classes of label maps.

    A second call with the same options goes on where the first one stopped.
    """

    weights: Path
    """File to start from: VGG16 (torchvision's names), or HED in any form."""
    out: Path
    """Folder of the result, hed.safetensors, and of what it takes to go on."""
    target: Literal["boundaries", "edges"] = "boundaries"
    """boundaries: the label maps hold classes, edges are where they meet. edges: the label maps are
    edge maps, grey, above 127.5 is an edge."""
    geometry: Literal["caffe", "simple"] = "caffe"
    """caffe is the authors' placing of the score maps, simple costs less."""
    steps: int = Field(30_000, ge=1)
    """Optimiser steps, each of data.batch_size images, one after the other."""
    lr: float = Field(1e-6, gt=0)
    """Learning rate of conv1 to conv4; conv5's is 100 times, the scores' 0.01 times, the fusion's
    0.001 times as high, and biases learn twice as fast. The loss is a sum over pixels."""
    lr_drop: int = Field(10_000, ge=1)
    """Steps after which the rate falls to a tenth, again and again."""
    momentum: float = Field(0.9, ge=0, lt=1)
    weight_decay: float = Field(2e-4, ge=0)
    """Not applied to biases."""
    seed: int = Field(0, ge=0, lt=2**31)
    """Of the order of the images and their augmentation."""
    save_every: int = Field(200, ge=1)
    """Steps between two savings; so many are lost at most if the program is stopped."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    data: DataConfig = DataConfig(batch_size=10)

    @field_validator("data")
    @classmethod
    def _check_data(cls, value: DataConfig) -> DataConfig:
        if value.batch_size == 0 or value.crop == OPEN_CROP:
            raise ValueError("HED needs a batch_size of 1 or more, and a crop that is not 0 0")
        return value
