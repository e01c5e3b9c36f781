"""Which images depend on one another: what readers know, and ``data.group_by``."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.squares import write_squares

from segloom.config.data import DataConfig
from segloom.data.readers import read_source
from segloom.data.sets import camvid, cityscapes
from segloom.errors import ConfigError, DataError
from segloom.types import Place, Record


def test_camvid_names_tell_the_film_and_the_frame():
    assert camvid.place("0001TP_008550") == Place("0001TP", 8550)
    assert camvid.place("Seq05VD_f00090") == Place("Seq05VD", 90)
    assert camvid.place("test__Seq05VD_f00090") == Place("Seq05VD", 90)
    assert camvid.place("elsewhere") == Place()


def test_cityscapes_names_tell_the_city_sequence_and_frame():
    assert cityscapes.place("ulm_000012_000019") == Place("ulm", 12_000_019)
    assert cityscapes.place("a_photo") == Place()


def test_slices_of_a_volume_are_a_group_in_their_order():
    record = Record("volume-3_0007", Path("volume-3.nii"), part=7, case="volume-3")
    assert record.place == Place("volume-3", 7)
    assert Record("a", Path("a.png")).place == Place()


def films(root: Path, names: list[str]) -> Path:
    """Write two images per name, in one folder that nothing divides."""
    for kind, pixels in (("images", np.zeros((4, 4, 3))), ("masks", np.zeros((4, 4)))):
        for name in names:
            for frame in (1, 2):
                path = root / kind / name / f"{name}_{frame:03}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(pixels.astype(np.uint8)).save(path)
    return root


def places(root: Path, group_by: str, split: str = "train", **options) -> list[Place]:
    config = DataConfig(
        root=root, group_by=group_by, images="images", masks="masks", classes=("a",), **options
    )
    return [record.place for record in read_source(config, split).records]


def test_a_pattern_holds_group_and_order_and_groups_stay_in_one_split(tmp_path):
    films(tmp_path, [f"film{i}" for i in range(12)])
    found = {
        split: places(tmp_path, r"images/(\w+)/\w+_(\d+)", split)
        for split in ("train", "val", "test")
    }
    groups = {split: {place.group for place in own} for split, own in found.items()}
    assert sum(map(len, groups.values())) == 12
    assert all(len(own) == 2 * len(groups[split]) for split, own in found.items())
    first = next(iter(groups["train"]))
    assert [p.order for p in found["train"] if p.group == first] == [1, 2]


def test_a_table_holds_group_and_order(tmp_path):
    write_squares(tmp_path, {"train": 3})
    table = tmp_path / "patients.csv"
    table.write_text("image,group,order\n0,p1,5\n1.png,p1,4\ntrain/images/2.png,p2,\n")
    config = DataConfig(root=tmp_path, group_by="patients.csv", classes=("a", "b"))
    found = [record.place for record in read_source(config, "train").records]
    assert found == [Place("p1", 5), Place("p1", 4), Place("p2")]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("image,group\n0,p1\n", "1.png is not in patients.csv; add a line"),
        ("name,patient\n0,p1\n", "needs a first line 'image,group'"),
        ("image,group\n0,\n", "line 2: image and group must both be given"),
        ("image,group,order\n0,p1,x\n", "a whole number, not 'x'"),
    ],
)
def test_tables_that_do_not_tell_are_refused(tmp_path, text, message):
    write_squares(tmp_path, {"train": 2})
    (tmp_path / "patients.csv").write_text(text)
    config = DataConfig(root=tmp_path, group_by="patients.csv", classes=("a", "b"))
    with pytest.raises(DataError, match=message):
        read_source(config, "train")


def test_patterns_that_cannot_be_meant_are_refused(tmp_path):
    write_squares(tmp_path, {"train": 1})

    def read(group_by):
        read_source(DataConfig(root=tmp_path, group_by=group_by, classes=("a", "b")), "train")

    with pytest.raises(ConfigError, match="is no regular expression"):
        read("(film")
    with pytest.raises(DataError, match=r"does not match data\.group_by"):
        read(r"(film\d+)_")
    with pytest.raises(ConfigError, match="video_id names a field of COCO's images"):
        read("video_id")


def test_fields_of_coco_hold_group_and_order(tmp_path):
    (tmp_path / "train2017").mkdir()
    images = []
    for number in range(2):
        Image.new("RGB", (8, 6)).save(tmp_path / "train2017" / f"{number}.png")
        shape = {"height": 6, "width": 8, "video_id": 4, "frame_id": 10 - number}
        images.append({"id": number, "file_name": f"{number}.png", **shape})
    content = {"images": images, "annotations": [], "categories": [{"id": 1, "name": "cat"}]}
    path = tmp_path / "annotations/instances_train2017.json"
    path.parent.mkdir()
    path.write_text(json.dumps(content))

    def read(group_by):
        config = DataConfig(name="coco", root=tmp_path, group_by=group_by)
        return [record.place for record in read_source(config, "train").records]

    assert read("video_id,frame_id") == [Place("4", 10), Place("4", 9)]
    assert read("video_id") == [Place("4"), Place("4")]
    assert read("") == [Place(), Place()]
    with pytest.raises(DataError, match=r"image 0\.png has no scene"):
        read("scene")


def test_images_of_one_coco_file_that_nothing_divides_stay_with_their_video(tmp_path):
    (tmp_path / "images").mkdir()
    images = []
    for number in range(24):
        Image.new("RGB", (8, 6)).save(tmp_path / "images" / f"{number}.png")
        shape = {"height": 6, "width": 8, "video_id": number // 2}
        images.append({"id": number, "file_name": f"{number}.png", **shape})
    content = {"images": images, "annotations": [], "categories": [{"id": 1, "name": "cat"}]}
    (tmp_path / "annotations.json").write_text(json.dumps(content))
    found = {}
    for split in ("train", "val", "test"):
        config = DataConfig(name="coco", root=tmp_path, group_by="video_id")
        records = read_source(config, split).records
        found[split] = {record.place.group for record in records}
        assert len(records) == 2 * len(found[split])
    assert sum(map(len, found.values())) == 12
