"""The fast copy answers like the original, which stays as it was."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from segloom.errors import ConfigError
from segloom.inference.optimize import choose_device, optimize
from segloom.models import SegmentationModel

CPU = torch.device("cpu")


@torch.no_grad()
def test_original_stays_as_it_is(model: SegmentationModel) -> None:
    before = {name: value.clone() for name, value in model.state_dict().items()}
    optimize(model, precision="fp32", device=CPU)
    after = model.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert all(parameter.requires_grad for parameter in model.parameters())


@pytest.mark.parametrize(
    ("architecture", "options"),
    [
        ("unet", {}),
        ("unet", {"enhancements": ["afma", "celt"]}),
        ("unetplusplus", {}),
        ("manet", {}),
        ("fpn", {}),
        ("pspnet", {}),
        ("segformer", {}),
    ],
)
@torch.no_grad()
def test_fp32_copy_agrees_in_every_label(
    architecture: str, options: dict, make_model: Callable[..., SegmentationModel]
) -> None:
    model = make_model(architecture, "tu-test_resnet", **options)
    fast = optimize(model, precision="fp32", device=CPU)
    image = torch.rand(1, 3, 75, 110)
    before, after = model(image), fast(image)
    assert (before - after).abs().max() < 5e-5 * before.std()
    assert torch.equal(before.argmax(1), after.argmax(1))


@torch.no_grad()
def test_bf16_copy_is_near(model: SegmentationModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("segloom.inference.optimize.bfloat16_is_fast", lambda: True)
    fast = optimize(model, precision="bf16", device=CPU)
    image = torch.rand(1, 3, 64, 96)
    before, after = model(image), fast(image.bfloat16())
    assert after.dtype == torch.bfloat16
    assert (before - after).abs().max() < 0.2 * before.std()


def test_bf16_without_instructions_is_refused(
    model: SegmentationModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("segloom.inference.optimize.bfloat16_is_fast", lambda: False)
    with pytest.raises(ConfigError, match=r"no bfloat16 instructions.*--inference\.precision fp32"):
        optimize(model, precision="bf16", device=CPU)


def test_missing_gpu_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_device("auto") == CPU
    assert choose_device("cpu") == CPU
    with pytest.raises(ConfigError, match=r"torch finds no GPU; use --inference\.device cpu"):
        choose_device("cuda")
