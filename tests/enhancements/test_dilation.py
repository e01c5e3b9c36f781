"""Variant D dilates ``conv2`` of the last two stages, keeps strides and names, or says why not."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from segloom.errors import ConfigError
from segloom.models import create_model


def convolutions(model: nn.Module, stage: str) -> dict[str, tuple[int, int]]:
    """Dilation and stride of every 3x3 convolution of a stage."""
    return {
        name.rpartition(f"{stage}.")[2]: (module.dilation[0], module.stride[0])
        for name, module in model.encoder.named_modules()
        if f"{stage}." in name and isinstance(module, nn.Conv2d) and module.kernel_size == (3, 3)
    }


@pytest.mark.parametrize("encoder", ["resnet18", "tu-resnet18"])
def test_basic_blocks_dilate_their_second_convolution_alone(encoder):
    with torch.device("meta"):
        model = create_model("unet", encoder_name=encoder, enhancements="dilation")
    assert set(convolutions(model, "layer2").values()) == {(1, 1), (1, 2)}
    for stage, rate in (("layer3", 2), ("layer4", 4)):
        assert convolutions(model, stage) == {
            "0.conv1": (1, 2),
            "0.conv2": (rate, 1),
            "1.conv1": (1, 1),
            "1.conv2": (rate, 1),
        }


@pytest.mark.parametrize("encoder", ["resnet50", "tu-resnet50", "se_resnet50", "resnext50_32x4d"])
def test_bottlenecks_dilate_their_middle_convolution_and_keep_its_stride(encoder):
    with torch.device("meta"):
        model = create_model("unet", encoder_name=encoder, enhancements="dilation")
    found = convolutions(model, "layer3")
    assert found.pop("0.conv2")[0] == 2
    assert len(found) == 5
    assert set(found.values()) == {(2, 1)}
    assert {dilation for dilation, _ in convolutions(model, "layer4").values()} == {4}


def test_maps_names_and_the_view_at_a_centre_pixel():
    torch.manual_seed(0)
    plain = create_model("fpn", encoder_name="resnet18").eval()
    model = create_model("fpn", encoder_name="resnet18", enhancements="dilation").eval()
    model.load_state_dict(plain.state_dict(), strict=True)
    assert model.shape == plain.shape

    def reach(network):
        image = torch.randn(1, 3, 512, 512, requires_grad=True)
        deepest = network.encoder(image)[-1]
        assert deepest.shape == (1, 512, 16, 16)
        deepest[0, :, 8, 8].sum().backward()
        rows = image.grad.abs().sum((0, 1, 3)).nonzero()
        return int(rows[-1] - rows[0]) + 1

    assert reach(model) > reach(plain)


def test_a_dilated_encoder_keeps_the_ratio():
    with torch.device("meta"):
        model = create_model("deeplabv3", encoder_name="resnet18", enhancements="dilation")
    assert convolutions(model, "layer3")["1.conv2"] == (4, 1)
    assert convolutions(model, "layer4")["1.conv2"] == (16, 1)


def test_a_stage_may_be_left_alone_and_a_shallow_encoder_dilates_what_it_has():
    with torch.device("meta"):
        model = create_model("unet", encoder_name="resnet18", enhancements="dilation:stage3=1")
        assert convolutions(model, "layer3")["0.conv2"] == (1, 1)
        model = create_model(
            "pspnet", encoder_name="resnet18", encoder_depth=4, enhancements="dilation"
        )
    assert convolutions(model, "layer3")["0.conv2"] == (2, 1)
    assert convolutions(model, "layer4")["0.conv2"] == (1, 1)


@pytest.mark.parametrize(
    ("architecture", "encoder", "part", "message"),
    [
        ("pspnet", "resnet18", "dilation", "takes no map of the encoder's third or fourth stage"),
        ("unet", "tu-test_efficientnet", "dilation", "layer3 is no stage of a ResNet"),
        ("unet", "tu-skresnet18", "dilation", "layer3 is no stage of a ResNet"),
        ("dpt", "tu-test_vit", "dilation", "is no stage of a ResNet|takes no map"),
        ("unet", "resnet18", "dilation:stage3=1,stage4=1", "one of them above 1; got 1 and 1"),
    ],
)
def test_where_nothing_would_change_it_is_refused(architecture, encoder, part, message):
    with pytest.raises(ConfigError, match=message):
        create_model(architecture, encoder_name=encoder, enhancements=part)
