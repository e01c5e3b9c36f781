"""Options by keyword, checked as those of a file are."""

from __future__ import annotations

from pathlib import Path

import pytest

from segloom.config import DataConfig, RunConfig
from segloom.config.load import load_run_config
from segloom.errors import ConfigError, UnknownNameError


def test_full_and_short_names_replace_the_recipes_values() -> None:
    config = load_run_config(
        "folder", data_root="here", epochs=3, lr=0.02, data_augment_flip=0, crop=(64, 96)
    )
    assert config.data.root == Path("here")
    assert (config.train.epochs, config.optim.lr) == (3, 0.02)
    assert config.data.augment.flip == 0
    assert config.data.crop == (64, 96)
    recipe = load_run_config("folder")
    assert config.model == recipe.model
    assert config.data.batch_size == recipe.data.batch_size


def test_a_mapping_sets_options_of_a_section_and_leaves_the_others() -> None:
    config = RunConfig().override(data={"root": "here", "augment": {"flip": 0.0}}, seed=4)
    assert config.data == DataConfig.model_validate({"root": "here", "augment": {"flip": 0.0}})
    assert config.train.seed == 4
    terms = config.override(loss_terms={"dice": 1.0}).loss.terms
    assert terms == {"dice": 1.0}, "losses are a sum: those named are meant alone"


def test_a_whole_section_may_be_given() -> None:
    data = DataConfig(root=Path("there"), batch_size=3)
    assert RunConfig().override(data=data).data == data


def test_enhancements_are_written_as_in_yaml() -> None:
    config = RunConfig().override(enhancements=["afma", {"celt": {"level": 2}}])
    assert config.model.enhancements == ("afma", "celt:level=2")


def test_mistakes_are_one_sentence() -> None:
    with pytest.raises(UnknownNameError, match="unknown option 'epoch': did you mean 'epochs'"):
        RunConfig().override(epoch=3)
    with pytest.raises(ConfigError, match=r"options: train.epochs is -1, but must be greater"):
        load_run_config("folder", epochs=-1)
    with pytest.raises(ConfigError, match=r"not changed in place; .*another 'root'"):
        RunConfig().data.root = Path("here")
