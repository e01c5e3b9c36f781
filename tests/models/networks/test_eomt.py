"""EoMT against transformers' implementation, and its place in the pipeline."""

from __future__ import annotations

import copy

import pytest
import timm
import torch

from segloom.config.training import OptimConfig
from segloom.errors import ConfigError
from segloom.models import create_model
from segloom.models.networks.eomt import EomtDecoder, EomtEncoder, class_scores
from segloom.training.optimizer import parameter_groups

WIDTH, DEPTH, BLOCKS, QUERIES, CLASSES, SIDE = 32, 4, 2, 5, 3, 64


def their_network():
    """Build transformers' network with random weights, none of which is trivial."""
    transformers = pytest.importorskip("transformers", reason="parity needs transformers")
    torch.manual_seed(0)
    config = transformers.EomtConfig(
        hidden_size=WIDTH,
        num_hidden_layers=DEPTH,
        num_attention_heads=2,
        image_size=SIDE,
        num_blocks=BLOCKS,
        num_queries=QUERIES,
        num_labels=CLASSES,
        num_register_tokens=4,
    )
    network = transformers.EomtForUniversalSegmentation(config).eval()
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.4)
    network.attn_mask_probs.zero_()
    return network


def our_parts(theirs, monkeypatch):
    create = timm.create_model

    def create_small(name, *args, **options):
        small = {"embed_dim": WIDTH, "depth": DEPTH, "num_heads": 2, "img_size": SIDE}
        return create(name, *args, **{**options, **small, "patch_size": 16})

    monkeypatch.setattr(timm, "create_model", create_small)
    encoder = EomtEncoder("vit_small_patch14_reg4_dinov2", 3).eval()
    monkeypatch.undo()
    encoder.scale.patch = 16
    decoder = EomtDecoder(WIDTH, 16, CLASSES, num_queries=QUERIES, num_blocks=BLOCKS).eval()
    encoder.model.load_state_dict(renamed_encoder(theirs.state_dict()))
    decoder.adopt(encoder)
    own = decoder.state_dict()
    own.update(renamed_decoder(theirs.state_dict()))
    decoder.load_state_dict(own)
    return encoder, decoder


def renamed_encoder(state):
    found = {
        "cls_token": state["embeddings.cls_token"],
        "reg_token": state["embeddings.register_tokens"],
        "pos_embed": state["embeddings.position_embeddings.weight"][None],
        "patch_embed.proj.weight": state["embeddings.patch_embeddings.projection.weight"],
        "patch_embed.proj.bias": state["embeddings.patch_embeddings.projection.bias"],
        "norm.weight": state["layernorm.weight"],
        "norm.bias": state["layernorm.bias"],
    }
    for block in range(DEPTH):
        old, new = f"layers.{block}.", f"blocks.{block}."
        for end in ("weight", "bias"):
            parts = [state[f"{old}attention.{name}_proj.{end}"] for name in "qkv"]
            found[f"{new}attn.qkv.{end}"] = torch.cat(parts)
            found[f"{new}attn.proj.{end}"] = state[f"{old}attention.out_proj.{end}"]
            for name in ("norm1", "norm2", "mlp.fc1", "mlp.fc2"):
                found[f"{new}{name}.{end}"] = state[f"{old}{name}.{end}"]
        for number in (1, 2):
            found[f"{new}ls{number}.gamma"] = state[f"{old}layer_scale{number}.lambda1"]
    return found


def renamed_decoder(state):
    found = {"query.weight": state["query.weight"]}
    for end in ("weight", "bias"):
        found[f"class_head.{end}"] = state[f"class_predictor.{end}"]
        for number in range(3):
            found[f"mask_head.{2 * number}.{end}"] = state[f"mask_head.fc{number + 1}.{end}"]
        for step in range(2):
            old, new = f"upscale_block.block.{step}.", f"upscale.{step}."
            found[f"{new}0.{end}"] = state[f"{old}conv1.{end}"]
            found[f"{new}3.{end}"] = state[f"{old}layernorm2d.{end}"]
    for step in range(2):
        found[f"upscale.{step}.2.weight"] = state[f"upscale_block.block.{step}.conv2.weight"]
    return found


@pytest.mark.parametrize("is_masked", [False, True])
def test_masks_and_classes_are_those_of_transformers(is_masked, monkeypatch):
    theirs = their_network()
    encoder, decoder = our_parts(theirs, monkeypatch)
    if is_masked:  # as in training before the masks are annealed
        theirs.attn_mask_probs.fill_(1)
        decoder.train()
    image = torch.randn(2, 3, SIDE, SIDE)
    with torch.no_grad():
        expected = theirs(pixel_values=image)
        scores, _, predictions = decoder(*encoder(image))
    assert len(predictions) == (BLOCKS + 1 if is_masked else 1)
    masks, classes = predictions[-1]
    assert expected.masks_queries_logits.std() > 0.1
    torch.testing.assert_close(masks, expected.masks_queries_logits, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(classes, expected.class_queries_logits, rtol=1e-4, atol=1e-4)
    shares = expected.class_queries_logits.softmax(-1)[..., :-1]
    summed = torch.einsum("bqk,bqhw->bkhw", shares, expected.masks_queries_logits.sigmoid())
    torch.testing.assert_close(scores, summed, rtol=1e-4, atol=1e-4)


def test_softmax_of_the_logits_is_the_share_of_each_class():
    model = create_model("eomt", encoder_name="test_vit", classes=CLASSES).eval()
    with torch.no_grad():
        prediction = model.run(torch.randn(1, 3, 64, 96))
        scores = class_scores(prediction.signals["eomt"][-1])
    corner = prediction.logits.softmax(1)[0, :, 0, 0]  # corners fall on corners
    torch.testing.assert_close(
        corner, scores[0, :, 0, 0] / scores[0, :, 0, 0].sum(), atol=1e-4, rtol=0
    )


@pytest.mark.parametrize("name", ["test_vit", "test_vit3"])
@pytest.mark.parametrize("classes", [1, 3])
def test_any_size_runs_and_every_weight_learns(name, classes):
    torch.manual_seed(0)
    model = create_model("eomt", encoder_name=name, classes=classes, num_queries=7)
    image, target = torch.randn(2, 3, 67, 101), torch.randint(0, max(classes, 2), (2, 67, 101))
    target[:, :9] = 255
    prediction = model.run(image)
    assert prediction.logits.shape == (2, classes, 67, 101)
    losses = model.auxiliary_losses(prediction, target)
    assert list(losses) == ["eomt"]
    (losses["eomt"] + prediction.logits.square().mean()).backward()
    named = model.named_parameters()
    assert [name for name, p in named if p.requires_grad and p.grad is None] == []
    twin = copy.deepcopy(model).eval()
    with torch.no_grad():
        assert torch.equal(twin(image), model.eval()(image))


def test_the_last_blocks_learn_at_the_rate_of_the_encoder():
    model = create_model("eomt", encoder_name="test_vit", classes=2)
    groups = parameter_groups(model, OptimConfig(lr=1e-3, encoder_lr=1e-5))
    slow = {id(p) for group in groups if group["lr"] == 1e-5 for p in group["params"]}
    assert all(id(p) in slow for p in model.decoder.blocks.parameters())
    assert id(model.decoder.query.weight) not in slow


def test_weights_that_timm_saved_reach_the_last_blocks(tmp_path):
    saved = timm.create_model("test_vit")
    for parameter in saved.parameters():
        torch.nn.init.normal_(parameter)
    file = tmp_path / "vit.pth"
    torch.save(saved.state_dict(), file)
    model = create_model("eomt", encoder_name="test_vit", encoder_weights=str(file), num_blocks=2)
    last = saved.blocks[-1].attn.qkv.weight
    assert torch.equal(model.decoder.blocks[-1].attn.qkv.weight, last)
    assert torch.equal(model.decoder.norm.weight, saved.norm.weight)
    assert len(model.encoder.model.blocks) + 2 == len(saved.blocks)


def test_masks_are_annealed_block_after_block():
    decoder = EomtDecoder(8, 16, 2, num_queries=2, num_blocks=2)
    shown = []
    for progress in (0.0, 0.25, 0.375, 0.5, 0.75, 1.0):
        decoder.anneal(progress)
        shown.append([round(value, 3) for value in decoder.mask_probability])
    half = round(0.5**0.9, 3)
    assert shown == [[1, 1], [1, 1], [half, 1], [0, 1], [0, 0], [0, 0]]


def test_other_encoders_and_overlapping_classes_are_refused():
    with pytest.raises(ConfigError, match="eomt needs a plain vision transformer of timm"):
        create_model("eomt", encoder_name="resnet18")
    with pytest.raises(ConfigError, match="gives each pixel one class"):
        create_model("eomt", encoder_name="test_vit", classes=3, mode="multilabel")
    with pytest.raises(ConfigError, match="num_blocks must be"):
        create_model("eomt", encoder_name="test_vit", num_blocks=99)
