"""``segloom compare`` as a user meets it, on label maps that need no training."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from support.class_masks import write_split
from support.squares import write_squares

from segloom.cli.compare import _read_plan
from segloom.cli.main import main
from segloom.labels.pictures import write_label_png


@pytest.fixture
def folders(tmp_path, monkeypatch):
    """A data set of squares, and the label maps of two programs; the second one finds more."""
    monkeypatch.chdir(tmp_path)
    write_squares(tmp_path / "data", {"train": 1, "val": 1, "test": 4})
    for index in range(4):
        truth = np.asarray(Image.open(f"data/test/masks/{index}.png"))
        square = np.where(truth == 255, 0, truth).astype(np.uint8)
        write_label_png(tmp_path / "old" / f"{index}.png", square * np.uint8(index % 2))
        write_label_png(tmp_path / "new" / f"{index}.png", square)
    return tmp_path


DATA = ["--data.name", "folder", "--data.root", "data", "--data.classes", "ground", "square"]


def test_label_pngs_are_compared_from_the_command_line(folders, capsys):
    assert main(["compare", "old", "new", *DATA, "--data.cache", "False", "--out", "out"]) == 0
    shown = capsys.readouterr().out
    assert "new: no verdict: +" in shown
    assert "comparison.html" in shown
    html = (folders / "out" / "comparison.html").read_text(encoding="utf-8")
    assert html.count("<img ") == 2  # two of the four images changed
    assert "new against old" in html


def test_baseline_and_names_are_the_users(folders, capsys):
    words = ["compare", "a=old", "b=new", *DATA, "--data.no-cache", "--baseline", "b"]
    assert main([*words, "--pictures", "0"]) == 0
    html = (folders / "comparison" / "comparison.html").read_text(encoding="utf-8")
    assert "a against b" in html
    assert "<img " not in html


def test_overlapping_classes_are_compared_from_a_folder_per_class(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for present in write_split(tmp_path / "data", "test", 2).items():
        for folder, shift in (("old", 3), ("new", 0)):
            for name, mask in zip(("bar", "disc"), present[1], strict=True):
                moved = np.roll(mask, shift, axis=1).astype(np.uint8) * 255
                write_label_png(tmp_path / folder / name / f"{present[0]}.png", moved)
    data = ["--data.name", "folder", "--data.root", "data", "--data.no-cache"]
    data += ["--data.mask-format", "multilabel", "--data.classes", "bar", "disc"]
    assert main(["compare", "old", "new", *data]) == 0
    shown = capsys.readouterr().out
    assert "new: no verdict: +" in shown
    html = (tmp_path / "comparison" / "comparison.html").read_text(encoding="utf-8")
    assert html.count("<img ") == 2


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["old", "new"], "old is no run of segloom; for label PNGs name the truth"),
        (["old"], "a comparison of finished runs needs two or more"),
        (["old", "new", "--pictures", "-1"], "pictures is 0 (none) or more, not -1"),
        (["old", "gone", *DATA], "gone"),
    ],
)
def test_mistakes_are_one_sentence(folders, capsys, words, message):
    assert main(["compare", *words]) == 2
    complaint = capsys.readouterr().err
    assert message in complaint
    assert len(complaint.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("words", "seeds"),
    [(["0..2"], (0, 1, 2)), (["0,3"], (0, 3)), (["4", "7"], (4, 7)), (["5"], (5,))],
)
def test_seeds_are_taken_as_users_write_them(words, seeds):
    plan, _ = _read_plan(["demo", "--seeds", *words, "--enhancements", "none", "afma"])
    assert plan.seeds == seeds
    assert plan.enhancements == ("none", "afma")


@pytest.mark.parametrize("word", ["4..2", "x", "0..x", "-1"])
def test_seeds_that_cannot_be_meant_are_one_sentence(word, capsys):
    assert main(["compare", "demo", "--seeds", word]) == 2
    errors = capsys.readouterr().err
    assert "seeds" in errors
    assert "Traceback" not in errors


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--architectures", "unett,unet"], "did you mean 'unet'"),
        (["--enhancements", "none", "celt+afmma"], "did you mean 'afma'"),
        (["--enhancements", "none", "control=celt"], "no set celt"),
    ],
)
def test_misspelt_names_are_refused_before_anything_is_written(words, message, tmp_path, capsys):
    assert main(["compare", "demo", *words, "--out", str(tmp_path / "lab")]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "lab").exists()


def test_a_plan_without_recipes_is_not_taken_for_a_recipe(tmp_path, capsys):
    path = tmp_path / "plan.yaml"
    path.write_text("architectures: [unet]\nenhancements: [none, afma]\n")
    assert main(["compare", str(path), "--out", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert f"{path} has architectures as a plan, but no recipes; add recipes: with one" in error
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("words", [["--help"], ["folder", "-h"], ["a", "b", "--help"]])
def test_help_begins_with_what_can_be_compared(words, capsys):
    """Wherever the option stands: the list of options alone names no recipe."""
    with pytest.raises(SystemExit) as stop:
        main(["compare", *words])
    assert stop.value.code == 0
    shown = capsys.readouterr().out
    assert shown.startswith("usage: segloom compare RECIPE")
    assert "its own options (--data.root DIR) hold for all cells" in shown
    assert "--baseline" in shown
