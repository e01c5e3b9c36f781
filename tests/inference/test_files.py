"""Files are predicted one by one; a bad one is reported and the rest go on."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segloom.config import InferenceConfig
from segloom.errors import ConfigError, SegloomError
from segloom.inference import Predictor, predict_files
from segloom.inference.files import result_names
from segloom.models import SegmentationModel
from segloom.types import LabelSet


@pytest.fixture(scope="module")
def predictor(model: SegmentationModel, labels: LabelSet) -> Predictor:
    return Predictor(model, labels, InferenceConfig(device="cpu"))


def save(path: Path, height: int = 40, width: int = 56) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.array(image)


def test_every_kind_of_result_is_written(tmp_path: Path, predictor: Predictor) -> None:
    file = save(tmp_path / "street.png")
    (result,) = predict_files(predictor, [file], tmp_path / "out", montage=True, probabilities=True)
    assert result.error is None
    assert result.size == (40, 56)
    assert sum(result.shares.values()) == pytest.approx(1, abs=1e-4)
    written = {path.name for path in (tmp_path / "out").iterdir()}
    kinds = ("label.png", "palette.png", "overlay.png", "montage.png", "probabilities.npz")
    assert written == {f"street_{kind}" for kind in kinds}
    assert {path.name for path in result.written.values()} == written
    labels = pixels(result.written["label"])
    with Image.open(result.written["palette"]) as palette:
        assert palette.mode == "P"
        np.testing.assert_array_equal(np.asarray(palette), labels)
    with np.load(result.written["probabilities"]) as archive:
        assert archive["probabilities"].dtype == np.float16
        assert archive["probabilities"].shape == (5, 40, 56)
        assert archive["classes"].tolist() == list(predictor.labels.classes)
        # float16 may round two classes to the same probability.
        assert (archive["probabilities"].argmax(0) == labels).mean() > 0.99


def test_damaged_files_are_reported_and_the_rest_go_on(
    tmp_path: Path, predictor: Predictor
) -> None:
    first, last = save(tmp_path / "a.png"), save(tmp_path / "z.png")
    (tmp_path / "b.png").write_text("no image")
    (tmp_path / "c.png").touch()
    cut = save(tmp_path / "d.jpg")
    cut.write_bytes(cut.read_bytes()[:300])
    files = [first, tmp_path / "b.png", tmp_path / "c.png", cut, tmp_path / "gone.png", last]
    results = list(predict_files(predictor, files, tmp_path / "out"))
    assert [result.error is None for result in results] == [True, False, False, False, False, True]
    for result in results[1:5]:
        assert str(result.image) in result.error
        assert not result.written
    assert {path.name.split("_")[0] for path in (tmp_path / "out").iterdir()} == {"a", "z"}


@pytest.mark.parametrize("size", [(1, 1), (3, 8000), (500, 2)])
def test_extreme_sizes_are_predicted(
    tmp_path: Path, predictor: Predictor, size: tuple[int, int]
) -> None:
    (result,) = predict_files(predictor, [save(tmp_path / "a.png", *size)], tmp_path, montage=True)
    assert result.error is None
    assert pixels(result.written["label"]).shape == size


def test_results_follow_the_exif_orientation(tmp_path: Path, predictor: Predictor) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (50, 30)).save(tmp_path / "a.jpg", exif=exif)
    (result,) = predict_files(predictor, [tmp_path / "a.jpg"], tmp_path)
    assert result.size == (50, 30)
    assert pixels(result.written["overlay"]).shape == (50, 30, 3)


def test_existing_results_are_skipped_on_request(tmp_path: Path, predictor: Predictor) -> None:
    done, new = save(tmp_path / "a.png"), save(tmp_path / "b.png")
    list(predict_files(predictor, [done], tmp_path / "out"))
    before = (tmp_path / "out" / "a_label.png").stat().st_mtime_ns
    results = list(predict_files(predictor, [done, new], tmp_path / "out", skip_existing=True))
    assert [result.skipped for result in results] == [True, False]
    assert (tmp_path / "out" / "a_label.png").stat().st_mtime_ns == before
    os.utime(done, (4e9, 4e9))  # the image was changed afterwards
    (again,) = predict_files(predictor, [done], tmp_path / "out", skip_existing=True)
    assert not again.skipped


def test_results_come_one_by_one(tmp_path: Path, predictor: Predictor) -> None:
    files = [save(tmp_path / name) for name in ("a.png", "b.png")]
    results = predict_files(predictor, files, tmp_path / "out")
    next(results)
    assert (tmp_path / "out" / "a_label.png").is_file()
    assert not (tmp_path / "out" / "b_label.png").exists()


def test_nothing_to_write_is_refused(tmp_path: Path, predictor: Predictor) -> None:
    with pytest.raises(ConfigError, match="nothing is to be written"):
        predict_files(predictor, [], tmp_path, label=False, palette=False, overlay=False)


def test_unwritable_folder_is_named(tmp_path: Path, predictor: Predictor) -> None:
    (tmp_path / "out").write_text("a file")
    with pytest.raises(SegloomError, match=r"cannot write to .*out .*choose another folder"):
        list(predict_files(predictor, [save(tmp_path / "a.png")], tmp_path / "out"))


@pytest.mark.parametrize(
    ("files", "names"),
    [
        (["x/a.png", "x/b.png"], ["a", "b"]),
        (["x/a.png", "y/a.png", "y/b.png"], ["x-a", "y-a", "b"]),
        (["p/x/a.png", "q/x/a.png"], ["p-x-a", "q-x-a"]),
        (["x/a.png", "x/a.jpg"], ["r-x-a_png", "r-x-a_jpg"]),
        (["x/a.png", "y/A.png"], ["x-a", "y-A"]),
        (["x/a.png", "y/a.png", "z/x-a.png"], ["r-x-a", "y-a", "r-z-x-a"]),
    ],
)
def test_equal_names_are_told_apart_by_folders(files: list[str], names: list[str]) -> None:
    assert result_names([Path("/r") / file for file in files]) == names


def test_names_are_unique_even_for_one_file_given_twice() -> None:
    names = result_names([Path("/r/a.png"), Path("/r/a.png"), Path("/r/a.jpg")])
    assert len({name.lower() for name in names}) == 3
