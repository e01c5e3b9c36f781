"""A prediction never replaces what segloom did not write."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segloom.config import DataConfig, InferenceConfig
from segloom.errors import ConfigError
from segloom.inference import Predictor
from segloom.models import SegmentationModel
from segloom.prediction.files import predict_files
from segloom.prediction.ledger import LEDGER, Ledger
from segloom.prediction.options import PredictionOptions
from segloom.prediction.truth import find_truth
from segloom.types import LabelSet


@pytest.fixture(scope="module")
def predictor(model: SegmentationModel, labels: LabelSet) -> Predictor:
    return Predictor(model, labels, InferenceConfig(device="cpu"))


def street(folder: Path, name: str = "street") -> tuple[Path, Path]:
    """Save an image and the label map that a person drew, named like a result."""
    folder.mkdir(exist_ok=True)
    image, drawn = folder / f"{name}.png", folder / f"{name}_label.png"
    Image.fromarray(np.full((20, 30, 3), 90, np.uint8)).save(image)
    Image.fromarray(np.eye(20, 30, dtype=np.uint8)).save(drawn)
    return image, drawn


def test_a_label_map_of_the_user_is_not_replaced(tmp_path: Path, predictor: Predictor) -> None:
    image, drawn = street(tmp_path)
    before = drawn.read_bytes()
    with pytest.raises(ConfigError, match=r"street_label\.png would be replaced .*--overwrite"):
        predict_files(predictor, [image], tmp_path)
    assert drawn.read_bytes() == before
    assert not list(tmp_path.glob("*_palette.png"))
    list(predict_files(predictor, [image], tmp_path, PredictionOptions(overwrite=True)))
    assert drawn.read_bytes() != before


def test_the_truth_is_not_replaced_even_on_request(tmp_path: Path, predictor: Predictor) -> None:
    image, drawn = street(tmp_path)
    before = drawn.read_bytes()
    truth = find_truth(
        tmp_path, [image], predictor.labels, DataConfig(), image_ending="", truth_ending="_label"
    )
    with pytest.raises(ConfigError, match=r"street_label\.png .* is read as an image, ground"):
        predict_files(predictor, [image], tmp_path, PredictionOptions(truth=truth, overwrite=True))
    assert drawn.read_bytes() == before


def test_an_image_is_not_replaced_even_on_request(tmp_path: Path, predictor: Predictor) -> None:
    image, other = street(tmp_path)
    with pytest.raises(ConfigError, match="is read as an image"):
        predict_files(predictor, [image, other], tmp_path, PredictionOptions(overwrite=True))


def test_results_are_replaced_until_somebody_corrects_one(
    tmp_path: Path, predictor: Predictor
) -> None:
    image, drawn = street(tmp_path / "images")
    drawn.unlink()
    out = tmp_path / "out"
    list(predict_files(predictor, [image], out))
    list(predict_files(predictor, [image], out))  # its own results
    corrected = out / "street_label.png"
    Image.fromarray(np.zeros((20, 30), np.uint8)).save(corrected)
    with pytest.raises(ConfigError, match="was changed since"):
        predict_files(predictor, [image], out)
    assert corrected.read_bytes() != b""
    # What is up to date is passed over, so there is nothing to refuse.
    (result,) = predict_files(predictor, [image], out, PredictionOptions(skip_existing=True))
    assert result.skipped


def test_a_link_in_place_of_a_result_is_not_followed(tmp_path: Path, predictor: Predictor) -> None:
    image, drawn = street(tmp_path / "images")
    out = tmp_path / "out"
    out.mkdir()
    (out / "street_label.png").symlink_to(drawn)
    with pytest.raises(ConfigError, match="would be replaced"):
        predict_files(predictor, [image], out)


def test_a_kill_during_a_write_does_not_block_the_next_run(tmp_path: Path) -> None:
    target = tmp_path / "a_label.png"
    ledger = Ledger(tmp_path)
    work = ledger.writing([target])
    work.__enter__()
    target.write_bytes(b"written")  # and here the process ended
    assert Ledger(tmp_path).holds(target)
    Ledger(tmp_path).check([target], [])


def test_a_name_of_which_nothing_came_is_free_for_the_user(tmp_path: Path) -> None:
    target = tmp_path / "a_label.png"
    with Ledger(tmp_path).writing([target]):
        pass  # an image that could not be read
    target.write_bytes(b"drawn by hand")
    assert not Ledger(tmp_path).holds(target)


def test_a_failure_of_every_file_leaves_no_folder(tmp_path: Path, predictor: Predictor) -> None:
    image = tmp_path / "a.png"
    image.write_bytes(b"no image")
    (result,) = predict_files(predictor, [image], tmp_path / "out")
    assert "not an image" in str(result.error)
    assert not (tmp_path / "out").exists()


def test_a_torn_ledger_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    target = tmp_path / "a_label.png"
    with Ledger(tmp_path).writing([target]):
        target.write_bytes(b"result")
    with (tmp_path / LEDGER).open("a") as file:
        file.write('["b_label.png", "ab\n{}\n' + "[" * 50_000 + "\n")
    assert Ledger(tmp_path).holds(target)


def test_leftovers_of_a_killed_writer_are_removed(tmp_path: Path, predictor: Predictor) -> None:
    image, drawn = street(tmp_path / "images")
    drawn.unlink()
    out = tmp_path / "out"
    out.mkdir()
    old, new = out / ".segloom-abcd1234.png", out / ".segloom-efgh5678.png"
    old.touch()
    new.touch()
    os.utime(old, (1e9, 1e9))
    list(predict_files(predictor, [image], out))
    assert not old.exists()
    assert new.exists()  # perhaps of a program that runs now
