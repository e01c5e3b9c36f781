"""The committed plan of the study of encoders is one that `segloom compare` runs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml

from segloom.comparison.cells.plan import make_cells
from segloom.config.comparison import ComparisonPlan
from segloom.labels.pictures import write_image, write_label_png
from segloom.models import create_model
from segloom.scenes import make_scene

PLAN = Path(__file__).parents[2] / "benchmarks/studies/encoders/plan.yaml"


@pytest.fixture
def camvid(tmp_path):
    """Give the folder of one image per split in CamVid's layout."""
    for split in ("train", "val", "test"):
        image, mask = make_scene(0, split, 0, size=(64, 96))
        write_image(tmp_path / "camvid" / split / "0.png", image)
        label = np.where(mask == 255, 11, mask).astype(np.uint8)
        write_label_png(tmp_path / "camvid" / f"{split}annot" / "0.png", label)
    return tmp_path / "camvid"


def test_the_plan_is_four_sets_on_two_encoders_with_three_seeds(camvid, tmp_path):
    values = yaml.safe_load(PLAN.read_text(encoding="utf-8"))
    values["recipes"]["camvid"]["data"]["root"] = str(camvid)
    plan = ComparisonPlan.model_validate(values)
    cells = make_cells(plan, tmp_path / "lab")
    assert len({cell.path for cell in cells}) == 2 * 4 * 3
    models = [cell.config.model for cell in cells]
    assert {model.encoder_name for model in models} == {"tu-vit_tiny_patch16_224", "resnet18"}
    assert {(model.architecture, model.encoder_weights) for model in models} == {("unet", None)}
    for encoder in plan.encoders:
        sizes = {}
        for model in models:
            if model.encoder_name == encoder:
                name = model.enhancements[0].partition(":")[0] if model.enhancements else "none"
                sizes[name] = model
        assert set(sizes) == {"none", "afma", "celt", "control"}
        count = {
            name: sum(
                p.numel()
                for p in create_model(
                    "unet", encoder_name=encoder, classes=11, enhancements=model.enhancements
                ).parameters()
            )
            for name, model in sizes.items()
        }
        added = {name: count[name] - count["none"] for name in count}
        largest = max(added["afma"], added["celt"])
        assert abs(added["control"] - largest) < 0.1 * largest
