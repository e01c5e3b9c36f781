"""SFNet and FENet learn a few real street images, with all that their programs train with."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional as F

from segloom.config import OptimConfig
from segloom.config.training import LossConfig
from segloom.images.read import read_image
from segloom.losses import build_losses
from segloom.models import create_model
from segloom.training.optimizer import build_optimizer
from segloom.training.step import TrainingStep


def batch(shared):
    """Two images of CamVid at a third of their size."""
    folder = shared / "data" / "camvid"
    images, masks = [], []
    for file in sorted((folder / "train").glob("*.jpg"))[::150][:2]:
        image = torch.from_numpy(read_image(file)).permute(2, 0, 1)[None].float()
        mask = torch.from_numpy(
            np.array(Image.open(folder / "trainannot" / f"{file.stem}.png"), dtype=np.int64)
        )[None, None]
        images.append(F.interpolate(image, size=(120, 160), mode="area").round().to(torch.uint8))
        masks.append(F.interpolate(mask.float(), size=(120, 160))[:, 0])
    mask = torch.cat(masks).long()
    return torch.cat(images), mask.masked_fill(mask == 11, 255)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("architecture", "heads"),
    [("sfnet", "deep_supervision:place=decoder,channels=16"),
     ("fenet", "deep_supervision:channels=16")],
)  # fmt: skip
def test_the_losses_fall(shared, architecture, heads) -> None:
    torch.manual_seed(0)
    model = create_model(
        architecture,
        encoder_name="tu-test_resnet",
        classes=11,
        pyramid_channels=16,
        enhancements=[heads, "edge_supervision:background=false"],
    )
    terms = {"ohem:threshold=0.7,min_kept=4000": 1.0}
    step = TrainingStep(
        model, build_losses(LossConfig(terms=terms), auxiliary=model.loss_weights)
    ).train()
    config = OptimConfig(name="sgd", lr=0.02, weight_decay=1e-4, decay_all=True)
    optimizer = build_optimizer(model, config)
    image, mask = batch(shared)
    losses = []
    for _ in range(25):
        values = step(image, mask)
        optimizer.zero_grad()
        values["total"].backward()
        optimizer.step()
        losses.append({name: value.item() for name, value in values.items()})
    for name in ("ohem", "deep_supervision", "total"):
        assert losses[-1][name] < 0.75 * losses[0][name], name
