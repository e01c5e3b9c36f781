"""The stated protocol, and where finished runs differ."""

from __future__ import annotations

import json

from support.comparisons import measured

from segloom.comparison.cells.plan import Group
from segloom.comparison.statistics.protocol import describe_conditions, list_differences
from segloom.config import RunConfig
from segloom.config.data import DataConfig


def config(**sections):
    values = {"data": {"name": "camvid", "root": "somewhere"}, "train": {"epochs": 5, "seed": 3}}
    return RunConfig.model_validate({**values, **sections})


def test_options_are_stated_without_places_and_seeds():
    conditions = describe_conditions({"camvid": config(model={"enhancements": ["afma"]})}, [], [3])
    stated = conditions["protocols"]["camvid"]
    assert stated["train"]["epochs"] == 5
    assert "seed" not in stated["train"]
    assert "out" not in stated["train"]
    assert "root" not in stated["data"]
    assert "enhancements" not in stated["model"]
    assert conditions["seeds"] == [3]
    assert conditions["versions"]["torch"]


def test_a_run_states_what_it_was_tested_with_and_made_with(tmp_path):
    environment = {
        "packages": {"torch": "1.0", "timm": None},
        "processor": "old",
        "accelerators": ["A"],
    }
    group, facts = (
        Group("camvid", "unet", "resnet18"),
        {"inference": {"flip": True}, "policy": "P."},
    )
    runs = []
    for seed, version in ((0, "1.0"), (1, "2.0")):
        path = tmp_path / str(seed)
        path.mkdir()
        packages = {**environment["packages"], "torch": version}
        (path / "environment.json").write_text(json.dumps({**environment, "packages": packages}))
        runs.append(measured("none", seed, 0.5, group=group, path=path, facts=facts, split="val"))
    conditions = describe_conditions({"camvid": config()}, runs, [0, 1])
    stated = conditions["protocols"]["camvid"]["eval"]
    assert stated["inference"] == {"flip": True}
    assert stated["split"] == "val"
    assert conditions["versions"] == {"torch": "1.0 and 2.0", "timm": ""}
    assert conditions["processor"] == "old"
    assert conditions["accelerators"] == ["A"]
    assert conditions["policy"] == "P."


def test_of_label_pngs_only_the_data_and_the_split_are_stated(tmp_path):
    group = Group("camvid", "networks", "as named")
    data = DataConfig(name="camvid", root=tmp_path)
    run = measured("theirs", 0, 0.5, group=group, path=tmp_path, data=data, split="val")
    conditions = describe_conditions({}, [run], [0])
    assert conditions["protocols"] == {
        "camvid": {"data": {"name": "camvid"}, "eval": {"split": "val"}}
    }
    assert conditions["versions"] == {}
    assert conditions["processor"] == ""


def test_differences_besides_what_is_compared_are_listed():
    first = config()
    second = config(
        data={"name": "camvid", "root": "elsewhere", "workers": 3, "batch_size": 99},
        model={"architecture": "fpn", "enhancements": ["afma"]},
        train={"epochs": 7, "seed": 4},
        eval={"montages": 0},
    )
    runs = [
        measured("none", 0, 0.5, facts={"inference": {"flip": False}}),
        measured("afma", 0, 0.5, facts={"inference": {"flip": True}}),
    ]
    configs = {str(run.path): c for run, c in zip(runs, (first, second), strict=True)}
    one, other = configs
    assert list_differences(configs, runs) == [
        f"data.batch_size is 99 in {other}, {first.data.batch_size} in {one}",
        f"train.epochs is 7 in {other}, 5 in {one}",
        f"eval.inference is {{'flip': True}} in {other}, {{'flip': False}} in {one}",
    ]
    assert list_differences({one: first}, runs) == []
