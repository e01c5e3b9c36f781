"""Squeeze-and-excitation: the recorded blocks, the published sizes, and each place."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch
from timm.layers import SEModule
from torch import nn

from segloom.enhancements.se import SeConfig, SqueezeExcitation
from segloom.errors import ConfigError
from segloom.inference.optimize import optimize
from segloom.models import create_model, from_pretrained


@pytest.mark.parametrize(
    ("name", "gate"),
    [("sigmoid", "sigmoid"), ("softmax", "softmax"), ("softmax_scaled", "scaled_softmax")],
)
def test_a_block_equals_the_recorded_one(recorded, name, gate):
    data = recorded(f"se_block_{name}")
    block = SqueezeExcitation(32, 16, gate)
    block.load_state_dict({key.removeprefix("sd."): data[key] for key in data if "sd." in key})
    x = data["in.x_nchw"]
    with torch.no_grad():
        data.compare(block.gates(x), "out.gate")
        data.compare(block(x), "out.y_nchw")


def test_sigmoid_gates_equal_those_of_timm():
    ours, theirs = SqueezeExcitation(48, 16), SEModule(48, rd_channels=3)
    for linear, convolution in ((ours.fc1, theirs.fc1), (ours.fc2, theirs.fc2)):
        convolution.load_state_dict(
            {"weight": linear.weight[:, :, None, None], "bias": linear.bias}
        )
    x = torch.randn(2, 48, 5, 7)
    torch.testing.assert_close(ours(x), theirs(x))


def test_gates_take_gradients_of_float64():
    for gate in ("sigmoid", "softmax", "scaled_softmax"):
        block = SqueezeExcitation(6, 2, gate).double()
        x = torch.randn(2, 6, 3, 2, dtype=torch.float64, requires_grad=True)
        assert torch.autograd.gradcheck(block, x)


def gates_of(model):
    return [module for module in model.modules() if isinstance(module, SqueezeExcitation)]


def liven(model):
    """Wake the residual branches, whose last batch norm timm starts at zero."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
    return model


def test_resnet50_gets_as_many_parameters_as_in_the_paper():
    """2.5 million for r = 16, without biases."""
    gates = gates_of(create_model("linknet", encoder_name="resnet50", enhancements="se"))
    weights = [p for gate in gates for p in gate.parameters() if p.ndim == 2]
    assert len(gates) == 16
    assert sum(weight.numel() for weight in weights) == 2_514_944


@pytest.mark.parametrize("encoder", ["resnet18", "tu-test_resnet"])
def test_open_gates_leave_the_network_as_it_was(encoder):
    plain = liven(create_model("unet", encoder_name=encoder, classes=3)).eval()
    gated = create_model("unet", encoder_name=encoder, classes=3, enhancements="se").eval()
    gated.load_state_dict(plain.state_dict(), strict=False)
    image = torch.randn(1, 3, 64, 96)
    gates = gates_of(gated)
    assert len(gates) == {"resnet18": 8, "tu-test_resnet": 4}[encoder]
    with torch.no_grad():
        assert not torch.allclose(gated(image), plain(image), atol=1e-3)
        for gate in gates:
            gate.fc2.bias.fill_(1e4)  # sigmoid is 1
        assert torch.equal(gated(image), plain(image))


def test_a_gate_stands_on_the_branch_before_the_sum():
    plain = create_model("unet", encoder_name="resnet18").eval()
    gated = create_model("unet", encoder_name="resnet18", enhancements="se").eval()
    block = gated.encoder.layer1[0]
    original = plain.encoder.layer1[0]
    original.load_state_dict(block.state_dict(), strict=False)
    x = torch.randn(2, 64, 8, 8)
    with torch.no_grad():
        branch = original.bn2(original.conv2(torch.relu(original.bn1(original.conv1(x)))))
        torch.testing.assert_close(block(x), torch.relu(block.se(branch) + x))


@pytest.mark.parametrize("place", ["encoder", "skips", "decoder"])
def test_the_faster_network_for_inference_keeps_the_gates(place):
    """Folded batch norms take hooks with them; gates must not hang on those."""
    model = create_model(
        "unet", encoder_name="resnet18", classes=3, enhancements=f"se:place={place}"
    ).eval()
    liven(model)
    image = torch.randn(1, 3, 64, 64)
    fast = optimize(model, precision="fp32", device=torch.device("cpu"))
    with torch.no_grad():
        torch.testing.assert_close(fast(image), model(image), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("place", ["encoder", "aspp", "skips", "decoder"])
def test_copies_and_saved_models_have_gates_of_their_own(place, tmp_path):
    model = create_model(
        "deeplabv3plus",
        encoder_name="tu-test_resnet",
        classes=3,
        enhancements=f"se:place={place},gate=scaled_softmax,ratio=4",
    ).eval()
    liven(model)
    image = torch.randn(1, 3, 64, 96)
    model.save_pretrained(tmp_path / "model")
    twins = [
        copy.deepcopy(model),
        pickle.loads(pickle.dumps(model)),
        from_pretrained(tmp_path / "model").eval(),
    ]
    with torch.no_grad():
        expected = model(image)
        for gate in gates_of(model):
            gate.fc2.weight.normal_()
        assert not torch.equal(model(image), expected)
        for twin in twins:
            torch.testing.assert_close(twin(image), expected)


def test_a_gate_is_made_for_each_map_that_the_decoder_takes():
    def levels(architecture):
        model = create_model(
            architecture, encoder_name="tu-test_resnet", enhancements="se:place=skips"
        )
        return list(model.enhancements["se"].gates)

    assert levels("unet") == ["1", "2", "3", "4", "5"]
    assert levels("deeplabv3plus") == ["2", "5"]
    assert levels("dlse") == ["2", "3", "5"]


def test_half_precision_keeps_its_type():
    block = SqueezeExcitation(8).to(torch.bfloat16)
    assert block(torch.randn(1, 8, 4, 4, dtype=torch.bfloat16)).dtype == torch.bfloat16
    with torch.autocast("cpu", torch.bfloat16):
        assert SqueezeExcitation(8, gate="softmax")(torch.randn(1, 8, 4, 4)).isfinite().all()


@pytest.mark.parametrize(
    ("architecture", "encoder", "place", "message"),
    [
        ("unet", "tu-test_convnext", "encoder", "not tu-test_convnext; take such an encoder, or"),
        ("unet", "se_resnet50", "encoder", "without gates of their own, .* not se_resnet50"),
        ("unet", "tu-test_resnet", "aspp", "dlse have and this one has not; take one of them, or"),
    ],
)
def test_a_place_that_the_network_lacks_is_refused_with_those_that_it_has(
    architecture, encoder, place, message
):
    with pytest.raises(ConfigError, match=message):
        create_model(architecture, encoder_name=encoder, enhancements=f"se:place={place}")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"gate": "relu"}, "gate must be sigmoid, softmax or scaled_softmax, not 'relu'"),
        ({"place": "stem"}, "place must be encoder, aspp, skips or decoder, not 'stem'"),
        ({"ratio": 0}, "ratio must be 1 or more, not 0"),
    ],
)
def test_options_that_do_not_exist_are_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        SeConfig(**options)


def test_a_ratio_beyond_the_channels_leaves_one_hidden_unit():
    assert isinstance(SqueezeExcitation(4, 16).fc1, nn.Linear)
    assert SqueezeExcitation(4, 16).fc1.out_features == 1
