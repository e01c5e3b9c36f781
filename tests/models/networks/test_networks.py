"""Sizes of the networks of ours, the encoders they take, and what is refused."""

from __future__ import annotations

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from segloom.errors import ConfigError
from segloom.models import create_model
from segloom.models.architectures import build_network, find_architecture

IMAGES = ((360, 480), (720, 960), (512, 1024), (1024, 2048))
# Parameters, and billions of multiplications at these sizes, measured on the released programs.
SIZES = [
    ("sfnet", "tu-resnet18s", 128, 12_869_715, (20.15, 80.21, 60.74, 242.96)),
    ("sfnet", "tu-resnet50s", 256, 31_325_139, (54.98, None, None, 663.3)),
    ("sfnet", "tu-resnet101s", 256, 50_317_267, (68.05, None, None, 818.5)),
    ("sfnetlite", "tu-resnet18s", 128, 12_296_074, (14.79, 58.78, 44.49, 177.95)),
    ("fenet", "tu-resnet18s", 128, 16_863_827, (31.34, 124.87, 94.61, 378.44)),
    ("fenet", "tu-resnet101s", 256, 66_169_811, (112.14, None, None, 1352.3)),
]
UNUSED = {"sfnetlite": (512 + 1 + 2) * 128 + (128 * 9 + 3) * 128 + 129 * 19}
"""The program also makes a third lateral and an auxiliary head, and never runs them."""


@pytest.mark.parametrize(("architecture", "encoder", "channels", "count", "giga"), SIZES)
def test_parameters_and_operations_are_those_measured(
    architecture, encoder, channels, count, giga
) -> None:
    import segloom.models.networks.encoders  # noqa: F401  # registers tu-resnet18s

    with torch.device("meta"):
        network = build_network(
            find_architecture(architecture),
            encoder_name=encoder,
            in_channels=3,
            classes=19,
            options={"pyramid_channels": channels},
        )
        parts = torch.nn.ModuleList(network).eval()
        found = sum(parameter.numel() for parameter in parts.parameters())
        assert found == count - UNUSED.get(architecture, 0)
        for size, expected in zip(IMAGES, giga, strict=True):
            if expected is None:
                continue
            with FlopCounterMode(display=False) as counter, torch.no_grad():
                decoded = network.decoder(network.encoder(torch.empty(1, 3, *size)))
                network.segmentation_head(decoded[0] if isinstance(decoded, tuple) else decoded)
            digits = len(str(expected).partition(".")[2])
            assert round(counter.get_total_flops() / 2e9, digits) == expected, size


@pytest.mark.parametrize(
    ("architecture", "place", "count"),
    [("sfnet", "decoder", 13_320_588), ("fenet", "encoder", 17_754_233)],
)
def test_auxiliary_heads_are_counted_as_measured(architecture, place, count) -> None:
    with_heads = create_model(
        architecture,
        encoder_name="resnet18s",
        classes=19,
        enhancements=f"deep_supervision:place={place}",
    )
    assert sum(parameter.numel() for parameter in with_heads.parameters()) == count


@pytest.mark.parametrize("architecture", ["sfnet", "sfnetlite", "fenet"])
@pytest.mark.parametrize("encoder", ["resnet18", "tu-test_convnext", "tu-test_efficientnet"])
@torch.no_grad()
def test_other_encoders_are_taken(architecture, encoder) -> None:
    model = create_model(
        architecture, encoder_name=encoder, classes=3, pyramid_channels=8, in_channels=4
    ).eval()
    assert model(torch.randn(1, 4, 50, 81)).shape == (1, 3, 50, 81)


def test_a_resnet_is_dilated_with_its_strides_kept_unless_told_otherwise() -> None:
    image = torch.randn(1, 3, 128, 128)
    plain = create_model("fenet", encoder_name="resnet18s", pyramid_channels=8, dilate=False)
    dilated = create_model("fenet", encoder_name="resnet18s", pyramid_channels=8)
    for module in plain.modules():
        if isinstance(module, torch.nn.BatchNorm2d):  # timm's blocks begin as the identity
            torch.nn.init.ones_(module.weight)
    dilated.load_state_dict(plain.state_dict())
    with torch.no_grad():
        first, second = plain.eval().encoder(image), dilated.eval().encoder(image)
    assert [m.shape for m in first] == [m.shape for m in second]
    assert torch.equal(first[3], second[3])
    assert not torch.equal(first[4], second[4])
    rates = [block.conv2.dilation for block in dilated.encoder.model.layer4]
    assert rates == [(4, 4), (4, 4)]


def test_a_transformer_gives_its_pyramid_to_the_networks() -> None:
    model = create_model("sfnet", encoder_name="tu-test_vit", classes=3).eval()
    assert model(torch.zeros(1, 3, 64, 64)).shape == (1, 3, 64, 64)


def test_only_encoders_that_can_be_dilated_are() -> None:
    with pytest.raises(ConfigError, match="the only kind that dilate=true dilates"):
        create_model("fenet", encoder_name="tu-test_convnext", dilate=True)


@pytest.mark.parametrize(
    ("architecture", "options"),
    [("sfnet", {"align": False}), ("sfnet", {"context": "sum"}), ("sfnetlite", {"context": "sum"}),
     ("fenet", {"dense": True}), ("fenet", {"extractor": "lowpass"})],
)  # fmt: skip
def test_every_option_gives_a_network_that_learns(architecture, options) -> None:
    model = create_model(
        architecture, encoder_name="tu-test_resnet", classes=3, pyramid_channels=8, **options
    )
    model(torch.randn(2, 3, 64, 96)).square().mean().backward()
    assert [n for n, p in model.named_parameters() if p.grad is None] == []
