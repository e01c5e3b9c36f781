"""Checkpoints of the original AFMA and CELT programs, and what cannot be converted."""

import json

import pytest
import torch
from support.recorded import procedural

from segloom.cli.main import main
from segloom.errors import CheckpointError
from segloom.models import create_model
from segloom.models.weights.checkpoint import from_pretrained, read_saved
from segloom.models.weights.convert import CAMVID_12, convert, rebuild
from segloom.models.weights.inspection import inspect_checkpoint

ARCHITECTURES = {
    "unet": "unet",
    "unetpp": "unetplusplus",
    "manet": "manet",
    "linknet": "linknet",
    "fpn": "fpn",
    "pan": "pan",
    "deeplabv3": "deeplabv3",
    "pspnet": "pspnet",
}
ALL = [(method, name) for method in ("afma", "celt") for name in ARCHITECTURES]


def reference_sizes(recorded, method, name):
    return dict(recorded(f"{method}_state_dict_keys")[name])


def filled(sizes):
    """A state dict in which every tensor holds another number."""
    return {
        key: torch.tensor(number) if not size else torch.full(size, number / 100)
        for number, (key, size) in enumerate(sorted(sizes.items()))
    }


def unet(recorded, method="celt", **changes):
    tensors = filled(reference_sizes(recorded, method, "unet"))
    return {**tensors, **changes}


@pytest.mark.parametrize(("method", "name"), ALL)
def test_every_original_architecture_fits_without_a_rest(recorded, method, name):
    sizes = reference_sizes(recorded, method, name)
    with torch.device("meta"):
        tensors = {key: torch.zeros(size) for key, size in sizes.items()}
        source = inspect_checkpoint(tensors, "weights.pth")
        model = rebuild(tensors, source, "weights.pth")  # raises if anything is left over
    assert source.method == method
    assert source.architecture == ARCHITECTURES[name]
    is_deep = (method, name) == ("afma", "pspnet")
    assert source.encoder_name == ("tu-resnet50" if is_deep else "resnet18")
    assert source.enhancement["level"] == (3 if method == "afma" else 2)
    keys = recorded(f"{method}_state_dict_keys")
    keys.compare(len(model.state_dict()), name, 0, expected=len(sizes), kind="tensors")


@pytest.mark.slow
@pytest.mark.parametrize(("method", "name"), ALL)
def test_every_value_of_every_original_architecture_arrives(recorded, method, name):
    tensors = filled(reference_sizes(recorded, method, name))
    model = rebuild(tensors, inspect_checkpoint(tensors, "weights.pth"), "weights.pth")
    found = model.state_dict()
    assert len(found) == len(tensors)
    # Each tensor holds one number of its own, so equal sets mean that nothing was swapped.
    expected = sorted((float(v.max()), tuple(v.shape)) for v in tensors.values())
    arrived = sorted((float(v.max()), tuple(v.shape)) for v in found.values())
    if (method, name) == ("afma", "unetpp"):  # the 1x1 head in a 3x3
        expected = sorted((v, s) for v, s in expected if s != (12, 16, 1, 1))
        arrived = sorted((v, s) for v, s in arrived if s != (12, 16, 3, 3))
    assert expected == arrived


def test_afma_checkpoint_gives_the_original_predictions(recorded, tmp_path):
    data = recorded("afma_unet_r18_d1_64_full")
    sizes = reference_sizes(recorded, "afma", "unet")
    sizes["encoder.conv_feamap.0.weight"] = [12, 64, 1, 1]
    torch.save(procedural(sizes, 3000), tmp_path / "weights.pth")
    result = convert(tmp_path / "weights.pth", tmp_path / "model", level=1)
    assert (result.method, result.architecture, result.level) == ("afma", "unet", 1)
    model = from_pretrained(tmp_path / "model")
    with torch.no_grad():
        logarithms = model(data["x"]).log_softmax(1)
    data.compare(logarithms, "logprob", 1e-5)
    assert read_saved(tmp_path / "model").labels == CAMVID_12


def test_command_reads_a_celt_checkpoint(recorded, tmp_path, capsys):
    file = tmp_path / "weights.pth"
    torch.save({"state_dict": unet(recorded), "epoch": 3}, file)
    words = ["convert", str(file), "--out", str(tmp_path / "model"), "--classes", "12", "--json"]
    assert main(words) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["method"] == "celt"
    assert said["encoder_name"] == "resnet18"
    spec = read_saved(tmp_path / "model").spec
    assert spec["enhancements"][0]["celt"]["mode"] == "parity"
    assert main(words[:-1]) == 0
    assert "unet on resnet18 with celt at level 2, 12 classes" in capsys.readouterr().out


def test_command_ends_with_a_sentence_and_code_2(tmp_path, capsys):
    assert main(["convert", str(tmp_path / "none.pth"), "--out", str(tmp_path / "model")]) == 2
    assert "there is no weight file" in capsys.readouterr().err
    assert not (tmp_path / "model").exists()


def test_one_by_one_head_equals_the_middle_of_a_three_by_three(recorded):
    tensors = filled(reference_sizes(recorded, "afma", "unetpp"))
    name = "decoder.segmentation.conv_x.weight"
    tensors[name] = torch.randn(12, 16, 1, 1)
    model = rebuild(tensors, inspect_checkpoint(tensors, "w.pth"), "w.pth")
    decoded = torch.randn(1, 16, 8, 8)
    bias = tensors["decoder.segmentation.conv_x.bias"]
    expected = torch.nn.functional.conv2d(decoded, tensors[name], bias)
    torch.testing.assert_close(model.segmentation_head[0](decoded), expected)


@pytest.mark.slow
def test_dilated_timm_resnet_equals_torchvisions():
    from segmentation_models_pytorch.encoders import get_encoder
    from torchvision.models import resnet50

    torch.manual_seed(0)
    theirs = resnet50(replace_stride_with_dilation=[False, True, True]).eval()
    ours = get_encoder("tu-resnet50", weights=None, depth=5, output_stride=8).eval()
    weights = {f"model.{k}": v for k, v in theirs.state_dict().items() if not k.startswith("fc.")}
    ours.load_state_dict(weights)
    image = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        x = theirs.layer1(theirs.maxpool(theirs.relu(theirs.bn1(theirs.conv1(image)))))
        expected = theirs.layer4(theirs.layer3(theirs.layer2(x)))
        torch.testing.assert_close(ours(image)[-1], expected)


def test_plain_smp_state_dict_is_converted(tmp_path):
    model = create_model("fpn", encoder_name="tu-test_efficientnet", classes=4).eval()
    torch.save(model.state_dict(), tmp_path / "weights.pth")
    names = ("a", "b", "c", "d")
    result = convert(
        tmp_path / "weights.pth",
        tmp_path / "model",
        encoder_name="test_efficientnet",
        class_names=names,
    )
    assert (result.method, result.architecture, result.classes) == (None, "fpn", 4)
    image = torch.randn(1, 3, 40, 50)
    with torch.no_grad():
        assert torch.equal(from_pretrained(tmp_path / "model")(image), model(image))
    labels = read_saved(tmp_path / "model").labels
    assert labels.classes == names
    assert labels.palette[0] == (128, 0, 0)
    assert len(set(labels.palette)) == 4


def test_options_reach_the_architecture(tmp_path, capsys):
    channels = [32, 16, 8, 8, 4]
    model = create_model("unet", encoder_name="tu-test_efficientnet", decoder_channels=channels)
    torch.save(model.state_dict(), tmp_path / "w.pth")
    words = ["convert", str(tmp_path / "w.pth"), "--out", str(tmp_path / "model")]
    words += ["--encoder-name", "test_efficientnet"]
    assert main(words) == 2
    assert "does not fit the network: of another shape decoder.blocks.0" in capsys.readouterr().err
    assert main([*words, "--options", "decoder_channels", str(channels)]) == 0
    assert read_saved(tmp_path / "model").spec["decoder_channels"] == channels


class Pickled:
    """Something that only a full unpickling could make."""


def test_pickled_model_is_refused_with_the_way_out(tmp_path):
    torch.save(torch.nn.Linear(2, 2), tmp_path / "model.pth")
    with pytest.raises(CheckpointError, match=r"pickled objects .*, 'weights.pth'\)"):
        convert(tmp_path / "model.pth", tmp_path / "out")
    assert not (tmp_path / "out").exists()
    torch.save({"model": Pickled()}, tmp_path / "mixed.pth")
    with pytest.raises(CheckpointError, match="pickled objects"):
        convert(tmp_path / "mixed.pth", tmp_path / "out")


@pytest.mark.parametrize("content", [b"", b"not weights", b"PK\x03\x04broken", b"\x80\x02."])
@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
def test_damaged_file_is_named(tmp_path, content, suffix):
    file = tmp_path / f"weights.{suffix}"
    file.write_bytes(content)
    with pytest.raises(CheckpointError, match=f"weights.{suffix}"):
        convert(file, tmp_path / "out")


def test_file_without_tensors_is_named(tmp_path):
    torch.save({"epoch": 3}, tmp_path / "w.pth")
    with pytest.raises(CheckpointError, match="holds no named tensors"):
        convert(tmp_path / "w.pth", tmp_path / "out")


def test_level_that_cannot_be_told_is_asked_for(recorded):
    tensors = unet(recorded, "afma")
    tensors["encoder.conv_feamap.0.weight"] = torch.zeros(12, 64, 1, 1)
    with pytest.raises(CheckpointError, match=r"levels \[1, 2\] of resnet18 both .* give --level"):
        inspect_checkpoint(tensors, "w.pth")
    assert inspect_checkpoint(tensors, "w.pth", level=2).enhancement["level"] == 2


def test_level_that_contradicts_the_file_is_refused(recorded):
    with pytest.raises(CheckpointError, match="128 channels, which is level 3 of resnet18, not 4"):
        inspect_checkpoint(unet(recorded, "afma"), "w.pth", level=4)
    tensors = unet(recorded, "afma")
    tensors["encoder.conv_feamap.0.weight"] = torch.zeros(12, 99, 1, 1)
    with pytest.raises(CheckpointError, match=r"99 channels, which is no level of resnet18\."):
        inspect_checkpoint(tensors, "w.pth")


def test_arguments_that_contradict_the_file_are_refused(recorded, tmp_path):
    tensors = unet(recorded)
    with pytest.raises(CheckpointError, match="holds a unet, not a fpn"):
        inspect_checkpoint(tensors, "w.pth", architecture="FPN")
    with pytest.raises(CheckpointError, match="has a resnet18 encoder, not resnet34"):
        inspect_checkpoint(tensors, "w.pth", encoder_name="resnet34")
    torch.save(tensors, tmp_path / "w.pth")
    with pytest.raises(CheckpointError, match="has 12 classes, not 11"):
        convert(tmp_path / "w.pth", tmp_path / "out", classes=11)
    with pytest.raises(CheckpointError, match="2 class names for a network with 12 classes"):
        convert(tmp_path / "w.pth", tmp_path / "out", class_names=("a", "b"))


def test_incomplete_checkpoints_are_refused(recorded):
    tensors = unet(recorded)
    headless = {k: v for k, v in tensors.items() if "conv2d" not in k}
    with pytest.raises(CheckpointError, match="has no segmentation head"):
        inspect_checkpoint(headless, "w.pth")
    half = {k: v for k, v in tensors.items() if "linear_layer_1" not in k}
    with pytest.raises(CheckpointError, match=r"lacks encoder\.linear_layer_1\.weight"):
        inspect_checkpoint(half, "w.pth")
    del tensors["decoder.blocks.4.conv2.0.weight"]
    source = inspect_checkpoint(tensors, "w.pth")
    with torch.device("meta"), pytest.raises(CheckpointError, match=r"missing decoder\.blocks\.4"):
        rebuild(tensors, source, "w.pth")


def test_sizes_that_are_no_square_are_refused(recorded):
    tensors = unet(recorded, **{"encoder.linear_layer_1.weight": torch.zeros(1024, 108)})
    with pytest.raises(CheckpointError, match="made for 108 patches"):
        inspect_checkpoint(tensors, "w.pth")


def test_other_encoders_than_resnets_are_asked_for(recorded):
    strange = {"encoder.stem.weight": torch.zeros(1), "decoder.p5.weight": torch.zeros(1)}
    with pytest.raises(CheckpointError, match="no plain ResNet encoder; give --encoder-name"):
        inspect_checkpoint(strange, "w.pth")
    with pytest.raises(CheckpointError, match="do not tell its architecture; give --architecture"):
        inspect_checkpoint({"encoder.stem.weight": torch.zeros(1)}, "w.pth")
    tensors = {k: v for k, v in unet(recorded).items() if "layer4.1" not in k}
    with pytest.raises(CheckpointError, match="the only kind of the original celt program"):
        inspect_checkpoint(tensors, "w.pth")
