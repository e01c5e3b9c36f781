"""An output stride is taken by every architecture that can, and refused in a sentence elsewhere."""

from __future__ import annotations

import pytest
import torch

from segloom.errors import ConfigError
from segloom.models import ARCHITECTURES, create_model

BY_OUTPUT_STRIDE = ("unet", "linknetpaper", "upernet", "segformer")
OWN_OPTION = ("pan", "deeplabv3", "deeplabv3plus")
DOUBLING = ("unetplusplus", "manet", "linknet", "fpn")


@pytest.mark.parametrize("output_stride", [8, 16])
@pytest.mark.parametrize("architecture", BY_OUTPUT_STRIDE)
def test_strides_stop_there_and_any_size_goes_in(architecture, output_stride):
    model = create_model(
        architecture, encoder_name="tu-test_resnet", classes=2, output_stride=output_stride
    ).eval()
    assert [spec.stride for spec in model.shape.features][3:] == (
        [8, 8, 8] if output_stride == 8 else [8, 16, 16]
    )
    with torch.no_grad():
        assert model(torch.randn(1, 3, 45, 67)).shape == (1, 2, 45, 67)


@pytest.mark.parametrize("architecture", OWN_OPTION)
def test_an_architecture_with_its_own_option_names_it(architecture):
    with pytest.raises(ConfigError, match="did you mean 'encoder_output_stride'"):
        create_model(architecture, encoder_name="tu-test_resnet", output_stride=16)


def test_pan_takes_small_images_at_both_of_its_strides():
    for output_stride, least in ((16, 128), (32, 256)):
        model = create_model(
            "pan",
            encoder_name="tu-test_resnet",
            classes=2,
            encoder_output_stride=output_stride,
        ).eval()
        assert model.minimum_size == least
        with torch.no_grad():
            assert model(torch.randn(1, 3, 40, 70)).shape == (1, 2, 40, 70)


@pytest.mark.parametrize("architecture", DOUBLING)
def test_decoders_that_double_every_map_refuse_it(architecture):
    assert not ARCHITECTURES[architecture].takes_output_stride
    with pytest.raises(ConfigError, match=f"{architecture} doubles every map.*dilation"):
        create_model(architecture, encoder_name="tu-test_resnet", output_stride=16)
    create_model(architecture, encoder_name="tu-test_resnet", output_stride=32)


def test_pspnet_refuses_what_it_would_ignore():
    for output_stride in (8, 16):
        with pytest.raises(ConfigError, match=r"stops at level 3.*give encoder_depth 5"):
            create_model("pspnet", encoder_name="resnet18", output_stride=output_stride)
    model = create_model("pspnet", encoder_name="resnet18", encoder_depth=5, output_stride=8)
    assert model.shape.features[-1].stride == 8


@pytest.mark.parametrize("value", [4, "8", None])
def test_other_values_are_refused(value):
    with pytest.raises(ConfigError, match="output_stride must be 8, 16 or 32; got"):
        create_model("unet", encoder_name="tu-test_resnet", output_stride=value)
