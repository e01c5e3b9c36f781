"""``segloom predict`` labels what it can, says what it could not, and returns the right code."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segloom.cli.main import main
from segloom.models import create_model
from segloom.models.weights.checkpoint import save_pretrained
from segloom.types import LabelSet


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("run")
    model = create_model("fpn", encoder_name="tu-test_resnet", classes=2)
    labels = LabelSet(("road", "car"), ((128, 64, 128), (0, 0, 142)))
    save_pretrained(model, path / "checkpoints" / "best", labels)
    return path


@pytest.fixture
def images(tmp_path: Path) -> Path:
    for name in ("a.png", "left/b.png", "right/b.png"):
        path = tmp_path / "images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(0).integers(0, 256, (40, 48, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(path)
    return tmp_path / "images"


def test_folder_is_labelled(
    run: Path, images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert main(["predict", str(run), str(images), "--out", str(out)]) == 0
    assert "3 predicted in" in capsys.readouterr().out
    names = {path.name for path in out.glob("*_label.png")}
    assert names == {"a_label.png", "left-b_label.png", "right-b_label.png"}
    assert len(list(out.glob("[!.]*"))) == 9


def test_damaged_file_gives_code_1_and_its_name_at_the_end(
    run: Path, images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (images / "bad.png").write_text("no image")
    assert main(["predict", str(run), str(images), "--out", str(tmp_path / "out")]) == 1
    output = capsys.readouterr()
    assert "3 predicted, 1 failed" in output.out
    (line,) = output.err.strip().splitlines()
    assert line.startswith("segloom: ")
    assert "bad.png is not an image of a known format" in line


def test_json_has_an_entry_per_file(
    run: Path, images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (images / "bad.png").touch()
    words = ["predict", str(run), str(images / "*.png"), "--out", str(tmp_path / "out"), "--json"]
    assert main([*words, "--no-overlay", "--probabilities", "True", "--inference.flip"]) == 1
    summary = json.loads(capsys.readouterr().out)
    assert summary["classes"] == ["road", "car"]
    assert summary["failed"] == 1
    good, bad = summary["files"]
    assert good["size"] == [40, 48]
    assert set(good["written"]) == {"label", "palette", "probabilities"}
    assert sum(good["shares"].values()) == pytest.approx(1)
    assert "bad.png is empty" in bad["error"]


@pytest.mark.parametrize("folder", [".", "out"])
def test_earlier_results_are_not_predicted(
    run: Path, images: Path, folder: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["predict", str(run), str(images), "--out", str(images / folder)]
    assert main([*words, "--montage"]) == 0
    assert main([*words, "--skip-existing"]) == 0
    assert "0 predicted, 3 skipped" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("sources", "message"),
    [
        ([], "name at least one image"),
        (["missing.png"], "missing.png does not exist"),
        (["*.nothing"], "holds no image"),
    ],
)
def test_nothing_to_predict_is_a_usage_error(
    run: Path, sources: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["predict", str(run), *sources]) == 2
    assert message in capsys.readouterr().err


def test_only_earlier_results_is_a_usage_error(
    run: Path, images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert main(["predict", str(run), str(images), "--out", str(out)]) == 0
    assert main(["predict", str(run), str(out), "--out", str(out)]) == 2
    assert "results of earlier predictions; name the images" in capsys.readouterr().err


def test_missing_run_is_a_usage_error(
    images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    assert main(["predict", str(tmp_path / "empty"), str(images)]) == 2
    assert "neither a run nor a model directory" in capsys.readouterr().err


def test_truth_adds_errors_and_says_how_much_is_right(
    run: Path, images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("a.png", "left/b.png", "right/b.png"):
        (tmp_path / "maps" / name).parent.mkdir(parents=True, exist_ok=True)
        ids = np.repeat(np.array([0, 1, 255, 255], np.uint8), 10 * 48).reshape(40, 48)
        Image.fromarray(ids).save(tmp_path / "maps" / name)
    words = ["predict", str(run), str(images), "--out", str(tmp_path / "out")]
    assert main([*words, "--truth", str(tmp_path / "maps"), "--json"]) == 0
    for entry in json.loads(capsys.readouterr().out)["files"]:
        assert Path(entry["written"]["errors"]).is_file()
        assert entry["void"] == 0.5
        shares = {"road": 0.0, "car": 0.0, **entry["shares"]}
        assert 0 <= entry["accuracy"] <= 1
        assert shares["road"] + shares["car"] == pytest.approx(1)
    (tmp_path / "maps" / "a.png").unlink()
    assert main([*words, "--truth", str(tmp_path / "maps")]) == 2
    assert "a.png has no label map of its name" in capsys.readouterr().err


def test_the_endings_of_images_and_truth(
    run: Path, images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (images / "a.png").rename(images / "a_rgb.png")
    for number, kind in enumerate(("ids", "old")):
        path = tmp_path / "truth" / f"a_gt_{kind}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(np.full((40, 48), number, np.uint8)).save(path)
    words = ["predict", str(run), str(images / "a_rgb.png"), "--out", str(tmp_path / "out")]
    endings = ["--image-ending", "_rgb", "--truth-ending", "_gt_ids"]
    assert main([*words, *endings]) == 2
    assert "name the folder of these with --truth DIR" in capsys.readouterr().err
    words += ["--truth", str(tmp_path / "truth")]
    assert main([*words, *endings[:2]]) == 2
    assert "has 2 label maps of its name" in capsys.readouterr().err
    assert main([*words, *endings, "--json"]) == 0
    (entry,) = json.loads(capsys.readouterr().out)["files"]
    assert entry["void"] == 0
    assert entry["accuracy"] == pytest.approx(entry["shares"].get("road", 0), abs=1e-6)


def test_slices_of_a_volume_are_seen_in_its_window(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    grey = np.random.default_rng(1).integers(0, 256, (40, 48), dtype=np.uint8)
    Image.fromarray(np.dstack([grey] * 3)).save(tmp_path / "same.png")
    np.save(tmp_path / "volume-1_1.npy", grey * np.float32(2) - 100)
    np.save(tmp_path / "volume-1_2.npy", np.zeros((4, 4, 2)))
    out = tmp_path / "out"
    words = ["predict", str(run), str(tmp_path / "*.npy"), str(tmp_path / "same.png")]
    window = ["--hu-window", "-100", "410", "--probabilities", "True"]
    assert main([*words, *window, "--out", str(out)]) == 1
    output = capsys.readouterr()
    assert "2 predicted, 1 failed" in output.out
    assert "a slice is (height, width) or has 1 or 3 channels" in output.err
    names = ("same", "volume-1_1")
    expected, found = (np.load(out / f"{n}_probabilities.npz")["probabilities"] for n in names)
    np.testing.assert_array_equal(found, expected)
    assert main(["predict", str(run), str(tmp_path), "--out", str(out / "folder")]) == 0
    assert not (out / "folder" / "volume-1_1_label.png").exists()


def test_the_overlay_is_tinted_or_outlined_as_asked(
    run: Path, images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["predict", str(run), str(images / "a.png"), "--no-palette"]
    shown = {}
    for name, more in (("bare", ["--alpha", "0"]), ("full", ["--alpha", "1"]), ("line", [])):
        out = tmp_path / name
        extra = more or ["--outline"]
        assert main([*words, "--out", str(out), *extra]) == 0
        shown[name] = np.asarray(Image.open(out / "a_overlay.png"))
    labels = np.asarray(Image.open(tmp_path / "bare" / "a_label.png"))
    image = np.asarray(Image.open(images / "a.png"))
    colors = np.array([(128, 64, 128), (0, 0, 142)], np.uint8)[labels]
    np.testing.assert_array_equal(shown["bare"], image)
    np.testing.assert_array_equal(shown["full"], colors)
    differs = (shown["line"] != image).any(-1)
    assert (shown["line"][differs] == colors[differs]).all()
    assert main([*words, "--out", str(tmp_path / "no"), "--alpha", "2"]) == 2
    assert "--alpha is a share from 0 to 1, not 2" in capsys.readouterr().err
