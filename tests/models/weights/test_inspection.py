"""What is read off the names and shapes of a state dict that was written out by hand."""

from __future__ import annotations

import pytest
import torch

from segloom.errors import CheckpointError
from segloom.models.weights.inspection import ARCHITECTURE_MARKS, inspect_checkpoint

FILE = "net.pth"
HEAD = "segmentation_head.0.weight"
BLOCKS = {
    "resnet18": (2, 2, 2, 2),
    "resnet34": (3, 4, 6, 3),
    "resnet50": (3, 4, 6, 3),
    "resnet101": (3, 4, 23, 3),
    "resnet152": (3, 8, 36, 3),
}


def shaped(*shape):
    """A tensor of this shape without memory of its own."""
    return torch.zeros(()).expand(shape)


def resnet(name, prefix="encoder.", channels=3):
    tensors = {f"{prefix}conv1.weight": shaped(64, channels, 7, 7)}
    for layer, number in enumerate(BLOCKS[name], 1):
        for block in range(number):
            tensors[f"{prefix}layer{layer}.{block}.conv1.weight"] = shaped(64, 64, 3, 3)
            tensors[f"{prefix}layer{layer}.{block}.conv2.weight"] = shaped(64, 64, 3, 3)
            if name not in ("resnet18", "resnet34"):
                tensors[f"{prefix}layer{layer}.{block}.conv3.weight"] = shaped(256, 64, 1, 1)
    return tensors


def unet(name="resnet18", classes=5, **facts):
    tensors = resnet(name, **facts)
    return tensors | {"decoder.blocks.0.conv1.0.weight": shaped(8), HEAD: shaped(classes, 16, 3, 3)}


def afma(name="resnet18", channels=512, inner=64):
    return {
        **resnet(name),
        "decoder.blocks.0.conv1.0.weight": shaped(8),
        "decoder.segmentation.conv_x.weight": shaped(7, 16, 3, 3),
        "encoder.conv_feamap.0.weight": shaped(3, channels, 1, 1),
        "encoder.resolution_trans.0.weight": shaped(2 * inner, inner),
    }


def celt():
    return {
        **resnet("resnet50"),
        "decoder.blocks.0.conv1.0.weight": shaped(8),
        "segmentation_head.conv2d.weight": shaped(6, 16, 3, 3),
        "encoder.unfold_layer_down.0.weight": shaped(1),
        "encoder.linear_layer_1.weight": shaped(32, 49),
        "encoder.linear_layer_2.weight": shaped(16, 32),
        "encoder.transformer_layer_up.encoder.layers.0.linear1.weight": shaped(128, 32),
        "segmentation_head.conv_att_to_all_1.weight": shaped(6, 6, 3, 5),
    }


@pytest.mark.parametrize("prefix", ["encoder.", "encoder.model."])
@pytest.mark.parametrize("name", BLOCKS)
def test_resnets_are_told_by_their_blocks_and_bottlenecks(name, prefix):
    found = inspect_checkpoint(unet(name, prefix=prefix, channels=4), FILE)
    assert (found.architecture, found.encoder_name) == ("unet", name)
    assert (found.in_channels, found.classes) == (4, 5)
    assert (found.method, found.options, found.enhancement) == (None, {}, {})
    assert not found.is_reference_network


@pytest.mark.parametrize(("mark", "architecture"), ARCHITECTURE_MARKS.items())
def test_architectures_are_told_by_a_name_that_only_they_have(mark, architecture):
    tensors = {**resnet("resnet18"), f"{mark}x": shaped(1), HEAD: shaped(2, 9, 3, 3)}
    found = inspect_checkpoint(tensors, FILE)
    assert found.architecture == architecture
    # The head of LinkNet is a transposed convolution: its outputs are on the second axis.
    assert found.classes == (9 if architecture == "linknetpaper" else 2)


def test_a_first_convolution_under_another_name_is_taken_for_three_channels():
    tensors = unet()
    del tensors["encoder.conv1.weight"]
    assert inspect_checkpoint(tensors, FILE).in_channels == 3


@pytest.mark.parametrize(
    ("change", "shape"),
    [
        ("encoder.layer1.0.conv1.weight", (128, 64, 3, 3)),
        ("encoder.layer1.0.conv2.weight", (64, 32, 3, 3)),
        ("encoder.layer1.0.conv2.weight", (128, 64, 3, 3)),
        ("encoder.layer4.2.conv1.weight", (64, 64, 3, 3)),
    ],
)
def test_grouped_wide_and_other_deep_encoders_are_asked_for(change, shape):
    tensors = {**unet(), change: shaped(*shape)}
    with pytest.raises(CheckpointError, match=r"net\.pth has no plain ResNet encoder; give --enc"):
        inspect_checkpoint(tensors, FILE)
    found = inspect_checkpoint(tensors, FILE, encoder_name="resnext50_32x4d")
    assert found.encoder_name == "resnext50_32x4d"


@pytest.mark.parametrize(
    ("name", "channels", "level"),
    [
        ("resnet18", 128, 3),
        ("resnet34", 256, 4),
        ("resnet18", 512, 5),
        ("resnet50", 64, 1),
        ("resnet50", 256, 2),
        ("resnet101", 2048, 5),
    ],
)
def test_the_level_of_afma_is_told_by_its_channels(name, channels, level):
    found = inspect_checkpoint(afma(name, channels, inner=100), FILE)
    assert (found.method, found.classes) == ("afma", 7)
    assert found.enhancement == {"level": level, "patch": 10}


def test_a_level_of_afma_that_two_have_is_asked_for():
    with pytest.raises(CheckpointError, match=r"levels \[1, 2\] of resnet18 both have 64 channels"):
        inspect_checkpoint(afma(channels=64), FILE)
    assert inspect_checkpoint(afma(channels=64), FILE, level=2).enhancement["level"] == 2
    with pytest.raises(CheckpointError, match=r"64 channels, which is level 1 or 2 .*, not 3"):
        inspect_checkpoint(afma(channels=64), FILE, level=3)
    with pytest.raises(CheckpointError, match="100 channels, which is no level of resnet18"):
        inspect_checkpoint(afma(channels=100), FILE)


def test_the_sizes_of_celt_are_those_of_its_layers():
    found = inspect_checkpoint(celt(), FILE)
    assert (found.method, found.classes, found.encoder_name) == ("celt", 6, "resnet50")
    assert found.enhancement == {
        "level": 2,
        "patch": 4,
        "grid": 7,
        "hidden": 32,
        "feedforward": 128,
        "kernel": 5,
    }


@pytest.mark.parametrize(
    ("tensors", "encoder", "options"),
    [
        (afma, "tu-resnet18", {"encoder_depth": 5, "output_stride": 8}),
        (celt, "resnet50", {"encoder_depth": 5, "upsampling": 32}),
    ],
)
def test_a_pspnet_of_the_originals_is_dilated_or_enlarged_as_theirs(tensors, encoder, options):
    found = {k: v for k, v in tensors().items() if not k.startswith("decoder.blocks.")}
    found["decoder.psp.blocks.0.weight"] = shaped(1)
    source = inspect_checkpoint(found, FILE)
    assert (source.architecture, source.encoder_name) == ("pspnet", encoder)
    assert source.options == options


def test_the_linknet_of_the_tutorial_is_told_by_its_head():
    tensors = {
        "_deconv_2._conv_trans_2d.weight": shaped(32, 11, 2, 2),
        "_mconv_1._mconv.0.weight": shaped(64, 4, 7, 7),
    }
    found = inspect_checkpoint(tensors, FILE)
    assert (found.architecture, found.encoder_name) == ("linknetpaper", "resnet18")
    assert (found.in_channels, found.classes, found.options) == (4, 11, {"form": "blog"})
    with pytest.raises(CheckpointError, match=r"holds a linknetpaper, not a unet; leave --arch"):
        inspect_checkpoint(tensors, FILE, architecture="unet")
    del tensors["_mconv_1._mconv.0.weight"]
    with pytest.raises(CheckpointError, match=r"incomplete: it lacks _mconv_1\._mconv\.0\.weight"):
        inspect_checkpoint(tensors, FILE)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"architecture": "fpn"}, "net.pth holds a unet, not a fpn; leave --architecture out"),
        ({"encoder_name": "resnet34"}, "net.pth has a resnet18 encoder, not resnet34; leave that"),
    ],
)
def test_arguments_that_contradict_the_names_are_refused(options, sentence):
    with pytest.raises(CheckpointError) as caught:
        inspect_checkpoint(unet(), FILE, **options)
    assert sentence in str(caught.value)


def test_timms_name_of_the_same_encoder_contradicts_nothing():
    assert (
        inspect_checkpoint(unet(), FILE, encoder_name="tu-resnet18").encoder_name == "tu-resnet18"
    )


def test_what_the_names_do_not_tell_is_asked_for():
    tensors = unet()
    del tensors["decoder.blocks.0.conv1.0.weight"]
    with pytest.raises(CheckpointError, match="do not tell its architecture; give --architecture"):
        inspect_checkpoint(tensors, FILE)
    assert inspect_checkpoint(tensors, FILE, architecture="fpn").architecture == "fpn"
    del tensors[HEAD]
    with pytest.raises(CheckpointError, match=r"no segmentation head \(segmentation_head\.0\.wei"):
        inspect_checkpoint(tensors, FILE, architecture="fpn")


@pytest.mark.parametrize(
    ("tensors", "name", "shape", "square"),
    [
        (afma, "encoder.resolution_trans.0.weight", (4, 99), 99),
        (celt, "encoder.linear_layer_1.weight", (32, 50), 50),
        (celt, "encoder.linear_layer_2.weight", (15, 32), 15),
    ],
)
def test_patches_are_squares(tensors, name, shape, square):
    with pytest.raises(CheckpointError, match=f"made for {square} patches or pixels of a patch"):
        inspect_checkpoint(tensors() | {name: shaped(*shape)}, FILE)
