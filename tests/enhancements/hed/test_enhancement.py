"""HED as an input channel: from the photograph alone, on every architecture, beside the others."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from support.cells import small_encoder, small_level
from torch import Tensor, nn
from torch.nn import functional as F

from segloom.enhancements.hed.enhancement import Hed, HedConfig
from segloom.enhancements.hed.network import HedNetwork
from segloom.errors import CheckpointError, ConfigError
from segloom.models import ARCHITECTURES, create_model, from_pretrained, load_weights
from segloom.models.weights.checkpoint import save_pretrained


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights whose edges are not grey everywhere."""
    torch.manual_seed(0)
    network = HedNetwork()
    for name, parameter in network.named_parameters():
        if name.startswith("score_dsn"):
            nn.init.normal_(parameter, std=5e-4)
    path = tmp_path_factory.mktemp("hed") / "hed.safetensors"
    save_file(network.state_dict(), path)
    return path


def make(architecture: str = "unet", enhancements: Any = (), **options: Any) -> Any:
    torch.manual_seed(0)
    encoder = small_encoder(architecture)
    return create_model(
        architecture, encoder_name=encoder, classes=3, enhancements=enhancements, **options
    )


def hed(path: Path, **options: Any) -> dict[str, dict[str, Any]]:
    return {"hed": {"weights": str(path), "geometry": "simple", **options}}


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_an_rgb_network_gives_bit_equal_logits_on_every_architecture(
    architecture: str, weights: Path, tmp_path: Path
) -> None:
    options = {"freeze": False} if architecture == "linear" else {}
    plain = make(architecture, **options).eval()
    model = make(architecture, hed(weights), **options).eval()
    save_file(plain.state_dict(), tmp_path / "plain.safetensors")
    load_weights(model, tmp_path / "plain.safetensors")
    image = torch.randn(1, 3, 45, 61)
    with torch.no_grad():
        assert torch.equal(model(image), plain(image))
        first = next(m for m in model.encoder.modules() if isinstance(m, nn.Conv2d))
        first.weight[:, 3:] = 1
        assert not torch.equal(model(image), plain(image))


@pytest.mark.parametrize("architecture", ["unet", "pspnet", "dpt"])
def test_it_works_beside_the_other_enhancements(architecture: str, weights: Path) -> None:
    level = small_level(architecture)
    others = [f"afma:level={level},patch=4", f"celt:level={level},patch=4"]
    model = make(architecture, [*others, hed(weights)])
    target = torch.randint(3, (2, 64, 64))
    prediction = model.run(torch.randn(2, 3, 64, 64))
    losses = model.auxiliary_losses(prediction, target)
    assert set(losses) == {"afma"}
    (F.cross_entropy(prediction.logits, target) + losses["afma"]).backward()
    for name, parameter in model.named_parameters():
        is_frozen = name.startswith("enhancements.hed.") or not parameter.requires_grad
        assert (parameter.grad is None) == is_frozen, name


def test_level_0_is_the_image_with_its_edges(weights: Path) -> None:
    model = make("unet", [hed(weights), "afma:level=0,patch=8"]).eval()
    assert model.shape.level(0)[1].channels == 4
    with torch.no_grad():
        assert model(torch.randn(1, 3, 32, 32)).shape == (1, 3, 32, 32)


def test_trainable_edges_learn_with_the_rest(weights: Path) -> None:
    model = make("unet", hed(weights, trainable=True))
    first = next(m for m in model.encoder.modules() if isinstance(m, nn.Conv2d))
    nn.init.normal_(first.weight)
    model(torch.randn(2, 3, 64, 64)).square().mean().backward()
    gradients = [p.grad for name, p in model.enhancements.named_parameters() if "conv1_1" in name]
    assert all(gradient is not None and gradient.ne(0).any() for gradient in gradients)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_edges_are_those_of_the_pixels_whatever_the_normalisation(
    channels: int, weights: Path
) -> None:
    model = make("unet", hed(weights), in_channels=channels).eval()
    pixels = torch.randint(256, (1, channels, 64, 64), dtype=torch.uint8)
    network = model.enhancements["hed"].network
    with torch.no_grad():
        expected = network.edges(pixels[:, :3].float().expand(-1, 3, -1, -1))
        for mean, std in [((0.4, 0.5, 0.6, 0.1), (0.2, 0.3, 0.25, 1.0)), ((0.0,) * 4, (1.0,) * 4)]:
            model.set_normalization(mean[:channels], std[:channels])
            edges = model.run(model.normalize(pixels)).signals["hed"]
            torch.testing.assert_close(edges, expected, rtol=1e-3, atol=1e-4)


def test_two_channels_are_refused(weights: Path) -> None:
    with pytest.raises(ConfigError, match=r"grey .1 channel. or RGB .3 or more., not 2"):
        make("unet", hed(weights), in_channels=2)


def test_edges_come_from_the_photograph_and_never_from_the_label(weights: Path) -> None:
    """Another label leaves the network's input as it is; another photograph changes it."""
    model = make("unet", hed(weights)).eval()
    seen: list[Tensor] = []
    model.encoder.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    image = torch.randint(256, (1, 3, 32, 48), dtype=torch.uint8)
    other = image.clone()
    other[..., :24] = 0
    with torch.no_grad():
        for pixels, label in ((image, 0), (image, 1), (other, 0)):
            prediction = model.run(model.normalize(pixels))
            model.auxiliary_losses(prediction, torch.full((1, 32, 48), label))
    assert torch.equal(seen[0], seen[1])
    assert not torch.equal(seen[0][:, 3], seen[2][:, 3])


def test_a_saved_network_holds_the_edge_weights_itself(weights: Path, tmp_path: Path) -> None:
    path = tmp_path / "hed.safetensors"
    path.write_bytes(weights.read_bytes())
    model = make("unet", hed(path)).eval()
    nn.init.normal_(next(m for m in model.encoder.modules() if isinstance(m, nn.Conv2d)).weight)
    model.set_normalization((0.1, 0.2, 0.3), (0.3, 0.2, 0.1))
    save_pretrained(model, tmp_path / "model")
    path.unlink()
    again, image = from_pretrained(tmp_path / "model"), torch.randn(1, 3, 32, 48)
    with torch.no_grad():
        assert torch.equal(again(image), model(image))


def test_copy_compile_and_export_give_the_same(weights: Path) -> None:
    model = make("fpn", hed(weights)).eval()
    nn.init.normal_(next(m for m in model.encoder.modules() if isinstance(m, nn.Conv2d)).weight)
    twin = copy.deepcopy(model)
    free = torch.export.Dim.DYNAMIC
    program = torch.export.export(
        model,
        (torch.randn(2, 3, 64, 96),),
        dynamic_shapes={"image": {0: free, 2: free, 3: free}},
        strict=False,
    ).module()
    compiled = torch.compile(model, backend="eager", fullgraph=True)
    image = torch.randn(1, 3, 45, 70)
    with torch.no_grad():
        expected = model(image)
        assert torch.equal(twin(image), expected)
        assert torch.allclose(compiled(image), expected, atol=1e-4)
        assert torch.allclose(program(image), expected, atol=1e-4)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "name a file of trained weights with weights=FILE"),
        ({"weights": "random", "geometry": "exact"}, "geometry must be caffe or simple"),
    ],
)
def test_wrong_options_are_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        HedConfig(**options)


def test_a_missing_weight_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"there is no weight file .*none\.pth"):
        make("unet", hed(tmp_path / "none.pth"))


def test_edges_are_the_signal_and_the_last_channel(weights: Path) -> None:
    part = make("unet", hed(weights)).enhancements["hed"]
    assert isinstance(part, Hed)
    image = torch.rand(2, 3, 20, 30)
    with torch.no_grad():
        prepared, edges = part.prepare(image)
    assert torch.equal(prepared[:, :3], image)
    assert torch.equal(prepared[:, 3:], edges)
    assert edges.shape == (2, 1, 20, 30)
