"""comparison.json is read as it was written, by this version and by the first."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.comparisons import GROUP, study

from segloom.comparison.cells.plan import Group
from segloom.comparison.statistics.analysis import analyse
from segloom.errors import DataError
from segloom.files import write_json
from segloom.report.comparison import render_comparison
from segloom.report.comparison_result import read_comparison

STUDY = Path(__file__).parents[2] / "benchmarks/studies/camvid/comparison.json"


def test_what_was_written_is_read_again(tmp_path: Path) -> None:
    other = Group("streets", "fpn", "resnet18")
    result = analyse([*study(), *study(group=other)], baseline="none")
    assert result.general
    assert other != GROUP
    write_json(tmp_path / "comparison.json", result.as_json())
    assert read_comparison(tmp_path / "comparison.json") == result


def test_file_of_the_first_version_still_opens() -> None:
    values = json.loads(STUDY.read_text(encoding="utf-8"))
    result = read_comparison(STUDY)
    assert [group.architecture for group in result.groups] == ["unet", "fpn", "pspnet"]
    score = values["groups"][0]["pairs"][0]["scores"]["mIoU"]
    assert result.groups[0].pairs[0].scores["mIoU"].difference == score["difference"]
    html = render_comparison(result)
    assert "undecided: +0.38 points" in html


@pytest.mark.parametrize(
    ("text", "words"),
    [("{}", "holds no comparison: version"), ("[", "holds no comparison: the file")],
)
def test_other_files_are_refused_in_a_sentence(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "comparison.json"
    path.write_text(text)
    with pytest.raises(DataError, match=words):
        read_comparison(path)
    with pytest.raises(DataError, match="cannot be read; name the folder"):
        read_comparison(tmp_path / "missing.json")
