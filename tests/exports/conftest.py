"""A tiny run on squares, and its export; both made once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from support.exports import LABELS
from support.networks import build, labels, make_model, model
from support.squares import write_squares

from segloom.config import DataConfig, RunConfig
from segloom.config.load import dump_config
from segloom.exports import Export, export
from segloom.models import save_pretrained

__all__ = ["exported", "labels", "make_model", "make_run", "model", "run"]


@pytest.fixture(scope="session")
def make_run(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Make a run whose network nobody trained; the data are in their place."""
    data = tmp_path_factory.mktemp("squares")
    write_squares(data, {"train": 1, "val": 3, "test": 1})
    names = list(LABELS.classes)

    def make(architecture: str = "unet", **options: object) -> Path:
        run = tmp_path_factory.mktemp("run")
        network = build(architecture, "tu-test_resnet", classes=2, **options)
        save_pretrained(network, run / "checkpoints" / "best", LABELS)
        config = RunConfig(
            data=DataConfig(name="folder", root=data, classes=names, mask_format="index")
        )
        (run / "config.yaml").write_text(dump_config(config))
        return run

    return make


@pytest.fixture(scope="session")
def run(make_run: Callable[..., Path]) -> Path:
    return make_run()


@pytest.fixture(scope="session")
def exported(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Export:
    return export(run, tmp_path_factory.mktemp("exported") / "unet", probabilities=True)
