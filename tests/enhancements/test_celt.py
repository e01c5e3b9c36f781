"""CELT against the arrays of the original program, and its key names."""

import numpy as np
import pytest
import torch
from segmentation_models_pytorch.encoders import get_encoder
from support.recorded import procedural
from torch import nn
from torch.nn import functional as F

from segloom.enhancements.celt import CeltConfig, rename_reference_key
from segloom.ops.patches import to_patches
from segloom.types import FeatureSpec, ModelShape

MODES = ("parity", "default")
GRADIENTS = {
    "g_conv_up": "source_embed.weight",
    "g_conv_down": "feature_embed.weight",
    "g_l1": "expand.weight",
    "g_l2_bias": "reduce.bias",
    "g_tr_up_first": "up.encode_attention.in_proj.weight",
    "g_tr_down_last": "down.decode_norms.3.weight",
}
ROUNDED = ("g_conv_down", "g_tr_up_first")
"""Differences of nearly equal sums: float64 says that the stored float32 values are 3e-5 off, and
ours, by the processor's order of sums, up to 2e-4."""


def shape(classes=12):
    levels = (FeatureSpec(0, 3, 1), FeatureSpec(1, 64, 2), FeatureSpec(2, 64, 4))
    return ModelShape(3, classes, levels, 16)


def normal(seed, *size):
    return np.random.RandomState(seed).standard_normal(size).astype(np.float32)


def load_celt(module, weights):
    """Load original weights, keys with or without ``encoder.``, into a Celt without its head."""
    own = {}
    for key, value in weights.items():
        key = key if key.startswith(("encoder.", "segmentation_head.")) else f"encoder.{key}"
        name = rename_reference_key(key)
        if name.startswith("enhancements.celt."):
            own[name.removeprefix("enhancements.celt.")] = value
    missing, unexpected = module.load_state_dict(own, strict=False)
    assert not unexpected
    assert set(missing) <= {"project.weight", "project.bias"}
    return module.eval()


def relative(value, reference):
    reference = torch.as_tensor(np.asarray(reference)).double()
    return float((value.detach().double() - reference).abs().max() / reference.abs().max())


def block(recorded, mode):
    data = recorded("celt_block_p4_64")
    weights = {k[2:]: data[k] for k in data if k[:2] == "w."}
    module = load_celt(CeltConfig(patch=4, grid=4, mode=mode).build(shape()), weights)
    return module, data


def celt_only(sizes):
    return {
        key: size
        for key, size in sizes.items()
        if rename_reference_key(f"encoder.{key}")[:4] != "enco"
    }


@pytest.mark.parametrize("mode", MODES)
def test_block_equals_the_original_forward(recorded, mode):
    module, data = block(recorded, mode)
    image, feature = (data[key] for key in ("x", "feat_stage2"))
    embedded = module.source_embed(image), module.feature_embed(feature)
    for plane, key in zip(embedded, ("tokens_img", "tokens_feat"), strict=True):
        data.compare(to_patches(plane, 4, "pad").squeeze(1).transpose(0, 1), key, 1e-5)
    up, down = module.relate(*embedded)
    data.compare(up.transpose(0, 1), "tr_up_out", 1e-5)
    data.compare(down.transpose(0, 1), "tr_down_out", 1e-5)
    relation = up @ down.transpose(1, 2)
    data.compare(relation, "relation", 1e-5)
    data.compare(module.reduce(module.expand(relation)), "patch_out", 1e-5)
    data.compare(module.attend(image, feature), "att_all", 1e-5)


@pytest.mark.parametrize("mode", MODES)
def test_block_equals_the_original_gradients(recorded, mode):
    module, data = block(recorded, mode)
    image, feature = (data[key] for key in ("x", "feat_stage2"))
    weight = torch.from_numpy(normal(int(data["grad_out_seed"]), *data["att_all"].shape))
    (module.attend(image, feature) * weight).sum().backward()
    for key, name in GRADIENTS.items():
        tolerance = 5e-4 if key in ROUNDED else 1e-5
        data.compare(module.get_parameter(name).grad, key, tolerance)


def reference_map(weights, image, feature, patch):
    """The original's formula with torch's own transformer, in the dtype of its arguments."""

    def tokens(plane, name):
        embedded = F.conv2d(plane, weights[f"{name}.0.weight"], weights[f"{name}.0.bias"])
        return F.unfold(embedded, patch, stride=patch).permute(2, 0, 1)

    def transform(name, source, target):
        part = nn.Transformer(patch**2, 1, 1, 1, dtype=image.dtype).eval()
        own = {k.removeprefix(f"{name}."): v for k, v in weights.items() if k.startswith(name)}
        return torch.func.functional_call(part, own, (source, target)).transpose(0, 1)

    sources, targets = tokens(image, "unfold_layer_up"), tokens(feature, "unfold_layer_down")
    relation = transform("transformer_layer_up", targets, sources) @ transform(
        "transformer_layer_down", sources, targets
    ).transpose(1, 2)
    hidden = F.linear(relation, weights["linear_layer_1.weight"], weights["linear_layer_1.bias"])
    patches = F.linear(hidden, weights["linear_layer_2.weight"], weights["linear_layer_2.bias"])
    return F.relu(F.fold(patches.transpose(1, 2), image.shape[-2:], patch, stride=patch))


@pytest.mark.filterwarnings("ignore:enable_nested_tensor is True")
@pytest.mark.parametrize("mode", MODES)
def test_gradients_in_float64_equal_the_formula(recorded, mode):
    module, data = block(recorded, mode)
    module.double()
    image, feature = (data[key].double() for key in ("x", "feat_stage2"))
    weight = torch.from_numpy(normal(int(data["grad_out_seed"]), *data["att_all"].shape))
    weights = {
        key[2:].removeprefix("encoder."): data[key].double() for key in data if key[:2] == "w."
    }
    for value in weights.values():
        value.requires_grad_()
    expected = reference_map(weights, image, feature, 4)
    (expected * weight).sum().backward()
    found = module.attend(image, feature)
    (found * weight).sum().backward()
    assert relative(found, expected.detach()) < 1e-12
    for key, value in weights.items():
        name = rename_reference_key(f"encoder.{key}").removeprefix("enhancements.celt.")
        assert relative(module.get_parameter(name).grad, value.grad) < 1e-9, name


@pytest.mark.parametrize("mode", MODES)
def test_encoder_with_small_patches_equals_the_original(recorded, mode):
    data = recorded("celt_encoder_r18_p4_64")
    small = {100: 16, 300: 48}
    sizes = {
        key.removeprefix("encoder."): list(size)
        for key, size in recorded("celt_state_dict_keys")["unet"].items()
        if key.startswith("encoder.")
    }
    for key, size in celt_only(sizes).items():
        sizes[key] = [small.get(side, side) for side in size]
    sizes["linear_layer_1.weight"] = [1024, 16]
    weights = procedural(sizes, int(data["seed"]))
    encoder = get_encoder("resnet18", weights=None).eval()
    encoder.load_state_dict({key: weights[key] for key in encoder.state_dict()})
    with torch.no_grad():
        for level, map_ in enumerate(encoder(data["x"])[1:], start=1):
            data.compare(map_, f"f{level}", 1e-5)
    module = load_celt(CeltConfig(patch=4, grid=4, mode=mode).build(shape()), weights)
    image, feature = data["x"], data["f2"]
    features, signal = module.enrich(image, [image, image, feature], None)
    data.compare(signal, "att_all", 1e-5)
    assert features[2] is feature


@pytest.mark.parametrize("mode", MODES)
def test_whole_encoder_at_320_equals_the_original(recorded, mode):
    data = recorded("celt_encoder_r18_native_320")
    sizes = {
        key.removeprefix("encoder."): size
        for key, size in recorded("celt_state_dict_keys")["unet"].items()
        if key.startswith("encoder.")
    }
    weights = procedural(sizes, int(data["seed"]))
    encoder = get_encoder("resnet18", weights=None).eval()
    encoder.load_state_dict({key: weights[key] for key in encoder.state_dict()})
    module = load_celt(CeltConfig(mode=mode).build(shape()), weights)
    with torch.no_grad():
        image = torch.from_numpy(normal(int(data["x_seed"]), 1, 3, 320, 320))
        features = encoder(image)
        _, signal = module.enrich(image, features, None)
        up, down = module.relate(module.source_embed(image), module.feature_embed(features[2]))
    data.compare(signal, "att_all", 1e-5)
    data.compare(up[:, :32] @ down.transpose(1, 2), "relation_corner", 1e-5)
    maps = [*features, signal]
    data.compare(torch.stack([m.mean() for m in maps]), "feature_mean", 1e-5)
    data.compare(torch.stack([m.std() for m in maps]), "feature_std", 1e-5)


@pytest.mark.parametrize("mode", MODES)
def test_whole_unet_at_320_equals_the_original(recorded, mode):
    from segloom.models import create_model

    data = recorded("celt_unet_r18_native_320_full")
    weights = procedural(recorded("celt_state_dict_keys")["unet"], int(data["seed"]))
    model = create_model(
        "unet", encoder_name="resnet18", classes=12, enhancements=CeltConfig(mode=mode)
    ).eval()
    renamed = {rename_reference_key(key): value for key, value in weights.items()}
    missing, unexpected = model.load_state_dict(renamed, strict=False)
    assert not unexpected
    assert all(key.endswith("num_batches_tracked") for key in missing)
    with torch.no_grad():
        image = torch.from_numpy(normal(int(data["x_seed"]), 1, 3, 320, 320))
        probabilities = model(image).softmax(1)
    # Logits reach 325 here, so softmax turns float32's rounding of a logit into 1e-4 at the few
    # pixels where two classes tie; float64 is as far (8.9e-5) from the stored values.
    crop = probabilities[..., 100:148, 100:148]
    data.compare(crop, "prob_crop", 1e-4)
    assert float((crop - data["prob_crop"]).abs().mean()) < 1e-7
    data.compare(probabilities.mean((0, 2, 3)), "prob_mean", 1e-5)
    data.compare(probabilities.std((0, 2, 3)), "prob_std", 1e-5)


@pytest.mark.parametrize("architecture", ["unet", "fpn", "deeplabv3", "pspnet"])
def test_head_equals_the_original(recorded, architecture):
    data = recorded(f"celt_head_{architecture}_64")
    kernel, factor = int(data["kernel"]), float(data["upsampling"])
    module = CeltConfig(kernel=kernel, mode="parity").build(shape())
    module.project.load_state_dict({name: data[f"att_conv_{name}"] for name in ("weight", "bias")})
    weight, bias = (data[f"conv_{name}"] for name in ("weight", "bias"))
    logits = F.conv2d(data["decoder_out"], weight, bias, padding=kernel // 2)
    if factor > 1:
        logits = F.interpolate(logits, scale_factor=factor, mode="bilinear", align_corners=True)
    corrected = module.correct(logits, data["att_all"])
    data.compare(corrected, "logits", 1e-5)


def test_keys_of_all_eight_architectures_are_ours(recorded):
    own = {f"enhancements.celt.{key}" for key in CeltConfig().build(shape()).state_dict()}
    everything = recorded("celt_state_dict_keys")
    assert len(everything) == 8
    for architecture, sizes in everything.items():
        renamed = [rename_reference_key(key) for key in sizes]
        assert len(set(renamed)) == len(sizes), architecture
        assert {key for key in renamed if key.startswith("enhancements.")} == own, architecture


def test_keys_that_both_share_stay():
    for key in ("encoder.layer1.0.conv1.weight", "decoder.blocks.0.conv1.0.weight"):
        assert rename_reference_key(key) == key


def test_parity_mode_counts_the_original_parameters():
    module = CeltConfig(mode="parity").build(shape())
    assert sum(p.numel() for p in module.parameters()) == 2_061_321 + 120
