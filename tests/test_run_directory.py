"""Where the files of a run lie, and what is said of folders that are none."""

from __future__ import annotations

import pytest

from segloom.errors import CheckpointError
from segloom.run_directory import RunDirectory


@pytest.fixture
def run(tmp_path):
    for which in ("best", "last"):
        (tmp_path / "checkpoints" / which).mkdir(parents=True)
        (tmp_path / "checkpoints" / which / "config.json").touch()
    return RunDirectory(tmp_path)


def test_asking_for_a_path_makes_nothing(tmp_path):
    run = RunDirectory(tmp_path / "none")
    paths = [
        run.config,
        run.lock,
        run.history,
        run.trainer_state,
        run.curves,
        run.evaluation("test"),
    ]
    assert [path.relative_to(run.path).as_posix() for path in paths] == [
        "config.yaml",
        ".lock",
        "metrics.csv",
        "checkpoints/trainer.ckpt",
        "curves.png",
        "eval/test",
    ]
    assert run.evaluated_splits == []
    assert not run.path.exists()


def test_checkpoints_are_found_by_name_the_best_by_default(run):
    assert run.checkpoint() == run.path / "checkpoints" / "best"
    assert run.checkpoint("last") == run.path / "checkpoints" / "last"


def test_a_checkpoint_without_its_configuration_is_none(run):
    (run.path / "checkpoints" / "last" / "config.json").unlink()
    with pytest.raises(CheckpointError, match=r"has no checkpoint 'last'; train it first with"):
        run.checkpoint("last")


def test_only_complete_evaluations_count_in_order(run):
    for split, name in (("val", "metrics.json"), ("test", "metrics.json"), ("train", "x.csv")):
        run.evaluation(split).mkdir(parents=True)
        (run.evaluation(split) / name).touch()
    assert run.evaluated_splits == ["test", "val"]


def test_a_model_is_a_run_or_a_folder_of_its_own(run):
    best = run.path / "checkpoints" / "best"
    assert RunDirectory.model_directory(run.path) == best
    assert RunDirectory.model_directory(best) == best


def test_another_folder_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match="is neither a run nor a model directory; give the"):
        RunDirectory.model_directory(tmp_path)
    (tmp_path / "checkpoints").mkdir()
    with pytest.raises(CheckpointError, match="has no checkpoint 'best'"):
        RunDirectory.model_directory(tmp_path)
