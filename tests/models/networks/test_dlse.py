"""DLSE in its published form equals the recorded Keras network; both forms run as any other."""

from __future__ import annotations

import copy
import json
import re

import numpy as np
import pytest
import torch
from support.recorded import seeded
from torch.utils.flop_counter import FlopCounterMode

from segloom.data.sets.dlse_classes import DLSE_CLASSES
from segloom.errors import CheckpointError, ConfigError
from segloom.models import create_model, from_pretrained
from segloom.models.networks.dlse import pad_same
from segloom.models.weights.convert import convert

VARIANTS = {
    "dlse_sigmoid": (3, "se"),
    "dlse_softmax_scaled": (3, "se:gate=scaled_softmax"),
    "dlse_hed": (4, "se"),
}


def published(in_channels=3, enhancements="se", **options):
    return create_model(
        "dlse",
        encoder_name="resnet50",
        in_channels=in_channels,
        classes=29,
        enhancements=enhancements,
        form="published",
        **options,
    )


def recorded_name(name):
    """Tell the name under which the recorded network draws a tensor of ours."""
    name = re.sub(r"^(encoder|decoder)\.", "", name)
    fixed = {
        "conv1.": "conv1a.",
        "bn1.": "bn_conv1.",
        "segmentation_head.": "Final_Output.",
        "last.": "before_output.",
        "aspp.convs.0.": "aspp_bn0.",
        "aspp.project.1.": "aspp_bn1.",
    }
    for place, ours in enumerate(("aspp.project.0", "skips.0", "skips.1")):
        fixed[f"{ours}.0."] = f"sep_conv{place}.depthwise."
        fixed[f"{ours}.1.weight"] = f"sep_conv{place}.pointwise.weight"
        fixed[f"{ours}.1.bias"] = f"sep_conv{place}.bias"
    for ours, theirs in fixed.items():
        if name.startswith(ours):
            return theirs + name.removeprefix(ours)
    if match := re.match(r"aspp\.convs\.([1-4])\.(.+)", name):
        return f"shortcut_or_aspp_conv{int(match[1]) + 3}.{match[2]}"
    if match := re.match(r"up\.(\d)\.0\.(.+)", name):
        return f"up{int(match[1]) + 1}.{match[2]}"
    stage, unit, layer, rest = re.match(r"stage(\d)\.(\d)\.(\w+)\.(.+)", name).groups()
    if layer == "shortcut":
        return f"shortcut_or_aspp_conv{int(stage) - 2}.{rest}"
    if layer == "se":
        part, suffix = rest.split(".")
        first = {2: 0, 3: 3, 4: 7}[int(stage)] + int(unit)
        return f"se_dense{2 * first + int(part[-1]) - 1}.{suffix}"
    branch = f"{stage}{'abcdef'[int(unit)]}_branch2{'abc'[int(layer[-1]) - 1]}"
    return f"res{branch}.{rest}" if layer.startswith("conv") else f"bn{branch}.{rest}"


@pytest.mark.parametrize("variant", VARIANTS)
def test_published_form_equals_the_recorded_network(recorded, variant):
    in_channels, enhancement = VARIANTS[variant]
    model = published(in_channels, enhancement).eval()
    data = recorded(variant)
    layers = data.json("meta.layers")
    known = {prefix + suffix for _, prefix, _, weights, *_ in layers for suffix, _ in weights}
    state = model.state_dict()
    used = set()
    for name, tensor in state.items():
        if name.endswith("num_batches_tracked"):
            continue
        key = recorded_name(name)
        # Some batch norms were renamed so that a checkpoint of another network is not read.
        if key not in known:
            key = re.sub(r"(_branch2[abc])\.", r"\1_new.", key)
        assert key in known, f"{name} -> {key}"
        tensor.copy_(seeded(key, tuple(tensor.shape)))
        used.add(key)
    assert used == known
    count = sum(parameter.numel() for parameter in model.parameters())
    count += sum(value.numel() for name, value in state.items() if "running" in name)
    data.compare(count, "meta.params", 0, kind="size")

    image = data["in.image_nhwc"]
    if in_channels == 4:
        image = torch.cat([image, data["in.hed_nhwc"]], dim=3)
    image = image.permute(0, 3, 1, 2).contiguous()
    steps = {}
    for number in (0, 2):
        model.decoder.up[number].register_forward_hook(
            lambda _, __, output, key=f"mid.up{number + 1}": steps.update({key: output})
        )
    with torch.no_grad():
        features = model.encoder(image)
        checks = {
            "mid.max_pool": features[2],
            "mid.x_down2": features[3],
            "mid.before_output": model.decoder(features),
            "out.probs": torch.softmax(model(image), dim=1),
        }
    for name, value in {**checks, **steps}.items():
        data.compare(value[:, : data[name].shape[1]], name, 2e-4)


@pytest.mark.parametrize(
    ("in_channels", "enhancements", "count"),
    [(3, (), 39_303_133), (3, "se", 40_254_733), (4, "se", 40_257_941)],
)
def test_published_form_has_as_many_parameters_as_the_program(in_channels, enhancements, count):
    model = published(in_channels, enhancements)
    statistics = [value for name, value in model.named_buffers() if "running" in name]
    assert sum(value.numel() for value in [*model.parameters(), *statistics]) == count


def test_published_form_does_as_many_multiplications_as_the_program():
    model = published().to("meta").eval()
    for size, billions in (((512, 912), 83.7), ((128, 224), 5.14)):
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            model(torch.empty(1, 3, *size, device="meta"))
        assert counter.get_total_flops() / 2e9 == pytest.approx(billions, rel=2e-3)


@pytest.mark.parametrize(("size", "before", "after"), [(64, 2, 3), (65, 3, 3), (7, 3, 3)])
def test_same_padding_puts_the_smaller_half_first(size, before, after):
    padded = pad_same(torch.ones(1, 1, size, size), 7, 2)
    assert padded[0, 0, size // 2 + before].tolist() == [0] * before + [1] * size + [0] * after


@pytest.mark.parametrize("form", ["corrected", "published"])
def test_the_edge_map_joins_again_before_the_head(form):
    encoder = "resnet50" if form == "published" else "tu-test_resnet"
    model = create_model("dlse", encoder_name=encoder, in_channels=4, classes=5, form=form).eval()
    with torch.no_grad():
        features = [value.contiguous() for value in model.encoder(torch.rand(1, 4, 64, 96))]
        before = model.decoder(features)
        features[0] = features[0].clone()
        features[0][:, :3] = 0
        assert torch.equal(model.decoder(features), before)
        features[0][:, 3] += 1
        assert not torch.equal(model.decoder(features), before)


def test_corrected_form_takes_any_encoder_and_any_image_size():
    model = create_model(
        "dlse", encoder_name="tu-test_resnet", classes=4, enhancements=["se"]
    ).train()
    assert [spec.stride for spec in model.shape.features] == [1, 2, 4, 8, 16, 16]
    image, target = torch.randn(2, 3, 61, 90), torch.randint(4, (2, 61, 90))
    target[:, :9] = 255
    logits = model(image)
    assert logits.shape == (2, 4, 61, 90)
    torch.nn.functional.cross_entropy(logits, target, ignore_index=255).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())
    model.eval()
    assert torch.equal(copy.deepcopy(model)(image), model(image))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"form": "published"}, "takes no tu-test_resnet; give encoder_name resnet50"),
        ({"edge_channels": 1}, "edge_channels must be 0 or less, not 1: edge maps are the chan"),
        ({"edge_channels": 2, "in_channels": 4}, "edge_channels must be 1 or less, not 2"),
    ],
)
def test_options_that_do_not_fit_are_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        create_model("dlse", encoder_name="tu-test_resnet", **options)


VARIABLES = {
    ".weight": "kernel",
    ".bias": "bias",
    ".depthwise.weight": "depthwise_kernel",
    ".pointwise.weight": "pointwise_kernel",
}
NORM = {
    ".weight": "gamma",
    ".bias": "beta",
    ".running_mean": "moving_mean",
    ".running_var": "moving_variance",
}


def save_under_keras_names(layers, path):
    arrays = {}
    for name, prefix, kind, weights, *_ in layers:
        names = NORM if kind == "BatchNormalization" else VARIABLES
        for suffix, shape in weights:
            if suffix == ".depthwise.weight":  # H W C 1
                value = seeded(prefix + suffix, [*shape[2:], *shape[:2]]).permute(2, 3, 0, 1)
            elif len(shape) == 4:  # H W I O
                value = seeded(prefix + suffix, [*shape[:1:-1], *shape[:2]]).permute(2, 3, 1, 0)
            else:
                value = seeded(prefix + suffix, shape[::-1])
                value = value.t() if len(shape) == 2 else value
            arrays[f"{name}/{names[suffix]}"] = value.numpy()
    np.savez(path, **arrays)


def test_converted_weights_give_the_recorded_probabilities(recorded, tmp_path):
    data = recorded("dlse_hed")
    layers, image, edges = data.json("meta.layers"), data["in.image_nhwc"], data["in.hed_nhwc"]
    save_under_keras_names(layers, tmp_path / "weights.npz")
    result = convert(tmp_path / "weights.npz", tmp_path / "model")
    assert (result.architecture, result.method, result.classes) == ("dlse", "se", 29)
    model = from_pretrained(tmp_path / "model").eval()
    # Pixels: RGB of 0 to 255, and the edge map as it is.
    pixels = torch.cat([image.flip(3) * 255, edges], dim=3).permute(0, 3, 1, 2)
    with torch.no_grad():
        probabilities = torch.softmax(model(model.normalize(pixels)), dim=1)
    data.compare(probabilities, "out.probs", 2e-4)
    config = json.loads((tmp_path / "model" / "config.json").read_text())
    assert DLSE_CLASSES.classes[3] in json.dumps(config)


def test_a_keras_file_is_refused_with_what_to_run(tmp_path):
    with pytest.raises(CheckpointError, match=r"a\.h5 is a Keras file; save .*numpy\.savez"):
        convert(tmp_path / "a.h5", tmp_path / "out")


def test_an_archive_without_the_layers_is_refused(tmp_path):
    np.savez(tmp_path / "a.npz", other=np.zeros(3))
    with pytest.raises(CheckpointError, match="lacks the layers conv1a and Final_Output"):
        convert(tmp_path / "a.npz", tmp_path / "out")


def test_an_archive_with_objects_is_refused(tmp_path):
    np.savez(tmp_path / "a.npz", **{"conv1a/kernel": np.array([{"code": 1}], dtype=object)})
    with pytest.raises(CheckpointError, match="holds other things than arrays"):
        convert(tmp_path / "a.npz", tmp_path / "out")
