"""The profile of labels against hand-made maps, the rules on it, and the plan that is written."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import yaml
from PIL import Image

from segloom.cli.compare import _read_plan
from segloom.cli.main import main
from segloom.comparison.suggest.profile import profile_labels
from segloom.comparison.suggest.proposal import suggest, suggested_plan
from segloom.config import RunConfig
from segloom.config.data import DataConfig
from segloom.data import build_dataset
from segloom.errors import ConfigError

CLASSES = ("ground", "dot", "block", "never")


@pytest.fixture
def root(tmp_path):
    """Two maps of 80 x 100: a block of 20 x 60 (1200 px), two dots of 4 x 4, a row of void."""
    mask = np.zeros((80, 100), np.uint8)
    mask[0] = 255
    mask[10:30, 20:80] = 2
    mask[50:54, 10:14] = mask[50:54, 30:34] = 1
    for split in ("train", "val", "test"):
        for index in range(2):
            for kind, pixels in (("images", np.zeros((80, 100, 3), np.uint8)), ("masks", mask)):
                folder = tmp_path / "data" / split / kind
                folder.mkdir(parents=True, exist_ok=True)
                Image.fromarray(pixels).save(folder / f"{index}.png")
    return tmp_path / "data"


@pytest.fixture
def profile(root):
    data = DataConfig(root=root, classes=CLASSES, cache=False)
    return profile_labels(build_dataset(data, "train"))


def test_profile_counts_objects_their_sizes_and_outlines(profile):
    ground = 79 * 100 - 1200 - 32
    assert (profile.num_images, profile.total_images) == (2, 2)
    assert profile.image_size == (80, 100)
    assert profile.pixels.tolist() == [2 * ground, 2 * 32, 2 * 1200, 0]
    assert profile.objects.tolist() == [[0, 0, 0, 2], [4, 0, 0, 0], [0, 0, 2, 0], [0, 0, 0, 0]]
    assert profile.small_shares.tolist() == [0, 1, 0, 0]
    assert profile.small_objects == 4 / 8
    assert profile.large_share == pytest.approx(ground / 7900)
    assert profile.void_share == pytest.approx(1 / 80)
    # A dot has 12 pixels at its outline and 16 around it; the block 2 * 20 + 2 * 58, and 2 * 80.
    assert profile.contour.tolist() == [2 * (2 * 16 + 160), 2 * 2 * 12, 2 * 156, 0]


def test_images_are_taken_evenly(root):
    data = DataConfig(root=root, classes=CLASSES, cache=False)
    profile = profile_labels(build_dataset(data, "train"), limit=1)
    assert (profile.num_images, profile.total_images) == (1, 2)


def config(architecture="fpn", **loss):
    return RunConfig.model_validate(
        {"model": {"architecture": architecture, "encoder_weights": None}, "loss": loss}
    )


def test_suggestions_follow_the_rules_and_the_network(profile):
    found = {item.name: item for item in suggest(profile, config())}
    assert list(found) == [
        "afma",
        "dilation",
        "edge_supervision",
        "fem",
        "fam",
        "loss.class_weights log, loss.class_weight_power 0.5",
        "data.classes",
    ]
    assert "50 % of the objects" in found["afma"].evidence
    assert "dot 100 %" in found["afma"].evidence
    assert "dot 0.41 %" in found["loss.class_weights log, loss.class_weight_power 0.5"].evidence
    assert "never" in found["data.classes"].evidence
    names = {item.name for item in suggest(profile, config("unet", class_weights="log"))}
    assert names == {"afma", "dilation", "edge_supervision", "data.classes"}


def test_nothing_is_suggested_without_evidence(profile):
    plain = replace(
        profile,
        classes=("ground",),
        pixels=np.array([1000]),
        objects=np.array([[0, 0, 1, 0]]),
        object_pixels=np.array([[0, 0, 1000, 0]]),
        contour=np.array([19]),
    )
    assert suggest(plain, config()) == []
    with pytest.raises(ConfigError, match="suggest no enhancement"):
        suggested_plan("folder", config(), [])


def test_command_writes_a_plan_that_compare_reads(root, tmp_path, capsys):
    file = tmp_path / "plan.yaml"
    options = ["--data.root", str(root), "--data.classes", *CLASSES]
    options += ["--model.enhancements", "se:place=skips"]  # a plan compares with the plain network
    assert main(["plan", "folder", *options, "--out", str(file)]) == 0
    printed = capsys.readouterr().out
    assert "2 of 2 label maps, 80 x 100 pixels" in printed
    assert "These are hypotheses" in printed
    plan, _ = _read_plan([str(file)])
    assert plan.enhancements[:2] == ("none", "afma")
    assert plan.enhancements[-1] == "control"
    assert plan.seeds == (0, 1, 2)
    assert plan.recipes["folder"].data.root == root
    assert plan.recipes["folder"].model.enhancements == ()
    assert yaml.safe_load(file.read_text())["baseline"] == "none"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "name a recipe"),
        (["demo", "--limit", "none"], "--limit is a number"),
        (["demo", "--out"], "--out needs a value"),
        (["deno"], "did you mean 'demo'"),
        (["folder", "--data.root", "nowhere"], "nowhere"),
    ],
)
def test_wrong_words_are_one_sentence(words, message, capsys):
    assert main(["plan", *words]) == 2
    errors = capsys.readouterr().err
    assert message in errors
    assert "Traceback" not in errors
