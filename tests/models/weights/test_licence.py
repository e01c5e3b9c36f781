"""Licences of weights are timm's own words, and what is not permissive is not downloaded."""

from __future__ import annotations

import pytest
import timm

from segloom.config.model import ModelConfig
from segloom.errors import CheckpointError, ConfigError
from segloom.models import build_model
from segloom.models.weights import hub
from segloom.models.weights.licence import require_permissive, weights_licence


@pytest.mark.parametrize(
    ("encoder", "weights", "licence"),
    [
        ("tu-vit_small_patch14_dinov2", "imagenet", "apache-2.0"),
        ("tu-vit_small_patch16_dinov3", "imagenet", "dinov3-license"),
        ("tu-convnext_tiny", "fb_in1k", "apache-2.0"),
        ("tu-convnext_tiny", "dinov3_lvd1689m", "dinov3-license"),
        ("tu-convnext_tiny.dinov3_lvd1689m", "imagenet", "dinov3-license"),
        ("tu-dla60_res2net", "imagenet", None),  # timm says "unknown"
        ("resnet34", "imagenet", None),
    ],
)
def test_the_licence_is_the_one_that_timm_states(encoder, weights, licence):
    assert weights_licence(encoder, weights) == licence


def test_every_default_licence_of_a_few_families_is_timms_field():
    for name in timm.list_models("*convnext*tiny*"):
        settings = timm.get_pretrained_cfg(name)
        if settings is not None and (settings.hf_hub_id or settings.url):
            assert weights_licence(f"tu-{name}") == settings.license


@pytest.mark.parametrize(
    ("encoder", "weights", "words"),
    [
        ("tu-vit_small_patch16_dinov3", "imagenet", "under dinov3-license, which is not"),
        ("tu-convnextv2_atto", "fcmae", "under cc-by-nc-4.0, which is not permissive"),
        ("resnet18", "imagenet", "of no stated licence"),
    ],
)
def test_other_licences_are_refused_before_anything_is_downloaded(
    encoder, weights, words, monkeypatch
):
    def fail(*_, **__):
        raise AssertionError("the hub was asked")

    monkeypatch.setattr(hub, "_require", fail)
    monkeypatch.setattr(hub, "_from_timm", fail)
    config = ModelConfig(encoder_name=encoder, encoder_weights=weights, license="permissive")
    with pytest.raises(ConfigError) as error:
        build_model(config, 3)
    text = str(error.value)
    assert text.startswith(f"the {weights} weights of {encoder} are {words}")
    assert "set model.license to any." in text
    with pytest.raises(CheckpointError, match="the hub was asked"):
        build_model(config.model_copy(update={"license": "any"}), 3)


def test_permissive_weights_files_and_packages_pass():
    require_permissive("tu-vit_small_patch14_dinov2", "imagenet")
    require_permissive("resnet18", None)
    require_permissive("resnet18", "mine.safetensors")
    require_permissive("tu-tf_efficientnet_lite0", "pypi")
