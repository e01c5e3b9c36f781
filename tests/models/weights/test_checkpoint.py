"""Model directories: what we write SMP opens, what SMP writes opens here, and a hub in between."""

import base64
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

import pytest
import timm
import torch
from safetensors.torch import save

from segloom.enhancements.base import Enhancement
from segloom.errors import CheckpointError
from segloom.models import create_model
from segloom.models.weights.checkpoint import (
    from_pretrained,
    load_weights,
    push_to_hub,
    read_saved,
    save_pretrained,
)
from segloom.types import LabelSet

ENCODER = "tu-test_efficientnet"
LABELS = LabelSet(("road", "sky", "car"), ((1, 2, 3), (4, 5, 6), (7, 8, 9)))
BUILDS = [
    ("unet", ENCODER, {"decoder_channels": [32, 16, 8, 8, 4]}),
    ("fpn", ENCODER, {"decoder_merge_policy": "cat"}),
    ("deeplabv3plus", ENCODER, {}),
    ("pspnet", "tu-resnet18", {"encoder_depth": 5, "output_stride": 8}),
    ("segformer", "mit_b0", {}),
    ("dpt", "tu-test_vit", {}),
]


def build(architecture="unet", encoder_name=ENCODER, enhancements=(), **options):
    torch.manual_seed(3)
    return create_model(
        architecture, encoder_name=encoder_name, classes=3, enhancements=enhancements, **options
    ).eval()


@torch.no_grad()
def logits(model, image):
    return model(image)


def image_for(architecture):
    size = 160 if architecture == "dpt" else 64
    return torch.randn(2, 3, size, size)


@pytest.mark.parametrize(("architecture", "encoder_name", "options"), BUILDS)
def test_what_we_write_opens_in_smp_and_back_with_equal_logits(
    architecture, encoder_name, options, tmp_path
):
    import segmentation_models_pytorch as smp

    model = build(architecture, encoder_name, **options)
    image = image_for(architecture)
    expected = logits(model, image)
    save_pretrained(model, tmp_path / "ours")
    theirs = smp.from_pretrained(str(tmp_path / "ours")).eval()
    assert torch.equal(logits(theirs, image), expected)
    assert torch.equal(logits(from_pretrained(tmp_path / "ours"), image), expected)
    theirs.save_pretrained(str(tmp_path / "theirs"))
    assert torch.equal(logits(from_pretrained(tmp_path / "theirs"), image), expected)


def test_everything_about_a_network_comes_back(tmp_path):
    model = build(enhancements=["celt:patch=4,hidden=8,feedforward=8", "celt:level=3,patch=4"])
    model.pixel_mean = torch.tensor([0.1, 127 / 255, 1 / 3]).view(1, 3, 1, 1)
    save_pretrained(model, tmp_path / "model", LABELS, {"mIoU": 0.5})
    saved = read_saved(tmp_path / "model")
    assert saved.labels == LABELS
    assert saved.metrics == {"mIoU": 0.5}
    loaded = from_pretrained(str(tmp_path / "model"))
    assert loaded.normalization == model.normalization
    assert loaded.spec == model.spec
    assert list(loaded.enhancements) == ["celt", "celt_2"]
    assert not loaded.training
    image = torch.randn(1, 3, 50, 70)
    assert torch.equal(logits(loaded, image), logits(model, image))


def test_a_loaded_network_saves_the_same_again(tmp_path):
    save_pretrained(build(), tmp_path / "a", LABELS)
    save_pretrained(from_pretrained(tmp_path / "a"), tmp_path / "b", LABELS)
    for name in ("config.json", "model.safetensors", "README.md"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_card_says_what_it_is_and_what_it_scored(tmp_path):
    save_pretrained(build(enhancements="celt:patch=4"), tmp_path, LABELS, {"mIoU": 0.625})
    card = (tmp_path / "README.md").read_text()
    assert card.startswith("---\nlibrary_name: segloom\n")
    assert "# Unet + celt on tu-test_efficientnet" in card
    assert "| mIoU | 0.625 |" in card
    assert "| 2 | car | 7, 8, 9 |" in card
    assert "smp" not in card  # with an enhancement it does not open there
    save_pretrained(build(), tmp_path)
    assert "segmentation_models_pytorch.from_pretrained" in (tmp_path / "README.md").read_text()


def test_card_shows_names_as_they_are(tmp_path):
    names = ("<script>alert(1)</script>", "a|b\\", "[link](javascript:x)")
    save_pretrained(build(), tmp_path, LabelSet(names, LABELS.palette))
    card = (tmp_path / "README.md").read_text()
    assert "| 0 | &lt;script>alert(1)&lt;/script> | 1, 2, 3 |" in card
    assert r"| 1 | a\|b\\ | 4, 5, 6 |" in card
    assert r"| 2 | \[link\](javascript:x) | 7, 8, 9 |" in card


@pytest.mark.parametrize("text", ["[" * 100_000, "[]", '{"classes": {"a": 1}}'])
def test_configuration_that_is_none_is_refused(tmp_path, text):
    save_pretrained(build(), tmp_path, LABELS)
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(CheckpointError, match=r"config.json is not the configuration"):
        read_saved(tmp_path)


def test_smp_directory_takes_the_encoders_normalisation(tmp_path):
    import segmentation_models_pytorch as smp

    smp.Unet("tu-tf_efficientnet_lite0", encoder_weights=None).save_pretrained(str(tmp_path))
    saved = read_saved(tmp_path)
    assert saved.normalization.mean == (127 / 255,) * 3
    assert saved.labels is None


def test_plain_smp_weights_fill_a_network_with_enhancements(tmp_path):
    plain, enhanced = build(), build(enhancements="celt:patch=4")
    torch.save(plain.state_dict(), tmp_path / "w.pth")
    before = enhanced.enhancements["celt"].reduce.weight.clone()
    load_weights(enhanced, tmp_path / "w.pth")
    for name, value in plain.state_dict().items():
        assert torch.equal(value, enhanced.state_dict()[name])
    assert torch.equal(before, enhanced.enhancements["celt"].reduce.weight)


def test_old_smp_names_of_deeplab_are_known(tmp_path):
    model = build("deeplabv3")
    old = {
        "decoder.aspp.": "decoder.0.",
        "decoder.conv.": "decoder.1.",
        "decoder.bn.": "decoder.2.",
    }
    tensors = {}
    for name, value in model.state_dict().items():
        start = next((new for new in old if name.startswith(new)), None)
        tensors[old[start] + name.removeprefix(start) if start else name] = value + 1
    torch.save({**tensors, "classification_head.3.bias": torch.zeros(1)}, tmp_path / "w.pth")
    load_weights(model, tmp_path / "w.pth")
    assert torch.equal(model.state_dict()["decoder.bn.weight"], tensors["decoder.2.weight"])


def test_weights_that_do_not_fit_are_listed(tmp_path):
    model = build()
    tensors = dict(model.state_dict())
    del tensors["decoder.blocks.0.conv1.0.weight"]
    tensors["segmentation_head.0.weight"] = torch.zeros(5, 16, 3, 3)
    tensors["decoder.more"] = torch.zeros(1)
    torch.save(tensors, tmp_path / "w.pth")
    with pytest.raises(CheckpointError) as caught:
        load_weights(model, tmp_path / "w.pth")
    sentence = str(caught.value)
    assert "missing decoder.blocks.0.conv1.0.weight" in sentence
    assert "of another shape segmentation_head.0.weight (5, 16, 3, 3) for (3, 16, 3, 3)" in sentence
    assert "unknown decoder.more" in sentence


def test_own_module_is_given_again_when_loading(tmp_path):
    class Mine(Enhancement):
        def __init__(self):
            super().__init__()
            self.gain = torch.nn.Parameter(torch.tensor(2.0))

        def correct(self, logits, signal):
            return logits * self.gain

    model = build(enhancements=[Mine()])
    save_pretrained(model, tmp_path)
    with pytest.raises(CheckpointError, match="enhancement mine was attached as a module"):
        from_pretrained(tmp_path)
    loaded = from_pretrained(tmp_path, enhancements=[Mine()])
    assert float(loaded.enhancements["mine"].gain.detach()) == 2


def edit(directory, **changes):
    path = directory / "config.json"
    config = json.loads(path.read_text())
    path.write_text(json.dumps({**config, **changes}))


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"_model_class": "Unett"}, "cannot be built: unknown architecture 'Unett'"),
        ({"encoder_name": "resnett18"}, "cannot be built: unknown encoder 'resnett18'"),
        ({"decoder_channel": 3}, "cannot be built: unknown option of unet 'decoder_channel'"),
        ({"classes": 4}, "does not fit the network: of another shape segmentation_head.0"),
        ({"aux_params": {"classes": 2}}, "has a classification head"),
        ({"_segloom": {"version": 3}}, "written by a newer segloom .format 3.; update segloom"),
        ({"_segloom": {"labels": {"classes": 1}}}, "is not the configuration of a segmentation"),
        ({"_segloom": {"mode": "both"}}, "cannot be built: unknown mode 'both'"),
        ({"_segloom": {"mode": ["multilabel"]}}, "cannot be built: unknown mode"),
        ({"_segloom": []}, "is not the configuration of a segmentation model"),
        ({"in_channels": "many"}, "is not the configuration of a segmentation model"),
    ],
)
def test_configuration_that_cannot_be_used_is_explained(changes, sentence, tmp_path):
    save_pretrained(build(), tmp_path)
    edit(tmp_path, **changes)
    with pytest.raises(CheckpointError, match=sentence):
        from_pretrained(tmp_path)


@pytest.mark.parametrize("content", ["", "[]", "{", '{"model_type": "bert"}'])
def test_foreign_configuration_is_refused(content, tmp_path):
    save_pretrained(build(), tmp_path)
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(CheckpointError, match=r"config\.json is not the configuration"):
        from_pretrained(tmp_path)


def test_places_without_a_model_are_named(tmp_path):
    with pytest.raises(CheckpointError, match="neither a run nor a model directory"):
        from_pretrained(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(CheckpointError, match=r"has no weights; it needs a model\.safetensors"):
        from_pretrained(tmp_path)
    with pytest.raises(CheckpointError, match=r"there is no model directory \./nowhere"):
        from_pretrained("./nowhere")
    (tmp_path / "w.pth").write_text("")
    with pytest.raises(CheckpointError, match="is a file; from_pretrained takes a folder"):
        from_pretrained(tmp_path / "w.pth")


def test_damaged_weights_are_named(tmp_path):
    save_pretrained(build(), tmp_path)
    file = tmp_path / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-10])
    with pytest.raises(CheckpointError, match="not a safetensors file or is damaged"):
        from_pretrained(tmp_path)


def test_directory_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(CheckpointError, match="cannot write a model to"):
        save_pretrained(build(), tmp_path / "file" / "model")


def test_saving_over_a_model_never_leaves_half(tmp_path, monkeypatch):
    import segloom.models.weights.checkpoint as checkpoint

    save_pretrained(build(), tmp_path, LABELS)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def fail(*_, **__):
        raise OSError("disk full")

    monkeypatch.setattr("segloom.models.weights.checkpoint.save_file", fail)
    with pytest.raises(CheckpointError, match="disk full"):
        checkpoint.save_pretrained(build("fpn"), tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


class FakeHub(BaseHTTPRequestHandler):
    """The few requests by which a hub takes and gives files."""

    repositories: ClassVar[dict] = {}

    def log_message(self, *_):
        pass

    def answer(self, content, code=200, **headers):
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(code)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path == "/api/repos/create":
            asked = json.loads(body)
            name = f"{asked.get('organization') or 'me'}/{asked['name']}"
            self.repositories.setdefault(name, {})
            self.answer({"url": f"http://{self.headers['Host']}/{name}"})
        elif self.path == "/api/validate-yaml":
            self.answer({"errors": [], "warnings": []})
        elif "/preupload/" in self.path:
            files = json.loads(body)["files"]
            mode = {"uploadMode": "regular", "shouldIgnore": False}
            self.answer({"files": [{"path": f["path"], **mode} for f in files]})
        elif "/commit/" in self.path:
            repository = "/".join(self.path.split("/")[3:5])
            for line in map(json.loads, body.splitlines()):
                if line["key"] == "file":
                    value = line["value"]
                    content = base64.b64decode(value["content"])
                    self.repositories[repository][value["path"]] = content
            url = f"http://{self.headers['Host']}/{repository}/commit/{'0' * 40}"
            self.answer({"success": True, "commitOid": "0" * 40, "commitUrl": url})
        else:
            self.answer({}, 404)

    def do_GET(self):
        parts = self.path.partition("?")[0].strip("/").split("/")
        api = parts[:2] == ["api", "models"]
        name = "/".join(parts[2:4] if api else parts[:2])
        files = self.repositories.get(name)
        if files is None:
            self.answer({}, 404, X_Error_Code="RepoNotFound")
        elif api:
            siblings = [{"rfilename": path} for path in files]
            tree = [
                {"type": "file", "path": p, "size": len(c), "oid": "1" * 40}
                for p, c in files.items()
            ]
            whole = {"id": name, "sha": "0" * 40, "siblings": siblings}
            self.answer(tree if "tree" in parts else whole)
        elif parts[-1] in files:
            content = files[parts[-1]]
            self.answer(content, X_Repo_Commit="0" * 40, ETag=f'"{abs(hash(content)):x}"')
        else:
            self.answer({}, 404, X_Error_Code="EntryNotFound")

    do_HEAD = do_GET  # noqa: N815 - the server's own naming


@pytest.fixture
def fake_hub(monkeypatch, tmp_path):
    from huggingface_hub import constants

    server = ThreadingHTTPServer(("127.0.0.1", 0), FakeHub)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    address = f"http://127.0.0.1:{server.server_port}"
    # What HF_ENDPOINT sets when the library is first imported.
    monkeypatch.setattr(constants, "ENDPOINT", address)
    template = address + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(FakeHub, "repositories", {})
    yield FakeHub.repositories
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_network_goes_to_a_hub_and_comes_back(fake_hub):
    model = build()
    address = push_to_hub(model, "someone/street", labels=LABELS, metrics={"mIoU": 1}, token="t")
    assert address.endswith("/someone/street/commit/" + "0" * 40)
    assert set(fake_hub["someone/street"]) >= {"model.safetensors", "config.json", "README.md"}
    loaded = from_pretrained("someone/street")
    image = torch.randn(1, 3, 32, 32)
    assert torch.equal(logits(loaded, image), logits(model, image))
    assert read_saved("someone/street").labels == LABELS


def test_encoder_weights_come_from_a_hub(fake_hub):
    saved = timm.create_model("test_vit")
    for parameter in saved.parameters():
        torch.nn.init.normal_(parameter)
    settings = timm.get_pretrained_cfg("test_vit")
    fake_hub[settings.hf_hub_id] = {"model.safetensors": save(saved.state_dict())}
    for architecture, place in (("unet", "encoder.model.blocks"), ("eomt", "decoder.blocks")):
        model = create_model(architecture, encoder_name="test_vit", encoder_weights="imagenet")
        last = max(name for name in model.state_dict() if name.startswith(place))
        number = len(saved.blocks) - 1
        name = f"blocks.{number}." + last.partition("blocks.")[2].partition(".")[2]
        assert torch.equal(model.state_dict()[last], saved.state_dict()[name])
        assert model.normalization[0] == pytest.approx(settings.mean)


def test_a_hub_without_the_model_gives_one_sentence(fake_hub):
    with pytest.raises(CheckpointError, match="someone/else is no folder here and could not be"):
        from_pretrained("someone/else")


def test_without_a_hub_uploading_gives_one_sentence(monkeypatch):
    from huggingface_hub import HfApi

    def refuse(*_, **__):
        raise ConnectionError("no route")

    monkeypatch.setattr(HfApi, "create_repo", refuse)
    with pytest.raises(CheckpointError, match=r"me/mine could not be uploaded \(no route\); check"):
        push_to_hub(build(), "me/mine")
