"""Lists that segloom writes are lists that it reads."""

from __future__ import annotations

import pytest
from PIL import Image

from segloom.cli.main import main
from segloom.config.data import DataConfig
from segloom.data.readers import read_source
from segloom.data.write_lists import write_lists
from segloom.errors import DataError

CITIES = {"train": ("aachen", "ulm"), "val": ("munster",), "test": ("berlin",)}


@pytest.fixture
def edges(tmp_path, cityscapes_tree):
    """Edge maps named as label maps, as DLSE keeps them, and in another order."""
    root = cityscapes_tree(tmp_path / "data", CITIES)
    for path in sorted(root.glob("gtFine/*/*/*_color.png"), reverse=True):
        place = tmp_path / "edges" / path.parent.parent.name / path.name
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (8, 34)).save(place)
    return tmp_path / "edges"


def test_image_label_and_edge_are_matched_by_name_and_read_back(tmp_path, edges, capsys):
    words = ["data", "list", "cityscapes", "--data.root", str(tmp_path / "data")]
    out = tmp_path / "lists"
    assert main([*words, "--out", str(out), "--edges", str(edges)]) == 0
    assert "val.csv: 2 samples" in capsys.readouterr().out
    assert not (out / "test.csv").exists()  # its labels are kept by the server
    config = DataConfig(name="list", lists={"train": out / "train.csv"})
    records = read_source(config, "train").records
    assert len(records) == 4
    for record in records:
        name = record.image.stem.removesuffix("_leftImg8bit")
        assert record.mask.name == f"{name}_gtFine_labelIds.png"
        assert record.edge.name == f"{name}_gtFine_color.png"


def test_without_edges_there_are_two_columns(tmp_path, cityscapes_tree):
    config = DataConfig(name="cityscapes", root=cityscapes_tree(tmp_path, CITIES))
    assert write_lists(config, tmp_path / "lists") == {"train": 4, "val": 2}
    first, second = (tmp_path / "lists" / "val.csv").read_text().splitlines()[:2]
    assert first == "image,label"
    assert len(second.split(",")) == 2


def test_a_sample_without_an_edge_map_is_named(tmp_path, edges):
    (edges / "train" / "ulm_000001_000019_gtFine_color.png").unlink()
    config = DataConfig(name="cityscapes", root=tmp_path / "data")
    with pytest.raises(DataError, match=r"ulm_000001_000019_leftImg8bit\.png has 0 edge maps"):
        write_lists(config, tmp_path / "lists", edges)
    with pytest.raises(DataError, match="nowhere is not a folder"):
        write_lists(config, tmp_path / "lists", tmp_path / "nowhere")
