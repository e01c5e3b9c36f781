"""AFMA in parity mode equals the recorded results of the released program: values and gradients."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest
import torch
from support.recorded import Recording, procedural
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
from segloom.ops.convolution import convolve_twice
from segloom.ops.low_rank_attention import materialize

HEADS = [
    "unet_d1_64", "unetpp_d1_64", "linknet_d1_64", "fpn_d1_64", "pan_d1_128",
    "deeplabv3_d1_64", "deeplabv3_d4_96", "pspnet_d1_64",
]  # fmt: skip
CLASS_WEIGHT = (
    0.2565273, 0.18528266, 4.3962874, 0.13686933, 0.9184731, 0.38731986,
    3.5330744, 1.8126853, 0.7246198, 5.855013, 8.136508, 1.09741,
)  # fmt: skip
"""Of CamVid's classes, in the program's loss."""
CHANNELS = {1: 64, 2: 64, 3: 128, 4: 256}


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
def test_relation_and_its_gradients(recorded: Callable[[str], Recording], name: str) -> None:
    data = recorded(f"afma_{name}")
    afma = make_afma(data["depth"])
    weights = {key[2:]: data[key] for key in data if key.startswith("w.")}
    names = {key: _own_name(f"encoder.{key}") for key in weights}
    afma.load_state_dict({names[key]: value for key, value in weights.items()})
    image = convolve_twice(data["x"], afma.image_first, afma.image_second)
    data.compare(image, "img_embed", 1e-5)
    data.compare(afma.feature_embed(data["feat"]), "feat_embed_raw", 1e-5)
    _, signal = afma.enrich(data["x"], [data["feat"]] * 5, None)
    data.compare(afma.attention(signal), "attention", 1e-5)
    (afma.attention(signal) * data["grad_out"]).sum().backward()
    gradients = {name: parameter.grad for name, parameter in afma.named_parameters()}
    recorded = [key for key in data if key.startswith("g.")]
    assert len(recorded) == 6
    for key in recorded:
        data.compare(gradients[names[key[2:]]], key, 1e-5)


def _own_name(key: str) -> str:
    return rename_reference_key(key).removeprefix("enhancements.afma.")


@pytest.mark.parametrize("name", ["gold_loss_d1_64", "gold_loss_d3_96"])
def test_gold_relation_loss_and_gradients(recorded: Callable[[str], Recording], name: str) -> None:
    data = recorded(f"afma_{name}")
    label, stride = data["label"].long(), 2 ** data["depth"]
    gold = gold_attention(label, 12, patch=10, stride=stride, parity=True)
    data.compare(materialize(gold.image, gold.feature), "gold", 1e-5)
    attention, logits = data["attention"].requires_grad_(), data["logits"].requires_grad_()
    mse = attention_loss(factors(attention), label, patch=10, stride=stride, parity=True)
    data.compare(mse, "mse", 1e-5)
    # The program takes the class of a pixel from its one-hot vector: void (all zero) becomes 0.
    labels = label.where(label != 255, 0)
    data.compare(CLASS_WEIGHT, "class_weight", 1e-6, kind="loss")
    nll = F.nll_loss(F.log_softmax(logits, 1), labels, weight=data["class_weight"])
    data.compare(nll, "nll", 1e-5)
    loss = 5 * nll + mse
    data.compare(loss, "loss", 1e-5)
    loss.backward()
    data.compare(attention.grad, "grad_attention", 1e-5)
    data.compare(logits.grad, "grad_logits", 1e-3)
    data.compare(logits.grad.sum((0, 2, 3)), "grad_logits_sum", 1e-5)


@pytest.mark.parametrize("name", HEADS)
def test_scaled_logits_and_gradients(recorded: Callable[[str], Recording], name: str) -> None:
    data = recorded(f"afma_head_{name}")
    decoded = data["decoder_out"].requires_grad_()
    attention = data["attention"].requires_grad_()
    padding = data["kernel"] // 2
    logits = F.conv2d(decoded, data["conv_weight"], data["conv_bias"], padding=padding)
    if data["upsampling"] > 1:
        scale = data["upsampling"]
        logits = F.interpolate(logits, scale_factor=scale, mode="bilinear", align_corners=True)
    data.compare(logits, "logits_pre", 1e-5)
    # DeepLabV3's map at level 4 keeps stride 8: its real stride is the program's pooling.
    afma = make_afma(data["depth"], stride=data["pool"])
    scaled = afma.correct(logits, factors(attention))
    data.compare(scaled, "logits_mod", 1e-3 if name.startswith("pan") else 1e-5)
    data.compare(scaled - logits, "correction", 1e-3, expected=data["correction"] * logits)
    weight = _random(data["grad_out_seed"], scaled.shape)
    (F.log_softmax(scaled, 1) * weight).sum().backward()
    data.compare(attention.grad, "grad_attention", 1e-5)
    data.compare(decoded.grad, "grad_decoder_out", 1e-3)


def _random(seed: int, shape: Sequence[int]) -> Tensor:
    draws = np.random.RandomState(seed).standard_normal(tuple(shape))
    return torch.from_numpy(draws.astype(np.float32))


def test_whole_unet_with_afma(recorded: Callable[[str], Recording]) -> None:
    """In float64, so that it does not depend on the machine's float32 kernels.

    In the recorded float32 run one activation fell on the other side of a ReLU's kink, which moves
    the gradients of ten of the network's own tensors by up to 7e-5; none of them is AFMA's.
    """
    data = recorded("afma_unet_r18_d1_64_full")
    keys = dict(recorded("afma_state_dict_keys")["unet"])
    keys["encoder.conv_feamap.0.weight"] = [12, 64, 1, 1]  # the list was written for level 3
    model = create_model(
        "unet",
        encoder_name="resnet18",
        classes=12,
        enhancements={"afma": {"level": 1, "mode": "parity"}},
    ).eval()
    weights = procedural(keys, 3000)
    model.load_state_dict({rename_reference_key(key): value for key, value in weights.items()})
    prediction = model.double().run(data["x"].double())
    afma = model.enhancements["afma"]
    log_probabilities = F.log_softmax(prediction.logits, 1)
    data.compare(log_probabilities, "logprob", 1e-5)
    data.compare(afma.attention(prediction.signals["afma"]), "attention", 1e-5)
    label = data["label"].long()
    class_weight = torch.tensor(CLASS_WEIGHT, dtype=torch.double)
    nll = F.nll_loss(log_probabilities, label.where(label != 255, 0), weight=class_weight)
    loss = 5 * nll + model.auxiliary_losses(prediction, label)["afma"]
    data.compare(loss, "loss", 1e-5)
    loss.backward()
    norms = {name: p.grad.norm() for name, p in model.named_parameters() if p.grad is not None}
    names = [rename_reference_key(name) for name in data["grad_names"]]
    assert len(names) == 100
    for name, expected in zip(names, data["grad_norms"].tolist(), strict=True):
        own = name.startswith(("enhancements", "segmentation_head"))
        data.compare(norms[name], "grad_norms", 1e-5 if own else 1e-4, expected=expected)


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
