"""A whole comparison: its cells, its files, and going on with one that was begun."""

from __future__ import annotations

import csv
import json
import shutil

import numpy as np
import pytest
from PIL import Image

from segloom.comparison import compare, compare_runs
from segloom.comparison.cells.cell import OUTCOME, claim, outcome
from segloom.comparison.cells.plan import make_cells, read_plan
from segloom.comparison.cells.rounds import plan_looks
from segloom.comparison.cells.status import read_status
from segloom.errors import ConfigError, DataError


def test_every_cell_is_trained_tested_and_costed(finished):
    cells = make_cells(read_plan(finished), finished)
    assert len(cells) == 4
    for cell in cells:
        found = outcome(cell)
        assert found["state"] == "done"
        metrics = json.loads((cell.path / "eval/test/metrics.json").read_text())
        assert found["scores"] == metrics["scores"]
        assert found["parameters"] == metrics["model"]["num_parameters"]
        assert found["multiply_adds"] > 0
        assert found["latency_seconds"] > 0
        assert found["train_memory_gib"] > 0
        assert len(list((cell.path / "eval/test/predictions").glob("*.png"))) == 4


def test_comparison_says_what_the_runs_say(finished):
    values = json.loads((finished / "comparison.json").read_text())
    (group,) = values["groups"]
    none, celt = group["rows"]
    assert (none["variant"], celt["variant"]) == ("none", "celt")
    for row in (none, celt):
        for index, run in enumerate(row["runs"]):
            folder = finished / "cells" / run["name"] / "eval" / "test"
            scores = json.loads((folder / "metrics.json").read_text())["scores"]
            for name in ("mIoU", "aAcc", "mDice"):
                assert row["scores"][name]["values"][index] == pytest.approx(scores[name])
    (pair,) = group["pairs"]
    gain = celt["scores"]["mIoU"]["mean"] - none["scores"]["mIoU"]["mean"]
    assert pair["scores"]["mIoU"]["difference"] == pytest.approx(gain)
    low, high = pair["scores"]["mIoU"]["interval"]
    assert low < gain < high
    assert values["conditions"]["seeds"] == [0, 1]
    assert values["conditions"]["protocols"]["squares"]["data"]["batch_size"] == 2
    assert "Void pixels" in values["conditions"]["policy"]


def test_tables_hold_every_run_and_every_difference(finished):
    with (finished / "table.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["variant"], row["seed"], row["state"]) for row in rows] == [
        ("none", "0", "done"),
        ("none", "1", "done"),
        ("celt", "0", "done"),
        ("celt", "1", "done"),
    ]
    with (finished / "differences.csv").open() as file:
        scores = {row["score"] for row in csv.DictReader(file)}
    assert {"mIoU", "IoU.square", "IoU.size < 64 px", "bIoU@0.0075"} <= scores
    assert "| celt |" in (finished / "table.md").read_text()
    latex = (finished / "table.tex").read_text()
    assert latex.count(r"\\") == 4
    assert r"tu-test\_resnet" in latex


def test_what_is_done_is_not_done_again(finished, plan, tmp_path):
    folder = tmp_path / "lab"
    shutil.copytree(finished, folder)
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*.safetensors")}
    result = compare(plan(seeds=(0, 1, 2)), folder, engine="inline")
    after = {path: path.stat().st_mtime_ns for path in folder.rglob("*.safetensors")}
    assert before.items() <= after.items()
    assert len(after) > len(before)
    assert result.values["groups"][0]["pairs"][0]["seeds"] == [0, 1, 2]


def test_seeds_are_added_until_decided_and_the_plan_keeps_its_first_ones(finished, plan, tmp_path):
    folder = tmp_path / "lab"
    shutil.copytree(finished, folder)
    options = {"seeds": (0, 1), "until_decided": True, "max_seeds": 3}
    result = compare(plan(**options), folder, engine="inline", pictures=0)
    (pair,) = result.result.groups[0].pairs
    rounds = json.loads((folder / "rounds.json").read_text())
    looks = plan_looks(plan(**options), 0.05)
    # Two seeds of a net of one epoch may or may not decide it; either way the rules hold.
    assert pair.seeds in ([0, 1], [0, 1, 2])
    assert rounds["seeds"] == pair.seeds
    assert result.result.level == looks[len(pair.seeds) - 2].level
    assert read_plan(folder).seeds == (0, 1)
    assert len(result.table) == len(pair.scores)
    assert "mIoU" in {row["score"] for row in result.table}
    assert "celt" in result._repr_markdown_()
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*.safetensors")}
    again = compare(plan(**options), folder, engine="inline", pictures=0)
    assert again.result.groups == result.result.groups
    after = {path: path.stat().st_mtime_ns for path in folder.rglob("*.safetensors")}
    assert before == after


def test_runs_may_be_named_by_a_mapping(finished, tmp_path):
    cells = sorted((finished / "cells").glob("*-seed?"))
    named = {
        "plain": [path for path in cells if "-none-" in path.name],
        "mine": [path for path in cells if "-celt-" in path.name],
    }
    found = compare_runs(named, tmp_path / "out", baseline="plain", pictures=0)
    (pair,) = found.result.groups[0].pairs
    assert (pair.variant, pair.baseline, pair.seeds) == ("mine", "plain", [0, 1])


def test_cell_that_cannot_be_built_has_its_cause_in_the_table(plan, tmp_path):
    result = compare(plan(enhancements=("none", "fam")), tmp_path / "lab", engine="inline")
    row = result.values["groups"][0]["rows"][1]
    assert row["missing"][0]["state"] == "failed"
    assert "take architecture fpn or upernet" in row["missing"][0]["cause"]
    assert result.values["groups"][0]["pairs"][0]["verdict"] == "not compared"
    assert "fam-seed0: failed." in (tmp_path / "lab" / "table.md").read_text()
    (cell,) = [
        c for c in make_cells(read_plan(tmp_path / "lab"), tmp_path / "lab") if c.variant == "fam"
    ]
    assert (cell.path / OUTCOME).is_file()


def test_image_that_is_cut_short_fails_its_cells_and_names_the_file(recipe, plan, tmp_path):
    root = tmp_path / "data"
    shutil.copytree(recipe.data.root, root)
    image = root / "test" / "images" / "2.png"
    image.write_bytes(image.read_bytes()[:200])
    data = recipe.data.model_copy(update={"root": root, "cache": False})
    broken = recipe.model_copy(update={"data": data})
    folder = tmp_path / "lab"
    result = compare(plan(recipes={"squares": broken}), folder, engine="inline")
    causes = [
        cell["cause"] for row in result.values["groups"][0]["rows"] for cell in row["missing"]
    ]
    assert len(causes) == 2
    assert all("2.png" in cause for cause in causes)
    # Mended, the same command trains nothing again: it only tests.
    shutil.copy(recipe.data.root / "test" / "images" / "2.png", image)
    trained = {path: path.stat().st_mtime_ns for path in folder.rglob("trainer.ckpt")}
    result = compare(plan(recipes={"squares": broken}), folder, engine="inline")
    assert all(row["seeds"] == [0] for row in result.values["groups"][0]["rows"])
    assert trained == {path: path.stat().st_mtime_ns for path in folder.rglob("trainer.ckpt")}


def test_status_reads_a_folder_while_others_work(finished, plan, tmp_path):
    folder = tmp_path / "lab"
    shutil.copytree(finished, folder)
    cells = make_cells(plan(seeds=(0, 1, 2)), folder)
    (cells[2].path / OUTCOME).unlink()
    with claim(cells[4]) as is_mine:
        assert is_mine
        states = {status.cell.id: status.state for status in read_status(cells)}
    assert list(states.values()) == ["done", "done", "stopped", "done", "running", "waiting"]


def test_label_pngs_of_any_program_are_compared(finished, recipe, tmp_path):
    cells = make_cells(read_plan(finished), finished)
    folders = [cell.path / "eval" / "test" / "predictions" for cell in cells]
    names = [f"{cell.variant}={folder}" for cell, folder in zip(cells, folders, strict=True)]
    result = compare_runs(names, tmp_path / "out", data=recipe.data, config=recipe.eval)
    expected = json.loads((finished / "comparison.json").read_text())["groups"][0]["pairs"][0]
    (pair,) = result.values["groups"][0]["pairs"]
    assert pair["scores"] == expected["scores"]
    assert pair["seeds"] == [0, 1]


def test_finished_runs_are_grouped_by_what_they_are(finished, tmp_path):
    runs = [str(cell.path) for cell in make_cells(read_plan(finished), finished)]
    result = compare_runs(runs, tmp_path / "out")
    expected = json.loads((finished / "comparison.json").read_text())["groups"][0]["pairs"]
    assert result.values["groups"][0]["pairs"] == expected


def test_runs_and_label_pngs_are_compared_with_each_other(finished, recipe, tmp_path):
    cells = make_cells(read_plan(finished), finished)
    theirs = tmp_path / "theirs"
    shutil.copytree(cells[2].path / "eval" / "test" / "predictions", theirs)
    runs = [str(cells[0].path), str(theirs)]
    result = compare_runs(runs, tmp_path / "out", data=recipe.data, config=recipe.eval, pictures=1)
    (group,) = result.values["groups"]
    assert [row["variant"] for row in group["rows"]] == ["none", "theirs"]
    (pair,) = group["pairs"]
    assert (pair["seeds"], pair["verdict"]) == ([0], "one seed")
    html = result.files["comparison.html"].read_text(encoding="utf-8")
    assert "theirs" in html
    assert "data:image/webp" in html


def test_page_shows_as_many_pictures_as_asked(finished, tmp_path):
    runs = [str(cell.path) for cell in make_cells(read_plan(finished), finished)]
    values = [compare_runs(runs, tmp_path / str(n), pictures=n) for n in (0, 1)]
    pages = [value.files["comparison.html"].read_text(encoding="utf-8") for value in values]
    assert "<img " not in pages[0]
    assert 1 <= pages[1].count("<img ") <= 2
    assert not list(tmp_path.glob("*/*.png"))


def test_two_runs_in_one_place_are_refused_until_they_are_named(finished, tmp_path):
    run = str(make_cells(read_plan(finished), finished)[0].path)
    with pytest.raises(ConfigError, match=r"are both none with seed 0; name the kinds, for exam"):
        compare_runs([run, run], tmp_path / "out")
    result = compare_runs([f"before={run}", f"after={run}"], tmp_path / "out")
    (pair,) = result.values["groups"][0]["pairs"]
    assert pair["scores"]["mIoU"]["difference"] == 0
    assert pair["verdict"] == "one seed"


def test_label_pngs_that_do_not_fit_are_refused(finished, recipe, tmp_path):
    cell = make_cells(read_plan(finished), finished)[0]
    folder = tmp_path / "mine"
    shutil.copytree(cell.path / "eval" / "test" / "predictions", folder)
    ours = f"none={cell.path}"

    def refused(match):
        with pytest.raises((DataError, ConfigError), match=match):
            compare_runs(
                [ours, f"mine={folder}"], tmp_path / "out", data=recipe.data, config=recipe.eval
            )

    with pytest.raises(ConfigError, match=r"name the truth, for example --data\.name"):
        compare_runs([ours, f"mine={folder}"], tmp_path / "out")
    Image.fromarray(np.full((32, 32), 7, np.uint8)).save(folder / "1.png")
    refused(r"mine, image 1: .*the label 7, but there are 2 classes")
    Image.fromarray(np.zeros((32, 32, 3), np.uint8) + np.uint8([1, 2, 3])).save(folder / "1.png")
    refused(r"1\.png holds colours; write class ids, 0 to 1")
    Image.fromarray(np.zeros((30, 32), np.uint8)).save(folder / "1.png")
    refused(r"1\.png .*at the size of the image as stored")
    (folder / "1.png").unlink()
    refused(r"1\.png is missing; give one PNG")


def test_runs_on_other_images_are_not_compared(finished, tmp_path):
    cells = make_cells(read_plan(finished), finished)
    other = tmp_path / "other"
    shutil.copytree(cells[1].path, other)
    lines = (other / "eval/test/counts.jsonl").read_text().splitlines()
    (other / "eval/test/counts.jsonl").write_text("\n".join(lines[:-1]) + "\n")
    with pytest.raises(DataError, match="were tested on other images"):
        compare_runs([str(cells[0].path), str(other)], tmp_path / "out")
    (other / "eval/test/counts.jsonl").unlink()
    with pytest.raises(DataError, match=r"measure that run again with `segloom eval`"):
        compare_runs([str(cells[0].path), str(other)], tmp_path / "out")
    shutil.rmtree(other / "eval")
    with pytest.raises(DataError, match=r"was not measured on the test split; run `segloom eval"):
        compare_runs([str(cells[0].path), str(other)], tmp_path / "out")
    with pytest.raises(ConfigError, match="there is no run of the kind best; there are none, celt"):
        compare_runs([str(cell.path) for cell in cells], tmp_path / "out", baseline="best")
