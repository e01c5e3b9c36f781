"""AFMA in parity mode equals the recorded results of the released program: values and gradients."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from segloom.enhancements.afma import (
    Afma,
    AfmaConfig,
    AfmaSignal,
    attention_loss,
    gold_attention,
    rename_reference_key,
)
from segloom.models import create_model
from segloom.ops.low_rank_attention import materialize

HEADS = [
    "unet_d1_64", "unetpp_d1_64", "linknet_d1_64", "fpn_d1_64", "pan_d1_128",
    "deeplabv3_d1_64", "deeplabv3_d4_96", "pspnet_d1_64",
]  # fmt: skip
CHANNELS = {1: 64, 2: 64, 3: 128, 4: 256}


@pytest.fixture
def reference(shared: Path) -> Any:
    """Read one recorded file as tensors (float16 widened), scalars and arrays of names."""

    def read(name: str) -> dict[str, Any]:
        with np.load(shared / "fixtures" / "afma_celt" / f"afma_{name}.npz") as file:
            return {key: _value(file[key]) for key in file.files}

    return read


def _value(array: np.ndarray[Any, Any]) -> Any:
    if array.dtype.kind == "U":
        return array.tolist()
    if array.ndim == 0:
        return array.item()
    widened = array.astype(np.float32) if array.dtype == np.float16 else array
    return torch.from_numpy(widened)


def assert_close(actual: Tensor, expected: Tensor, tolerance: float = 1e-5) -> None:
    """Compare to ``tolerance`` of the largest recorded value."""
    assert actual.shape == expected.shape
    error = (actual.detach() - expected).abs().max() / expected.abs().max()
    assert error <= tolerance, f"relative error {error:.1e}"


def make_afma(level: int, stride: int | None = None) -> Afma:
    return Afma(
        AfmaConfig(level=level, mode="parity"),
        feature_index=level,
        feature_channels=CHANNELS[level],
        stride=stride or 2**level,
        image_channels=3,
        num_classes=12,
    )


def factors(attention: Tensor) -> AfmaSignal:
    """Write any relation as factors: ``A = (Q A) I^T / Q``, with the identity padded to Q."""
    columns = attention.shape[-1]
    image = F.pad(attention * 100, (0, 100 - columns))
    identity = torch.eye(100)[:columns].expand(*attention.shape[:2], -1, -1)
    return AfmaSignal(image, identity)


@pytest.mark.parametrize("name", ["block_d1_64", "block_d3_96"])
def test_relation_and_its_gradients(reference: Any, name: str) -> None:
    data = reference(name)
    afma = make_afma(data["depth"])
    weights = {key[2:]: value for key, value in data.items() if key.startswith("w.")}
    names = {key: _own_name(f"encoder.{key}") for key in weights}
    afma.load_state_dict({names[key]: value for key, value in weights.items()})
    _, signal = afma.enrich(data["x"], [data["feat"]] * 5, None)
    assert_close(afma.attention(signal), data["attention"])
    (afma.attention(signal) * data["grad_out"]).sum().backward()
    gradients = {name: parameter.grad for name, parameter in afma.named_parameters()}
    recorded = [key for key in data if key.startswith("g.")]
    assert len(recorded) == 6
    for key in recorded:
        assert_close(gradients[names[key[2:]]], data[key])


def _own_name(key: str) -> str:
    return rename_reference_key(key).removeprefix("enhancements.afma.")


@pytest.mark.parametrize("name", ["gold_loss_d1_64", "gold_loss_d3_96"])
def test_gold_relation_loss_and_gradients(reference: Any, name: str) -> None:
    data = reference(name)
    label, stride = data["label"].long(), 2 ** data["depth"]
    gold = gold_attention(label, 12, patch=10, stride=stride, parity=True)
    assert_close(materialize(gold.image, gold.feature), data["gold"])
    attention, logits = data["attention"].requires_grad_(), data["logits"].requires_grad_()
    mse = attention_loss(factors(attention), label, patch=10, stride=stride, parity=True)
    assert mse.item() == pytest.approx(data["mse"], rel=1e-5)
    # The program takes the class of a pixel from its one-hot vector: void (all zero) becomes 0.
    labels = label.where(label != 255, 0)
    nll = F.nll_loss(F.log_softmax(logits, 1), labels, weight=data["class_weight"])
    assert nll.item() == pytest.approx(data["nll"], rel=1e-5)
    loss = 5 * nll + mse
    assert loss.item() == pytest.approx(data["loss"], rel=1e-5)
    loss.backward()
    assert_close(attention.grad, data["grad_attention"])
    assert_close(logits.grad, data["grad_logits"], 1e-3)
    assert_close(logits.grad.sum((0, 2, 3)), data["grad_logits_sum"])


@pytest.mark.parametrize("name", HEADS)
def test_scaled_logits_and_gradients(reference: Any, name: str) -> None:
    data = reference(f"head_{name}")
    decoded = data["decoder_out"].requires_grad_()
    attention = data["attention"].requires_grad_()
    padding = data["kernel"] // 2
    logits = F.conv2d(decoded, data["conv_weight"], data["conv_bias"], padding=padding)
    if data["upsampling"] > 1:
        scale = data["upsampling"]
        logits = F.interpolate(logits, scale_factor=scale, mode="bilinear", align_corners=True)
    assert_close(logits, data["logits_pre"])
    # DeepLabV3's map at level 4 keeps stride 8: its real stride is the program's pooling.
    afma = make_afma(data["depth"], stride=data["pool"])
    scaled = afma.correct(logits, factors(attention))
    assert_close(scaled, data["logits_mod"], 1e-3 if name.startswith("pan") else 1e-5)
    assert_close(scaled - logits, data["correction"] * logits, 1e-3)
    weight = _random(data["grad_out_seed"], scaled.shape)
    (F.log_softmax(scaled, 1) * weight).sum().backward()
    assert_close(attention.grad, data["grad_attention"])
    assert_close(decoded.grad, data["grad_decoder_out"], 1e-3)


def _random(seed: int, shape: Any) -> Tensor:
    draws = np.random.RandomState(seed).standard_normal(tuple(shape))
    return torch.from_numpy(draws.astype(np.float32))


def test_whole_unet_with_afma(reference: Any, shared: Path) -> None:
    """In float64, so that it does not depend on the machine's float32 kernels.

    In the recorded float32 run one activation fell on the other side of a ReLU's kink, which moves
    the gradients of ten of the network's own tensors by up to 7e-5; none of them is AFMA's.
    """
    data = reference("unet_r18_d1_64_full")
    keys = json.loads((shared / "fixtures/afma_celt/afma_state_dict_keys.json").read_text())["unet"]
    keys["encoder.conv_feamap.0.weight"] = [12, 64, 1, 1]  # the list was written for level 3
    model = create_model(
        "unet",
        encoder_name="resnet18",
        classes=12,
        enhancements={"afma": {"level": 1, "mode": "parity"}},
    ).eval()
    model.load_state_dict(_procedural_weights(keys, 3000))
    prediction = model.double().run(data["x"].double())
    afma = model.enhancements["afma"]
    log_probabilities = F.log_softmax(prediction.logits, 1)
    assert_close(log_probabilities, data["logprob"])
    assert_close(afma.attention(prediction.signals["afma"]), data["attention"])
    label = data["label"].long()
    class_weight = reference("gold_loss_d1_64")["class_weight"].double()
    nll = F.nll_loss(
        log_probabilities,
        label.where(label != 255, 0),
        weight=class_weight,
    )
    loss = 5 * nll + model.auxiliary_losses(prediction, label)["afma"]
    assert loss.item() == pytest.approx(data["loss"], rel=1e-5)
    loss.backward()
    norms = {name: p.grad.norm() for name, p in model.named_parameters() if p.grad is not None}
    names = [rename_reference_key(name) for name in data["grad_names"]]
    assert len(names) == 100
    for name, expected in zip(names, data["grad_norms"].tolist(), strict=True):
        own = name.startswith(("enhancements", "segmentation_head"))
        assert norms[name].item() == pytest.approx(expected, rel=1e-5 if own else 1e-4), name


def _procedural_weights(keys: Mapping[str, list[int]], seed: int) -> dict[str, Tensor]:
    """Fill the program's tensors by the recipe of the recorded files."""
    weights = {}
    for number, key in enumerate(sorted(keys)):
        shape = keys[key]
        if key.endswith("num_batches_tracked"):
            weights[rename_reference_key(key)] = torch.tensor(0)
            continue
        draw = _random(seed + number, shape)
        if key.endswith("running_var"):
            draw = 0.5 + 0.5 * draw.abs()
        elif key.endswith("running_mean"):
            draw = 0.1 * draw
        elif len(shape) > 1:
            draw = draw * (2 / np.prod(shape[1:])) ** 0.5
        else:
            draw = 1 + 0.1 * draw if key.endswith("weight") else 0.05 * draw
        weights[rename_reference_key(key)] = draw.float()
    return weights


def test_tensors_of_the_program_find_their_places() -> None:
    own = nn.ModuleDict({"afma": make_afma(3)}).state_dict(prefix="enhancements.")
    renamed = {rename_reference_key(f"encoder.{key}") for key in PROGRAM_KEYS}
    assert renamed == set(own)
    assert rename_reference_key("encoder.conv1.weight") == "encoder.conv1.weight"


PROGRAM_KEYS = [
    "conv_img.0.weight", "conv_img.0.bias", "conv_img.1.weight", "conv_img.1.bias",
    "conv_feamap.0.weight", "conv_feamap.0.bias",
    "resolution_trans.0.weight", "resolution_trans.1.weight",
]  # fmt: skip
