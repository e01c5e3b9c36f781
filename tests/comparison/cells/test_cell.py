"""What came of a cell, and what of a file that is damaged."""

from __future__ import annotations

from pathlib import Path

import pytest

from segloom.comparison.cells.cell import outcome
from segloom.comparison.cells.plan import Cell, Group
from segloom.comparison.cells.status import read_status
from segloom.config import DataConfig, RunConfig, TrainConfig


@pytest.fixture
def cell(tmp_path: Path) -> Cell:
    path = tmp_path / "none-0"
    path.mkdir()
    config = RunConfig(
        data=DataConfig(name="folder", root=tmp_path), train=TrainConfig(out=path, epochs=3)
    )
    return Cell("none-0", Group("squares", "unet", "resnet18"), "none", 0, config)


@pytest.mark.parametrize(
    "text",
    [
        '["aaa"]',
        '{"state": "done"}',
        '{"state": "done", "validation_miou": 0.5, "scores": [1]}',
        '{"state": "failed"}',
        "[" * 50_000,
        "cut sho",
    ],
)
def test_a_damaged_file_leaves_the_cell_open(cell: Cell, text: str) -> None:
    (cell.path / "cell.json").write_text(text)
    assert outcome(cell) is None
    (status,) = read_status([cell])
    assert status.state == "waiting"


def test_whole_files_are_believed(cell: Cell) -> None:
    file = cell.path / "cell.json"
    file.write_text('{"state": "done", "validation_miou": 0.5, "scores": {"mIoU": 0.25}}')
    assert read_status([cell])[0].miou == 0.25
    file.write_text('{"state": "done", "validation_miou": 0.5}')  # of a search: no test
    assert read_status([cell])[0].state == "done"
    file.write_text('{"state": "failed", "cause": "out of memory."}')
    assert read_status([cell])[0].cause == "out of memory."


def test_damaged_rows_of_the_history_do_not_count(cell: Cell) -> None:
    rows = ['{"seconds": 2.0}', "[]", '{"epoch": 2}', '{"seconds": 3.5}', '{"sec']
    (cell.path / "metrics.jsonl").write_text("\n".join(rows))
    (status,) = read_status([cell])
    assert (status.state, status.epochs, status.seconds) == ("stopped", 2, 5.5)
