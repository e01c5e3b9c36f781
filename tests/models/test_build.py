"""Every architecture builds, takes any size, keeps SMP's keys and equals SMP bit for bit."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from importlib.metadata import EntryPoint

import pytest
import segmentation_models_pytorch as smp
import torch
from torch import nn

from segloom import plugins
from segloom.config.model import ModelConfig
from segloom.enhancements import Enhancement, EnhancementConfig
from segloom.errors import CheckpointError, ConfigError, UnknownNameError
from segloom.models import ARCHITECTURES, SegmentationModel, build_model, create_model

ENCODER = dict.fromkeys(("dpt", "eomt", "linear"), "tu-test_vit")


def encoder_of(architecture: str) -> str:
    return ENCODER.get(architecture, "tu-test_resnet")


@pytest.fixture(autouse=True)
def one_seed() -> None:
    torch.manual_seed(0)


@dataclass(frozen=True, kw_only=True)
class ScaleConfig(EnhancementConfig):
    """Multiplies the logits, and adds a channel that must not matter at first."""

    extra_input_channels = 1
    factor: float = 2.0

    def build(self, shape):
        return Scale(self.factor)


class Scale(Enhancement):
    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.tensor(factor))

    def prepare(self, image):
        return torch.cat([image, image[:, :1]], dim=1), None

    def correct(self, logits, signal):
        return logits * self.factor

    def loss(self, signal, target):
        return self.factor * (target != 255).sum()


@pytest.mark.parametrize("architecture", list(ARCHITECTURES))
def test_any_size_goes_in_and_logits_come_out_at_that_size(architecture):
    model = create_model(architecture, encoder_name=encoder_of(architecture), classes=4).eval()
    for size in ((33, 71), (1, 5)):
        with torch.no_grad():
            assert model(torch.randn(1, 3, *size)).shape == (1, 4, *size)


SMP_NETWORKS = [name for name, known in ARCHITECTURES.items() if not known.builder]


@pytest.mark.parametrize("architecture", SMP_NETWORKS)
def test_without_enhancements_logits_equal_smp_bit_for_bit(architecture):
    name = encoder_of(architecture)
    model = create_model(architecture, encoder_name=name, classes=4).eval()
    plain = smp.create_model(
        architecture, encoder_name=name, encoder_weights=None, classes=4
    ).eval()
    plain.load_state_dict(model.state_dict(), strict=True)
    image = torch.randn(1, 3, 128, 128)
    with torch.no_grad():
        assert torch.equal(model(image), plain(image))


@pytest.mark.parametrize("architecture", list(ARCHITECTURES))
def test_static_shape_equals_what_the_encoder_returns(architecture):
    model = create_model(architecture, encoder_name=encoder_of(architecture)).eval()
    with torch.no_grad():
        encoded = model.encoder(torch.zeros(1, 3, 128, 128))
        features, rest = (encoded[0], encoded[1:]) if isinstance(encoded, tuple) else (encoded, ())
        decoded = model.decoder(features, *rest)
        decoded = decoded[0] if isinstance(decoded, tuple) else decoded  # without inner maps
    measured = [(f.shape[1], 128 // f.shape[2]) for f in features]
    assert measured == [(spec.channels, spec.stride) for spec in model.shape.features]
    assert decoded.shape[1] == model.shape.decoded_channels


def test_an_extra_input_channel_leaves_the_logits_as_they_were():
    model = create_model("unet", encoder_name="tu-test_resnet", classes=3)
    wide = create_model(
        "unet", encoder_name="tu-test_resnet", classes=3, enhancements=[ScaleConfig(factor=1.0)]
    )
    state = model.state_dict()
    first = next(key for key, value in wide.state_dict().items() if value.shape[1:2] == (4,))
    state[first] = torch.cat([state[first], torch.zeros_like(state[first][:, :1])], dim=1)
    missing, unexpected = wide.load_state_dict(state, strict=False)
    assert (missing, unexpected) == (["enhancements.scale.factor"], [])
    image = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(model.eval()(image), wide.eval()(image))


def test_enhancements_act_in_the_order_given_and_get_names():
    parts = [ScaleConfig(factor=2.0), ScaleConfig(factor=3.0)]
    model = create_model("fpn", encoder_name="tu-test_resnet", enhancements=parts)
    assert list(model.enhancements) == ["scale", "scale_2"]
    assert model.shape.image_channels == 3
    assert model.spec["enhancements"][1] == {"scale_2": {"loss_weight": 1.0, "factor": 3.0}}


def test_a_built_enhancement_attaches_as_an_instance():
    model = create_model("unet", encoder_name="tu-test_resnet", enhancements=Enhancement())
    assert list(model.enhancements) == ["enhancement"]


def test_auxiliary_losses_see_void_in_the_padding():
    model = create_model("unet", encoder_name="tu-test_resnet", enhancements=[ScaleConfig()])
    prediction = model.run(torch.zeros(2, 3, 40, 50))
    losses = model.auxiliary_losses(prediction, torch.zeros(2, 40, 50, dtype=torch.int64))
    assert losses["scale"].item() == 2.0 * 2 * 40 * 50
    assert model.loss_weights == {"scale": 1.0}


def test_a_copy_does_not_share_enhancements_with_the_original():
    model = create_model("unet", encoder_name="tu-test_resnet", enhancements=[ScaleConfig()])
    other = copy.deepcopy(model).eval()
    with torch.no_grad():
        other.enhancements["scale"].factor.zero_()
        assert other(torch.randn(1, 3, 32, 32)).abs().max() == 0
        assert model.eval()(torch.randn(1, 3, 32, 32)).abs().max() > 0


def test_a_frozen_encoder_stays_frozen_through_train():
    model = create_model("unet", encoder_name="tu-test_resnet")
    model.freeze_encoder()
    model.train()
    assert not model.encoder.training
    assert model.decoder.training
    assert not any(parameter.requires_grad for parameter in model.encoder.parameters())
    model.unfreeze_encoder()
    assert model.encoder.training
    assert all(parameter.requires_grad for parameter in model.encoder.parameters())


def test_stages_that_pspnet_never_runs_do_not_train():
    model = create_model("pspnet", encoder_name="resnet18")
    trained = {n for n, p in model.encoder.named_parameters() if p.requires_grad}
    assert any(name.startswith("layer2") for name in trained)
    assert not any(name.startswith(("layer3", "layer4")) for name in trained)
    model(torch.randn(2, 3, 32, 32)).sum().backward()
    assert all(p.grad is not None for p in model.parameters() if p.requires_grad)


def test_normalize_follows_the_mean_and_deviation():
    model = create_model("unet", encoder_name="tu-test_resnet")
    image = torch.full((1, 3, 2, 2), 255, dtype=torch.uint8)
    expected = (1 - torch.tensor([0.485, 0.456, 0.406])) / torch.tensor([0.229, 0.224, 0.225])
    assert torch.allclose(model.normalize(image)[0, :, 0, 0], expected)


def test_spec_builds_the_same_network_again():
    model = create_model(
        "unet", encoder_name="tu-test_resnet", classes=7, decoder_channels=[16] * 5
    )
    twin = create_model(**model.spec)
    twin.load_state_dict(model.state_dict(), strict=True)


@pytest.mark.parametrize(
    ("classes", "mode", "settled", "number"),
    [
        (1, "auto", "binary", 2),
        (1, "binary", "binary", 2),
        (3, "auto", "multiclass", 3),
        (1, "multilabel", "multilabel", 1),
        (3, "multilabel", "multilabel", 3),
    ],
)
def test_the_mode_says_what_the_channels_are(classes, mode, settled, number):
    model = create_model("unet", encoder_name="tu-test_resnet", classes=classes, mode=mode)
    assert (model.mode, model.num_labels) == (settled, number)
    assert create_model(**model.spec).mode == settled


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"architecture": "unett"}, "unknown architecture 'unett': did you mean 'unet'?"),
        ({"encoder_name": "resnet81"}, "unknown encoder 'resnet81': did you mean"),
        ({"enhancements": "afmaa"}, "unknown enhancement 'afmaa': did you mean 'afma'?"),
        ({"enhancements": 3}, "an enhancement is a name"),
        ({"enhancements": {"afma": True}}, "options of enhancement afma are a mapping; got True"),
        ({"classes": 0}, "classes must be 1 to 255; got 0"),
        ({"classes": "3"}, "classes must be 1 to 255; got '3'"),
        ({"mode": "multilable"}, "unknown mode 'multilable': did you mean 'multilabel'?"),
        ({"mode": "multilabel", "classes": 56}, "takes 1 to 55 classes"),
        ({"mode": "binary", "classes": 2}, "one logit for two classes, but classes is 2"),
        ({"mode": "multiclass", "classes": 1}, "needs a channel per class, two at least"),
        (
            {"mode": "multilabel", "classes": 2, "enhancements": "celt"},
            "enhancement celt needs classes that exclude each other",
        ),
        ({"in_channels": 0}, "in_channels must be 1 or more; got 0"),
        ({"decoder_chanels": [1]}, "did you mean 'decoder_channels'?"),
        ({"activation": "softmax"}, "option 'activation' is not taken"),
        ({"architecture": "dpt", "encoder_name": "resnet18"}, "tu-vit_small_patch16_224"),
    ],
)
def test_what_cannot_be_built_is_refused_in_a_sentence(arguments, message):
    with pytest.raises(ConfigError) as caught:
        create_model(**{"encoder_name": "tu-test_resnet", **arguments})
    assert message in str(caught.value)


def test_architecture_names_ignore_case_and_hyphens():
    model = create_model("DeepLabV3+", encoder_name="test_resnet")
    assert model.spec["architecture"] == "deeplabv3plus"
    assert model.spec["encoder_name"] == "tu-test_resnet"


def test_configuration_and_data_must_agree_on_the_classes():
    config = ModelConfig(encoder_name="tu-test_resnet", classes=5)
    with pytest.raises(ConfigError, match=r"model.classes is 5 but the data has 11 classes"):
        build_model(config, classes=11)
    assert build_model(config, classes=5).shape.num_classes == 5


def test_a_missing_level_names_those_that_exist():
    shape = create_model("pspnet", encoder_name="resnet18").shape
    with pytest.raises(ConfigError, match=r"no feature map at level 5; take one .* 0, 1, 2, 3,"):
        shape.level(5)


def test_unknown_options_of_an_enhancement_are_refused():
    with pytest.raises(UnknownNameError, match="did you mean 'level'"):
        create_model("unet", encoder_name="tu-test_resnet", enhancements="afma:levle=2")


def test_a_model_saves_and_opens_itself(tmp_path):
    model = create_model("unet", encoder_name="tu-test_resnet", classes=3, enhancements="afma")
    model.save_pretrained(tmp_path)
    twin = SegmentationModel.from_pretrained(tmp_path).eval()
    image = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(twin(image), model.eval()(image))


def test_no_enhancements_may_be_said_as_none():
    assert not create_model("unet", encoder_name="tu-test_resnet", enhancements=None).enhancements


def test_a_module_is_asked_for_again_when_a_saved_model_opens(tmp_path):
    part = Scale(2.0)
    model = create_model("unet", encoder_name="tu-test_resnet", enhancements=part)
    model.save_pretrained(tmp_path)
    with pytest.raises(CheckpointError, match="enhancement scale was attached as a module"):
        SegmentationModel.from_pretrained(tmp_path)


def test_an_options_class_of_another_package_keeps_its_entry_point_name(monkeypatch):
    point = EntryPoint("se_2", f"{__name__}:ScaleConfig", "segloom.enhancements")
    monkeypatch.setattr(plugins, "entry_points", lambda group: [point])
    part = ScaleConfig(factor=3.0)
    model = create_model("unet", encoder_name="tu-test_resnet", enhancements=part)
    assert list(model.enhancements) == ["se_2"]
    assert list(create_model(**model.spec).enhancements) == ["se_2"]


@pytest.mark.parametrize("architecture", ["pspnet", "fpn"])
def test_a_network_built_in_inference_mode_is_an_ordinary_one(architecture):
    # Of both a part is never used: stages of an encoder, and maps of a feature pyramid.
    options = {"encoder_name": encoder_of("dpt" if architecture == "fpn" else architecture)}
    image = torch.randn(1, 3, 64, 64)
    with torch.inference_mode():
        model = create_model(architecture, classes=2, **options).eval()
        assert model(image).is_inference()
    used = {name for name, p in model.named_parameters() if p.requires_grad}
    assert used == {
        name
        for name, p in create_model(architecture, classes=2, **options).named_parameters()
        if p.requires_grad
    }
    model(image).square().sum().backward()
    assert all(p.grad is not None for p in model.parameters() if p.requires_grad)
