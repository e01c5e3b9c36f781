"""LinkNet has the numbers of its paper, and its blog form equals the arrays of the program."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from support.recorded import Recording, seeded
from torch import Tensor, nn
from torch.export import Dim
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from segloom.cli.main import main
from segloom.errors import CheckpointError, ConfigError
from segloom.models import create_model
from segloom.models.networks.linknet import DecoderBlock
from segloom.models.networks.linknet_blog import (
    BlogDecoderBlock as BlogDecoderBlock,
)
from segloom.models.networks.linknet_blog import (
    ResidualBlock,
    blog_conv,
    crop_to,
    double,
    encoder_block,
    rename_blog_key,
)
from segloom.models.weights.checkpoint import from_pretrained, read_saved
from segloom.models.weights.convert import CAMVID_BLOG, convert, rebuild
from segloom.models.weights.inspection import inspect_checkpoint

UNUSED = 2 * (128 + 64 + 32 + 16 + 32 + 12)
"""Parameters of the six batch norms that the blog's network makes and never applies."""

Blog = tuple[Recording, dict[str, Tensor]]


def fill(module: nn.Module, data: Recording, theirs: str, ours: str) -> nn.Module:
    """Load the ``sd.*`` arrays of a part that the whole network calls ``theirs`` and ``ours``."""
    state = {}
    for key in data:
        if key.startswith("sd."):
            name = rename_blog_key(theirs + key.removeprefix("sd."))
            if name is not None:
                assert name.startswith(ours)
                state[name.removeprefix(ours)] = data[key]
    module.load_state_dict(state, strict=True)
    return module.eval()


@pytest.fixture
def blog(recorded: Callable[[str], Recording]) -> Blog:
    data = recorded("ln_full")
    keys = data.json("meta.state_keys")
    return data, {key: seeded(key, shape) for key, shape in keys}


def test_blog_blocks_equal_the_recorded_ones(recorded: Callable[[str], Recording]) -> None:
    data = recorded("ln_conv_block")
    block = fill(blog_conv(3, 6, 7, stride=2), data, "_mconv_1.", "encoder.stem.")
    data.compare(block(data["in.x"]), "out.y")

    data = recorded("ln_deconv_block")
    transposed = fill(double(6, 4), data, "_deconv_1.", "decoder.upsample.")
    doubled = transposed(data["in.x"])
    for height, width in ((9, 13), (10, 14), (10, 13)):
        key = f"out.size_{height}x{width}"
        data.compare(crop_to(doubled, data[key]), key)

    data = recorded("ln_res_block_down")
    residual = fill(ResidualBlock(4, 8, 2), data, "_mencoder_1._mres_1.", "encoder.stages.0.0.")
    data.compare(residual(data["in.x"]), "out.y")

    data = recorded("ln_encoder")
    encoder = fill(encoder_block(4, 8), data, "_mencoder_1.", "encoder.stages.0.")
    data.compare(encoder(data["in.x"]), "out.y")

    data = recorded("ln_decoder")
    decoder = fill(BlogDecoderBlock(16, 8), data, "_mdecoder_4.", "decoder.blocks.0.")
    data.compare(decoder(data["in.x"], data["out.y_9x14"]), "out.y_9x14")


def test_blog_network_equals_the_recorded_one_at_sizes_that_divide_by_four_and_not(
    blog: Blog,
) -> None:
    data, state = blog
    model = rebuild(state, inspect_checkpoint(state, "blog.tch"), "blog.tch").eval()
    with torch.no_grad():
        data.compare(model(data["in.a"]), "out.a")
        data.compare(model(data["in.b"]), "out.b")  # 74 x 102
        shapes = {name: list(map_.shape) for name, map_ in stages(model, data["in.b"]).items()}
        data.equal(shapes, "meta.shapes_b", data.json("meta.shapes_b"), kind="size")
        data.compare_stages(stages(model, data["in.a"]), "meta.shapes_a", "meta.stats_a")
        model.train()
        data.compare(model(data["in.c"]), "out.c_train_mode")
    norm = model.get_submodule("encoder.stem.1")
    assert isinstance(norm, nn.BatchNorm2d)
    data.compare(norm.running_mean, "out.c_bn1_running_mean")
    data.compare(norm.running_var, "out.c_bn1_running_var")


def stages(model: nn.Module, image: Tensor) -> dict[str, Tensor]:
    """Run the network; give what its parts return under the names of the program."""
    found: dict[str, Tensor] = {}
    parts = {f"decoder.blocks.{4 - number}": f"_mdecoder_{number}" for number in range(4, 0, -1)}
    for place, name in {**parts, "decoder.smooth": "_mconv_2"}.items():
        model.get_submodule(place).register_forward_hook(
            lambda _, __, output, name=name: found.update({name: output})
        )
    maps = model.get_submodule("encoder")(image)
    model.get_submodule("decoder")(maps)
    names = ("_mconv_1", "_mmax_pool", *(f"_mencoder_{number}" for number in range(1, 5)))
    doubled = model.get_submodule("decoder.upsample")(found["_mdecoder_1"])
    found["_deconv_1"] = crop_to(doubled, maps[1])
    return dict(zip(names, maps[1:], strict=True)) | found


def test_blog_form_pads_to_even_sizes_only() -> None:
    assert meta_model(form="blog").multiple == 2
    assert meta_model().multiple == 32


def test_blog_loss_equals_the_recorded_one(recorded: Callable[[str], Recording]) -> None:
    data, logits = recorded("ln_misc"), recorded("ln_full")["out.a"]
    labels = data["in.labels"]
    weights = data["out.class_weights"]
    data.compare(F.cross_entropy(logits, labels, weights), "out.loss_weighted")
    data.compare(F.cross_entropy(logits, labels), "out.loss_plain")


def test_blog_checkpoint_converts_and_opens(
    blog: Blog, recorded: Callable[[str], Recording], tmp_path: Path
) -> None:
    data, state = blog
    torch.save(state, tmp_path / "camvid.tch.pth")
    assert main(["convert", str(tmp_path / "camvid.tch.pth"), "--out", str(tmp_path / "m")]) == 0
    saved = read_saved(tmp_path / "m")
    assert saved.labels == CAMVID_BLOG
    assert saved.labels.classes[0] == "void"
    model = from_pretrained(tmp_path / "m")
    with torch.no_grad():
        data.compare(model(data["in.a"]), "out.a")
    misc = recorded("ln_misc")
    pixels = misc["in.raw_rgb"].permute(2, 0, 1)[None]
    misc.compare(model.normalize(pixels)[0].permute(1, 2, 0), "out.normalized")


def test_what_is_no_blog_checkpoint_is_refused(blog: Blog, tmp_path: Path) -> None:
    _, state = blog
    with pytest.raises(CheckpointError, match="holds a linknetpaper, not a unet"):
        inspect_checkpoint(state, "blog.tch", architecture="unet")
    del state["_mdecoder_2._mconv_1._mconv.0.bias"]
    torch.save(state, tmp_path / "weights.pth")
    with pytest.raises(CheckpointError, match=r"missing decoder.blocks.2.squeeze.0.bias"):
        convert(tmp_path / "weights.pth", tmp_path / "m")


def test_paper_checkpoint_is_recognised(tmp_path: Path) -> None:
    model = create_model("linknetpaper", encoder_name="resnet18", classes=5).eval()
    torch.save(model.state_dict(), tmp_path / "weights.pth")
    result = convert(tmp_path / "weights.pth", tmp_path / "m")
    assert (result.architecture, result.encoder_name, result.classes) == (
        "linknetpaper", "resnet18", 5,
    )  # fmt: skip
    image = torch.randn(1, 3, 32, 64)
    with torch.no_grad():
        assert torch.equal(from_pretrained(tmp_path / "m")(image), model(image))


def meta_model(**options: Any) -> nn.Module:
    with torch.device("meta"):
        return create_model("linknetpaper", encoder_name="resnet18", **options).eval()


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"classes": 11}, 11_535_659),
        ({"classes": 12}, 11_535_788),
        ({"classes": 12, "form": "blog"}, 11_895_940 - UNUSED),
    ],
)
def test_number_of_parameters(options: dict[str, Any], expected: int) -> None:
    assert sum(p.numel() for p in meta_model(**options).parameters()) == expected


@pytest.mark.parametrize(
    ("form", "size", "expected"),
    [
        ("paper", (352, 480), 6.97),
        ("paper", (736, 960), 29.2),
        ("paper", (352, 640), 9.3),
        ("blog", (360, 480), 2.73),
        ("blog", (720, 960), 10.73),
        ("blog", (512, 1024), 8.04),
        ("blog", (1024, 2048), 32.15),
    ],
)
def test_number_of_multiplications(form: str, size: tuple[int, int], expected: float) -> None:
    model, counter = meta_model(classes=12, form=form), FlopCounterMode(display=False)
    with counter, torch.no_grad():
        model(torch.zeros(1, 3, *size, device="meta"))
    digits = len(str(expected).partition(".")[2])
    assert round(counter.get_total_flops() / 2e9, digits) == expected


def test_paper_wiring_adds_the_inputs_of_the_encoder_blocks_and_rectifies() -> None:
    torch.manual_seed(0)
    model = create_model("linknetpaper", encoder_name="resnet18", classes=3).eval()
    features = model.encoder(torch.randn(1, 3, 64, 96))
    image, stem, e1, e2, e3, e4 = features
    with torch.no_grad():
        d4, d3, d2, d1 = model.decoder.blocks
        x = d4(e4).add(e3).relu()
        x = d3(x).add(e2).relu()
        x = d2(x).add(e1).relu()
        x = d1(x).add(model.encoder.maxpool(stem)).relu()
        expected = model.segmentation_head(model.decoder.tail(x))
        assert torch.allclose(model(image), expected, atol=1e-6)
    assert expected.shape == (1, 3, 64, 96)


def test_decoder_starts_with_the_programs_deviation() -> None:
    torch.manual_seed(0)
    block = create_model("linknetpaper", encoder_name="resnet18").decoder.blocks[0]
    assert isinstance(block, DecoderBlock)
    for part in (block.squeeze, block.upsample, block.widen):
        weight, outputs = part[0].weight, part[0].out_channels
        deviation = (2 / (part[0].kernel_size[0] ** 2 * outputs)) ** 0.5
        assert weight.std().item() == pytest.approx(deviation, rel=0.05)
        assert part[1].eps == 1e-3


@pytest.mark.parametrize("output_stride", [8, 16])
@pytest.mark.parametrize("encoder", ["resnet18", "tu-test_resnet"])
def test_decoder_follows_the_output_stride(encoder: str, output_stride: int) -> None:
    torch.manual_seed(0)
    model = create_model(
        "linknetpaper", encoder_name=encoder, classes=2, output_stride=output_stride
    )
    plain = create_model("linknetpaper", encoder_name=encoder, classes=2)
    model.load_state_dict(plain.state_dict(), strict=True)  # the same names and shapes
    prediction = model(torch.randn(2, 3, 40, 72))
    prediction.mean().backward()
    assert prediction.shape == (2, 2, 40, 72)
    strides = [block.upsample[0].stride[0] for block in model.decoder.blocks]
    assert strides == ([1, 1, 2, 1] if output_stride == 8 else [1, 2, 2, 1])


@pytest.mark.parametrize("form", ["paper", "blog"])
def test_void_has_no_logit_and_no_gradient(form: str) -> None:
    torch.manual_seed(0)
    model = create_model("linknetpaper", encoder_name="resnet18", classes=11, form=form)
    target = torch.randint(0, 11, (2, 48, 64))
    target[:, 10:30, 5:40] = 255
    logits = model(torch.randn(2, 3, 48, 64))
    assert logits.shape[1] == 11
    logits.retain_grad()
    F.cross_entropy(logits, target, ignore_index=255).backward()
    assert logits.grad is not None
    void = (target == 255)[:, None].expand_as(logits)
    assert logits.grad[void].eq(0).all()
    assert logits.grad[~void].ne(0).all()
    assert all(p.grad is not None for p in model.parameters())


@pytest.mark.parametrize("form", ["paper", "blog"])
def test_each_form_copies_compiles_and_exports(form: str) -> None:
    torch.manual_seed(0)
    model = create_model("linknetpaper", encoder_name="resnet18", classes=2, form=form).eval()
    twin = copy.deepcopy(model)
    image, other = torch.randn(2, 3, 96, 160), torch.randn(1, 3, 75, 101)
    sizes = {0: Dim.DYNAMIC, 2: Dim.DYNAMIC, 3: Dim.DYNAMIC}
    program = torch.export.export(model, (image,), dynamic_shapes={"image": sizes}, strict=False)
    compiled = torch.compile(model, backend="eager", fullgraph=True)
    with torch.no_grad():
        expected = model(other)
        assert torch.allclose(program.module()(other), expected, atol=1e-4)
        assert torch.allclose(compiled(other), expected, atol=1e-5)
        for parameter in model.parameters():
            parameter.zero_()
        assert torch.equal(twin(other), expected)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"encoder_name": "tu-convnext_atto"}, "needs an encoder with a map at half the size"),
        ({"encoder_name": "resnet34", "form": "blog"}, "form=blog brings its own encoder"),
        (
            {"encoder_name": "resnet18", "form": "blog", "enhancements": "se:place=encoder"},
            "not the encoder of form=blog; take form=paper in place of form=blog, .*, or place",
        ),
        (
            {"encoder_name": "resnet18", "form": "blog", "enhancements": "dilation"},
            "take form=paper in place of form=blog, with such an encoder .resnet18",
        ),
    ],
)
def test_what_cannot_be_built_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        create_model("linknetpaper", **options)
