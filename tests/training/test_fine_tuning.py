"""Fine-tuning of a pretrained encoder: rates by layer, unfreezing, adapters, kept feature maps."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import load_file

from segloom.config import RunConfig
from segloom.config.training import OptimConfig
from segloom.errors import ConfigError
from segloom.models import create_model
from segloom.models.adapters import add_lora, merged_state
from segloom.models.weights.checkpoint import from_pretrained
from segloom.training import features, train
from segloom.training.callbacks.unfreezing import Unfreezing
from segloom.training.features import bytes_per_pixel, cache_features
from segloom.training.layers import encoder_layers
from segloom.training.optimizer import parameter_groups

STILL = {"scale": (1.0, 1.0), "jitter": 0.0, "blur": 0.0}
"""Augmentation that leaves but a flip."""


def rates(model: Any, **options: Any) -> dict[str, float]:
    groups = parameter_groups(model, OptimConfig(lr=1.0, encoder_lr=0.1, **options))
    rate = {id(p): group["lr"] for group in groups for p in group["params"]}
    return {name: rate[id(p)] for name, p in model.named_parameters() if id(p) in rate}


def test_each_block_of_a_transformer_learns_slower_than_the_next() -> None:
    model = create_model("fpn", encoder_name="test_vit", classes=2)
    found = rates(model, layer_decay=0.5)
    depth = len(model.encoder.model.blocks)
    assert found["encoder.model.patch_embed.proj.weight"] == pytest.approx(0.1 * 0.5**depth)
    assert found["encoder.model.pos_embed"] == pytest.approx(0.1 * 0.5**depth)
    for number in range(depth):
        expected = 0.1 * 0.5 ** (depth - 1 - number)
        assert found[f"encoder.model.blocks.{number}.attn.qkv.weight"] == pytest.approx(expected)
    assert found["encoder.model.norm.weight"] == pytest.approx(0.1)
    assert {rate for name, rate in found.items() if "pyramid" in name} == {0.1}
    assert found["segmentation_head.0.weight"] == 1.0
    assert set(rates(model).values()) == {0.1, 1.0}


def test_stages_of_a_resnet_and_blocks_that_a_decoder_took_over() -> None:
    resnet = rates(create_model("unet", encoder_name="resnet18", classes=2), layer_decay=0.5)
    assert resnet["encoder.conv1.weight"] == pytest.approx(0.1 * 0.5**4)
    assert resnet["encoder.layer2.1.conv1.weight"] == pytest.approx(0.1 * 0.5**2)
    assert resnet["encoder.layer4.0.conv1.weight"] == pytest.approx(0.1)
    eomt = create_model("eomt", encoder_name="test_vit", classes=2, num_blocks=2)
    found = rates(eomt, layer_decay=0.5)
    assert found["decoder.blocks.1.attn.qkv.weight"] == pytest.approx(0.1)
    assert found["decoder.blocks.0.attn.qkv.weight"] == pytest.approx(0.05)
    last = len(eomt.encoder.model.blocks) - 1
    assert found[f"encoder.model.blocks.{last}.attn.qkv.weight"] == pytest.approx(0.025)
    assert found["decoder.query.weight"] == 1.0


def test_layers_begin_to_learn_from_the_last_one_down() -> None:
    model = create_model("fpn", encoder_name="test_vit", classes=2)
    hook = Unfreezing(model, frozen_epochs=2, every=3)
    assert len(hook.layers) == len(model.encoder.model.blocks) + 1
    learning = []
    for epoch in (0, 1, 2, 4, 5, 8, 99, 1):  # back again, as a resumed run may begin anywhere
        hook.choose(epoch)
        learning.append([all(p.requires_grad for p in layer) for layer in hook.layers].count(True))
        assert model.is_encoder_frozen == (learning[-1] < len(hook.layers))
        assert model.encoder.model.training != model.is_encoder_frozen
        assert all(p.requires_grad for p in model.decoder.parameters())
    assert learning == [0, 0, 1, 1, 2, 3, len(hook.layers), 0]
    hook.choose(2)
    assert model.encoder.model.blocks[-1].attn.qkv.weight.requires_grad
    assert not model.encoder.model.blocks[-2].attn.qkv.weight.requires_grad
    pyramid = model.encoder.pyramid.branches[0].parameters()
    assert all(p.requires_grad for p in pyramid)  # is new, and learns from the beginning


def test_an_encoder_is_frozen_for_as_long_as_asked(
    tiny: Callable[..., RunConfig], tmp_path: Path
) -> None:
    saved = timm.create_model("test_vit").state_dict()
    torch.save(saved, tmp_path / "vit.pth")
    options = {
        "model__encoder_name": "tu-test_vit",
        "model__encoder_weights": str(tmp_path / "vit.pth"),
        "train__frozen_epochs": 1,
        "optim__schedule": "constant",
    }
    name, last = "blocks.0.attn.qkv.weight", tmp_path / "run/checkpoints/last/model.safetensors"
    train(tiny(**options, train__epochs=1))
    first = load_file(last)
    assert torch.equal(first[f"encoder.model.{name}"], saved[name])
    train(tiny(**options, train__epochs=2, train__resume=True))
    later = load_file(last)
    assert not torch.equal(later[f"encoder.model.{name}"], saved[name])
    train(tiny(**options, train__epochs=2, train__out=tmp_path / "whole"))
    whole = load_file(tmp_path / "whole/checkpoints/last/model.safetensors")
    assert all(torch.equal(whole[key], later[key]) for key in whole)


def test_adapters_begin_as_nothing_and_are_merged_when_saved(tmp_path: Path) -> None:
    pytest.importorskip("peft")
    torch.manual_seed(0)
    for architecture in ("fpn", "eomt"):
        model = create_model(architecture, encoder_name="test_vit", classes=3).eval()
        names, image = set(model.state_dict()), torch.randn(1, 3, 64, 96)
        before = model(image)
        add_lora(model, 4)
        torch.testing.assert_close(model.eval()(image), before)
        parts = [n for n, p in model.named_parameters() if p.requires_grad and ".blocks." in n]
        assert parts
        assert all(".lora_" in name for name in parts)
        learning = {n for n, p in model.named_parameters() if p.requires_grad}
        assert any("pyramid" in n for n in learning) == (architecture == "fpn")
        assert "encoder.model.pos_embed" not in learning
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(parameter, std=0.1)
        after = model(image)
        assert not torch.allclose(after, before)
        assert set(merged_state(model)) == names
        model.save_pretrained(tmp_path / architecture)
        loaded = from_pretrained(tmp_path / architecture)
        torch.testing.assert_close(loaded(image), after, rtol=1e-4, atol=1e-4)


def test_the_merged_weight_is_the_formula_of_the_paper() -> None:
    pytest.importorskip("peft")
    model = create_model("fpn", encoder_name="test_vit", classes=2)
    add_lora(model, 3)
    layer = model.encoder.model.blocks[0].attn.qkv
    down, up = layer.lora_A["default"].weight, layer.lora_B["default"].weight
    torch.nn.init.normal_(up)
    expected = layer.base_layer.weight + 2 * up @ down  # alpha / r = 2
    found = merged_state(model)["encoder.model.blocks.0.attn.qkv.weight"]
    torch.testing.assert_close(found, expected)


def test_a_training_with_adapters_leaves_a_model_that_opens_without_them(
    tiny: Callable[..., RunConfig], tmp_path: Path
) -> None:
    pytest.importorskip("peft")
    result = train(tiny(model__encoder_name="tu-test_vit", model__lora=2, train__ema=0.9))
    assert result.epochs == 2
    train(
        tiny(
            model__encoder_name="tu-test_vit",
            model__lora=2,
            train__ema=0.9,
            train__epochs=3,
            train__resume=True,
        )
    )
    model = from_pretrained(tmp_path / "run")
    assert not any("lora" in name for name in model.state_dict())


def test_adapters_need_a_transformer() -> None:
    pytest.importorskip("peft")
    with pytest.raises(ConfigError, match="resnet18 has none; take a transformer"):
        add_lora(create_model("unet", encoder_name="resnet18"), 4)


def test_kept_maps_give_the_training_that_computed_ones_give(
    tiny: Callable[..., RunConfig], tmp_path: Path
) -> None:
    options = {
        "model__architecture": "linear",
        "model__encoder_name": "tu-test_vit",
        "data__augment": STILL,
        "train__epochs": 3,
    }
    plain = train(tiny(**options, train__out=tmp_path / "plain"))
    kept = train(tiny(**options, train__cache_features=True))
    for which in ("best", "last"):
        one, two = (
            load_file(run.path / "checkpoints" / which / "model.safetensors")
            for run in (plain, kept)
        )
        assert one.keys() == two.keys()
        for name in one:
            torch.testing.assert_close(one[name], two[name], rtol=1e-4, atol=1e-5)
    assert kept.miou == pytest.approx(plain.miou, abs=1e-3)


@pytest.mark.parametrize("enhancement", ["", "celt:level=3,patch=4"])
def test_kept_maps_serve_a_decoder_of_an_encoder_that_stays_frozen(
    enhancement: str, tiny: Callable[..., RunConfig], tmp_path: Path
) -> None:
    options = {
        "optim__name": "sgd",  # Adam magnifies the rounding of near-zero gradients
        "model__enhancements": [enhancement] if enhancement else [],
        "data__augment": STILL,
        "train__frozen_epochs": 3,
        "train__epochs": 3,
        "train__ema": 0.5,
    }
    plain = train(tiny(**options, train__out=tmp_path / "plain"))
    kept = train(tiny(**options, train__cache_features=True))
    one, two = (load_file(run.path / "checkpoints/last/model.safetensors") for run in (plain, kept))
    assert one.keys() == two.keys()
    for name in one:
        torch.testing.assert_close(one[name], two[name], rtol=1e-3, atol=1e-4)
    assert kept.miou == pytest.approx(plain.miou, abs=2e-3)


def test_only_maps_that_something_looks_at_are_kept() -> None:
    linear = create_model("linear", encoder_name="resnet18", classes=2)
    assert bytes_per_pixel(linear) == 512 / 32**2 * 4
    enhanced = create_model(
        "linear", encoder_name="resnet18", classes=2, enhancements="afma:level=3"
    )
    assert bytes_per_pixel(enhanced) == (512 / 32**2 + 128 / 8**2) * 4
    unet = create_model("unet", encoder_name="resnet18", classes=2)
    levels = [64 / 2**2, 64 / 4**2, 128 / 8**2, 256 / 16**2, 512 / 32**2]
    assert bytes_per_pixel(unet) == sum(levels) * 4
    image = torch.rand(2, 3, 64, 64)
    for model in (linear, enhanced, unet):
        model.freeze_encoder()
        expected = model.eval()(image)
        cache_features(model)
        model(image)
        torch.testing.assert_close(model(image), expected, rtol=1e-4, atol=1e-5)


def test_what_is_beyond_the_memory_is_computed_each_time() -> None:
    model = create_model("linear", encoder_name="test_vit", classes=2).eval()
    images, calls = torch.randn(3, 3, 64, 64), []
    expected = model(images)
    cache_features(model, limit=2.5 * 64 * 64 * bytes_per_pixel(model))
    model.encoder.model.patch_embed.register_forward_hook(lambda *_: calls.append(1))
    for _ in range(2):
        torch.testing.assert_close(model(images), expected, rtol=1e-4, atol=1e-5)
    assert len(calls) == 3 + 1


def test_maps_beyond_the_memory_are_refused(
    tiny: Callable[..., RunConfig], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(features, "training_device", lambda _: ("cpu", 1000))
    options = {
        "model__architecture": "linear",
        "data__augment": STILL,
        "train__cache_features": True,
    }
    with pytest.raises(ConfigError, match=r"of 18 views of training images, more than half"):
        train(tiny(**options))


def test_a_frozen_encoder_under_a_linear_head_stays_so_after_frozen_epochs() -> None:
    model = create_model("linear", encoder_name="resnet18", classes=2)
    Unfreezing(model, frozen_epochs=1, every=None).choose(1)
    assert model.is_encoder_frozen
    assert not model.train().encoder.training


def test_every_image_is_computed_once_whatever_its_batch() -> None:
    model = create_model("linear", encoder_name="test_vit", classes=2).eval()
    images, calls = torch.randn(3, 3, 64, 96), []
    expected = model(images)
    cache_features(model)
    model.encoder.model.patch_embed.register_forward_hook(lambda *_: calls.append(1))
    torch.testing.assert_close(model(images), expected, rtol=1e-4, atol=1e-5)
    again = model(images.flip(0)).flip(0)
    assert torch.equal(again, model(images))
    assert len(calls) == 3
    model(images[:, :, :32])
    assert len(calls) == 6


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"model__architecture": "fpn"}, "keeps the maps of an encoder that never learns"),
        (
            {"model__architecture": "fpn", "train__frozen_epochs": 1},
            "set train.frozen_epochs 2, as many as train.epochs",
        ),
        # A feature pyramid is new, and learns.
        (
            {"model__architecture": "fpn", "train__frozen_epochs": 2},
            "on an encoder without feature pyramid",
        ),
        ({"data__augment": {}}, "set data.augment.scale 1 1, data.augment.jitter 0"),
        ({"data__crop": (32, 32)}, "set no data.crop"),
    ],
)
def test_maps_that_could_not_be_kept_are_refused(
    options: dict[str, Any], message: str, tiny: Callable[..., RunConfig]
) -> None:
    values = {"model__architecture": "linear", "data__augment": STILL, **options}
    with pytest.raises(ConfigError, match=message):
        train(tiny(model__encoder_name="tu-test_vit", train__cache_features=True, **values))


def test_layers_of_an_encoder_without_numbers_are_one() -> None:
    model = create_model("linear", encoder_name="test_vit", classes=2)
    assert encoder_layers(model) == []  # nothing of it learns
