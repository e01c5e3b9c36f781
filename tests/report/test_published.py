"""Published figures: the file is sound, and every difference of the protocol is named."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import yaml

from segloom.report.comparison_result import ComparedGroup
from segloom.report.published import FILE, our_facts, published_beside, published_elsewhere

GROUP = ComparedGroup(
    recipe="mine",
    architecture="pspnet",
    encoder="resnet50",
    classes=[str(k) for k in range(19)],
    num_images=500,
    image_size=[1024, 2048],
    rows=[],
    pairs=[],
)
AS_MMSEG = {
    "data": {"name": "cityscapes", "crop": [512, 1024], "batch_size": 8, "class_uniform": 0.0},
    "model": {"encoder_weights": "imagenet"},
    "optim": {"name": "sgd", "lr": 0.01, "schedule": "poly"},
    "train": {"epochs": 100, "steps_per_epoch": 800},
    "eval": {"split": "val", "inference": {"window": None, "scales": [1.0], "flip": False}},
}


def of_mmseg(protocol: dict[str, Any], **group: Any) -> Any:
    found = published_beside(protocol, replace(GROUP, **group))
    return next(f for f in found if f.method == "PSPNet" and f.miou == 0.7855)


def test_same_protocol_has_no_mark() -> None:
    figure = of_mmseg(AS_MMSEG)
    assert figure.differences == figure.unknown == ()
    assert figure.mark == "the stated facts agree"
    assert figure.source.startswith("mmsegmentation")
    assert "deep-stem" in figure.note


@pytest.mark.parametrize(
    ("section", "options", "mark"),
    [
        ("data", {"crop": [769, 769]}, "crop 512x1024 against 769x769"),
        ("data", {"batch_size": 16}, "batch 8 against 16"),
        ("model", {"encoder_weights": None}, "weights ImageNet against none"),
        ("model", {"encoder_weights": "a.pth"}, "weights ImageNet against file a.pth"),
        ("optim", {"name": "adamw"}, "against adamw, learning rate 0.01, poly"),
        ("train", {"steps_per_epoch": 400}, "training 80,000 steps against 40,000 steps"),
        ("train", {"steps_per_epoch": None}, "training 80,000 steps against 100 epochs"),
        ("eval", {"split": "test"}, "split val against test"),
        ("eval", {"inference": {"scales": [0.5, 1.0]}}, "full size against scales 0.5, 1"),
        ("eval", {"inference": {"window": [769, 769]}}, "against windows of 769x769"),
    ],
)
def test_one_difference_is_named(section: str, options: dict[str, Any], mark: str) -> None:
    figure = of_mmseg({**AS_MMSEG, section: {**AS_MMSEG[section], **options}})
    assert len(figure.differences) == 1
    assert mark in figure.mark
    assert figure.mark.startswith("protocol differs: ")


def test_differences_of_the_group_are_named() -> None:
    figure = of_mmseg(AS_MMSEG, encoder="resnet18", classes=["a"] * 29, image_size=[512, 1024])
    assert figure.differences == (
        "classes 19 against 29",
        "image size 1024x2048 against 512x1024",
        "encoder resnet50 against resnet18",
    )


def test_what_the_source_does_not_state_is_named_too() -> None:
    found = published_beside(AS_MMSEG, GROUP)
    figure = next(f for f in found if f.source.startswith("PaddleSeg") and f.miou == 0.7883)
    assert figure.differences == ()
    assert figure.mark.startswith("not stated: weights, image size, crop, batch")


def test_what_is_not_known_of_ours_is_not_compared() -> None:
    facts = our_facts({"data": {"name": "camvid"}, "eval": {"split": "test"}}, GROUP)
    assert set(facts) == {"encoder", "split", "classes", "image size", "metric"}


def test_other_networks_are_listed_apart() -> None:
    assert published_beside({"data": {"name": "camvid"}}, GROUP) == []
    methods = [f.method for f in published_elsewhere({"data": {"name": "camvid"}}, ["sfnet"])]
    assert "LinkNet" in methods
    assert "SFNet" not in methods
    assert published_elsewhere({}, []) == []


def test_every_figure_has_a_source_and_facts_that_ours_have_too() -> None:
    known = set(our_facts(AS_MMSEG, GROUP))
    names = {figure["data"] for figure in yaml.safe_load(FILE.read_text())["figures"]}
    for name in names:
        for figure in published_elsewhere({"data": {"name": name}}, []):
            assert figure.source
            assert 0.2 < figure.miou < 0.95
            stated = [fact for fact in known if f"{fact} " in figure.stated]
            assert stated or not figure.stated
    content = yaml.safe_load(FILE.read_text())
    parts = [*content["protocols"].values(), *content["figures"]]
    assert {fact for part in parts for fact in (part.get("facts") or {})} <= known
