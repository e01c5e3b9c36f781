"""A measure of another package: options, counts, file, score, interval, table."""

from __future__ import annotations

import csv
import json
import shutil
import sys
from importlib.metadata import EntryPoint
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from pydantic import Field

from segloom import plugins
from segloom.cli.main import main
from segloom.comparison.cells.plan import Group
from segloom.comparison.statistics.results import read_counted, resample
from segloom.config import EvalConfig
from segloom.errors import ConfigError, UnknownNameError
from segloom.evaluation import evaluate
from segloom.evaluation.measures import configured_measures
from segloom.evaluation.measures.base import Measure, Options, ScoreGroup, Shown, SplitCounts, Table
from segloom.report import write_report


class AreaOptions(Options):
    factor: int = Field(1, ge=1)


class PredictedArea(Measure):
    """Pixels of every class that are predicted, divided by those of the ground truth."""

    name = "area"
    Options = AreaOptions
    files = ("area.csv",)

    def shapes(self, num_classes, overlaps):
        return {"area": (num_classes, 2)}

    def count(self, pair):
        known = pair.truth != 255
        maps = pair.truth[known], pair.prediction[known]
        columns = [np.bincount(labels, minlength=pair.num_classes) for labels in maps]
        return {"area": np.stack(columns, axis=1) * self.options.factor}

    def summarize(self, counted: SplitCounts):
        return {"sums": counted.sum("area").tolist()}

    def scores(self, counted):
        names = [f"area.{name}" for name in counted.classes]
        quotient = lambda sums: sums[..., 1] / sums[..., 0]  # noqa: E731
        return [ScoreGroup(names, counted.stack("area"), quotient)]

    @classmethod
    def tables(cls, metrics):
        rows = [{"true": true, "predicted": found} for true, found in metrics["sums"]]
        return {"area.csv": Table(["true", "predicted"], rows)}

    @classmethod
    def section(cls, metrics):
        rows = [
            (name, true, found / true, (0.0, 0.5), None)
            for name, (true, found) in zip(metrics["classes"], metrics["sums"], strict=True)
        ]
        return Shown("area of <b>", ["true", "share", "95 %", "none"], rows, "What <i> means.")


@pytest.fixture(autouse=True)
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    points = [
        EntryPoint("area", "my_measures:PredictedArea", "segloom.measures"),
        EntryPoint("broken", "no_such_package:X", "segloom.measures"),
    ]
    monkeypatch.setattr(plugins, "entry_points", lambda group: points)
    package = SimpleNamespace(PredictedArea=PredictedArea)
    monkeypatch.setitem(sys.modules, "my_measures", package)


def test_it_is_counted_scored_written_shown_and_compared(trained: Path, tmp_path, capsys):
    run = shutil.copytree(trained, tmp_path / "run")
    words = ["eval", str(run), "--measures", "area", "{factor: 3}", "--predictions", "True"]
    assert main(words) == 0
    printed = capsys.readouterr().out
    assert "area of <b>" in printed
    metrics = json.loads((run / "eval/test/metrics.json").read_text())
    part = metrics["measures"]["area"]
    sums = np.array(part["sums"])
    matrix = np.array(metrics["confusion"])
    np.testing.assert_array_equal(sums, 3 * np.stack([matrix.sum(1), matrix.sum(0)], axis=1))
    assert part["options"] == {"factor": 3}
    names = ("area.ground", "area.thing", "area.sky")
    expected = dict(zip(names, sums[:, 1] / sums[:, 0], strict=True))
    assert part["scores"] == pytest.approx(expected)
    low, high = metrics["intervals"]["area.thing"]
    assert low <= expected["area.thing"] <= high
    assert low < high
    with (run / "eval/test/area.csv").open(newline="") as file:
        assert [int(row["true"]) for row in csv.DictReader(file)] == sums[:, 0].tolist()
    page = write_report(run, "test").read_text()
    assert "area of &lt;b&gt;</h2>" in page
    assert "What &lt;i&gt; means." in page
    assert f'<td class="n">{sums[1, 0]}</td>' in page
    assert "0.0 to 50.0" in page
    counted = read_counted(run, Group("a", "b", "c"), "b", 0, facts={})
    (measured,) = resample([counted], baseline="b")
    place = measured.score_names.index("area.thing")
    assert measured.scores[place] == pytest.approx(expected["area.thing"])


def test_without_being_named_it_leaves_no_trace(trained: Path, tmp_path):
    quick = EvalConfig(bootstrap=0, size_limits=(), boundary_tolerances=(), montages=0)
    result = evaluate(trained, quick, out=tmp_path)
    assert "measures" not in result.metrics
    assert "area" not in (tmp_path / "counts.jsonl").read_text()


@pytest.mark.parametrize(
    ("asked", "error", "message"),
    [
        ({"aera": {}}, UnknownNameError, "measure 'aera'.*area"),
        ({"area": {"factor": 0}}, ConfigError, r"eval\.measures\.area\.factor"),
        ({"area": {"faktor": 2}}, ConfigError, r"eval\.measures\.area\.faktor"),
        ({"broken": {}}, ConfigError, "no_such_package brings the measure 'broken'"),
        ({"size": {}}, ConfigError, "its options are those of eval, such as eval.size_limits"),
    ],
)
def test_what_cannot_be_measured_is_refused(asked, error, message):
    with pytest.raises(error, match=message):
        configured_measures(EvalConfig(measures=asked))


def test_options_on_the_command_line_are_a_mapping(trained: Path, capsys):
    assert main(["eval", str(trained), "--measures", "area", "3"]) == 2
    assert "options are a mapping such as {min_area: 5}" in capsys.readouterr().err
