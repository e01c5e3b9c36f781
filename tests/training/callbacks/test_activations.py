"""Maps that are computed twice give the same training with less memory."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from segloom.config import LossConfig, RunConfig
from segloom.errors import ConfigError
from segloom.losses import build_losses
from segloom.models import create_model
from segloom.training import TrainingStep, train
from segloom.training.callbacks.activations import OnceUpdated, checkpoint_activations

ENCODERS = ["resnet18", "mit_b0", "efficientnet-b0", "tu-test_resnet", "tu-test_convnext"]
"""efficientnet-b0 leaves out branches at random; timm divides the last two itself."""


DECODERS = ["fpn", "linknet", "unetplusplus", "upernet"]


def build(encoder_name: str) -> nn.Module:
    torch.manual_seed(0)
    options = {"encoder_depth": 4, "decoder_channels": (32, 16, 8, 8)}
    return create_model("unet", encoder_name=encoder_name, classes=3, **options).train()


def saving_copy(model: nn.Module, encoder_name: str) -> nn.Module:
    other = copy.deepcopy(model)
    checkpoint_activations(other, encoder_name)
    return other


def assert_same_gradients(
    actual: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]
) -> None:
    for name, gradient in expected.items():
        other = actual[name]
        assert (gradient is None) == (other is None)
        if gradient is not None:
            torch.testing.assert_close(other, gradient, rtol=1e-5, atol=1e-7, msg=name)


def samples() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    image = torch.randint(0, 256, (2, 3, 64, 96), generator=generator, dtype=torch.uint8)
    return image, torch.randint(0, 3, (2, 64, 96), generator=generator, dtype=torch.uint8)


def learn(model: nn.Module) -> tuple[torch.Tensor, dict[str, torch.Tensor], int]:
    """Return the loss, the gradients and how many bytes of maps wait for the backward pass."""
    step = TrainingStep(model, build_losses(LossConfig(), auxiliary=model.loss_weights))
    image, mask = samples()
    weights = {value.untyped_storage().data_ptr() for value in model.parameters()}
    kept: dict[int, int] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    torch.manual_seed(2)  # of dropout
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        loss = step(image, mask)["total"]
    waiting = sum(kept.values())
    loss.backward()
    gradients = {name: value.grad for name, value in model.named_parameters()}
    return loss.detach(), gradients, waiting


@pytest.mark.parametrize("encoder_name", ENCODERS)
def test_loss_and_gradients_are_equal_and_less_is_kept(encoder_name: str) -> None:
    plain = build(encoder_name)
    saving = saving_copy(plain, encoder_name)
    expected, actual = learn(plain), learn(saving)
    assert torch.equal(actual[0], expected[0])
    assert_same_gradients(actual[1], expected[1])
    assert 0 < actual[2] < 0.95 * expected[2]
    assert plain.state_dict().keys() == saving.state_dict().keys()


@pytest.mark.parametrize("architecture", DECODERS)
def test_decoders_are_divided_too_and_their_gradients_are_equal(architecture: str) -> None:
    torch.manual_seed(0)
    plain = create_model(architecture, encoder_name="resnet18", classes=3).train()
    encoder_alone = copy.deepcopy(plain)
    decoder, encoder_alone.decoder = encoder_alone.decoder, nn.Identity()
    checkpoint_activations(encoder_alone, "resnet18")
    encoder_alone.decoder = decoder
    saving = saving_copy(plain, "resnet18")
    expected, half, actual = learn(plain), learn(encoder_alone), learn(saving)
    assert torch.equal(actual[0], expected[0])
    assert_same_gradients(actual[1], expected[1])
    assert actual[2] < half[2] < expected[2]


def test_statistics_are_updated_once() -> None:
    plain = build("resnet18")
    saving = saving_copy(plain, "resnet18")
    once = OnceUpdated(saving)
    for model, hook in ((plain, None), (saving, once)):
        loss = model(torch.ones(2, 3, 64, 64)).square().mean()
        if hook:
            hook.on_before_backward(None, None, loss)
        loss.backward()
        if hook:
            hook.on_after_backward(None, None)
    expected = dict(plain.named_buffers())
    assert any(name.startswith("decoder.") for name in expected)
    for name, value in saving.named_buffers():
        assert torch.equal(value, expected[name]), name


def test_processes_exchange_the_same_gradients(tmp_path: Path) -> None:
    """DistributedDataParallel with its own defaults, which look for no unused parameter."""
    torch.manual_seed(0)
    model = create_model("unet", encoder_name="resnet18", classes=3, enhancements=("afma",)).train()
    expected = learn(copy.deepcopy(model))[1]
    saving = saving_copy(model, "resnet18")
    step = TrainingStep(saving, build_losses(LossConfig(), auxiliary=saving.loss_weights))
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{tmp_path / 'store'}", rank=0, world_size=1
    )
    try:
        parallel = nn.parallel.DistributedDataParallel(step)
        for _ in range(2):  # a gradient that never came would stop the second
            saving.zero_grad()
            parallel(*samples())["total"].backward()
    finally:
        torch.distributed.destroy_process_group()
    assert_same_gradients({n: p.grad for n, p in saving.named_parameters()}, expected)


def test_a_training_is_the_same_with_running_statistics_and_dropout(
    tiny: Callable[..., RunConfig], tmp_path: Path
) -> None:
    options: dict[str, Any] = {
        "model__architecture": "unet",
        "model__encoder_name": "tu-test_efficientnet",
        "model__options": {"encoder_depth": 4, "decoder_channels": (16, 8, 8, 8)},
        "train__accumulate": 2,
        "data__batch_size": 4,
        "train__epochs": 2,
    }
    for name, changes in (("plain", {}), ("saving", {"train__checkpoint_activations": True})):
        train(tiny(**options, **changes, train__out=tmp_path / name))
    plain, saving = (
        load_file(tmp_path / run / "checkpoints/last/model.safetensors")
        for run in ("plain", "saving")
    )
    assert any(name.endswith("num_batches_tracked") for name in plain)
    for name, value in plain.items():
        torch.testing.assert_close(saving[name], value, rtol=1e-5, atol=1e-6, msg=name)
    losses = [
        json.loads((tmp_path / run / "metrics.jsonl").read_text().splitlines()[-1])["val/loss"]
        for run in ("plain", "saving")
    ]
    assert losses[1] == pytest.approx(losses[0], rel=1e-4)


def test_an_encoder_without_blocks_is_refused() -> None:
    model = create_model("unet", encoder_name="vgg11", classes=2)
    with pytest.raises(ConfigError, match=r"vgg11 has no blocks .* train\.checkpoint_activations"):
        checkpoint_activations(model, "vgg11")
