"""`segloom edges` writes a grey PNG per photograph, goes on after a stop, and names bad files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import nn

from segloom.cli.main import main
from segloom.enhancements.hed.network import HedNetwork
from segloom.inference.hed import EdgeFinder


def write_weights(path: Path, seed: int) -> Path:
    torch.manual_seed(seed)
    network = HedNetwork()
    for name, parameter in network.named_parameters():
        if name.startswith("score_dsn"):
            nn.init.normal_(parameter, std=5e-4)
    save_file(network.state_dict(), path)
    return path


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_weights(tmp_path_factory.mktemp("hed") / "hed.safetensors", 0)


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for name, size in (("a.jpg", (20, 31)), ("sub/b.png", (17, 18)), ("sub/c.png", (5, 3))):
        path = tmp_path / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (*size, 3), dtype=np.uint8)).save(path)
    return tmp_path / "in"


def find(weights: Path, source: Path, out: Path) -> int:
    words = ["--weights", str(weights), "--in", str(source), "--out", str(out)]
    return main(["edges", *words, "--geometry", "simple"])


def test_every_photograph_gives_grey_edges_of_its_name_and_size(
    weights: Path, photographs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "edges"
    assert find(weights, photographs, out) == 0
    assert "3 written, 0 there already; edges in" in capsys.readouterr().out
    for name in ("a.png", "sub/b.png", "sub/c.png"):
        with Image.open(out / name) as edges:
            assert edges.mode == "L"
            (photograph,) = photographs.glob(f"{name[:-4]}.*")
            with Image.open(photograph) as image:
                assert edges.size == image.size
    with Image.open(photographs / "sub" / "b.png") as image:
        pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1)[None].float()
    network = HedNetwork("simple")
    network.load_state_dict(load_file(weights))
    with torch.no_grad():
        expected = 255 * network.edges(pixels)[0, 0].numpy()
    with Image.open(out / "sub" / "b.png") as edges:
        assert np.abs(np.array(edges) - expected).max() <= 0.51


def test_only_what_is_new_or_changed_is_made_again(
    weights: Path, photographs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = photographs / "edges"  # within the images: must not be taken for images
    find(weights, photographs, out)
    (out / "a.png").unlink()
    (out / "sub" / "c.png").write_bytes(b"cut short")
    capsys.readouterr()
    assert find(weights, photographs, out) == 0
    assert "2 written, 1 there already" in capsys.readouterr().out
    Image.new("RGB", (9, 9)).save(photographs / "sub" / "b.png")
    assert find(weights, photographs, out) == 0
    assert "1 written, 2 there already" in capsys.readouterr().out
    assert find(write_weights(tmp_path / "other.safetensors", 1), photographs, out) == 0
    assert "3 written, 0 there already" in capsys.readouterr().out
    assert not list(out.rglob(".*")), "temporary files were left"


def test_a_picture_of_the_user_is_not_replaced(
    weights: Path, photographs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    drawn = photographs / "edges" / "a.png"
    drawn.parent.mkdir()
    Image.new("L", (7, 7), 255).save(drawn)
    before = drawn.read_bytes()
    assert find(weights, photographs, drawn.parent) == 1
    assert "a.png was not written by `segloom edges`" in capsys.readouterr().err
    assert drawn.read_bytes() == before


def test_a_bad_file_gives_one_sentence_and_the_rest_is_made(
    weights: Path, photographs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (photographs / "bad.png").write_text("no image")
    whole = (photographs / "sub" / "b.png").read_bytes()
    (photographs / "cut.png").write_bytes(whole[: len(whole) // 2])
    assert find(weights, photographs, tmp_path / "edges") == 1
    output = capsys.readouterr()
    assert "3 written, 0 there already, 2 failed" in output.out
    bad, cut = output.err.strip().splitlines()
    assert "bad.png is not an image of a known format" in bad
    assert "cut.png is damaged or cut short" in cut
    assert not (tmp_path / "edges" / "cut.png").exists()


def test_wrong_folders_are_named(
    weights: Path, photographs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert find(weights, photographs, photographs) == 2
    assert "the edges would replace the images" in capsys.readouterr().err
    assert find(weights, tmp_path / "none", tmp_path / "edges") == 2
    assert "is not a folder; give the folder of the images" in capsys.readouterr().err
    Image.new("RGB", (9, 9)).save(photographs / "a.png")
    assert find(weights, photographs, tmp_path / "edges") == 2
    assert "would both become" in capsys.readouterr().err
    (tmp_path / "file").write_text("")
    (photographs / "a.png").unlink()
    assert find(weights, photographs, tmp_path / "file") == 2
    assert "cannot write" in capsys.readouterr().err
    assert main(["edges"]) == 2


def test_windows_of_a_large_image_give_what_the_whole_gives(weights: Path) -> None:
    image = np.random.default_rng(0).integers(0, 256, (64, 1200, 3), dtype=np.uint8)
    image[:, 600:900] = 90
    whole, windows = EdgeFinder(weights), EdgeFinder(weights, whole_limit=0)
    difference = windows.edges(image).astype(int) - whole.edges(image)
    assert np.abs(difference).max() <= 1
