"""Blocks, heads and whole networks equal the recorded results of the released programs."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from support.recorded import seeded
from torch import nn
from torch.nn import functional as F

from segloom.blocks.fem import DetailEnhance, FrequencyFilter, StructureEnhance
from segloom.blocks.flow import FlowAlign, GatedDualFlowAlign
from segloom.data.sets.cityscapes_labels import CITYSCAPES
from segloom.enhancements.edge_supervision import EdgeSupervision
from segloom.errors import CheckpointError
from segloom.models import create_model
from segloom.models.networks.context import PyramidPooling
from segloom.models.networks.fenet import FENetDecoder
from segloom.models.networks.reference import rename_reference_key, rename_reference_state
from segloom.models.networks.sfnet import SFNetDecoder, SFNetLiteDecoder
from segloom.models.weights.checkpoint import from_pretrained, read_saved
from segloom.models.weights.convert import convert
from segloom.models.weights.inspection import inspect_checkpoint
from segloom.ops.resize import resize, warp


def state_of(data):
    return {key.removeprefix("sd."): data[key] for key in data if key.startswith("sd.")}


def load(module, state, prefix, architecture, root):
    """Fill a module of ours from a state dict whose names begin after ``prefix``."""
    renamed = {
        rename_reference_key(prefix + key, architecture).removeprefix(root): value
        for key, value in state.items()
    }
    module.load_state_dict(renamed)
    return module.eval()


@torch.no_grad()
def test_flow_alignment(recorded):
    data = recorded("fam_aligned_module")
    align = load(FlowAlign(8), state_of(data), "head.fpn_out_align.0.", "sfnet", "decoder.joins.0.")
    low, high = data["in.low"], data["in.high"]
    data.compare(align.make_flow(low, high), "mid.flow")
    data.compare(align(low, high), "out.warped")
    data.compare(warp(high, data["in.flow_const"]), "out.warp_const_flow")
    still = warp(high, torch.zeros_like(data["in.flow_const"]))
    data.compare(still, "out.warp_zero_flow")
    torch.testing.assert_close(still, resize(high, low.shape[-2:]))


@torch.no_grad()
def test_gated_dual_flow_alignment(recorded):
    data = recorded("gdfam_v2")
    align = GatedDualFlowAlign(8, summarize=False)
    load(align, state_of(data), "head.flow_align_module.", "sfnetlite", "decoder.align.")
    data.compare(align(data["in.low"], data["in.high"]), "out.fused")


@pytest.mark.parametrize(
    ("name", "form", "prefix", "architecture"),
    [
        ("psp_module", "sfnet", "head.ppm.", "sfnet"),
        ("spsp_module", "sum", "head.ppm.", "sfnet"),
        ("fe_ppm", "fenet", "fpn_fe.conv_reduction.3.", "fenet"),
    ],
)
@torch.no_grad()
def test_pyramid_pooling(recorded, name, form, prefix, architecture):
    data = recorded(name)
    pooling = PyramidPooling(16, data["out.y"].shape[1], form)
    load(pooling, state_of(data), prefix, architecture, "decoder.context.")
    data.compare(pooling(data["in.x"]), "out.y")


@torch.no_grad()
def test_high_pass_filter(recorded):
    data = recorded("fe_high_pass")
    high_pass = FrequencyFilter(6)
    assert torch.equal(high_pass.weight, data["in.init_weight"])
    data.compare(high_pass(data["in.x"]), "out.init")
    fixed = FrequencyFilter(6, "fixed")
    data.compare(fixed(data["in.x"]), "out.init")
    assert not list(fixed.parameters())
    rest = FrequencyFilter(6, "lowpass")(data["in.x"])
    data.compare(rest, "out.init", expected=data["in.x"] - data["out.init"])
    high_pass.weight.copy_(data["in.weight_perturbed"])
    data.compare(high_pass(data["in.x"]), "out.perturbed")


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("fem_d_detail_enhance", DetailEnhance),
        ("fem_s_structure_enhance", StructureEnhance),
    ],
)
@torch.no_grad()
def test_feature_enhancement(recorded, name, kind):
    data = recorded(name)
    join = load(kind(6), state_of(data), "fpn_fe.de.0.0.", "fenet", "decoder.details.0.")
    data.compare(join(data["in.low"], data["in.high"]), "out.y")


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
def test_pyramid_of_sfnet(recorded, align):
    data = recorded("uper_align_head_tiny" if align else "uper_fpn_head_tiny")
    net = Headed(SFNetDecoder([8, 12, 16, 32], 8, align=align), 8, 5, heads=3 * align)
    load(net, state_of(data), "head.", "sfnet", "")
    decoded, pyramid = net.decoder(features(data, 2))
    data.compare(net.segmentation_head(decoded), "out.logits")
    if align:
        heads = net.enhancements["deep_supervision"].heads
        for number, (head, map_) in enumerate(zip(heads, pyramid, strict=True)):
            data.compare(head(map_), f"out.dsn{number}")


@torch.no_grad()
def test_pyramid_of_sfnet_lite(recorded):
    data = recorded("uper_align_head_lite_tiny")
    net = Headed(SFNetLiteDecoder([8, 12, 16, 32], 8), 8, 5)
    renamed = rename_reference_state(
        {f"head.{key}": value for key, value in state_of(data).items()}, "sfnetlite"
    )
    net.load_state_dict(renamed)
    net.eval()
    data.compare(net.segmentation_head(net.decoder(features(data, 2))), "out.logits")


@pytest.mark.parametrize("dense", [False, True])
@torch.no_grad()
def test_both_passes_of_fenet(recorded, dense):
    data = recorded("fe_module_tiny")
    decoder = FENetDecoder([4, 6, 8, 10], 6, dense=dense)
    missing, unexpected = decoder.load_state_dict(
        {
            rename_reference_key(f"fpn_fe.{key}", "fenet").removeprefix("decoder."): value
            for key, value in state_of(data).items()
        },
        strict=False,
    )
    assert unexpected == []
    assert {key.split(".")[0] for key in missing} == {"fuse"}
    decoder.eval()
    maps = features(data, 1)
    reduced = [lateral(map_) for lateral, map_ in zip(decoder.laterals, maps[:3], strict=True)]
    reduced.append(decoder.context(maps[3]))
    for number, map_ in enumerate(reduced):
        data.compare(map_, f"mid.red{number}")
    for number, detail in enumerate(decoder.details, start=1):
        reduced[number] = detail(reduced[number - 1], reduced[number])
        data.compare(reduced[number], f"mid.d{number}")
    for number, map_ in enumerate(decoder.enhance(maps)):
        data.compare(map_, f"out.{'dense' if dense else 'p'}{number}")


@torch.no_grad()
def test_edge_side_output(recorded):
    data = recorded("fe_side_output")
    side = EdgeSupervision((0, 1), (4, 6), background=True)
    load(side, state_of(data), "x.", "fenet", "enhancements.edge_supervision.")
    edge = torch.sigmoid(side.detect(data["in.c1"], data["in.c2"]))
    data.compare(edge, "out.edge")


@pytest.mark.parametrize(
    ("name", "architecture"),
    [("sfnet_res18_full", "sfnet"), ("sfnet_lite_res18_full", "sfnetlite"),
     ("fenet_res18_full", "fenet")],
)  # fmt: skip
@torch.no_grad()
def test_whole_network(recorded, name, architecture):
    data = recorded(name)
    keys = data.json("meta.state_keys")
    state = {key: seeded(key, shape) for key, shape in keys}
    heads = ["deep_supervision"] if architecture == "fenet" else []
    model = create_model(
        architecture, encoder_name="resnet18s", classes=19, enhancements=heads
    ).eval()
    model.load_state_dict(rename_reference_state(state, architecture))
    maps = model.encoder(data["in.image"])
    pooled = F.max_pool2d(maps[1], 3, stride=2, padding=1)
    stages = {"layer0": pooled, **{f"layer{number}": maps[number + 1] for number in range(1, 5)}}
    if "mid.layer4" in data:
        data.compare(maps[2][:, :8], "mid.layer1")
        data.compare(maps[5][:, :16], "mid.layer4")
    else:
        enhanced = model.decoder.enhance(maps[2:])
        data.compare(enhanced[0][:, :8], "mid.fe0")
        data.compare(enhanced[3], "mid.fe3")
        stages |= {f"fe{number}": map_ for number, map_ in enumerate(enhanced)}
        for head, level in zip(model.enhancements["deep_supervision"].heads, (4, 5), strict=True):
            data.compare(head(maps[level]), f"out.dsn_layer{level - 1}")
    decoded = model.decoder(maps)
    decoded = decoded[0] if isinstance(decoded, tuple) else decoded
    stages["head"] = model.segmentation_head[0](decoded)
    data.compare(stages["head"], "out.head_logits")
    data.compare_stages(stages, "meta.shapes", "meta.stats")
    data.compare(model(data["in.image"]), "out.logits_full")


@pytest.mark.parametrize(
    ("name", "architecture"),
    [("sfnet_res18_full", "sfnet"), ("sfnet_lite_res18_full", "sfnetlite"),
     ("fenet_res18_full", "fenet")],
)  # fmt: skip
def test_a_checkpoint_is_converted(recorded, tmp_path, name, architecture):
    data = recorded(name)
    keys = data.json("meta.state_keys")
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
    saved = read_saved(tmp_path / "model")
    assert saved.spec["pyramid_channels"] == 128
    assert saved.labels == CITYSCAPES
    with torch.no_grad():
        logits = from_pretrained(tmp_path / "model")(data["in.image"])
    data.compare(logits, "out.logits_full")


def test_what_a_checkpoint_holds_is_read_off_its_names(recorded):
    state = state_of(recorded("uper_fpn_head_tiny"))
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
