"""What splits have in common: groups, copies, near-duplicates, and what is only alike by chance."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from segloom.cli.main import main
from segloom.config.data import DataConfig
from segloom.data_check.leakage import difference_hash, draw_lookalikes, find_leakage
from segloom.errors import DataError


def scene(seed: int) -> np.ndarray:
    """Draw smooth coloured noise, another one for every seed."""
    coarse = np.random.default_rng(seed).integers(0, 256, (9, 12, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((96, 72), Image.Resampling.BICUBIC))


def write(root, split, name, image):
    for kind, pixels in (("images", image), ("masks", np.zeros(image.shape[:2], np.uint8))):
        path = root / split / kind / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)


@pytest.fixture
def root(tmp_path):
    """Five scenes to train on; the tests hold a copy, a brighter smaller one, and a new one."""
    for seed in range(5):
        write(tmp_path, "train", f"film{seed % 2}_{seed}", scene(seed))
    write(tmp_path, "test", "film1_90", scene(3))
    small = Image.fromarray(scene(2)).resize((64, 48))
    write(tmp_path, "test", "film7_91", np.asarray(small) // 2 + 100)
    write(tmp_path, "test", "film8_92", scene(99))
    return tmp_path


def config(root, **options):
    return DataConfig(root=root, classes=("a", "b"), **options)


def test_copies_and_near_duplicates_are_found_and_other_scenes_are_not(root):
    found = find_leakage(config(root))
    names = [(item.images[0].stem, item.images[1].stem) for item in found.lookalikes]
    assert names == [("film1_3", "film1_90"), ("film0_2", "film7_91")]
    assert found.lookalikes[0].num_bits == 0 < found.lookalikes[1].num_bits <= 12
    kinds = {finding.kind: finding for finding in found.findings}
    assert kinds["copies"].level == "problem"
    assert kinds["near-duplicates"].level == "note"


def test_groups_in_two_splits_are_named_with_their_share(root):
    found = find_leakage(config(root, group_by=r"(film\d)_(\d+)"))
    (shared,) = [finding for finding in found.findings if finding.kind == "shared-groups"]
    assert "33 % of test (1 of 3 images) come from groups that are in train too: film1" in (
        shared.message
    )


def test_flat_images_look_like_nothing(tmp_path):
    for split in ("train", "test"):
        write(tmp_path, split, "flat", np.full((40, 40, 3), 90, np.uint8))
    assert find_leakage(config(tmp_path)).lookalikes == ()


def test_one_split_has_nothing_to_leak_to(tmp_path):
    write(tmp_path, "train", "a", scene(0))
    with pytest.raises(DataError, match="has only the split train"):
        find_leakage(config(tmp_path))


def test_hash_hardly_changes_with_size_and_brightness():
    image = scene(5)
    other = np.asarray(Image.fromarray(image).resize((200, 150))) // 2
    assert (difference_hash(image) != difference_hash(other)).sum() <= 12
    assert 90 <= (difference_hash(image) != difference_hash(scene(6))).sum() <= 170


def test_pairs_are_drawn_side_by_side(root, tmp_path):
    found = find_leakage(config(root))
    draw_lookalikes(found, tmp_path / "alike.png")
    with Image.open(tmp_path / "alike.png") as drawn:
        assert drawn.width > 2 * 160
        assert drawn.height > 2 * 72


def test_command_names_them_and_fails_on_copies(root, tmp_path, capsys):
    words = ["data", "check", str(root), "--classes", "a", "b", "--leakage", "--json"]
    picture = tmp_path / "alike.png"
    assert main([*words, "--group-by", r"(film\d)", "--pictures", str(picture)]) == 1
    kinds = {item["kind"] for item in json.loads(capsys.readouterr().out)["findings"]}
    assert {"copies", "near-duplicates", "shared-groups"} <= kinds
    assert picture.is_file()
