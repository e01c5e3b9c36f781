"""The curves of a training: the right columns, and a picture that shows them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure

from segloom.cli.main import main
from segloom.errors import DataError
from segloom.images.read import read_image
from segloom.report import write_curves
from segloom.report.curves import COLORS, training_curves


def test_columns_become_curves_in_a_fixed_order() -> None:
    history = [
        {"epoch": 1.0, "lr": 0.1, "train/dice": 0.5, "train/total": 2.0, "val/mIoU": None},
        {"epoch": 2.0, "lr": 0.05, "train/dice": 0.4, "train/total": 1.0, "val/mIoU": 0.25},
    ]
    loss, validation, rate = training_curves(history)
    assert list(loss.points) == ["train/total", "train/dice"]
    assert loss.points["train/total"] == [(1.0, 2.0), (2.0, 1.0)]
    assert validation.points == {"val/mIoU": [(2.0, 0.25)]}
    assert validation.mark == (2.0, 0.25, "best 25.0 %, epoch 2")
    assert validation.are_shares
    assert rate.points == {"lr": [(1.0, 0.1), (2.0, 0.05)]}
    assert training_curves([{"epoch": 1.0, "val/mIoU": None}]) == []


def test_a_sole_term_that_equals_the_total_is_left_out() -> None:
    history = [{"epoch": x, "train/ce": y, "train/total": y} for x, y in ((1.0, 2.0), (2.0, 1.5))]
    (loss,) = training_curves(history)
    assert loss.points == {"train/total": [(1.0, 2.0), (2.0, 1.5)]}
    weighted = [row | {"train/ce": 2 * row["train/total"]} for row in history]
    (loss,) = training_curves(weighted)
    assert list(loss.points) == ["train/total", "train/ce"]


def test_epochs_are_whole_numbers_even_where_there_is_one(
    make_run: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run()
    history = "epoch,lr,train/total,val/mIoU\n1,0.1,2.0,0.5\n"
    (run / "metrics.csv").write_text(history)
    figures: list[Figure] = []
    save = Figure.savefig

    def keep(figure: Figure, *args: Any, **options: Any) -> None:
        figures.append(figure)
        save(figure, *args, **options)

    monkeypatch.setattr(Figure, "savefig", keep)
    write_curves(run)
    (figure,) = figures
    assert len(figure.axes) == 3
    for axes in figure.axes:
        low, high = axes.get_xlim()
        ticks = [tick for tick in axes.get_xticks() if low <= tick <= high]
        assert ticks == [1.0]


def colors_of(path: Path) -> set[tuple[int, ...]]:
    pixels = read_image(path)
    return set(map(tuple, np.unique(pixels.reshape(-1, 3), axis=0).tolist()))


def test_every_curve_is_in_the_picture(make_run: Callable[..., Path]) -> None:
    path = write_curves(make_run())
    assert path.name == "curves.png"
    assert read_image(path).shape[1] > 3 * 500
    found = colors_of(path)
    for color in COLORS[:2]:  # of training and validation loss
        assert tuple(bytes.fromhex(color[1:])) in found


def test_a_run_without_a_history_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"metrics\.csv tells of no epoch"):
        write_curves(tmp_path)


def test_command_writes_curves_and_every_report(
    make_run: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    run = make_run()
    report = run / "eval" / "test" / "report.html"
    assert main(["report", str(run)]) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"curves: {run / 'curves.png'}",
        f"report: {report}",
    ]
    assert report.is_file()
    (run / "metrics.csv").unlink()
    assert main(["report", str(run)]) == 0  # measured, but not trained here
    assert main(["report", str(run / "nothing")]) == 2
    assert "there is no folder" in capsys.readouterr().err
    assert main(["report", str(run / "eval")]) == 2
    assert "give the folder that `segloom train` wrote" in capsys.readouterr().err
