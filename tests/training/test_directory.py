"""A run directory is never overwritten by accident; a failed start leaves nothing in the way."""

from __future__ import annotations

import json

import pytest

from segloom.config import RunConfig, TrainConfig
from segloom.config.load import read_config
from segloom.errors import ConfigError
from segloom.training.directory import default_run_directory, prepare_run, write_description
from segloom.training.environment import resume_command


def config(**changes):
    return RunConfig(train=TrainConfig(**changes))


def test_a_trained_run_is_refused_unless_told_otherwise(tmp_path):
    run = prepare_run(config(), tmp_path / "run")
    write_description(config(), run)
    (run.path / "metrics.csv").touch()
    with pytest.raises(ConfigError, match=r"is not empty; add --train.resume"):
        prepare_run(config(), run.path)
    assert prepare_run(config(resume=True), run.path) == run
    prepare_run(config(overwrite=True), run.path)
    assert not run.path.exists()


def test_a_start_that_failed_does_not_block_the_next(tmp_path):
    run = prepare_run(config(), tmp_path / "run")
    write_description(config(), run)
    (run.path / "log.txt").touch()
    assert prepare_run(config(epochs=3), run.path) == run


@pytest.mark.parametrize("changes", [{}, {"overwrite": True}])
def test_a_folder_with_other_files_is_left_alone(tmp_path, changes):
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(ConfigError, match=r"is not empty|holds files but no run"):
        prepare_run(config(**changes), tmp_path)
    assert (tmp_path / "thesis.tex").exists()


def test_resuming_needs_the_same_options(tmp_path):
    run = prepare_run(config(), tmp_path / "run")
    write_description(config(), run)
    with pytest.raises(ConfigError, match=r"other options: train.seed \(was 0, is 1\)"):
        prepare_run(config(seed=1, resume=True), run.path)
    assert prepare_run(config(epochs=99, resume=True), run.path) == run
    with pytest.raises(ConfigError, match="holds no run to resume"):
        prepare_run(config(resume=True), tmp_path / "other")


def test_a_file_in_the_way_and_contradictions_are_refused(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="is a file"):
        prepare_run(config(), tmp_path / "file")
    with pytest.raises(ConfigError, match="exclude each other"):
        prepare_run(config(resume=True, overwrite=True), tmp_path / "run")


def test_the_default_directory_names_what_is_trained():
    model = RunConfig().model.model_copy(update={"enhancements": ("afma:level=2", "celt")})
    named = RunConfig(model=model)
    assert str(default_run_directory("camvid", named)) == "runs/camvid-unet-resnet18-afma-celt"


def test_the_description_reads_back_and_forgets_how_it_was_started(tmp_path):
    run = prepare_run(config(), tmp_path / "run")
    write_description(config(overwrite=True), run)
    write_description(config(resume=True), run)
    assert read_config(run.config) == config(out=run.path)
    assert len((run.path / "command.txt").read_text().splitlines()) == 2
    facts = json.loads((run.path / "environment.json").read_text())
    assert facts["packages"]["torch"]
    assert facts["threads"] >= 1


def test_a_command_to_resume_survives_spaces_in_a_path(tmp_path):
    assert resume_command(tmp_path / "my run").endswith("my run/config.yaml' --train.resume")
