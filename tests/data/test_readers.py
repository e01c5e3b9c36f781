"""Tests of `segloom.data.readers`: one registry, and options that belong to a data set."""

import sys
from importlib.metadata import EntryPoint
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from pydantic import Field

from segloom import plugins
from segloom.config.base import Section
from segloom.config.data import DataConfig
from segloom.config.load import list_recipes, load_run_config
from segloom.data.readers import DATASETS, find_data_set, read_source
from segloom.data.sets.base import DataSet, own_options
from segloom.data.source import DatasetSource, data_root
from segloom.data_check.known import find_known
from segloom.errors import ConfigError, DataError, UnknownNameError
from segloom.types import LabelSet, Record


class FieldOptions(Section):
    """Options of a data set from another package."""

    year: int = Field(2024, ge=2000)
    crops: tuple[str, ...] = ("wheat",)


def read_fields(config: DataConfig, split: str) -> DatasetSource:
    options = own_options(config, FieldOptions)
    image = data_root(config) / f"{options.year}.png"
    return DatasetSource(
        (Record(image.stem, image, image),), LabelSet(("soil", *options.crops), ((0, 0, 0),) * 2)
    )


FIELDS = DataSet(
    read_fields,
    is_here=lambda root: (root / "fields.txt").is_file(),
    options=frozenset({"fold"}),
    Options=FieldOptions,
    default_recipe="camvid",
)


@pytest.fixture
def plugin(monkeypatch):
    module = SimpleNamespace(DATA_SET=FIELDS, read=read_fields)
    monkeypatch.setitem(sys.modules, "my_fields", module)
    points = [
        EntryPoint("fields", "my_fields:DATA_SET", "segloom.datasets"),
        EntryPoint("old_fields", "my_fields:read", "segloom.datasets"),
    ]
    monkeypatch.setattr(plugins, "entry_points", lambda group: points)


def test_every_data_set_names_a_recipe_and_options_that_exist():
    for name in DATASETS:
        data_set = find_data_set(name)
        assert data_set.options <= set(DataConfig.model_fields), name
        assert data_set.default_recipe in list_recipes(), name
        read = load_run_config(data_set.default_recipe).data.name
        assert read in ("folder", name)


@pytest.mark.parametrize(
    ("name", "options", "option", "owners"),
    [
        ("folder", {"coarse": True}, "coarse", "cityscapes"),
        ("camvid", {"fold": 1}, "fold", "cityscapes"),
        ("voc", {"scheme": "dlse"}, "scheme", "cityscapes or list"),
        ("cityscapes", {"hu_window": (0, 80)}, "hu_window", "lits"),
        ("cityscapes", {"images": "{split}/x"}, "images", "folder or mask_files"),
        (
            "voc",
            {"split_shares": (0.5, 0.3, 0.2)},
            "split_shares",
            "coco or cub or cvat or folder or label_studio or labelme or lits or mask_files or "
            "supervisely or via or yolo",
        ),
        ("folder", {"lists": {"train": Path("a.csv")}}, "lists", "list"),
        ("coco", {"edges": "{split}/edges"}, "edges", "folder"),
        ("folder", {"num_scenes": (1, 1, 1)}, "num_scenes", "scenes"),
    ],
)
def test_an_option_of_another_reader_is_refused(tmp_path, name, options, option, owners):
    config = DataConfig(name=name, root=tmp_path, **options)
    expected = rf"^data\.{option} is for the reader {owners}, and {name} would not look at it"
    with pytest.raises(ConfigError, match=expected):
        read_source(config, "train")


def test_options_at_their_defaults_are_not_refused(tmp_path):
    """A saved configuration holds every option, whatever its reader."""
    saved = DataConfig.model_validate(DataConfig(name="voc", root=tmp_path).model_dump(mode="json"))
    with pytest.raises(DataError, match="holds no PASCAL VOC"):
        read_source(saved, "train")


def test_a_plugin_brings_options_of_its_own(plugin, tmp_path):
    def ids(**options):
        config = DataConfig(name="fields", root=tmp_path, options=options)
        source = read_source(config, "train")
        return source.records[0].id, source.labels.classes[1:]

    assert ids() == ("2024", ("wheat",))
    assert ids(year="2019", crops=["rye"]) == ("2019", ("rye",))  # text, from the command line
    with pytest.raises(UnknownNameError, match="did you mean 'year'"):
        ids(yeer=2019)
    with pytest.raises(ConfigError, match=r"data\.options\.year.*2000"):
        ids(year=1999)


def test_a_plugin_looks_at_the_options_that_it_names(plugin, tmp_path):
    assert read_source(DataConfig(name="fields", root=tmp_path, fold=1), "train").records
    with pytest.raises(ConfigError, match=r"data\.coarse is for the reader cityscapes, and fields"):
        read_source(DataConfig(name="fields", root=tmp_path, coarse=True), "train")
    # One that is a function alone says nothing of its options, so all are left to it.
    old = DataConfig(name="old_fields", root=tmp_path, coarse=True, options={"year": 2001})
    assert read_source(old, "train").records[0].id == "2001"


def test_options_for_a_data_set_that_has_none_are_refused(tmp_path):
    config = DataConfig(name="voc", root=tmp_path, options={"year": 2012})
    with pytest.raises(ConfigError, match=r"data\.options holds year, but the data set voc has no"):
        read_source(config, "train")


def test_a_plugin_is_recognised_by_its_folder(plugin, tmp_path):
    assert find_known(tmp_path) is None
    (tmp_path / "fields.txt").touch()
    assert find_known(tmp_path) == DataConfig(name="fields", root=tmp_path)
    assert find_known(tmp_path, ["a", "b"]) is None  # it names its own classes


def test_class_folders_are_recognised_before_anything_else(plugin, tmp_path):
    (tmp_path / "fields.txt").touch()
    for folder in ("images", "masks/cat", "masks/dog"):
        (tmp_path / folder).mkdir(parents=True)
        Image.fromarray(np.zeros((4, 4), np.uint8)).save(tmp_path / folder / "a.png")
    found = find_known(tmp_path, ["dog", "cat"])
    assert found == DataConfig(root=tmp_path, mask_format="multilabel", classes=("dog", "cat"))


def test_a_package_that_cannot_be_imported_is_named(monkeypatch):
    points = [EntryPoint("gone", "segloom_gone:DATA_SET", "segloom.datasets")]
    monkeypatch.setattr(plugins, "entry_points", lambda group: points)
    with pytest.raises(
        ConfigError, match=r"data set 'gone' \(segloom_gone:DATA_SET\), which cannot"
    ):
        find_data_set("gone")
