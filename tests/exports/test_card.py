"""The card of an export: what it says for every kind of finding, and its preview."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from segloom.exports import card
from segloom.exports.card import write_card
from segloom.exports.gate import Findings, GateLimits, ScoreCheck, SizeCheck
from segloom.exports.int8 import Floating
from segloom.exports.pictures import Example
from segloom.images.read import read_image
from segloom.runtime.description import Description
from segloom.types import LabelSet

LABELS = LabelSet(("road", "tree"), ((128, 64, 128), (0, 255, 0)))


class Network:
    """Says tree where the first channel is bright."""

    def label_map(self, pixels: np.ndarray) -> np.ndarray:
        return (pixels[..., 0] > 100).astype(np.uint8)


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Write a card and give its text; fields of the description and of the findings by name."""
    monkeypatch.setattr(card, "load_described", lambda folder, description: Network())

    def write(description: dict[str, Any] | None = None, **findings: Any) -> str:
        described = Description(
            **{
                "format": "onnx",
                "precision": "fp32",
                "file": "model.onnx",
                "network": "unet on resnet18",
                "mode": "multiclass",
                "labels": LABELS,
                "image_channels": 3,
                "edge_channels": 0,
                "mean": (0.5,) * 3,
                "std": (0.25,) * 3,
                "hu_window": (0.0, 80.0),
                "has_probabilities": False,
                "weights_sha256": "abc",
                "segloom_version": "1.2.3",
                **(description or {}),
            }
        )
        found = Findings(
            **{
                "source": "camvid val",
                "calibration": None,
                "device": "the CPU",
                "limits": GateLimits(),
                "sizes": [SizeCheck("1 x 64 x 96", 0.0000123, 0.999875)],
                "reduced_sizes": [],
                "scores": ScoreCheck(7, 1.0),
                "silent_enhancements": [],
                "disturbed_sizes": [],
                **findings,
            }
        )
        image = np.zeros((40, 60, described.num_channels), np.uint8)
        image[:, 30:] = 200
        write_card(tmp_path, described, found, [Example("first", image, None)])
        return (tmp_path / "README.md").read_text()

    return write


def test_the_head_says_what_goes_in_and_what_comes_out(write) -> None:
    lines = write().splitlines()
    assert lines[:3] == ["# unet on resnet18", "", "![preview](preview.png)"]
    assert "| File | `model.onnx` (onnx, fp32) |" in lines
    assert "| Weights | sha256 abc |" in lines
    assert "| Made by | segloom 1.2.3 |" in lines
    text = (
        "| Output | `labels`: uint8 (batch, height, width); `logits`: float32 (batch, classes, "
        "height, width)"
    )
    assert f"{text} |" in lines
    assert f"{text}; `probabilities`: likewise |" in write({"has_probabilities": True}).splitlines()
    assert "uint8 (batch, height, width, 4), any size" in write({"edge_channels": 1})


def test_classes_have_their_numbers_and_colours(write) -> None:
    text = write()
    assert "| 0 | road | 128, 64, 128 |\n| 1 | tree | 0, 255, 0 |\n" in text


def test_sizes_show_the_error_in_two_digits_and_equal_labels_in_six(write) -> None:
    lines = write().splitlines()
    assert "| 1 x 64 x 96 | 1.2e-05 | 99.9875 % |" in lines
    assert "On images of camvid val, run by the CPU." in lines
    for words in ("In fp32, before", "As it is:", "The ranges of values", "Without an effect"):
        assert words not in "\n".join(lines)


def test_a_reduced_file_is_shown_after_the_one_in_fp32(write) -> None:
    reduced = SizeCheck("1 x 64 x 96", 0.5, 0.75)
    text = write(reduced_sizes=[reduced], calibration="camvid train")
    places = [
        text.index(words)
        for words in (
            "The ranges of values are those of images of camvid train.",
            "In fp32, before its precision was reduced:",
            "| 1.2e-05 | 99.9875 % |",
            "As it is:",
            "| 5.0e-01 | 75.0000 % |",
        )
    ]
    assert places == sorted(places)


@pytest.mark.parametrize(
    ("floating", "is_said"), [(None, False), (Floating([]), False), (Floating(["b", "a"]), True)]
)
def test_layers_that_stay_in_floating_point_are_listed_the_worst_first(
    write, floating: Floating | None, is_said: bool
) -> None:
    text = write(floating=floating)
    assert ("since they lose too much in 8 bits:\n\n- b\n- a\n" in text) == is_said
    assert ("In floating point stay" in text) == is_said


def test_silent_enhancements_are_named_with_their_second_comparison(write) -> None:
    disturbed = [SizeCheck("2 x 8 x 8", 0.25, 0.5)]
    text = write(silent_enhancements=["afma", "celt"], disturbed_sizes=disturbed)
    assert "compared once more with other weights: afma, celt." in text
    assert text.index("afma, celt") < text.index("| 2 x 8 x 8 | 2.5e-01 | 50.0000 % |")


@pytest.mark.parametrize("scores", [{}, {"network": 0.5}, {"exported": 0.5}])
def test_without_labels_there_is_no_score(write, scores: dict[str, float]) -> None:
    text = write(scores=ScoreCheck(7, 0.99995, **scores))
    assert "Over 7 images 99.9950 % equal labels." in text
    assert text.endswith("Nobody labelled them, so there is no score.\n")


def test_scores_of_the_network_stand_before_those_of_the_file(write) -> None:
    per_class = {"road": [0.5, 0.25], "tree": [1.0, 0.75]}
    text = write(scores=ScoreCheck(7, 0.9, 0.75, 0.0, per_class))
    assert "mIoU 75.00 % by the network and 0.00 % by the file." in text
    assert "| road | 50.00 % | 25.00 % |\n| tree | 100.00 % | 75.00 % |\n" in text


def test_the_preview_shows_the_image_its_prediction_and_both(write, tmp_path: Path) -> None:
    write()
    found = {tuple(color) for color in read_image(tmp_path / "preview.png").reshape(-1, 3).tolist()}
    assert {(0, 0, 0), (200, 200, 200)} <= found  # the image
    assert {(128, 64, 128), (0, 255, 0)} <= found  # the classes
    assert {(64, 32, 64), (100, 228, 100)} <= found  # half of each
