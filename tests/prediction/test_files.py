"""Files are predicted one by one; a bad one is reported and the rest go on."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from segloom.config import InferenceConfig
from segloom.errors import ConfigError, SegloomError
from segloom.images.read import image_files
from segloom.inference import Predictor
from segloom.models import SegmentationModel
from segloom.prediction.files import predict_files, result_names
from segloom.prediction.ledger import LEDGER
from segloom.prediction.options import DEFAULT_OUTPUTS, PredictionOptions
from segloom.types import LabelSet

EVERYTHING = PredictionOptions(outputs=DEFAULT_OUTPUTS | {"montage", "probabilities"})


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
    (result,) = predict_files(predictor, [file], tmp_path / "out", EVERYTHING)
    assert result.error is None
    assert result.size == (40, 56)
    assert sum(result.shares.values()) == pytest.approx(1, abs=1e-4)
    written = {path.name for path in (tmp_path / "out").iterdir()} - {LEDGER}
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
    left = {path.name.split("_")[0] for path in (tmp_path / "out").glob("[!.]*")}
    assert left == {"a", "z"}


@pytest.mark.parametrize("size", [(1, 1), (3, 8000), (500, 2)])
def test_extreme_sizes_are_predicted(
    tmp_path: Path, predictor: Predictor, size: tuple[int, int]
) -> None:
    (result,) = predict_files(predictor, [save(tmp_path / "a.png", *size)], tmp_path, EVERYTHING)
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
    going_on = PredictionOptions(skip_existing=True)
    results = list(predict_files(predictor, [done, new], tmp_path / "out", going_on))
    assert [result.skipped for result in results] == [True, False]
    assert (tmp_path / "out" / "a_label.png").stat().st_mtime_ns == before
    os.utime(done, (4e9, 4e9))  # the image was changed afterwards
    (again,) = predict_files(predictor, [done], tmp_path / "out", going_on)
    assert not again.skipped


def test_results_come_one_by_one(tmp_path: Path, predictor: Predictor) -> None:
    files = [save(tmp_path / name) for name in ("a.png", "b.png")]
    results = predict_files(predictor, files, tmp_path / "out")
    next(results)
    assert (tmp_path / "out" / "a_label.png").is_file()
    assert not (tmp_path / "out" / "b_label.png").exists()


def test_nothing_to_write_is_refused(tmp_path: Path, predictor: Predictor) -> None:
    with pytest.raises(ConfigError, match="nothing is to be written"):
        predict_files(predictor, [], tmp_path, PredictionOptions(outputs=frozenset({"errors"})))


def test_unwritable_folder_is_named(tmp_path: Path, predictor: Predictor) -> None:
    (tmp_path / "out").write_text("a file")
    with pytest.raises(SegloomError, match=r"cannot write to .*out: .*choose another folder"):
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


def test_a_long_name_stops_nothing(tmp_path: Path, predictor: Predictor) -> None:
    """`L...L_palette.png` has 247 bytes; a temporary name may not be longer than that."""
    fits, too_long = save(tmp_path / f"{'L' * 235}.png"), save(tmp_path / f"{'M' * 245}.png")
    last = save(tmp_path / "z.png")
    results = list(predict_files(predictor, [fits, too_long, last], tmp_path / "out"))
    assert [result.error is None for result in results] == [True, False, True]
    assert "too long a name" in str(results[1].error)
    assert not list((tmp_path / "out").glob("M*"))


def test_what_is_no_file_is_an_entry_with_its_reason(tmp_path: Path, predictor: Predictor) -> None:
    """A pipe must not be opened: nobody writes to it, so that reading would wait for ever."""
    save(tmp_path / "in" / "a.png")
    (tmp_path / "in" / "dir.png").mkdir()
    os.mkfifo(tmp_path / "in" / "pipe.png")
    os.mkfifo(tmp_path / "in" / "pipe.nii.gz")
    (tmp_path / "in" / "lost.png").symlink_to("nowhere.png")
    (tmp_path / "in" / "loop.png").symlink_to("loop.png")
    files = image_files([tmp_path / "in", tmp_path / "in" / "pipe.png"])
    assert image_files([tmp_path / "in" / "lost.png"]) == [tmp_path / "in" / "lost.png"]
    results = {r.image.name: r for r in predict_files(predictor, files, tmp_path / "out")}
    names = {"a.png", "dir.png", "pipe.png", "pipe.nii.gz", "lost.png", "loop.png"}
    assert set(results) == names
    assert {name for name, result in results.items() if result.error is None} == {"a.png"}
    assert "is a link to nowhere.png, which does not exist" in str(results["lost.png"].error)
    assert "is no regular file" in str(results["pipe.png"].error)
    assert "is no regular file" in str(results["pipe.nii.gz"].error)
    assert "is a folder" in str(results["dir.png"].error)


def test_running_out_of_memory_is_the_error_of_one_image(
    tmp_path: Path, predictor: Predictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    large, small = save(tmp_path / "a.png", 90, 90), save(tmp_path / "b.png")
    answer = Predictor.label_map

    def label_map(self: Predictor, image: np.ndarray) -> np.ndarray:
        if image.shape[0] == 90:
            raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: 9 bytes")
        return answer(self, image)

    monkeypatch.setattr(Predictor, "label_map", label_map)
    results = list(predict_files(predictor, [large, small], tmp_path / "out"))
    assert "memory" in str(results[0].error)
    assert results[1].error is None


def test_a_full_disk_is_one_sentence_and_leaves_nothing_half_written(
    tmp_path: Path, predictor: Predictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", full)
    file = tmp_path / "a.png"
    file.write_bytes(png())
    with pytest.raises(SegloomError, match=r"cannot write to .*out: the disk is full"):
        list(predict_files(predictor, [file], tmp_path / "out"))
    assert not list((tmp_path / "out").glob("*.png"))
    assert not list((tmp_path / "out").glob(".segloom-*"))


def png() -> bytes:
    done, content = cv2.imencode(".png", np.zeros((8, 8, 3), np.uint8))
    assert done
    return content.tobytes()
