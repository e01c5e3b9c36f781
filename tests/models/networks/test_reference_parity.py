"""Blocks, heads and whole networks equal the recorded results of the released programs."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from support.recorded import seeded
from torch import nn

from segloom.enhancements.edge_supervision import EdgeSupervision
from segloom.enhancements.fem import DetailEnhance, FrequencyFilter, StructureEnhance
from segloom.enhancements.flow_align import FlowAlign, GatedDualFlowAlign
from segloom.errors import CheckpointError
from segloom.models import create_model
from segloom.models.checkpoint import from_pretrained, read_saved
from segloom.models.convert import convert
from segloom.models.inspection import inspect_checkpoint
from segloom.models.networks.context import PyramidPooling
from segloom.models.networks.fenet import FENetDecoder
from segloom.models.networks.reference import rename_reference_key, rename_reference_state
from segloom.models.networks.sfnet import SFNetDecoder, SFNetLiteDecoder
from segloom.ops.resize import resize, warp


@pytest.fixture
def reference(shared):
    """Read one recorded file: tensors by name, the state dict apart."""

    def read(name):
        with np.load(shared / "fixtures" / "fenet_linknet" / f"{name}.npz") as file:
            arrays = {key: file[key] for key in file.files}
        tensors = {k: torch.from_numpy(v) for k, v in arrays.items() if v.dtype.kind in "fiu"}
        state = {k.removeprefix("sd."): v for k, v in tensors.items() if k.startswith("sd.")}
        return tensors, state, arrays

    return read


def assert_close(actual, expected, tolerance=1e-4):
    assert actual.shape == expected.shape
    error = ((actual - expected).abs().max() / expected.abs().max()).item()
    assert error <= tolerance


def load(module, state, prefix, architecture, root):
    """Fill a module of ours from a state dict whose names begin after ``prefix``."""
    renamed = {
        rename_reference_key(prefix + key, architecture).removeprefix(root): value
        for key, value in state.items()
    }
    module.load_state_dict(renamed)
    return module.eval()


@torch.no_grad()
def test_flow_alignment(reference):
    data, state, _ = reference("fam_aligned_module")
    align = load(FlowAlign(8), state, "head.fpn_out_align.0.", "sfnet", "decoder.joins.0.")
    low, high = data["in.low"], data["in.high"]
    assert_close(align.make_flow(low, high), data["mid.flow"])
    assert_close(align(low, high), data["out.warped"])
    assert_close(warp(high, data["in.flow_const"]), data["out.warp_const_flow"])
    still = warp(high, torch.zeros_like(data["in.flow_const"]))
    assert_close(still, data["out.warp_zero_flow"])
    assert_close(still, resize(high, low.shape[-2:]), 1e-5)


@torch.no_grad()
def test_gated_dual_flow_alignment(reference):
    data, state, _ = reference("gdfam_v2")
    align = GatedDualFlowAlign(8, summarize=False)
    load(align, state, "head.flow_align_module.", "sfnetlite", "decoder.align.")
    assert_close(align(data["in.low"], data["in.high"]), data["out.fused"])


@pytest.mark.parametrize(
    ("name", "form", "prefix", "architecture"),
    [
        ("psp_module", "sfnet", "head.ppm.", "sfnet"),
        ("spsp_module", "sum", "head.ppm.", "sfnet"),
        ("fe_ppm", "fenet", "fpn_fe.conv_reduction.3.", "fenet"),
    ],
)
@torch.no_grad()
def test_pyramid_pooling(reference, name, form, prefix, architecture):
    data, state, _ = reference(name)
    pooling = PyramidPooling(16, data["out.y"].shape[1], form)
    load(pooling, state, prefix, architecture, "decoder.context.")
    assert_close(pooling(data["in.x"]), data["out.y"])


@torch.no_grad()
def test_high_pass_filter(reference):
    data, _, _ = reference("fe_high_pass")
    high_pass = FrequencyFilter(6)
    assert torch.equal(high_pass.weight, data["in.init_weight"])
    assert_close(high_pass(data["in.x"]), data["out.init"])
    fixed = FrequencyFilter(6, "fixed")
    assert_close(fixed(data["in.x"]), data["out.init"])
    assert not list(fixed.parameters())
    assert_close(FrequencyFilter(6, "lowpass")(data["in.x"]), data["in.x"] - data["out.init"])
    high_pass.weight.copy_(data["in.weight_perturbed"])
    assert_close(high_pass(data["in.x"]), data["out.perturbed"])


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("fem_d_detail_enhance", DetailEnhance),
        ("fem_s_structure_enhance", StructureEnhance),
    ],
)
@torch.no_grad()
def test_feature_enhancement(reference, name, kind):
    data, state, _ = reference(name)
    join = load(kind(6), state, "fpn_fe.de.0.0.", "fenet", "decoder.details.0.")
    assert_close(join(data["in.low"], data["in.high"]), data["out.y"])


def features(data, first):
    return [data[f"in.c{number}"] for number in range(first, first + 4)]


class Headed(nn.Module):
    """A decoder with its classifier and auxiliary heads, under the names of a whole model."""

    def __init__(self, decoder, channels, classes, heads=0):
        super().__init__()
        self.decoder = decoder
        self.segmentation_head = nn.Sequential(nn.Conv2d(channels, classes, 1))
        head = create_model(
            "sfnet",
            encoder_name="tu-test_resnet",
            classes=classes,
            pyramid_channels=channels,
            enhancements=f"deep_supervision:place=decoder,channels={channels}",
        ).enhancements
        self.enhancements = head if heads else nn.ModuleDict()


@pytest.mark.parametrize("align", [True, False])
@torch.no_grad()
def test_pyramid_of_sfnet(reference, align):
    data, state, _ = reference("uper_align_head_tiny" if align else "uper_fpn_head_tiny")
    net = Headed(SFNetDecoder([8, 12, 16, 32], 8, align=align), 8, 5, heads=3 * align)
    load(net, state, "head.", "sfnet", "")
    decoded, pyramid = net.decoder(features(data, 2))
    assert_close(net.segmentation_head(decoded), data["out.logits"])
    if align:
        heads = net.enhancements["deep_supervision"].heads
        for number, (head, map_) in enumerate(zip(heads, pyramid, strict=True)):
            assert_close(head(map_), data[f"out.dsn{number}"])


@torch.no_grad()
def test_pyramid_of_sfnet_lite(reference):
    data, state, _ = reference("uper_align_head_lite_tiny")
    net = Headed(SFNetLiteDecoder([8, 12, 16, 32], 8), 8, 5)
    renamed = rename_reference_state(
        {f"head.{key}": value for key, value in state.items()}, "sfnetlite"
    )
    net.load_state_dict(renamed)
    net.eval()
    assert_close(net.segmentation_head(net.decoder(features(data, 2))), data["out.logits"])


@pytest.mark.parametrize("dense", [False, True])
@torch.no_grad()
def test_both_passes_of_fenet(reference, dense):
    data, state, _ = reference("fe_module_tiny")
    decoder = FENetDecoder([4, 6, 8, 10], 6, dense=dense)
    missing, unexpected = decoder.load_state_dict(
        {
            rename_reference_key(f"fpn_fe.{key}", "fenet").removeprefix("decoder."): value
            for key, value in state.items()
        },
        strict=False,
    )
    assert unexpected == []
    assert {key.split(".")[0] for key in missing} == {"fuse"}
    decoder.eval()
    maps = features(data, 1)
    reduced = decoder.laterals[0](maps[0])
    assert_close(reduced, data["mid.red0"])
    assert_close(decoder.details[0](reduced, decoder.laterals[1](maps[1])), data["mid.d1"])
    for number, map_ in enumerate(decoder.enhance(maps)):
        assert_close(map_, data[f"out.{'dense' if dense else 'p'}{number}"])


@torch.no_grad()
def test_edge_side_output(reference):
    data, state, _ = reference("fe_side_output")
    side = EdgeSupervision((0, 1), (4, 6), background=True)
    load(side, state, "x.", "fenet", "enhancements.edge_supervision.")
    edge = torch.sigmoid(side.detect(data["in.c1"], data["in.c2"]))
    assert_close(edge, data["out.edge"])


@pytest.mark.parametrize(
    ("name", "architecture"),
    [("sfnet_res18_full", "sfnet"), ("sfnet_lite_res18_full", "sfnetlite"),
     ("fenet_res18_full", "fenet")],
)  # fmt: skip
@torch.no_grad()
def test_whole_network(reference, name, architecture):
    data, _, arrays = reference(name)
    keys = json.loads(str(arrays["meta.state_keys"]))
    state = {key: seeded(key, shape) for key, shape in keys}
    heads = ["deep_supervision"] if architecture == "fenet" else []
    model = create_model(
        architecture, encoder_name="resnet18s", classes=19, enhancements=heads
    ).eval()
    model.load_state_dict(rename_reference_state(state, architecture))
    maps = model.encoder(data["in.image"])
    if "mid.layer4" in data:
        assert_close(maps[2][:, :8], data["mid.layer1"])
        assert_close(maps[5][:, :16], data["mid.layer4"])
    else:
        enhanced = model.decoder.enhance(maps[2:])
        assert_close(enhanced[0][:, :8], data["mid.fe0"])
        assert_close(enhanced[3], data["mid.fe3"])
        for head, level in zip(model.enhancements["deep_supervision"].heads, (4, 5), strict=True):
            assert_close(head(maps[level]), data[f"out.dsn_layer{level - 1}"])
    decoded = model.decoder(maps)
    decoded = decoded[0] if isinstance(decoded, tuple) else decoded
    assert_close(model.segmentation_head[0](decoded), data["out.head_logits"])
    assert_close(model(data["in.image"]), data["out.logits_full"])


@pytest.mark.parametrize(
    ("name", "architecture"),
    [("sfnet_res18_full", "sfnet"), ("sfnet_lite_res18_full", "sfnetlite"),
     ("fenet_res18_full", "fenet")],
)  # fmt: skip
def test_a_checkpoint_is_converted(reference, tmp_path, name, architecture):
    data, _, arrays = reference(name)
    keys = json.loads(str(arrays["meta.state_keys"]))
    checkpoint = {
        "state_dict": {f"module.{key}": seeded(key, shape) for key, shape in keys},
        "optimizer": {"state": {}, "param_groups": [{"lr": 0.01}]},
        "epoch": 3,
        "mean_iu": np.float64(0.7),
        "command": "train.py",
    }
    torch.save(checkpoint, tmp_path / "last_epoch_3_mean-iu_0.70000.pth")
    result = convert(tmp_path / "last_epoch_3_mean-iu_0.70000.pth", tmp_path / "model")
    assert (result.architecture, result.encoder_name) == (architecture, "tu-resnet18s")
    assert (result.method, result.classes) == (None, 19)
    assert read_saved(tmp_path / "model").spec["pyramid_channels"] == 128
    with torch.no_grad():
        logits = from_pretrained(tmp_path / "model")(data["in.image"])
    assert_close(logits, data["out.logits_full"])


def test_what_a_checkpoint_holds_is_read_off_its_names(reference):
    _, state, _ = reference("uper_fpn_head_tiny")
    state = {f"head.{key}": value for key, value in state.items()}
    with pytest.raises(CheckpointError, match="another encoder than a deep-stem ResNet-18"):
        inspect_checkpoint(state, "w.pth")
    for stage in "1234":
        for block in "01":
            state[f"layer{stage}.{block}.conv1.weight"] = torch.zeros(1)
    with pytest.raises(CheckpointError, match=r"incomplete: it lacks layer0\.0\.0\.weight"):
        inspect_checkpoint(state, "w.pth")
    state["layer0.0.0.weight"] = torch.zeros(64, 3, 3, 3)
    source = inspect_checkpoint(state, "w.pth", architecture="sfnet", encoder_name="resnet18s")
    assert source.options == {"pyramid_channels": 8, "align": False}
    assert (source.in_channels, source.classes) == (3, 5)
    with pytest.raises(CheckpointError, match="has sfnet, not fenet; leave that out"):
        inspect_checkpoint(state, "w.pth", architecture="fenet")
