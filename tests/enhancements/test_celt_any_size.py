"""CELT beyond the original: any size, level, class count, and what compilers make of it."""

import math
from copy import deepcopy
from itertools import product

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from segloom.enhancements import enhancement_config
from segloom.enhancements.celt import CeltConfig, _area_weights, _sine_positions
from segloom.errors import ConfigError
from segloom.types import FeatureSpec, ModelShape

SMALL = {"patch": 4, "feedforward": 32, "hidden": 16}


def shape(channels=7, classes=5, image_channels=3):
    levels = (
        FeatureSpec(0, image_channels, 1),
        FeatureSpec(1, 0, 2),
        FeatureSpec(2, channels, 4),
        FeatureSpec(3, 2 * channels, 8),
    )
    return ModelShape(image_channels, classes, levels, 16)


def build(seed=0, shape_=None, **options):
    torch.manual_seed(seed)
    return CeltConfig(**{**SMALL, **options}).build(shape_ or shape()).eval()


def features_of(image, channels=7):
    batch, _, height, width = image.shape
    sizes = [(3, 1), (0, 2), (channels, 4), (2 * channels, 8)]
    return [torch.randn(batch, c, -(-height // s), -(-width // s)) for c, s in sizes]


@pytest.mark.parametrize("size", [(1, 1), (3, 5), (16, 16), (31, 33), (8, 250), (64, 64)])
def test_any_size_gives_a_finite_map_of_the_image_size(size):
    module = build()
    image = torch.randn(2, 3, *size)
    signal = module.attend(image, features_of(image)[2])
    assert signal.shape == (2, 1, *size)
    assert signal.isfinite().all()
    assert (signal >= 0).all()


def test_any_level_channels_and_class_count():
    module = build(shape_=shape(channels=11, classes=1, image_channels=6), level=3)
    image = torch.randn(1, 6, 40, 24)
    features = features_of(image, 11)
    same, signal = module.enrich(image, features, None)
    assert all(a is b for a, b in zip(same, features, strict=True))
    assert module.correct(torch.randn(1, 1, 40, 24), signal).shape == (1, 1, 40, 24)


def test_missing_level_is_named():
    with pytest.raises(ConfigError, match=r"level 1; take one of its levels 0, 2, 3,"):
        build(level=1)


def test_a_pair_of_encoder_levels_can_be_related():
    module = build(source_level=2, level=3)
    image = torch.randn(1, 3, 32, 48)
    _, signal = module.enrich(image, features_of(image), None)
    assert signal.shape == (1, 1, 8, 12)
    logits = torch.zeros(1, 5, 32, 48)
    assert module.correct(logits, signal).shape == logits.shape


def test_the_last_strip_is_covered_by_default_and_zero_in_parity():
    image = torch.randn(1, 3, 35, 34)
    feature = features_of(image)[2]
    default = build()
    parity = build(mode="parity", grid=2)
    with torch.no_grad():
        for module in (default, parity):
            module.reduce.bias.fill_(50.0)
    assert (default.attend(image, feature)[..., 32:] > 0).all()
    drawn = parity.attend(image, feature)
    assert (drawn[..., :32, :32] > 0).all()
    assert (drawn[..., 32:, :] == 0).all()
    assert (drawn[..., 32:] == 0).all()


def test_parity_refuses_another_number_of_patches_with_the_mend():
    module = build(mode="parity", grid=8)
    image = torch.randn(1, 3, 64, 64)
    with pytest.raises(ConfigError, match=r"parity mode needs 64 patches .* not 16; use mode=def"):
        module.attend(image, features_of(image)[2])


def test_resampling_tokens_is_resampling_the_relation():
    module = build(grid=3)
    image = torch.randn(1, 3, 40, 80)
    feature = features_of(image)[2]  # 10x20: 3x5 patches
    source, target = module.source_embed(image), module.feature_embed(feature)
    up, down = module.relate(source, target)
    sources, targets = module._tokens(source), module._tokens(target)
    relation = module.up(targets, sources) @ module.down(sources, targets).transpose(1, 2)
    image_of_relations = relation.unflatten(2, (3, 5))
    along, across = _area_weights(3, 3, up), _area_weights(5, 3, up)
    expected = torch.einsum("gr,bsrc,ec->bsge", along, image_of_relations, across).flatten(2)
    torch.testing.assert_close(up @ down.transpose(1, 2), expected)


@pytest.mark.parametrize(("size", "cells"), [(1, 8), (3, 8), (8, 8), (8, 1), (25, 8), (64, 8)])
def test_area_weights_average(size, cells):
    weights = _area_weights(size, cells, torch.zeros(()))
    torch.testing.assert_close(weights.sum(1), torch.ones(cells))
    # Every sample has the same share in the whole.
    torch.testing.assert_close(weights.mean(0), torch.full((size,), 1 / size))
    if size == cells:
        assert torch.equal(weights, torch.eye(size))


def test_a_new_module_starts_near_the_baseline_yet_trains_every_parameter():
    module = build(patch=10, feedforward=64).train()
    image = torch.randn(1, 3, 64, 96)
    _, signal = module.enrich(image, features_of(image), None)
    logits = torch.randn(1, 5, 64, 96)
    corrected = module.correct(logits, signal)
    assert (corrected - logits).abs().max() < 0.2
    corrected.square().sum().backward()
    for name, parameter in module.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


def test_building_leaves_an_encoder_alone():
    from segloom.models import create_model

    torch.manual_seed(0)
    plain = create_model("unet", encoder_name="tu-test_efficientnet", classes=3)
    torch.manual_seed(0)
    with_celt = create_model(
        "unet", encoder_name="tu-test_efficientnet", classes=3, enhancements="celt:patch=4"
    )
    for name, value in plain.state_dict().items():
        assert torch.equal(value, with_celt.state_dict()[name]), name


def test_sine_positions_tell_equal_patches_apart():
    image, feature = torch.ones(1, 3, 16, 16), torch.ones(1, 7, 4, 4)
    plain, placed = build(), build(position="sine")
    with torch.no_grad():
        for module in (plain, placed):
            module.reduce.bias.fill_(50.0)
    assert torch.allclose(
        plain.attend(image, feature)[..., :4, :4], plain.attend(image, feature)[..., 4:8, :4]
    )
    drawn = placed.attend(image, feature)
    assert not torch.allclose(drawn[..., :4, :4], drawn[..., 4:8, :4])


@pytest.mark.parametrize("width", [1, 9, 16, 100])
def test_sine_positions_are_the_waves_of_row_and_column(width):
    """A quarter each: sine and cosine of the row, then of the column; cut to the width."""
    rows, columns, count = 5, 3, -(-width // 4)
    found = _sine_positions(rows, columns, torch.zeros(1, 1, width)).view(rows, columns, width)
    for row, column in product(range(rows), range(columns)):
        waves = [
            wave(place * 10000 ** (-n / count))
            for place in (row, column)
            for wave in (math.sin, math.cos)
            for n in range(count)
        ]
        assert found[row, column].tolist() == pytest.approx(waves[:width], abs=1e-6)


@pytest.mark.parametrize("axis", [2, 3])
def test_sine_positions_tell_rows_and_columns_apart(axis):
    """One patch high or wide: neighbours differ along either direction, also in the map."""
    size = [1, 3, 4, 4]
    size[axis] = 16
    module, image = build(position="sine"), torch.ones(size)
    with torch.no_grad():
        module.reduce.bias.fill_(50.0)
    patches = module.attend(image, torch.ones(1, 7, 4, 4)).split(4, axis)
    assert all(not torch.allclose(patches[0], other) for other in patches[1:])


@pytest.mark.parametrize("patch", [1, 3])
def test_sine_positions_fit_any_patch(patch):
    module = build(position="sine", patch=patch)
    image = torch.randn(1, 3, 12, 9)
    assert module.attend(image, features_of(image)[2]).shape == (1, 1, 12, 9)


def test_bfloat16_autocast_trains():
    module = build().train()
    image = torch.randn(1, 3, 33, 64)
    with torch.autocast("cpu", torch.bfloat16):
        _, signal = module.enrich(image, features_of(image), None)
        module.correct(torch.randn(1, 5, 33, 64), signal).float().square().mean().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in module.parameters())


def test_a_copy_is_independent():
    module = build()
    copy = deepcopy(module)
    image = torch.randn(1, 3, 16, 16)
    feature = features_of(image)[2]
    before = module.attend(image, feature)
    assert torch.equal(copy.attend(image, feature), before)
    with torch.no_grad():
        copy.reduce.bias.add_(100)
    assert torch.equal(module.attend(image, feature), before)
    assert not torch.equal(copy.attend(image, feature), before)


class Whole(torch.nn.Module):
    """The two sites in a row, as a model runs them."""

    def __init__(self, celt):
        super().__init__()
        self.celt = celt

    def forward(self, image, feature, logits):
        _, signal = self.celt.enrich(image, [image, image, feature], None)
        return self.celt.correct(logits, signal)


def arguments(height, width, batch=2):
    image = torch.randn(batch, 3, height, width)
    return image, features_of(image)[2], torch.randn(batch, 5, height, width)


@pytest.mark.parametrize("mode", ["default", "parity"])
def test_compiles_without_a_graph_break(mode):
    module = Whole(build(mode=mode, grid=2, position="sine"))
    compiled = torch.compile(module, fullgraph=True, backend="eager")
    values = arguments(32, 32)
    torch.testing.assert_close(compiled(*values), module(*values))


def test_exports_with_free_batch_height_and_width():
    module = Whole(build())
    free = {0: torch.export.Dim.DYNAMIC, 2: torch.export.Dim.DYNAMIC, 3: torch.export.Dim.DYNAMIC}
    values = arguments(48, 64)
    program = torch.export.export(module, values, dynamic_shapes=(free, free, free)).module()
    for size in ((48, 64, 2), (100, 60, 3), (64, 132, 2)):
        values = arguments(*size)
        torch.testing.assert_close(program(*values), module(*values))


class LargestTensor(TorchDispatchMode):
    """Remembers the largest tensor that any operation returned."""

    elements = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        for value in result if isinstance(result, tuple | list) else (result,):
            if isinstance(value, torch.Tensor):
                self.elements = max(self.elements, value.numel())
        return result


def test_the_attention_matrix_is_never_stored():
    module = build(patch=4, feedforward=16)
    image = torch.randn(1, 3, 320, 320)
    tokens = 80 * 80
    feature = features_of(image)[2]
    with torch.no_grad(), LargestTensor() as largest:
        module.attend(image, feature)
    assert largest.elements < tokens**2 / 20


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"patch": 0}, "patch must be at least 1, not 0"),
        ({"grid": 0}, "grid must be at least 1"),
        ({"kernel": 2}, "kernel must be odd, not 2"),
        ({"dropout": 1.0}, r"dropout must be in \[0, 1\), not 1.0"),
        ({"mode": "exact"}, "mode is 'exact', but must be one of default or parity"),
        ({"position": "learnt"}, "position is 'learnt', but must be one of none or sine"),
        ({"level": 2, "source_level": 2}, "level and source_level are both 2"),
    ],
)
def test_options_that_cannot_be_are_refused(options, sentence):
    with pytest.raises(ConfigError, match=sentence):
        enhancement_config("celt", **options)


@pytest.mark.parametrize("options", [{"mode": "exact"}, {"position": "learnt"}])
def test_wrong_words_are_refused_when_the_options_are_made_directly(options):
    with pytest.raises(ConfigError, match=r"celt: (mode must be default|position must be none)"):
        CeltConfig(**options)
