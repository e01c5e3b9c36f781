"""Very many images: found one by one, predicted by a pool of processes, never twice."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.onnx_files import colour_logits, write_export

from segloom.cli.main import main
from segloom.config import InferenceConfig
from segloom.errors import CheckpointError, ConfigError, DataError
from segloom.images.read import iter_images
from segloom.inference.pool import Batch, Worker, divide, own, owner_of, result_name
from segloom.prediction.options import PredictionOptions

LABEL = PredictionOptions(outputs=frozenset({"label"}), skip_existing=True)


def write_image(path: Path, seed: int = 0) -> np.ndarray:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (12, 16, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return pixels


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_export(tmp_path / "model")


def test_images_come_one_by_one_and_results_are_left_out(tmp_path: Path) -> None:
    names = ("b.png", "a.JPG", "deep/er/c.png", ".hidden/d.png", "out/e.png", "notes.txt")
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    found = iter_images(tmp_path, leave_out=tmp_path / "out")
    assert isinstance(found, Iterator)
    assert {path.relative_to(tmp_path).as_posix() for path in found} == set(names[:3])
    with pytest.raises(DataError, match="nowhere cannot be read"):
        next(iter_images(tmp_path / "nowhere"))


def test_batches_ask_for_no_more_files_than_they_hold(tmp_path: Path) -> None:
    asked: list[int] = []

    def files() -> Iterator[Path]:
        for number in range(5):
            asked.append(number)
            yield tmp_path / "a" / f"{number}.png"

    batches = divide(files(), tmp_path, 2)
    assert next(batches) == ["a/0.png", "a/1.png"]
    assert asked == [0, 1]
    assert list(batches) == [["a/2.png", "a/3.png"], ["a/4.png"]]


def test_results_are_named_after_the_image_unless_a_sibling_has_its_stem(tmp_path: Path) -> None:
    for name in ("street.jpg", "street.PNG", "tree.png", "scan.nii.gz"):
        (tmp_path / name).touch()
    named = [result_name(tmp_path / n) for n in ("street.jpg", "street.PNG", "tree.png")]
    assert named == ["street_jpg", "street_PNG", "tree"]
    assert result_name(tmp_path / "scan.nii.gz") == "scan"


def test_a_worker_predicts_what_is_missing_and_tells_the_rest(model: Path, tmp_path: Path) -> None:
    pixels = write_image(tmp_path / "images" / "a" / "one.png")
    (tmp_path / "images" / "broken.png").write_bytes(b"no image")
    worker = Worker(model, tmp_path / "images", tmp_path / "out", LABEL, InferenceConfig())
    done = worker.predict(["a/one.png", "broken.png"])
    assert (done.predicted, done.skipped) == (1, 0)
    ((name, reason),) = done.failures
    assert name == "broken.png"
    assert "broken.png" in reason
    with Image.open(tmp_path / "out" / "a" / "one_label.png") as labels:
        np.testing.assert_array_equal(labels, colour_logits(pixels).argmax(0))
    assert worker.predict(["a/one.png"]) == Batch(skipped=1)
    assert not list((tmp_path / "out").rglob(".segloom_results.jsonl"))  # no list of all files


def test_a_folder_of_something_else_is_not_taken(model: Path, tmp_path: Path) -> None:
    owner = owner_of(model, LABEL, InferenceConfig())
    own(tmp_path / "new", owner, overwrite=False)
    own(tmp_path / "new", owner, overwrite=False)  # to go on
    other = owner_of(model, LABEL, InferenceConfig(flip=True))
    with pytest.raises(ConfigError, match="results of another network or of other options"):
        own(tmp_path / "new", other, overwrite=False)
    own(tmp_path / "new", other, overwrite=True)
    write_image(tmp_path / "mine" / "a_label.png")
    for overwrite in (False, True):
        with pytest.raises(ConfigError, match="holds files that --engine ray did not write"):
            own(tmp_path / "mine", owner, overwrite=overwrite)
    with pytest.raises(CheckpointError):
        owner_of(tmp_path / "mine", LABEL, InferenceConfig())


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--table", "x.csv"], "--table does not go with --engine ray"),
        (["--edges", "x"], "--edges does not go with --engine ray"),
        ([], "--engine ray takes one folder of images"),
    ],
)
def test_what_does_not_go_with_ray_is_one_sentence(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], sentence: str
) -> None:
    write_image(image := tmp_path / "a.png")
    told = ["predict", str(model), str(image), "--out", str(tmp_path / "out"), "--engine", "ray"]
    assert main([*told, *words]) == 2
    assert sentence in capsys.readouterr().err
    assert main([*told[:-2], "--workers", "2"]) == 2
    assert "--workers and --address go with --engine ray" in capsys.readouterr().err


@pytest.mark.slow
def test_a_pool_predicts_a_folder_and_goes_on_where_it_stopped(model: Path, tmp_path: Path) -> None:
    pytest.importorskip("ray")
    for number in range(70):
        write_image(tmp_path / "images" / f"{number % 3}" / f"{number}.png", number)
    (tmp_path / "images" / "broken.png").write_bytes(b"no image")
    out = tmp_path / "images" / "out"  # its results are no images

    def run(*more: str) -> tuple[int, dict[str, float]]:
        words = ["predict", str(model), str(tmp_path / "images"), "--out", str(out)]
        words += ["--engine", "ray", "--workers", "2", "--json", *more]
        done = subprocess.run(
            [sys.executable, "-m", "segloom", *words],
            capture_output=True,
            text=True,
            env={**os.environ, "RAY_worker_niceness": "0"},
        )
        assert done.returncode in (0, 1), done.stderr
        return done.returncode, json.loads(done.stdout)

    code, counts = run()
    assert code == 1
    assert (counts["predicted"], counts["skipped"], counts["failed"]) == (70, 0, 1)
    assert counts["per_second"] > 0
    assert len(list(out.rglob("*_overlay.png"))) == 70
    with (out / "failures.csv").open(newline="") as file:
        assert [row["image"] for row in csv.DictReader(file)] == ["broken.png"]
    (out / "1" / "1_label.png").unlink()
    (tmp_path / "images" / "broken.png").unlink()
    code, counts = run()
    assert code == 0
    assert (counts["predicted"], counts["skipped"], counts["failed"]) == (1, 69, 0)
    assert not (out / "failures.csv").exists()
