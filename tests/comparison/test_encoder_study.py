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
def nuclei(tmp_path):
    """Give the folder of two images per split in the layout of the nuclei."""
    for split in ("train", "val", "test"):
        for number in range(2):
            image, mask = make_scene(0, split, number, size=(64, 96))
            write_image(tmp_path / f"nuclei/{split}/images/{number}.png", image)
            binary = np.where(mask == mask.max(), 255, 0).astype(np.uint8)
            write_label_png(tmp_path / f"nuclei/{split}/masks/{number}.png", binary)
    return tmp_path / "nuclei"


def test_the_plan_is_four_sets_on_two_encoders_with_three_seeds(nuclei, tmp_path):
    values = yaml.safe_load(PLAN.read_text(encoding="utf-8"))
    values["recipes"]["folder"]["data"]["root"] = str(nuclei)
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
                    "unet", encoder_name=encoder, classes=2, enhancements=model.enhancements
                ).parameters()
            )
            for name, model in sizes.items()
        }
        added = {name: count[name] - count["none"] for name in count}
        largest = max(added["afma"], added["celt"])
        assert abs(added["control"] - largest) < 0.1 * largest
