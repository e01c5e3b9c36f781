"""Encoders of timm at any image size, under decoders of SMP and of ours."""

from __future__ import annotations

import pytest
import timm
import torch
from safetensors.torch import save_file
from support.small_encoders import SMALL, small_encoders

from segloom.errors import ConfigError
from segloom.models import create_model
from segloom.models.encoders.hiera import HieraEncoder
from segloom.models.encoders.transformer import PatchScale, token_stride


@pytest.fixture
def small(monkeypatch):
    with small_encoders(monkeypatch) as create_small:
        yield create_small


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("parts", [(), ("afma:level=4", "celt:level=3")], ids=["plain", "both"])
def test_an_odd_size_runs_and_every_weight_learns(small, name, parts):
    model = create_model("fpn", encoder_name=name, classes=3, enhancements=parts)
    logits = model(torch.randn(1, 3, 131, 197))
    assert logits.shape == (1, 3, 131, 197)
    logits.sum().backward()
    silent = [k for k, p in model.named_parameters() if p.requires_grad and p.grad is None]
    assert silent == []
    assert [(f.level, f.stride) for f in model.shape.features if f.channels] == [
        (0, 1),
        (2, 4),
        (3, 8),
        (4, 16),
        (5, 32),
    ]


@pytest.mark.parametrize("name", SMALL)
def test_weights_that_timm_saved_fill_the_encoder(small, name, tmp_path):
    torch.manual_seed(1)
    file = tmp_path / "weights.safetensors"
    saved = timm.create_model(name)
    for parameter in saved.parameters():
        torch.nn.init.normal_(parameter, std=0.02)
    save_file(saved.state_dict(), file)
    model = create_model("fpn", encoder_name=name, encoder_weights=str(file), classes=2)
    found = {
        k.replace("model.", "").replace("_", "."): v for k, v in model.encoder.state_dict().items()
    }
    wanted = {k.replace("_", "."): v for k, v in saved.state_dict().items()}
    shared = [key for key in found if key in wanted]
    assert len(shared) >= len(found) - sum(key.startswith("pyramid.") for key in found)
    assert all(torch.equal(found[key], wanted[key]) for key in shared)


@pytest.mark.parametrize("name", ["hiera_tiny_224", "hiera_small_abswin_256"])
def test_hiera_at_its_own_size_is_timms(small, name):
    side = int(name[-3:])
    encoder = HieraEncoder(name=name, pretrained=False).eval()
    image = torch.randn(1, 3, side, side)
    with torch.no_grad():
        for ours, timms in zip(encoder(image)[2:], encoder.model(image), strict=True):
            torch.testing.assert_close(ours, timms, rtol=1e-5, atol=1e-5)


def test_a_patch_of_14_pixels_covers_16_of_the_original():
    assert [token_stride(patch) for patch in (8, 14, 15, 16, 32)] == [8, 16, 16, 16, 32]
    assert PatchScale(14, 16)(torch.zeros(1, 3, 32, 64)).shape == (1, 3, 28, 56)


def test_the_transformer_sees_what_timm_would(small):
    """The map under the pyramid is timm's own last, normalised map."""
    model = create_model("fpn", encoder_name="vit_small_patch16_dinov3", classes=2).eval()
    seen = []
    model.encoder.pyramid.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    image = torch.randn(1, 3, 96, 128)
    with torch.no_grad():
        model(image)
        vit = model.encoder.model
        tokens = vit.forward_features(image)[:, vit.num_prefix_tokens :]
    torch.testing.assert_close(seen[0], tokens.transpose(1, 2).unflatten(2, (6, 8)))


def test_grids_of_a_fixed_number_of_tokens_are_met_by_padding():
    model = create_model("fpn", encoder_name="test_maxvit", classes=2)
    assert model.multiple == 160
    assert model(torch.randn(1, 3, 70, 170)).shape == (1, 2, 70, 170)


@pytest.mark.parametrize("name", ["cait_xxs24_224", "gcvit_xxtiny", "nest_tiny", "levit_128s"])
def test_what_takes_no_other_size_is_refused_when_it_is_built(name):
    with pytest.raises(ConfigError) as error:
        create_model("unet", encoder_name=name)
    assert "\n" not in str(error.value)
    assert "Try another encoder, for example resnet18." in str(error.value)


@pytest.mark.parametrize("name", ["vit_small_patch14_dinov2", "vit_small_patch16_dinov3"])
def test_dpt_takes_any_size(small, name):
    options = {"decoder_intermediate_channels": (8, 8, 8), "decoder_fusion_channels": 8}
    model = create_model("dpt", encoder_name=name, classes=3, encoder_depth=3, **options)
    logits = model(torch.randn(1, 3, 131, 197))
    assert logits.shape == (1, 3, 131, 197)
    assert model.shape.features[0].stride == 16
