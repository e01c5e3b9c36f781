"""The scratch folder of a node that other people use too."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from segloom.comparison.cells.plan import Cell, Group
from segloom.comparison.engines.ray_node import NodePlace, place_cell
from segloom.config import DataConfig, RunConfig
from segloom.errors import ConfigError


@pytest.fixture
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make the temporary folder of a node; give where the scratch folder belongs."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path / f"segloom-{os.getuid()}"


def placed(scratch: Path | None = None) -> Path:
    config = RunConfig(data=DataConfig(name="folder", root=Path("data")))
    cell = Cell("none-0", Group("squares", "unet", "resnet18"), "none", 0, config)
    return place_cell(cell, NodePlace("lab", scratch, Path(), hides_gpus=False)).path


def test_the_default_folder_is_private(node: Path) -> None:
    assert placed() == node / "lab" / "none-0" / "none-0"
    assert node.stat().st_mode & 0o777 == 0o700
    node.chmod(0o755)  # as earlier versions made it
    placed()
    assert node.stat().st_mode & 0o777 == 0o700


def test_a_link_made_beforehand_is_refused(node: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    node.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ConfigError, match=r"is not a folder of this user alone; .*--scratch"):
        placed()


def test_a_folder_that_others_may_write_to_is_refused(node: Path) -> None:
    node.mkdir()
    node.chmod(0o777)
    with pytest.raises(ConfigError, match="is not a folder of this user alone"):
        placed()


@pytest.mark.skipif(os.getuid() != 0, reason="only root may give a folder to somebody else")
def test_a_folder_of_somebody_else_is_refused(node: Path) -> None:
    node.mkdir(mode=0o700)
    os.chown(node, 65534, 65534)
    with pytest.raises(ConfigError, match="is not a folder of this user alone"):
        placed()


def test_a_named_folder_is_taken_as_it_is(tmp_path: Path) -> None:
    assert placed(tmp_path / "mine") == tmp_path / "mine" / "lab" / "none-0" / "none-0"
