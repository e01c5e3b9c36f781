"""A comparison that is published, and gone on with on another machine."""

from __future__ import annotations

import json
import shutil

import pytest

from segloom.cli.main import main
from segloom.comparison import compare, publish
from segloom.comparison.cells.plan import make_cells, read_plan
from segloom.errors import ConfigError, DataError

EVIDENCE = {
    *("cell.json", "config.yaml", "environment.json", "metrics.jsonl"),
    *("eval/test/counts.jsonl", "eval/test/metrics.json"),
}


def contents(folder):
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def missing(comparison):
    """List the cells without scores."""
    (group,) = comparison.values["groups"]
    return [cell for kind in group["rows"] for cell in kind["missing"]]


def test_published_comparison_holds_counts_and_tables_and_no_place(finished, recipe, tmp_path):
    to = tmp_path / "public"
    result = publish(finished, to)
    cells = make_cells(read_plan(finished), finished)
    assert contents(to) == {
        *("plan.yaml", "looks.jsonl", "comparison.html", "comparison.json", "differences.csv"),
        *("table.csv", "table.md", "table.tex"),
        *(f"cells/{cell.id}/{name}" for cell in cells for name in EVIDENCE),
    }
    texts = {path: path.read_text(encoding="utf-8") for path in to.rglob("*") if path.is_file()}
    for place in (finished.parent, recipe.data.root, recipe.data.cache_dir, to):
        assert not [path for path, text in texts.items() if str(place) in text], place
    assert str(read_plan(to).recipes["squares"].data.root) == "DIR"
    before = json.loads((finished / "comparison.json").read_text())
    assert result.values == before == json.loads((to / "comparison.json").read_text())


def test_published_comparison_goes_on_without_doing_a_cell_again(finished, recipe, tmp_path):
    publish(finished, tmp_path / "public")
    folder = shutil.copytree(tmp_path / "public", tmp_path / "elsewhere")
    shutil.copytree(recipe.data.root, tmp_path / "data")
    words = ["--data.root", str(tmp_path / "data"), "--engine", "inline", "--seeds", "0..2"]
    words += ["--data.cache-dir", str(tmp_path / "cache"), "--pictures", "1"]
    assert main(["compare", str(folder / "plan.yaml"), "--out", str(folder), *words]) == 0
    (pair,) = json.loads((folder / "comparison.json").read_text())["groups"][0]["pairs"]
    assert pair["seeds"] == [0, 1, 2]
    assert len(list(folder.rglob("model.safetensors"))) == 2 * 2  # best and last of two cells
    assert "were not kept" in (folder / "comparison.html").read_text(encoding="utf-8")
    # Back in the public folder: six cells, of two machines.
    publish(folder, tmp_path / "public")
    assert len(list((tmp_path / "public").glob("cells/*/cell.json"))) == 6


def test_cells_that_are_not_done_are_left_out(finished, plan, tmp_path, capsys):
    folder = shutil.copytree(finished, tmp_path / "lab")
    cells = make_cells(plan(seeds=(0, 1)), folder)
    (cells[-1].path / "cell.json").unlink()
    assert main(["compare", "--publish", str(folder), str(tmp_path / "to")]) == 0
    assert len(list((tmp_path / "to/cells").iterdir())) == 3
    assert f"{tmp_path / 'to'} goes on from it" in capsys.readouterr().out
    (cells[0].path / "eval/test/counts.jsonl").unlink()
    with pytest.raises(DataError, match=r"counts\.jsonl is missing; remove .*cell\.json"):
        publish(folder, tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_places_where_nothing_is_published(finished, plan, tmp_path, capsys):
    with pytest.raises(ConfigError, match="is the comparison itself; name another folder"):
        publish(finished, finished)
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ConfigError, match="is not empty and holds no plan"):
        publish(finished, tmp_path)
    assert main(["compare", "--publish", str(finished)]) == 2
    assert "`segloom compare --publish DIR TO`" in capsys.readouterr().err


def test_spread_is_that_of_the_tables(finished, plan, tmp_path):
    folder = shutil.copytree(finished, tmp_path / "lab")
    compare(plan(seeds=(0, 1)), folder, engine="inline", pictures=0, spread="plain")
    assert publish(folder, tmp_path / "to").result.spread == "plain"


def test_the_cause_of_a_failure_is_published_without_places(finished, recipe, tmp_path):
    folder = shutil.copytree(finished, tmp_path / "lab")
    cell = make_cells(read_plan(folder), folder)[-1]
    cause = f"{recipe.data.root}/a.png cannot be read for {folder}/cells."
    shutil.rmtree(cell.path)
    cell.path.mkdir()
    (cell.path / "cell.json").write_text(json.dumps({"state": "failed", "cause": cause}))
    (failed,) = missing(publish(folder, tmp_path / "to"))
    assert failed["state"] == "failed"
    assert failed["cause"] == "DIR/a.png cannot be read for DIR/cells."
    # Where another machine has done the cell, it stays done.
    publish(finished, tmp_path / "to")
    assert missing(publish(folder, tmp_path / "to")) == []
