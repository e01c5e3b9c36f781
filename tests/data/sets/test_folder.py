"""Folders of images and label maps are paired by stem."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from segloom.config.data import DataConfig
from segloom.data.pairing import divide, find_images, hashed_split, pair_folders
from segloom.data.sets.folder import read
from segloom.errors import DataError


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (2, 2)).save(path)


def ids(root: Path, split: str, **options: object) -> list[str]:
    return [record.id for record in read(DataConfig(root=root, **options), split).records]


def test_pairs_are_found_whatever_the_endings(tmp_path):
    touch(tmp_path / "train/images/a.jpg", tmp_path / "train/masks/a.png")
    touch(tmp_path / "train/images/b.PNG", tmp_path / "train/masks/b.bmp")
    records = read(DataConfig(root=tmp_path), "train").records
    assert [(r.id, r.image.name, r.mask.name) for r in records] == [
        ("a", "a.jpg", "a.png"),
        ("b", "b.PNG", "b.bmp"),
    ]


def test_same_stems_in_different_folders_are_told_apart(tmp_path):
    for city in ("x", "y"):
        touch(tmp_path / f"train/images/{city}/1.png", tmp_path / f"train/masks/{city}/1.png")
    records = read(DataConfig(root=tmp_path), "train").records
    assert [record.id for record in records] == ["x__1", "y__1"]
    assert all(r.image.parent.name == r.mask.parent.name for r in records)


def test_names_stay_unique_even_where_joined_folders_collide(tmp_path):
    for key in ("x/1", "y/1", "x__1"):
        touch(tmp_path / f"i/{key}.png", tmp_path / f"m/{key}.png")
    found = [record.id for record in pair_folders(tmp_path / "i", tmp_path / "m")]
    assert len(set(found)) == 3


def test_label_maps_may_lie_in_other_folders_if_the_stem_is_clear(tmp_path):
    touch(tmp_path / "images/deep/a.png", tmp_path / "masks/a.png")
    (record,) = pair_folders(tmp_path / "images", tmp_path / "masks")
    assert record.mask == tmp_path / "masks/a.png"


def test_endings_of_stems_can_be_told_so_that_one_folder_holds_both(tmp_path):
    touch(tmp_path / "train/a_photo.png", tmp_path / "train/a_label.png")
    options = {"images": "{split}", "masks": "{split}"}
    endings = {"image_ending": "_photo", "mask_ending": "_label"}
    assert ids(tmp_path, "train", **options, **endings) == ["a"]
    touch(tmp_path / "train/b.png", tmp_path / "train/b_label.png")
    (tmp_path / "train/a_photo.png").unlink()
    (tmp_path / "train/a_label.png").unlink()
    assert ids(tmp_path, "train", **options, mask_ending="_label") == ["b"]


@pytest.mark.parametrize(("images", "masks"), [("all", "all/masks"), ("all/images", "all")])
def test_one_folder_may_lie_in_the_other(tmp_path, images, masks):
    touch(tmp_path / images / "a.jpg", tmp_path / masks / "a.png")
    (record,) = pair_folders(tmp_path / images, tmp_path / masks)
    assert (record.image.name, record.mask.name) == ("a.jpg", "a.png")


def test_other_names_of_a_split_are_tried(tmp_path):
    touch(tmp_path / "validationx/a.png", tmp_path / "validationy/a.png")
    assert ids(tmp_path, "val", images="{split}x", masks="{split}y") == ["a"]


def test_hidden_and_foreign_files_are_left_out(tmp_path):
    touch(tmp_path / "a.png", tmp_path / ".b.png", tmp_path / ".cache/c.png")
    touch(tmp_path / "__MACOSX/a.png", tmp_path / "sub/@eaDir/a.png/thumb.jpg")
    (tmp_path / "notes.txt").write_text("no image")
    assert list(find_images(tmp_path)) == [Path("a")]


def test_without_split_folders_names_decide_and_every_image_has_one_split(tmp_path):
    for number in range(60):
        touch(tmp_path / f"images/{number}.png", tmp_path / f"masks/{number}.png")
    splits = {split: ids(tmp_path, split) for split in ("train", "val", "test")}
    assert sorted(name for names in splits.values() for name in names) == sorted(
        map(str, range(60))
    )
    assert len(splits["train"]) > len(splits["test"]) > 0 < len(splits["val"])
    touch(tmp_path / "images/new.png", tmp_path / "masks/new.png")
    again = {split: ids(tmp_path, split) for split in splits}
    assert all(set(splits[split]) <= set(again[split]) for split in splits)
    assert ids(tmp_path, "test", split_shares=(0, 0, 1)) == ids(
        tmp_path, "train", split_shares=(1, 0, 0)
    )


def test_hashed_shares_come_out_as_asked():
    splits = [hashed_split(f"image {n}", (0.5, 0.2, 0.3)) for n in range(4000)]
    assert splits.count("train") == pytest.approx(2000, abs=130)
    assert splits.count("val") == pytest.approx(800, abs=110)


def test_an_image_without_label_map_is_named(tmp_path):
    touch(tmp_path / "i/a.png", tmp_path / "i/b.png", tmp_path / "i/c.png", tmp_path / "m/a.png")
    with pytest.raises(DataError, match=r"b\.png has no label map.*1 more of 3.*data\.mask_ending"):
        pair_folders(tmp_path / "i", tmp_path / "m")


def test_two_images_of_one_stem_are_refused(tmp_path):
    touch(tmp_path / "i/a.png", tmp_path / "i/a.jpg")
    with pytest.raises(DataError, match=r"a\.jpg and .*a\.png differ only in their ending"):
        find_images(tmp_path / "i")


def test_a_folder_without_images_is_refused(tmp_path):
    (tmp_path / "m").mkdir()
    with pytest.raises(DataError, match=r"holds no image; images end in .*\.png"):
        pair_folders(tmp_path, tmp_path / "m")
    with pytest.raises(DataError, match="holds no image that ends with _x"):
        pair_folders(tmp_path, tmp_path / "m", image_ending="_x")


def test_missing_folders_are_named_with_what_there_is(tmp_path):
    with pytest.raises(DataError, match=r"test/images \(it has no split at all\)"):
        read(DataConfig(root=tmp_path), "test")
    touch(tmp_path / "train/images/a.png")
    with pytest.raises(DataError, match=r"test/images \(it has train\); set data\.images"):
        read(DataConfig(root=tmp_path), "test")
    with pytest.raises(DataError, match=r"train/masks; set data\.masks"):
        read(DataConfig(root=tmp_path), "train")


def test_root_and_split_are_checked(tmp_path):
    with pytest.raises(DataError, match="unknown split 'dev'; the splits are train, val, test"):
        read(DataConfig(root=tmp_path), "dev")
    with pytest.raises(DataError, match=r"needs a folder; give it with --data\.root DIR"):
        read(DataConfig(), "train")
    with pytest.raises(DataError, match="gone is not a folder"):
        read(DataConfig(root=tmp_path / "gone"), "train")


def test_real_sets_in_their_original_layouts_are_read(shared):
    samples = shared / "data" / "samples"
    for split, count in (("train", 70), ("val", 20), ("test", 30)):
        assert len(ids(samples / "nuclei", split)) == count
        assert len(ids(samples / "birds", split, masks="{split}/GroundTruth")) == 5
        skin = ids(samples / "skin_lesion", split, images="{split}x", masks="{split}y")
        assert skin == [f"imgx{n}" for n in range(1, 6)]
    cityscapes = {
        "images": "leftImg8bit_trainvaltest/{split}",
        "masks": "gtFine_labelTrainIds/{split}",
        "image_ending": "_leftImg8bit",
        "mask_ending": "_gtFine_labelTrainIds",
    }
    assert ids(samples / "cityscapes", "train", **cityscapes)[0] == "aachen_000000_000019"


@pytest.mark.parametrize("number", [3, 6, 12, 40])
def test_no_split_of_an_undivided_folder_is_empty(number):
    for prefix in "abcdefgh":
        names = [f"{prefix}{index}" for index in range(number)]
        division = divide(names, (0.7, 0.1, 0.2))
        assert set(division) == set(names)
        assert set(division.values()) == {"train", "val", "test"}


def test_a_split_without_a_share_stays_empty():
    division = divide([f"a{index}" for index in range(20)], (0.8, 0.2, 0.0))
    assert set(division.values()) == {"train", "val"}
