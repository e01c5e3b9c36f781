"""Reading a run: missing parts are left out, damaged ones are named."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from segloom.errors import DataError
from segloom.files import write_text
from segloom.report.read import number, read_record

MakeRun = Callable[..., Path]


@pytest.mark.parametrize(
    ("value", "expected"),
    [("0.5", 0.5), (1, 1.0), ("", None), (None, None), ("nan", None), ("inf", None), ([], None)],
)
def test_numbers_that_are_none_become_none(value: object, expected: float | None) -> None:
    assert number(value) == expected


def test_a_whole_run_is_read(make_run: MakeRun) -> None:
    record = read_record(make_run(), "test")
    assert record.metrics.scores["mIoU"] == 0.6234
    assert record.metrics.interval("mIoU") == (0.6012, 0.6456)
    assert record.metrics.interval("aAcc") is None
    assert record.per_image[1] == ("street_1", pytest.approx(0.3))
    assert record.history[1]["val/mIoU"] == pytest.approx(0.2468)
    assert record.history[0]["val/mIoU"] is None
    assert record.option("train", "seed") == 3
    assert record.option("train", "nothing") is None
    assert record.option("nothing", "seed") is None


def test_a_split_without_evaluation_says_how_to_get_one(make_run: MakeRun) -> None:
    with pytest.raises(
        DataError, match=r"metrics\.json is missing; .*`segloom eval .*--split val`"
    ):
        read_record(make_run(), "val")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"version": 2}, "has version 2, but this segloom reads version 1"),
        ({"classes": ["a"]}, "1 classes but 3 colours"),
        ({"confusion": [[1, 2]]}, "confusion matrix is not 3 x 3"),
        ({"scores": 5}, "scores: "),
        ({"num_images": "many"}, "num_images: "),
        ({"palette": [[1, 2]] * 3}, r"palette\.0: "),
    ],
)
def test_damaged_metrics_name_the_file_and_the_key(
    make_run: MakeRun, changes: dict, message: str
) -> None:
    with pytest.raises(DataError, match=message) as caught:
        read_record(make_run(**changes), "test")
    assert "metrics.json" in str(caught.value)
    assert "segloom eval" in str(caught.value)


@pytest.mark.parametrize("text", ["", "{", "[]", "\x00\xff"])
def test_broken_json_is_named(make_run: MakeRun, text: str) -> None:
    run = make_run()
    write_text(run / "eval" / "test" / "metrics.json", text)
    with pytest.raises(DataError, match=r"metrics\.json cannot be read"):
        read_record(run, "test")


def test_everything_but_the_metrics_may_be_missing_or_broken(make_run: MakeRun) -> None:
    run = make_run()
    (run / "metrics.csv").write_bytes(b"\x00\xff,,,\n\n1")
    (run / "eval" / "test" / "per_image.csv").write_text("name\nstreet_1\n")
    (run / "config.yaml").write_text("a: [")
    (run / "command.txt").unlink()
    record = read_record(run, "test")
    assert record.history == ()
    assert record.per_image == ()
    assert record.config == {}
    assert record.config_text == "a: ["
    assert record.command is None
