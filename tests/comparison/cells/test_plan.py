"""Plans: what users write, which cells come of it, and under which conditions they start."""

from __future__ import annotations

import pytest
import torch
from pydantic import ValidationError

from segloom.comparison.cells.plan import make_cells, open_plan, read_plan
from segloom.config.comparison import ComparisonPlan
from segloom.errors import ConfigError
from segloom.models import build_model


@pytest.mark.parametrize(
    ("written", "seeds"),
    [("0..4", (0, 1, 2, 3, 4)), ("0,2,5", (0, 2, 5)), (["1", "3..4"], (1, 3, 4)), (7, (7,))],
)
def test_seeds_are_written_as_users_write_them(written, seeds):
    assert ComparisonPlan(seeds=written).seeds == seeds


def test_sets_are_divided_by_commas_and_spaces_but_not_inside_options():
    plan = ComparisonPlan(enhancements=("none,afma", "afma+celt", "afma:level=2,patch=10+se"))
    assert plan.enhancements == ("none", "afma", "afma+celt", "afma:level=2,patch=10+se")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"seeds": "4..0"}, "low to high"),
        ({"seeds": "0..99999"}, "at most 1000"),
        ({"seeds": (0, 0)}, "seeds holds a value twice: 0, 0"),
        ({"enhancements": ()}, "at least 1 item"),
        ({"enhancements": ("afma",)}, "baseline none is not among the enhancements"),
        ({"enhancements": ("none", "control=afma")}, "there is no set afma"),
        ({"tuning": {"afma": 3}}, "a set of the plan had before, such as none 40, not afma 3"),
        ({"tuning": {"none": -1}}, "such as none 40, not none -1"),
        ({"epochs": 2, "steps": 3}, "give one of epochs, steps and minutes"),
        ({"steps": 0}, "greater than or equal to 1"),
        ({"enhancement": ("none",)}, "Extra inputs are not permitted"),
    ],
)
def test_plan_that_cannot_be_meant_is_refused(options, message):
    with pytest.raises(ValidationError, match=message):
        ComparisonPlan(**options)


def test_cells_are_every_combination_seed_by_seed(plan, tmp_path):
    cells = make_cells(
        plan(architectures="unet,fpn", enhancements=("none", "celt+se"), seeds="3..4"), tmp_path
    )
    assert [(c.seed, c.group.architecture, c.variant) for c in cells] == [
        (seed, architecture, variant)
        for seed in (3, 4)
        for architecture in ("unet", "fpn")
        for variant in ("none", "celt+se")
    ]
    last = cells[-1].config
    assert last.model.enhancements == ("celt", "se")
    assert (last.model.architecture, last.train.seed) == ("fpn", 4)
    assert cells[-1].path == tmp_path / "cells" / "squares-fpn-tu-test_resnet-celt+se-seed4"
    assert len({cell.path for cell in cells}) == len(cells)


def test_long_names_are_cut_and_stay_different(plan, tmp_path):
    long = "celt:" + ",".join(f"loss_weight=0.{i}" for i in range(1, 40))
    cells = make_cells(plan(enhancements=("none", long, f"{long}1")), tmp_path)
    assert len({cell.id for cell in cells}) == 3
    assert all(len(cell.id) < 130 for cell in cells)


def test_control_has_as_many_parameters_as_its_set(plan, tmp_path):
    cells = make_cells(plan(enhancements=("none", "celt", "se", "control", "control=se")), tmp_path)
    numbers = {}
    for cell in cells:
        model = build_model(cell.config.model, 2)
        numbers[cell.variant] = sum(parameter.numel() for parameter in model.parameters())
    assert numbers["celt"] > numbers["se"] > numbers["none"]
    for control, like in (("control", "celt"), ("control=se", "se")):
        extra = numbers[like] - numbers["none"]
        assert numbers[control] - numbers["none"] == pytest.approx(extra, abs=256)


def test_control_needs_something_to_match(plan, tmp_path):
    with pytest.raises(ConfigError, match="control has nothing to match"):
        make_cells(plan(enhancements=("none", "control")), tmp_path)


@pytest.mark.parametrize(
    "variant", ["afma", "celt", "se", "control", "deep_supervision", "dlinknet"]
)
def test_cells_of_a_seed_start_from_the_same_common_weights(plan, tmp_path, variant):
    from lightning.pytorch import seed_everything

    sets = tuple(dict.fromkeys(("none", "celt", variant)))
    cells = {cell.variant: cell for cell in make_cells(plan(enhancements=sets), tmp_path)}
    states = []
    for name in ("none", variant):
        seed_everything(cells[name].config.train.seed, verbose=False)
        states.append(build_model(cells[name].config.model, 2).state_dict())
    plain, enhanced = states
    assert plain.keys() < enhanced.keys()
    assert all(torch.equal(plain[key], enhanced[key]) for key in plain)


def test_cells_of_a_seed_see_the_same_batches(plan, tmp_path):
    from segloom.data import build_dataset

    cells = make_cells(plan(), tmp_path)
    first, second = (
        build_dataset(cell.config.data, "train", augment=True, seed=cell.config.train.seed)
        for cell in cells
    )
    for index in range(len(first)):
        assert torch.equal(first[index]["image"], second[index]["image"])
    left, right = (cell.config.model_dump(exclude={"model", "train"}) for cell in cells)
    assert left == right


def test_plan_comes_back_from_its_folder_and_may_grow(plan, tmp_path):
    small, large = plan(), plan(seeds="0..3", enhancements=("none", "celt", "se"))
    open_plan(small, tmp_path / "lab")
    assert read_plan(tmp_path / "lab") == small
    open_plan(large, tmp_path / "lab")
    assert read_plan(tmp_path / "lab") == large


def test_other_conditions_in_the_same_folder_are_refused(plan, tmp_path):
    open_plan(plan(epochs=2), tmp_path / "lab")
    with pytest.raises(ConfigError, match="epochs was 2, is 3; go on with"):
        open_plan(plan(epochs=3), tmp_path / "lab")


def test_folder_of_something_else_is_refused(plan, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ConfigError, match="is not empty and holds no plan"):
        open_plan(plan(), tmp_path)
    with pytest.raises(ConfigError, match=r"notes.txt is a file"):
        open_plan(plan(), tmp_path / "notes.txt")
    with pytest.raises(ConfigError, match=r"holds no plan.yaml"):
        read_plan(tmp_path / "nowhere")


def test_damaged_plan_is_named(tmp_path):
    (tmp_path / "plan.yaml").write_text("{")
    with pytest.raises(ConfigError, match=r"plan.yaml is not valid YAML"):
        read_plan(tmp_path)
    (tmp_path / "plan.yaml").write_text("seeds: [0]\nepoch: 3\n")
    with pytest.raises(ConfigError, match=r"plan.yaml: epoch: "):
        read_plan(tmp_path)


def test_weights_may_lie_elsewhere_but_are_the_same_file(plan, recipe, tmp_path):
    def with_weights(path):
        model = recipe.model.model_copy(update={"encoder_weights": path})
        return plan(recipes={"squares": recipe.model_copy(update={"model": model})})

    open_plan(with_weights("/here/r18.safetensors"), tmp_path)
    open_plan(with_weights("/there/r18.safetensors"), tmp_path)
    with pytest.raises(ConfigError, match=r"was 'r18\.safetensors', is 'imagenet'"):
        open_plan(with_weights("imagenet"), tmp_path)
    with pytest.raises(ConfigError, match=r"was 'r18\.safetensors', is None"):
        open_plan(with_weights(None), tmp_path)
