"""What each section of a report takes from metrics.json, with counts that one can check by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from segloom.labels.pictures import write_image
from segloom.report.read import Bucket, Metrics, RunRecord, Size
from segloom.report.sections import (
    class_rows,
    command_lines,
    confusion_rows,
    css_color,
    facts,
    figures,
    frequent_confusions,
    histories,
    other_tables,
    percent,
    score_list,
    size_chart,
    size_classes,
    titles,
)
from segloom.run_directory import RunDirectory

DASH = "\N{EN DASH}"


def record(folder: Path = Path("runs/mine"), **values: Any) -> RunRecord:
    """A run of two classes; fields of the record by name, the others are those of metrics.json."""
    own = {
        name: values.pop(name)
        for name in ("config", "command", "config_text", "history")
        if name in values
    }
    metrics = {
        "version": 1,
        "split": "val",
        "num_images": 1,
        "classes": ["road", "tree"],
        "palette": [[128, 64, 128], [0, 300, -5]],
        "scores": {},
        **values,
    }
    return RunRecord(RunDirectory(folder), folder, Metrics.model_validate(metrics), **own)


def test_shares_are_written_as_per_cent_and_nothing_as_a_dash() -> None:
    assert [percent(0.1234), percent(0.1234, 2), percent(0.0), percent(None)] == [
        "12.3",
        "12.34",
        "0.0",
        DASH,
    ]


def test_a_colour_beyond_a_byte_is_cut_off() -> None:
    assert css_color((15, 300, -5)) == "#0fff00"


def test_scores_have_the_order_of_the_head_and_the_words_of_the_mode() -> None:
    scores = {"fwIoU": 0.1, "aAcc": 0.2, "other": 0.3, "mIoU": None}
    intervals = {"aAcc": [0.1, 0.3], "fwIoU": [None, 0.2]}
    assert score_list(record(scores=scores, intervals=intervals)) == [
        ("mIoU", "mean IoU", None, None),
        ("aAcc", "pixel accuracy", 0.2, (0.1, 0.3)),
        ("fwIoU", "frequency-weighted IoU", 0.1, None),
    ]
    assert score_list(record(scores=scores, mode="multilabel"))[1][1] == "right answers"


def test_rows_of_the_confusion_matrix_are_shares_of_the_truth() -> None:
    first, second = confusion_rows(record(confusion=[[60, 40], [0, 0]]))
    assert (first.name, second.name, second.cells) == ("road", "tree", ())
    right, wrong = first.cells
    assert (right.share, right.strength, right.is_right, right.label) == (0.6, 0.6, True, "60")
    assert (wrong.share, wrong.strength, wrong.is_right, wrong.label) == (0.4, 0.632, False, "40")
    assert wrong.column == 1
    assert wrong.title == "truth road, predicted tree: 40.00 %"


@pytest.mark.parametrize(("wrong", "strength", "label"), [(4, 0.0, ""), (6, 0.077, "1")])
def test_a_cell_below_half_a_per_cent_is_white(wrong: int, strength: float, label: str) -> None:
    cell = confusion_rows(record(confusion=[[1000 - wrong, wrong], [0, 1]]))[0].cells[1]
    assert (cell.strength, cell.label) == (strength, label)


@pytest.mark.parametrize(("number", "cells", "label"), [(40, 40, "98"), (41, 2, "")])
def test_above_40_classes_only_cells_of_a_per_cent_are_left_and_without_numbers(
    number: int, cells: int, label: str
) -> None:
    confusion = np.zeros((number, number), int)
    confusion[0, :3] = 985, 10, 5
    names = [f"class{k}" for k in range(number)]
    row = confusion_rows(
        record(classes=names, palette=[[0, 0, 0]] * number, confusion=confusion.tolist())
    )[0]
    assert len(row.cells) == cells
    assert row.cells[0].label == label


def test_the_most_frequent_confusions_come_first_and_rare_ones_not_at_all() -> None:
    values = {"classes": ["a", "b", "c"], "palette": [[0, 0, 0]] * 3}
    found = record(confusion=[[990, 6, 4], [300, 500, 200], [0, 0, 0]], **values)
    assert frequent_confusions(found) == [("b", "a", 0.3), ("b", "c", 0.2), ("a", "b", 0.006)]
    assert frequent_confusions(found, count=1) == [("b", "a", 0.3)]


def test_classes_have_the_colours_of_their_names() -> None:
    rows = class_rows(record(per_class=[{"name": "tree", "IoU": 0.5}, {"name": "gone"}]))
    assert [(row.name, row.color, row.iou) for row in rows] == [
        ("tree", "#00ff00", 0.5),
        ("gone", "#808080", None),
    ]


def test_facts_count_and_leave_out_what_is_not_known() -> None:
    model = {"architecture": "unet", "num_parameters": 99_999}
    inference = {"window": None, "flip": False, "scales": [1.0, 2.0], "overlap": 0.5}
    found = facts(record(model=model, inference=inference, config={"train": {"epochs": 0}}))
    assert found == [
        ("Run", "mine"),
        ("Split", "val, 1 image"),
        ("Classes", "2"),
        ("Architecture", "unet"),
        ("Enhancements", "none"),
        ("Parameters", "99,999"),
        ("Training", "0 epochs"),
        ("Inference", "scales 1.0, 2.0; overlap 0.5"),
    ]
    many = dict(facts(record(model={"num_parameters": 100_000}, num_images=1234)))
    assert many["Parameters"] == "0.10 million"
    assert many["Split"] == "val, 1,234 images"


@pytest.mark.parametrize(
    ("data", "where"),
    [
        ({"name": "camvid"}, "camvid, val split, run mine"),
        ({"name": "camvid", "root": "/data/CamVid"}, "camvid, val split, run mine"),
        ({"name": "folder", "root": "/data/cells"}, "cells (read as folder), val split, run mine"),
        ({}, "val, run mine"),
    ],
)
def test_the_title_names_the_data(data: dict[str, str], where: str) -> None:
    assert titles(record(config={"data": data})) == ("mine", where)


def test_sizes_show_only_series_and_classes_with_a_value() -> None:
    part = {"name": "tree", "IoU": 0.25}
    buckets = [{"name": "small", "IoU": 0.2, "per_class": [part, 3]}, {"name": "large"}]
    assert size_classes(record(size={"buckets": buckets})) == [("tree", [0.25, None])]
    assert size_classes(record()) == []
    chart = size_chart(Size(buckets=[Bucket(name="small", IoU=0.2), Bucket(name="large")]))
    assert chart is not None
    assert chart.series == ("IoU",)
    assert size_chart(Size(buckets=[Bucket(name="small")])) is None
    assert size_chart(None) is None


def test_a_table_of_another_measure_has_words_left_and_numbers_right() -> None:
    section = {
        "title": "Film",
        "columns": ["count", "score", "interval"],
        "rows": [["a", "b", 3, 0.25, [0.1, 0.2]], ["c", "d", 0, None, None]],
        "num_words": 2,
    }
    (table,) = other_tables(record(measures={"own": {"section": section}, "silent": {}}))
    assert [words for words, _ in table.rows[0]] == ["a", "b", "3", "25.0", "10.0 to 20.0"]
    assert [words for words, _ in table.rows[1]] == ["c", "d", "0", DASH, DASH]
    assert [is_words for _, is_words in table.rows[0]] == [True, True, False, False, False]


def test_the_axis_of_scores_is_in_per_cent_and_that_of_losses_is_not() -> None:
    rows = (
        {"epoch": 1.0, "val/mIoU": 0.0, "val/loss": 0.0},
        {"epoch": 2.0, "val/mIoU": 1.0, "val/loss": 1.0},
    )
    labels = {
        title: [tick.label for tick in chart.y_ticks]
        for title, chart in histories(record(history=rows))
    }
    assert labels == {
        "Loss": ["0", "0.25", "0.5", "0.75", "1"],
        "Validation": ["0 %", "25 %", "50 %", "75 %", "100 %"],
    }


def test_pictures_outside_the_folder_are_not_drawn(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    for path in (folder / "in.png", tmp_path / "out.png"):
        write_image(path, np.zeros((4, 6, 3), np.uint8))
    worst = [{"id": name, "file": name} for name in ("in.png", "../out.png", "gone.png")]
    ((title, shown),) = figures(record(folder, montages={"worst": worst}))
    assert title == "Worst images"
    assert [figure.picture is not None for figure in shown] == [True, False, False]
    assert (shown[0].picture.width, shown[0].picture.height) == (6, 4)


def test_of_many_pictures_the_first_12_of_each_end_are_shown(tmp_path: Path) -> None:
    many = [{"id": str(number), "file": "gone.png"} for number in range(13)]
    shown = figures(record(tmp_path, montages={"worst": many, "best": many}))
    assert [(title, len(group)) for title, group in shown] == [
        ("Worst images", 12),
        ("Best images", 12),
    ]
    assert [figure.name for figure in shown[0][1]] == [str(number) for number in range(12)]


def test_commands_are_those_that_made_the_run_or_would_make_it() -> None:
    folder = Path("runs/my run")
    measure = "segloom eval 'runs/my run' --split val"
    made = record(folder, command="cd here\n\nsegloom train camvid", config_text="a: 1")
    assert command_lines(made) == ["cd here", "segloom train camvid", measure]
    train = "segloom train 'runs/my run/config.yaml'"
    assert command_lines(record(folder, config_text="a: 1")) == [train, measure]
    assert command_lines(record(folder)) == [measure]
