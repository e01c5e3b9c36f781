"""What AFMA promises beyond the recorded results: any size, void, classes, channels and graph."""

from __future__ import annotations

import copy
from itertools import product
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from segloom.enhancements import enhancement_config
from segloom.enhancements.afma import Afma, AfmaConfig, AfmaSignal, attention_loss
from segloom.errors import ConfigError
from segloom.models import ARCHITECTURES, create_model
from segloom.types import FeatureSpec, ModelShape

CHANNELS = 5


def make_afma(
    *, classes: int = 3, image_channels: int = 3, stride: int = 4, seed: int = 0, **options: Any
) -> Afma:
    torch.manual_seed(seed)
    level = options.pop("level", 2)
    features = (
        FeatureSpec(0, image_channels, 1),
        FeatureSpec(1, 0, 2),
        FeatureSpec(level, CHANNELS, stride),
    )
    shape = ModelShape(image_channels, classes, features, 16)
    return AfmaConfig(level=level, patch=options.pop("patch", 3), **options).build(shape)


def relate(afma: Afma, height: int = 24, width: int = 36, batch: int = 2) -> AfmaSignal:
    generator = torch.Generator().manual_seed(1)
    image = torch.randn(batch, afma.image_first.in_channels, height, width, generator=generator)
    size = (height // afma.stride, width // afma.stride)
    feature = 50 * torch.randn(batch, CHANNELS, *size, generator=generator)
    return afma.enrich(image, [image, image[:, :0], feature], None)[1]


def test_default_equals_parity_where_nothing_is_left_over_or_void() -> None:
    default, parity = make_afma(), make_afma(mode="parity")
    logits, target = torch.randn(2, 3, 24, 36), torch.randint(3, (2, 24, 36))
    signals = relate(default), relate(parity)
    for ours, original in zip(*signals, strict=True):
        torch.testing.assert_close(ours, original)
    torch.testing.assert_close(
        default.correct(logits, signals[0]), parity.correct(logits, signals[1])
    )
    torch.testing.assert_close(default.loss(signals[0], target), parity.loss(signals[1], target))


@pytest.mark.parametrize(("height", "width"), [(24, 36), (20, 28), (4, 4), (8, 100)])
def test_loss_equals_its_definition_pixel_by_pixel(height: int, width: int) -> None:
    afma = make_afma()
    signal = relate(afma, height, width)
    target = torch.randint(3, (2, height, width))
    target[torch.rand(target.shape) < 0.3] = 255
    target[0, : height // 2] = 255
    expected = _defined_loss(afma.attention(signal).double(), target, patch=3, stride=4)
    assert afma.loss(signal, target).item() == pytest.approx(expected.item(), rel=1e-5)


def _defined_loss(attention: Tensor, target: Tensor, *, patch: int, stride: int) -> Tensor:
    """The weighted mean of the squared difference, with every sum written out."""
    labelled = (target != 255).double()
    total, weight = torch.zeros(()).double(), torch.zeros(()).double()
    for k in range(attention.shape[1]):
        classes = (target == k).double()
        for b in range(len(target)):
            cover = _cells(labelled[b], stride).mean((-1, -2))
            share = _cells(classes[b], stride).mean((-1, -2)) / cover.clamp(min=1e-9)
            rows, columns = _cut(classes[b], patch), _cut(share, patch)
            weights = torch.outer(_cut(labelled[b], patch).mean(-1), _cut(cover, patch).mean(-1))
            gold = rows @ columns.T / patch**2
            total += (weights * (attention[b, k] - gold) ** 2).sum()
            weight += weights.sum()
    return total / weight


def _cells(plane: Tensor, side: int) -> Tensor:
    return plane.unfold(0, side, side).unfold(1, side, side)


def _cut(plane: Tensor, side: int) -> Tensor:
    bottom, right = (-plane.shape[0]) % side, (-plane.shape[1]) % side
    grown = F.pad(plane[None, None], (0, right, 0, bottom), mode="replicate")[0, 0]
    return _cells(grown, side).flatten(0, 1).flatten(1)


def test_mask_that_is_all_void_costs_nothing_and_has_finite_gradients() -> None:
    afma = make_afma()
    loss = afma.loss(relate(afma), torch.full((2, 24, 36), 255))
    loss.backward()
    assert loss.item() == 0
    assert all(p.grad is not None and p.grad.eq(0).all() for p in afma.parameters())


def test_patch_of_void_leaves_its_relations_untrained() -> None:
    afma = make_afma()
    signal = AfmaSignal(*(factor.detach().requires_grad_() for factor in relate(afma)))
    target = torch.randint(3, (2, 24, 36))
    target[:, :12] = 255  # 4 rows of 12 image patches, the first of 2 rows of 3 feature patches
    afma.loss(signal, target).backward()
    assert signal.image.grad is not None
    assert signal.image.grad[:, :, :48].eq(0).all()
    assert signal.image.grad[:, :, 48:].ne(0).any()
    assert signal.feature.grad is not None
    assert signal.feature.grad[:, :, :3].eq(0).all()


def test_any_label_may_be_the_void_one() -> None:
    signal = relate(make_afma())
    target = torch.randint(3, (2, 24, 36))
    target[:, 3:9] = 255
    expected = attention_loss(signal, target, patch=3, stride=4)
    renamed = target.where(target != 255, -100)
    actual = attention_loss(signal, renamed, patch=3, stride=4, ignore_index=-100)
    assert actual.item() == expected.item()
    assert attention_loss(signal, target, patch=3, stride=4, ignore_index=0) != expected


@pytest.mark.parametrize(("height", "width"), [(32, 44), (4, 4)])
def test_default_scales_the_remainder_and_parity_does_not(height: int, width: int) -> None:
    logits = torch.rand(1, 3, height, width) + 1
    factors = AfmaSignal(
        torch.ones(1, 3, -(-height // 3) * -(-width // 3), 9),
        torch.ones(1, 3, -(-height // 12) * -(-width // 12), 9),
    )
    assert make_afma().correct(logits, factors).gt(logits).any(1).all()
    if height > 12:
        parity = AfmaSignal(
            torch.ones(1, 3, (height // 3) * (width // 3), 9),
            torch.ones(1, 3, (height // 12) * (width // 12), 9),
        )
        scaled = make_afma(mode="parity").correct(logits, parity)
        assert torch.equal(scaled[..., -2:, :], logits[..., -2:, :])
        assert scaled[..., :30, :42].gt(logits[..., :30, :42]).any(1).all()


def test_gain_is_the_mean_of_the_prediction_over_related_patches() -> None:
    afma = make_afma(classes=2, patch=1, stride=2)
    logits = torch.full((1, 2, 2, 4), -1.0)
    logits[:, 1, :, :2] = 5  # class 1 on the left, class 0 (the first of equals) on the right
    image = torch.ones(1, 2, 8, 1)
    feature = torch.tensor([0.5, 0.0]).view(1, 1, 2, 1).expand(1, 2, 2, 1)
    scaled = afma.correct(logits, AfmaSignal(image, feature))
    gain = 0.5 / 1.00001  # one related patch, on the left, all of class 1
    torch.testing.assert_close(scaled[:, 1], logits[:, 1] * (1 + gain))
    assert torch.equal(scaled[:, 0], logits[:, 0])


def test_the_first_of_equal_logits_wins_a_pixel_and_no_other_does() -> None:
    """Rounded logits, so that two or three classes often tie; every pixel has one winner."""
    afma = make_afma(patch=1, stride=2)
    generator = torch.Generator().manual_seed(0)
    logits = torch.randint(-1, 2, (2, 3, 8, 12), generator=generator).float()
    winners = torch.zeros(2, 3, 4, 6)
    for b, row, column in product(range(2), range(8), range(12)):
        first = logits[b, :, row, column].tolist().index(logits[b, :, row, column].max().item())
        winners[b, first, row // 2, column // 2] += 0.25
    ties = (logits == logits.amax(1, keepdim=True)).sum(1)
    assert {1, 2, 3} <= set(ties.unique().tolist())
    # Patches of one pixel, each related with one pixel of the map: the gain is that one's share.
    for place in range(24):
        feature = torch.zeros(2, 3, 24, 1)
        feature[:, :, place] = 1
        scaled = afma.correct(logits + 10, AfmaSignal(torch.ones(2, 3, 96, 1), feature))
        gain = winners.flatten(2)[..., place].view(2, 3, 1, 1)
        expected = (logits + 10) * (1 + gain / 1.00001)
        torch.testing.assert_close(scaled, expected, rtol=0, atol=1e-4)


def test_one_class_is_the_object_and_label_one() -> None:
    afma = make_afma(classes=1, patch=1, stride=1)
    logits = torch.tensor([[[[2.0, -2.0]]]])
    one = torch.ones(1, 1, 2, 1)
    scaled = afma.correct(logits, AfmaSignal(one, one))
    torch.testing.assert_close(scaled, logits * (1 + 0.5 / 1.000005))
    ones = AfmaSignal(one, one)
    assert attention_loss(ones, torch.tensor([[[1, 1]]]), patch=1, stride=1).item() == 0
    assert attention_loss(ones, torch.tensor([[[0, 0]]]), patch=1, stride=1).item() == 1


@pytest.mark.parametrize("image_channels", [1, 4])
@pytest.mark.parametrize("embed", [None, 1])
def test_any_image_and_both_embeddings(image_channels: int, embed: int | None) -> None:
    afma = make_afma(image_channels=image_channels, image_embed_channels=embed)
    signal = relate(afma)
    assert signal.image.shape == (2, embed or 3, 96, 9)
    assert signal.feature.shape == (2, 3, 6, 9)
    assert afma.attention(signal).shape == (2, 3, 96, 6)
    scaled = afma.correct(torch.randn(2, 3, 24, 36), signal)
    (scaled.square().mean() + afma.loss(signal, torch.randint(3, (2, 24, 36)))).backward()
    for name, parameter in afma.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.ne(0).any(), name


def test_gradients_are_right_to_the_last_digit() -> None:
    afma = make_afma(classes=2).double()
    target = torch.randint(2, (1, 8, 16))
    target[:, :3] = 255
    logits = torch.randn(1, 2, 8, 16, dtype=torch.double)

    def step(image: Tensor, feature: Tensor) -> tuple[Tensor, Tensor]:
        signal = afma.relate(image, feature)
        return afma.correct(logits, signal), afma.loss(signal, target)

    image = torch.randn(1, 3, 8, 16, dtype=torch.double, requires_grad=True)
    feature = torch.randn(1, CHANNELS, 2, 4, dtype=torch.double, requires_grad=True)
    assert torch.autograd.gradcheck(step, (image, feature), fast_mode=True)


def test_autocast_keeps_the_gain_and_the_gradients() -> None:
    afma = make_afma()
    expected = relate(afma)
    logits, target = torch.randn(2, 3, 24, 36), torch.randint(3, (2, 24, 36))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        signal = relate(afma)
        scaled = afma.correct(logits.bfloat16(), signal)
        loss = afma.loss(signal, target)
    assert {signal.image.dtype, scaled.dtype, loss.dtype} == {torch.float32}
    torch.testing.assert_close(signal.image, expected.image, rtol=0.1, atol=0.05)
    assert scaled.ne(logits.bfloat16()).any()
    loss.backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in afma.parameters())


def test_copy_is_independent() -> None:
    afma = make_afma()
    twin = copy.deepcopy(afma)
    before = relate(twin).image
    with torch.no_grad():
        afma.expand.weight.zero_()
    assert torch.equal(relate(twin).image, before)
    assert relate(afma).image.eq(0).all()


class Step(torch.nn.Module):
    """All sites in one graph."""

    def __init__(self, afma: Afma) -> None:
        super().__init__()
        self.afma = afma

    def forward(
        self, image: Tensor, feature: Tensor, logits: Tensor, target: Tensor
    ) -> tuple[Tensor, Tensor]:
        _, signal = self.afma.enrich(image, [image, image, feature], None)
        return self.afma.correct(logits, signal), self.afma.loss(signal, target)


def inputs(batch: int, height: int, width: int) -> tuple[Tensor, ...]:
    target = torch.randint(3, (batch, height, width))
    target[:, :5] = 255
    return (
        torch.randn(batch, 3, height, width),
        torch.randn(batch, CHANNELS, height // 4, width // 4),
        torch.randn(batch, 3, height, width),
        target,
    )


@pytest.mark.parametrize("mode", ["default", pytest.param("parity", marks=pytest.mark.slow)])
def test_compiles_into_one_graph(mode: str) -> None:
    step = Step(make_afma(mode=mode))
    compiled = torch.compile(step, fullgraph=True, backend="eager")
    for size in [(2, 24, 36), (1, 32, 60), (3, 40, 28)]:
        data = inputs(*size)
        for actual, expected in zip(compiled(*data), step(*data), strict=True):
            torch.testing.assert_close(actual, expected)


@pytest.mark.parametrize("mode", ["default", pytest.param("parity", marks=pytest.mark.slow)])
def test_exports_with_any_batch_and_size(mode: str) -> None:
    step = Step(make_afma(mode=mode))
    free = torch.export.Dim.DYNAMIC
    shapes = [{0: free, 2: free, 3: free}] * 3 + [{0: free, 1: free, 2: free}]
    program = torch.export.export(step, inputs(2, 40, 60), dynamic_shapes=tuple(shapes)).module()
    for size in [(1, 24, 36), (3, 48, 72), (2, 32, 44)]:
        data = inputs(*size)
        for actual, expected in zip(program(*data), step(*data), strict=True):
            torch.testing.assert_close(actual, expected)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"level": -1}, "level must be at least 0, not -1"),
        ({"patch": 0}, "patch must be at least 1 pixel, not 0"),
        ({"image_embed_channels": 7}, "image_embed_channels must be 1 .* not 7"),
        ({"mode": "exact"}, "mode is 'exact', but must be one of default or parity"),
        ({"depth": 1}, "unknown option of enhancement afma 'depth'"),
    ],
)
def test_wrong_option_is_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        enhancement_config("afma", **options)


def test_wrong_mode_is_named_when_the_options_are_made_directly() -> None:
    with pytest.raises(ConfigError, match="mode must be default or parity, not 'exact'"):
        AfmaConfig(mode="exact")


TINY = dict.fromkeys(("dpt", "eomt", "linear"), "tu-test_vit")
DEEPEST = {"pspnet": 3, "segformer": 5, "dpt": 4, "eomt": 1, "linear": 1}


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_any_architecture_at_its_shallowest_and_deepest_level(architecture: str) -> None:
    """Two of them at once, on a size that nothing divides, with void: one step, all gradients."""
    torch.manual_seed(0)
    level = DEEPEST.get(architecture, 5)
    model = create_model(
        architecture,
        encoder_name=TINY.get(architecture, "resnet18"),
        classes=4,
        enhancements=[f"afma:level={1},patch=6", f"afma:level={level},patch=6"],
    )
    image = torch.randn(2, 3, 75, 101)
    target = torch.randint(4, (2, 75, 101))
    target[:, :9] = 255
    prediction = model.run(image)
    assert prediction.logits.shape == (2, 4, 75, 101)
    losses = model.auxiliary_losses(prediction, target)
    assert set(losses) - {architecture} == {"afma", "afma_2"}  # EoMT has a loss of its own
    loss = F.cross_entropy(prediction.logits, target, ignore_index=255) + sum(losses.values())
    loss.backward()
    for name, parameter in model.enhancements.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name


@pytest.mark.parametrize("level", range(6))
def test_every_level_of_a_plain_and_of_a_dilated_encoder(level: int) -> None:
    for architecture in ("unet", "deeplabv3"):
        model = create_model(
            architecture, encoder_name="resnet18", enhancements=AfmaConfig(level=level)
        ).eval()
        with torch.no_grad():
            prediction = model.run(torch.randn(1, 3, 64, 96))
            loss = model.auxiliary_losses(prediction, torch.ones(1, 64, 96).long())["afma"]
        assert prediction.logits.isfinite().all()
        assert loss.isfinite()
        assert model.enhancements["afma"].stride == model.shape.level(level)[1].stride


def test_level_without_a_map_is_refused() -> None:
    features = (FeatureSpec(0, 3, 1), FeatureSpec(1, 0, 2), FeatureSpec(2, 8, 4))
    with pytest.raises(ConfigError, match=r"level 1; take one of its levels 0, 2,"):
        AfmaConfig(level=1).build(ModelShape(3, 2, features, 16))


def test_image_that_does_not_fit_the_map_is_refused() -> None:
    afma, image = make_afma(), torch.zeros(1, 3, 23, 36)
    with pytest.raises(ConfigError, match=r"map is 6x9 for a 23x36 image.*multiple of 4"):
        afma.enrich(image, [image, image, torch.zeros(1, CHANNELS, 6, 9)], None)


def test_parity_refuses_an_image_smaller_than_a_patch_of_the_map() -> None:
    with pytest.raises(ConfigError, match=r"12 pixels or more a side.*not 8x36"):
        relate(make_afma(mode="parity"), 8, 36)
