"""Options that another one leaves without effect are named; those that act are not."""

from __future__ import annotations

import pytest

from segloom.config import RunConfig
from segloom.config.effects import idle_inference_options, idle_options
from segloom.config.evaluation import InferenceConfig
from segloom.config.load import list_recipes, load_run_config

STAGES = ({"crop": (64, 64), "batch_size": 4, "scale": (1, 1)}, {"crop": (96, 96), "epochs": 9})


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        (
            {"optim": {"momentum": 0.8}},
            "optim.momentum is 0.8 but has no effect with optim.name adamw.",
        ),
        (
            {"optim": {"schedule": "onecycle", "power": 2.0}},
            "optim.power is 2.0 but has no effect with optim.schedule onecycle.",
        ),
        (
            {"optim": {"schedule": "cosine", "poly_by": "epoch"}},
            "optim.poly_by is epoch but has no effect with optim.schedule cosine.",
        ),
        (
            {"loss": {"class_weight_power": 0.5}},
            "loss.class_weight_power is 0.5 but has no effect with loss.class_weights none.",
        ),
        (
            {"loss": {"terms": {"dice:smooth=1": 1.0, "focal": 0.0}, "class_weights": "log"}},
            "loss.class_weights is log but has no effect with loss.terms dice.",
        ),
        (
            {"loss": {"terms": {"dice": 1.0, "focal": 1.0}, "label_smoothing": 0.1}},
            "loss.label_smoothing is 0.1 but has no effect without the loss cross_entropy.",
        ),
        (
            {"train": {"stages": STAGES}, "data": {"crop": (32, 32)}},
            "data.crop is (32, 32) but has no effect because every one of train.stages sets its "
            "own.",
        ),
        (
            {"eval": {"inference": {"overlap": 0.25}}},
            "eval.inference.overlap is 0.25 but has no effect without eval.inference.window.",
        ),
        (
            {"eval": {"inference": {"average": "logits"}}},
            "eval.inference.average is logits but has no effect with one of eval.inference.scales "
            "and without eval.inference.flip.",
        ),
        (
            {"data": {"cache": False, "cache_dir": "cached"}},
            "data.cache_dir is cached but has no effect without data.cache.",
        ),
    ],
)
def test_an_option_without_effect_is_named(values: dict[str, object], sentence: str) -> None:
    assert idle_options(RunConfig.model_validate(values)) == [sentence]


@pytest.mark.parametrize(
    "values",
    [
        {"optim": {"name": "sgd", "momentum": 0.8, "power": 2.0, "poly_by": "epoch"}},
        {"loss": {"class_weights": "log", "class_weight_power": 0.5}},
        {"loss": {"terms": {"dice": 1.0, "focal": 1.0}, "class_weights": "log"}},
        {"loss": {"terms": {"loss_of_a_plugin": 1.0}, "class_weights": "log"}},
        {"train": {"stages": STAGES}, "data": {"batch_size": 2, "augment": {"scale": (1, 2)}}},
        {"eval": {"inference": {"window": (64, 64), "overlap": 0.25, "blend": "average"}}},
        {"eval": {"inference": {"flip": True, "average": "logits"}}},
        {},
    ],
)
def test_an_option_that_acts_is_not_named(values: dict[str, object]) -> None:
    assert idle_options(RunConfig.model_validate(values)) == []


@pytest.mark.parametrize("name", list_recipes())
def test_no_recipe_sets_an_option_in_vain(name: str) -> None:
    assert idle_options(load_run_config(name)) == []


def test_the_section_is_named_as_the_command_knows_it() -> None:
    (sentence,) = idle_inference_options(InferenceConfig(blend="average"), "inference")
    assert sentence == "inference.blend is average but has no effect without inference.window."
