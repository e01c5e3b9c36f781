"""FAM and FEM in the joins of SMP's FPN and UPerNet."""

from __future__ import annotations

import copy

import pytest
import torch
from support.cells import check_compiles, check_exports
from support.recorded import seeded

from segloom.blocks.fem import StructureEnhance
from segloom.blocks.flow import FlowJoin
from segloom.enhancements.se import SqueezeExcitation
from segloom.errors import ConfigError
from segloom.models import create_model
from segloom.ops.resize import resize

CELLS = [(a, e) for a in ("fpn", "upernet") for e in ("fam", "fem")]


def build(architecture, *enhancements):
    torch.manual_seed(0)
    return create_model(
        architecture,
        encoder_name="tu-test_resnet",
        classes=3,
        enhancements=enhancements,
        **{"decoder_pyramid_channels" if architecture == "fpn" else "decoder_channels": 16},
    )


@pytest.mark.parametrize(("architecture", "name"), CELLS)
def test_plain_weights_fit_and_every_parameter_learns(architecture, name) -> None:
    model, plain = build(architecture, name), build(architecture)
    missing, unexpected = model.load_state_dict(plain.state_dict(), strict=False)
    assert unexpected == []
    assert missing
    assert all(".join." in key for key in missing)
    image = torch.randn(2, 3, 90, 130)
    model(image).square().mean().backward()
    silent = [n for n, p in model.named_parameters() if p.grad is None]
    assert silent == []
    model.eval()
    twin = copy.deepcopy(model)
    with torch.no_grad():
        expected = model(image)
        for module in model.modules():
            if isinstance(module, FlowJoin | StructureEnhance):
                for parameter in module.parameters():
                    parameter.zero_()
        assert not torch.equal(model(image), expected)
        assert torch.equal(twin(image), expected)


@torch.no_grad()
def test_no_flow_is_the_usual_sum_of_a_pyramid() -> None:
    join = FlowJoin(8)
    join.flow.weight.zero_()
    low, high = torch.randn(2, 8, 11, 14), torch.randn(2, 8, 6, 7)
    torch.testing.assert_close(join(low, high), low + resize(high, (11, 14)), rtol=0, atol=1e-5)


@torch.no_grad()
def test_the_sizes_of_the_join_follow_the_fine_map_in_a_dilated_encoder() -> None:
    model = create_model(
        "upernet", encoder_name="tu-test_resnet", classes=3, enhancements="fam", output_stride=16
    ).eval()
    assert model(torch.randn(1, 3, 64, 96)).shape == (1, 3, 64, 96)


@pytest.mark.parametrize("extractor", ["highpass", "lowpass", "fixed"])
def test_every_extractor_is_taken(extractor) -> None:
    model = build("fpn", f"fem:extractor={extractor}")
    filters = [key for key, _ in model.named_parameters() if key.endswith("filter.weight")]
    assert len(filters) == (0 if extractor == "fixed" else 3)


@pytest.mark.parametrize("name", ["fam", "fem"])
def test_other_decoders_are_refused_with_the_way_out(name) -> None:
    for architecture in ("unet", "sfnet"):
        with pytest.raises(ConfigError, match=rf"^{name}: .* take architecture fpn or upernet"):
            create_model(architecture, encoder_name="tu-test_resnet", enhancements=name)
    with pytest.raises(ConfigError, match="without another fusion"):
        create_model("fpn", encoder_name="tu-test_resnet", enhancements=["fem", "fam"])


@pytest.mark.parametrize("name", ["fam", "fem"])
def test_joins_go_together_with_afma_and_celt(name) -> None:
    model = build("fpn", name, "celt", "afma")
    image = torch.randn(2, 3, 70, 100)
    prediction = model.run(image)
    assert prediction.logits.shape == (2, 3, 70, 100)
    losses = model.auxiliary_losses(prediction, torch.randint(0, 3, (2, 70, 100)))
    assert set(losses) >= {"afma"}


@pytest.mark.parametrize("place", ["encoder", "skips", "decoder"])
@pytest.mark.parametrize(("architecture", "name"), CELLS)
def test_joins_go_together_with_the_gates_in_either_order(architecture, name, place) -> None:
    image = torch.randn(2, 3, 45, 70)
    logits = []
    for enhancements in ([name, f"se:place={place}"], [f"se:place={place}", name]):
        model = build(architecture, *enhancements)
        parts = [m for m in model.modules() if isinstance(m, FlowJoin | StructureEnhance)]
        gates = [m for m in model.modules() if isinstance(m, SqueezeExcitation)]
        assert len(parts) == 3
        assert gates
        model(image).square().mean().backward()
        assert [n for n, p in model.named_parameters() if p.requires_grad and p.grad is None] == []
        model.eval()
        state = {key: seeded(key, tuple(value.shape)) for key, value in model.state_dict().items()}
        model.load_state_dict(state)
        with torch.no_grad():
            logits.append(model(image))
            for module in gates:
                module.fc2.bias.fill_(torch.nan)
            assert model(image).isnan().any()
    assert torch.equal(*logits)


@pytest.mark.slow
@pytest.mark.parametrize(("architecture", "name"), CELLS)
def test_swapped_joins_compile_and_export(architecture, name) -> None:
    model = build(architecture, name)
    check_compiles(model)
    check_exports(model)
