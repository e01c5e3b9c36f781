"""What every cell of a matrix of architectures and enhancements must do beside learning."""

from __future__ import annotations

import copy

import torch
from torch import Tensor
from torch.export import Dim

from segloom.models import SegmentationModel

IMAGE = (2, 3, 160, 192)


def small_encoder(architecture: str) -> str:
    return "tu-test_vit" if architecture == "dpt" else "tu-test_resnet"


def check_copies(model: SegmentationModel, image: Tensor) -> None:
    """A deep copy answers alike, and goes on when the original's parameters are zeroed."""
    twin = copy.deepcopy(model.eval())
    with torch.no_grad():
        expected = model(image)
        for parameter in model.parameters():
            parameter.zero_()
        assert torch.equal(twin(image), expected)
        assert not torch.equal(model(image), expected)


def check_compiles(model: SegmentationModel) -> None:
    """A break in the graph is an error."""
    compiled = torch.compile(model.eval(), backend="eager", fullgraph=True)
    image = torch.randn(IMAGE)
    with torch.no_grad():
        assert torch.allclose(compiled(image), model(image), atol=1e-5)


def check_exports(model: SegmentationModel) -> None:
    """The program runs at another size, or where sizes are fixed with another number of images."""
    is_static = model.spec["architecture"] == "dpt"  # its position embedding is resampled once
    sizes = {0: Dim.DYNAMIC} if is_static else {0: Dim.DYNAMIC, 2: Dim.DYNAMIC, 3: Dim.DYNAMIC}
    program = torch.export.export(
        model.eval(), (torch.randn(IMAGE),), dynamic_shapes={"image": sizes}, strict=False
    )
    other = torch.randn(3, *IMAGE[1:]) if is_static else torch.randn(1, 3, 197, 131)
    with torch.no_grad():
        assert torch.allclose(program.module()(other), model(other), atol=1e-4)
