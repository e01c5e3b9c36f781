"""HED equals the recorded results of two programs, and reads the weights of every kind of file."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from support.recorded import Recording, seeded
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from segloom.enhancements.hed.network import STAGES, HedNetwork
from segloom.enhancements.hed.weights import load_hed, rename_hed_tensors
from segloom.errors import CheckpointError

WORDS = ("One", "Two", "Thr", "Fou", "Fiv")


@pytest.fixture(scope="module")
def hed(recorded: Callable[[str], Recording]) -> Recording:
    return recorded("hed_full")


@pytest.fixture(scope="module")
def reference_weights(hed: Recording) -> dict[str, Tensor]:
    return {key: seeded(key, shape) for key, shape in hed.json("meta.state_keys")}


def rgb(hed: Recording) -> Tensor:
    return 255 * hed["in.bgr01"].flip(1)


@torch.no_grad()
def test_simple_geometry_equals_the_recorded_scores(hed, reference_weights):
    network = HedNetwork("simple")
    network.load_state_dict(rename_hed_tensors(reference_weights) | {"mean": network.mean})
    for number, score in enumerate(network.scores(rgb(hed)), start=1):
        hed.compare(score, f"out.score{number}", 1e-5)
    hed.compare(network.edges(rgb(hed)), "out.fuse", 1e-5)


@torch.no_grad()
def test_caffe_geometry_equals_the_recorded_probabilities(hed, reference_weights):
    network = HedNetwork("caffe")
    network.load_state_dict(rename_hed_tensors(reference_weights) | {"mean": network.mean})
    found = network(rgb(hed)).sigmoid()
    for number in range(5):
        hed.compare(found[:, number : number + 1], f"out.caffe_like_side{number + 1}", 1e-5)
    hed.compare(found[:, 5:], "out.caffe_like_fuse", 1e-5)


@torch.no_grad()
@pytest.mark.parametrize("size", [(1, 1), (15, 40), (33, 31), (50, 64)])
def test_exact_enlarging_equals_transposed_convolutions_with_the_recorded_crops(size):
    """The margins 34, 35, 36, 38, 42 belong to transposed bilinear filters; ours need one only."""
    network = small_network("caffe")
    image = 255 * torch.rand(1, 3, *size)
    margins = (34, 35, 36, 38, 42)
    for index, (score, margin) in enumerate(zip(network.scores(image), margins, strict=True)):
        stride = 2**index
        if stride > 1:
            ramp = 1 - (torch.arange(2 * stride) - (2 * stride - 1) / 2).abs() / stride
            score = F.conv_transpose2d(score, torch.outer(ramp, ramp)[None, None], stride=stride)
        expected = score[..., margin : margin + size[0], margin : margin + size[1]]
        actual = network(image)[:, index : index + 1]
        torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-5)


def test_crop_margins_are_the_recorded_ones(hed):
    hed.compare([34, 35, 36, 38, 42], "meta.crop_margins", 0, kind="geometry")


def small_network(geometry: str) -> HedNetwork:
    """Random side scores, so that they differ from zero."""
    torch.manual_seed(0)
    network = HedNetwork(geometry)
    for name, parameter in network.named_parameters():
        if name.startswith("score_dsn"):
            nn.init.normal_(parameter, std=5e-4)
    return network.eval()


def test_size_and_cost_are_the_published_ones():
    assert sum(parameter.numel() for parameter in HedNetwork().parameters()) == 14_716_171
    network = HedNetwork("simple").to("meta")
    for size, billions in (((320, 480), 47.0), ((512, 912), 142.9), ((1024, 2048), 641.7)):
        with FlopCounterMode(display=False) as counter:
            network(torch.empty(1, 3, *size, device="meta"))
        assert round(counter.get_total_flops() / 2e9, 1) == billions


@torch.no_grad()
@pytest.mark.parametrize("geometry", ["caffe", "simple"])
@pytest.mark.parametrize("size", [(1, 1), (7, 40), (33, 18)])
def test_any_size_gives_a_map_of_that_size(geometry, size):
    edges = small_network(geometry).edges(255 * torch.rand(2, 3, *size))
    assert edges.shape == (2, 1, *size)
    assert edges.min() >= 0
    assert edges.max() <= 1


@pytest.mark.parametrize("geometry", ["caffe", "simple"])
def test_exports_with_any_size(geometry):
    network = small_network(geometry)
    free = torch.export.Dim.DYNAMIC
    program = torch.export.export(
        network, (torch.rand(2, 3, 40, 56),), dynamic_shapes=({0: free, 2: free, 3: free},)
    ).module()
    image = 255 * torch.rand(1, 3, 33, 70)
    with torch.no_grad():
        torch.testing.assert_close(program(image), network(image), rtol=1e-4, atol=1e-4)


def foreign(kind: str, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Write the names of another program over ours; independent of the reader's tables."""
    renamed = {}
    for name, value in state.items():
        layer, _, parameter = name.rpartition(".")
        if name == "mean":
            continue
        if kind == "caffe":
            layer = layer.replace("score_dsn", "score-dsn")
            layer = layer.replace("score_final", "new-score-weighting")
        elif kind == "sniklaus":
            if layer == "score_final":
                layer = "moduleCombine.0"
            elif layer.startswith("score"):
                layer = f"moduleScore{WORDS[int(layer[-1]) - 1]}"
            else:
                stage, number = int(layer[4]), int(layer[6])
                place = 2 * number - 2 if stage == 1 else 2 * number - 1  # a pooling comes first
                layer = f"moduleVgg{WORDS[stage - 1]}.{place}"
        renamed[f"{layer}.{parameter}"] = value
    return renamed


@pytest.mark.parametrize("kind", ["xwjabc", "caffe", "sniklaus"])
def test_names_of_every_program_are_read(kind, tmp_path):
    state = small_network("caffe").state_dict()
    save_file(foreign(kind, state), tmp_path / "hed.safetensors")
    loaded = load_hed(tmp_path / "hed.safetensors")
    for name, value in loaded.state_dict().items():
        assert torch.equal(value, state[name]), name
    assert not loaded.training


def test_archives_of_arrays_and_checkpoints_of_trainings_are_read(tmp_path):
    state = small_network("caffe").state_dict()
    arrays = {
        name.replace(".weight", "_w").replace(".bias", "_b"): value.numpy()
        for name, value in foreign("caffe", state).items()
    }
    arrays["conv1_1_b"] = arrays["conv1_1_b"].reshape(1, 1, 1, 64)  # as old caffe files have it
    arrays["upsample_2_w"] = np.ones((1, 1, 4, 4), np.float32)
    np.savez(tmp_path / "hed.npz", **arrays)
    torch.save({"net": foreign("xwjabc", state), "epoch": 3}, tmp_path / "hed.pt")
    for name in ("hed.npz", "hed.pt"):
        loaded = load_hed(tmp_path / name).state_dict()
        assert all(torch.equal(value, state[key]) for key, value in loaded.items()), name


@torch.no_grad()
def test_controlnet_weights_average_the_sides_and_take_rgb(tmp_path):
    torch.manual_seed(0)
    tensors = {"norm": torch.tensor([120.0, 115.0, 100.0]).view(1, 3, 1, 1)}
    for stage, channels in enumerate(STAGES, start=1):
        for number, (before, after) in enumerate(pairwise(channels)):
            scale = (2 / (9 * before)) ** 0.5
            tensors[f"block{stage}.convs.{number}.weight"] = scale * torch.randn(
                after, before, 3, 3
            )
            tensors[f"block{stage}.convs.{number}.bias"] = 0.1 * torch.randn(after)
        tensors[f"block{stage}.projection.weight"] = 0.02 * torch.randn(1, channels[-1], 1, 1)
        tensors[f"block{stage}.projection.bias"] = torch.randn(1)
    torch.save(tensors, tmp_path / "ControlNetHED.pth")
    image = 255 * torch.rand(1, 3, 32, 48)
    values, sides = image - tensors["norm"], []
    for stage, channels in enumerate(STAGES, start=1):
        values = values if stage == 1 else F.max_pool2d(values, 2)
        for number in range(len(channels) - 1):
            layer = f"block{stage}.convs.{number}"
            values = F.conv2d(
                values, tensors[f"{layer}.weight"], tensors[f"{layer}.bias"], padding=1
            ).relu()
        layer = f"block{stage}.projection"
        score = F.conv2d(values, tensors[f"{layer}.weight"], tensors[f"{layer}.bias"])
        sides.append(F.interpolate(score, size=(32, 48), mode="bilinear"))
    expected = torch.stack(sides).mean(0).sigmoid()
    actual = load_hed(tmp_path / "ControlNetHED.pth", "simple").edges(image)
    torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_vgg16_starts_a_training_with_its_own_features(tmp_path):
    """Rescaled to pixels of 0 to 255, BGR, the first convolution gives what torchvision's gives."""
    from torchvision.models import vgg16

    torch.manual_seed(0)
    with torch.device("meta"):
        vgg = vgg16(weights=None).features
    vgg = vgg.to_empty(device="cpu")
    for parameter in vgg.parameters():
        if parameter.ndim > 1:
            nn.init.kaiming_normal_(parameter)
        else:
            nn.init.normal_(parameter)
    path = tmp_path / "vgg16.safetensors"
    save_file({f"features.{name}": value for name, value in vgg.state_dict().items()}, path)
    network = load_hed(path, "simple", for_training=True)
    network.score_dsn5.weight.fill_(1 / 512)
    image = torch.rand(1, 3, 32, 48)
    mean, std = torch.tensor([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]]).view(2, 1, 3, 1, 1)
    expected = vgg[:30]((image - mean) / std).mean(1, keepdim=True)  # relu of conv5_3
    torch.testing.assert_close(network.scores(255 * image)[-1], expected, rtol=1e-4, atol=1e-4)
    fresh = load_hed(path, for_training=True)
    assert fresh.score_dsn1.weight.eq(0).all()
    assert fresh.score_final.weight.eq(0.2).all()
    assert fresh(image)[:, 5].eq(0).all()
    with pytest.raises(CheckpointError, match=r"VGG16 that has not learnt edges.*edges train"):
        load_hed(path)


def test_a_file_that_does_not_fit_is_named_with_what_is_wrong(tmp_path):
    state = small_network("caffe").state_dict()
    del state["conv3_2.bias"]
    state["conv1_2.weight"] = state["conv1_2.weight"][:, :32].contiguous()
    state["rcf.weight"] = torch.ones(1)
    path = tmp_path / "hed.safetensors"
    save_file(state, path)
    message = r"hed\.safetensors does not fit HED: missing conv3_2\.bias; of another shape conv1_2"
    with pytest.raises(CheckpointError, match=message + r".*unknown rcf\.weight"):
        load_hed(path)
    with pytest.raises(CheckpointError, match=r"there is no weight file .*none\.pth"):
        load_hed(tmp_path / "none.pth")
