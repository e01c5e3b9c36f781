"""LiTS: slices of volumes as samples, cases that stay together, and the slices of AFMA."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

from segloom.config.data import DataConfig
from segloom.data import build_dataset
from segloom.data.sets.lits import LITS, REGIONS, SliceDecoder, is_here, read
from segloom.data_check import check
from segloom.errors import DataError, NoSplitError
from segloom.images.volumes import _read

nibabel = pytest.importorskip("nibabel", reason="the extra segloom[medical] is not installed")

AFFINE = np.diag([-0.7, -0.7, 5, 1])


def save(path: Path, voxels: np.ndarray, affine: np.ndarray = AFFINE) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.Nifti1Image(voxels.T, affine).to_filename(path)


def make_case(folder: Path, number: int, *, slices: int = 3, ending: str = ".nii.gz") -> None:
    labels = np.zeros((slices, 6, 8), np.uint8)
    labels[1:, 1:5, 2:6] = 1
    labels[-1, 2, 3] = 2
    save(folder / f"volume-{number}{ending}", 100 * labels.astype(np.int16) - 50 + number)
    save(folder / f"segmentation-{number}{ending}", labels)


def config(root: Path, **options: object) -> DataConfig:
    return DataConfig(name="lits", root=root, cache_dir=root / "cache", **options)


def test_a_slice_is_a_sample_and_a_volume_its_case(tmp_path):
    make_case(tmp_path / "Training Batch 1", 0)
    make_case(tmp_path / "Training Batch 2", 28, slices=4, ending=".nii")
    dataset = build_dataset(config(tmp_path, split_shares=(1, 0, 0)), "train")
    assert dataset.labels == LITS
    assert dataset.regions == REGIONS
    assert [(r.id, r.part, r.case) for r in dataset.records] == [
        *((f"volume-0_{k:04}", k, "volume-0") for k in range(3)),
        *((f"volume-28_{k:04}", k, "volume-28") for k in range(4)),
    ]
    sample = dataset[2]
    assert sample["image"].shape == (3, 6, 8)
    assert sample["mask"][2].tolist() == [0, 0, 1, 2, 1, 1, 0, 0]
    grey = {-50: 102, 50: 153, 150: 204}  # 255 (HU + 250) / 500
    assert sample["image"][0, 2, :4].tolist() == [grey[-50], grey[-50], grey[50], grey[150]]
    assert (sample["image"] == sample["image"][:1]).all()
    assert sample["meta"]["id"] == "volume-0_0002"


def test_all_slices_are_cached_in_order_when_the_data_set_is_made(tmp_path):
    for number in range(4):
        make_case(tmp_path, number)
    _read.cache_clear()
    dataset = build_dataset(config(tmp_path, split_shares=(1, 0, 0)), "train")
    assert _read.cache_info().misses == 8  # every file once
    assert all(dataset.cache.holds(record) for record in dataset.records)
    expected = np.asarray(dataset[4]["image"])
    for path in tmp_path.glob("volume-*"):
        status = path.stat()
        path.write_bytes(b"\0" * status.st_size)  # the cache is what is read from now on
        __import__("os").utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    _read.cache_clear()
    np.testing.assert_array_equal(dataset[4]["image"], expected)
    assert _read.cache_info().misses == 0


def test_another_window_is_another_entry_of_the_cache(tmp_path):
    make_case(tmp_path, 0)
    options = {"split_shares": (1, 0, 0)}
    wide = build_dataset(config(tmp_path, **options), "train")[0]["image"]
    narrow = build_dataset(config(tmp_path, hu_window=(-100, 0), **options), "train")[0]["image"]
    assert wide.unique().tolist() == [102]
    assert narrow.unique().tolist() == [128]
    assert pickle.loads(pickle.dumps(SliceDecoder((0, 1)))) == SliceDecoder((0, 1))


def test_cases_are_divided_whole_and_folders_divide_before_that(tmp_path):
    for number in range(12):
        make_case(tmp_path / "all", number)
    cases = {
        split: {record.case for record in read(config(tmp_path / "all"), split).records}
        for split in ("train", "val", "test")
    }
    assert sum(len(found) for found in cases.values()) == 12
    assert set.union(*cases.values()) == {f"volume-{n}" for n in range(12)}
    make_case(tmp_path / "own" / "train", 5)
    make_case(tmp_path / "own" / "validation", 6)
    assert {r.case for r in read(config(tmp_path / "own"), "val").records} == {"volume-6"}
    with pytest.raises(NoSplitError, match="has no folder test with volumes"):
        read(config(tmp_path / "own"), "test")


def test_labels_may_lie_in_another_folder_and_test_volumes_have_none(tmp_path):
    make_case(tmp_path / "ct", 3)
    (tmp_path / "ct" / "segmentation-3.nii.gz").rename(tmp_path / "segmentation-3.nii.gz")
    save(tmp_path / "ct" / "test-volume-3.nii", np.zeros((2, 3, 3), np.int16))
    options = {"split_shares": (1, 0, 0)}
    assert len(read(config(tmp_path, **options), "train").records) == 3
    make_case(tmp_path / "ct", 4)
    (tmp_path / "ct" / "segmentation-4.nii.gz").unlink()
    with pytest.raises(DataError, match=r"volume-4.* has no labels; keep one segmentation-4\.nii"):
        read(config(tmp_path, **options), "train")


@pytest.mark.parametrize("shape", [(6, 8), (6, 8, 1), (6, 8, 3)])
def test_slices_of_afma_are_read(tmp_path, shape):
    hounsfield = np.full(shape, -250, np.float32)
    hounsfield[2:] = 250
    for number in range(2):
        np.save(tmp_path / f"volume-7_{number}.npy", hounsfield)
        np.save(tmp_path / f"segmentation-7_{number}.npy", np.full((6, 8), number, np.uint8))
    dataset = build_dataset(config(tmp_path, split_shares=(1, 0, 0)), "train")
    assert {record.case for record in dataset.records} == {"volume-7"}
    assert dataset[1]["mask"].unique().tolist() == [1]
    assert dataset[0]["image"].shape == (3, 6, 8)
    assert dataset[0]["image"][:, :2].max() == 0
    assert dataset[0]["image"][:, 2:].min() == 255


def test_the_real_case_is_read_whole(shared, tmp_path):
    root = shared / "data" / "samples" / "lits"
    options = {"split_shares": (1, 0, 0), "cache": False}
    dataset = build_dataset(DataConfig(name="lits", root=root, **options), "train")
    assert len(dataset) == 128
    counts = sum(np.bincount(dataset.read(n).mask.ravel(), minlength=3) for n in range(128))
    assert counts.tolist() == [1481801, 485268, 130083]
    assert 60 < dataset.read(64).image.mean() < 200


def test_the_check_recognises_it(tmp_path):
    for split, number in (("train", 0), ("val", 1), ("test", 2)):
        make_case(tmp_path / split, number)
    report = check(tmp_path)
    assert report.is_fine, report.findings
    assert report.options == {"name": "lits", "root": str(tmp_path)}
    assert [row.name for row in report.labels] == list(LITS.classes)
    assert not is_here(tmp_path / "cache")


def test_the_check_recognises_slices(tmp_path):
    np.save(tmp_path / "liver_volume-1_1.npy", np.zeros((4, 4), np.float32))
    assert not is_here(tmp_path)  # an array alone may be anything
    for split, number in (("train", 0), ("val", 1), ("test", 2)):
        (tmp_path / split).mkdir()
        for part in range(2):
            labels = np.arange(48, dtype=np.uint8).reshape(6, 8) % 3
            name = f"{number}_{part}.npy"
            np.save(tmp_path / split / f"volume-{name}", 100.0 * labels + number)
            np.save(tmp_path / split / f"segmentation-{name}", labels)
    report = check(tmp_path)
    assert report.is_fine, report.findings
    assert report.options == {"name": "lits", "root": str(tmp_path)}
    assert {split: count.pairs for split, count in report.splits.items()} == {
        "train": 2, "val": 2, "test": 2
    }  # fmt: skip
    assert [row.name for row in report.labels] == list(LITS.classes)


def test_image_and_labels_must_lie_on_one_grid(tmp_path):
    make_case(tmp_path, 0)
    options = {"split_shares": (1, 0, 0), "cache": False}
    zeros = np.zeros((3, 6, 8), np.uint8)
    for labels, affine in ((zeros[:, :5], AFFINE), (zeros, np.diag([0.7, -0.7, 5, 1]))):
        save(tmp_path / "segmentation-0.nii.gz", labels, affine)
        with pytest.raises(DataError, match="save both on one grid"):
            build_dataset(config(tmp_path, **options), "train")[0]


@pytest.mark.parametrize("value", [0.5, -1, 300])
def test_labels_that_are_no_ids_are_refused(tmp_path, value):
    make_case(tmp_path, 0)
    save(tmp_path / "segmentation-0.nii.gz", np.full((3, 6, 8), value, np.float32))
    options = {"split_shares": (1, 0, 0), "cache": False}
    with pytest.raises(DataError, match=f"hold {value:g}, which is no class"):
        build_dataset(config(tmp_path, **options), "train")[0]


def test_a_label_beyond_the_classes_is_refused(tmp_path):
    make_case(tmp_path, 0)
    save(tmp_path / "segmentation-0.nii.gz", np.full((3, 6, 8), 3, np.uint8))
    with pytest.raises(DataError, match="outside the 3 classes: 3"):
        build_dataset(config(tmp_path, split_shares=(1, 0, 0)), "train")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "damaged or no array"),
        (b"\x93NUMPY\x01\x00", "damaged or no array"),
        (np.zeros((4, 4), complex), "holds complex128"),
        (np.zeros((4, 4, 2)), r"of the shape \(4, 4, 2\)"),
        (np.zeros(4), r"of the shape \(4,\)"),
        (np.array([{}], object), "damaged or no array"),
    ],
)
def test_hostile_slices_are_refused(tmp_path, content, message):
    path = tmp_path / "volume-1_1.npy"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        np.save(path, content, allow_pickle=True)
    np.save(tmp_path / "segmentation-1_1.npy", np.zeros((4, 4), np.uint8))
    options = {"split_shares": (1, 0, 0), "cache": False}
    with pytest.raises(DataError, match=message):
        build_dataset(config(tmp_path, **options), "train")[0]


def test_an_array_that_claims_terabytes_is_refused(tmp_path):
    path = tmp_path / "volume-1_1.npy"
    header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (1000000, 1000000), }"
    header += b" " * (117 - len(header)) + b"\n"
    path.write_bytes(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header)
    np.save(tmp_path / "segmentation-1_1.npy", np.zeros((4, 4), np.uint8))
    options = {"split_shares": (1, 0, 0), "cache": False}
    with pytest.raises(DataError, match="damaged or no array"):
        build_dataset(config(tmp_path, **options), "train")[0]


def test_a_folder_without_volumes_is_refused(tmp_path):
    with pytest.raises(DataError, match="holds no LiTS"):
        read(config(tmp_path), "train")


def test_volumes_and_slices_without_a_number_are_refused(tmp_path):
    options = {"split_shares": (1, 0, 0), "cache": False}
    make_case(tmp_path / "volumes", 0)
    save(tmp_path / "volumes" / "volume-0.nii.gz", np.full((3, 6, 8), np.inf, np.float32))
    (tmp_path / "slices").mkdir()
    np.save(tmp_path / "slices" / "volume-0_1.npy", np.full((6, 8), np.nan, np.float32))
    np.save(tmp_path / "slices" / "segmentation-0_1.npy", np.zeros((6, 8), np.uint8))
    for folder in ("volumes", "slices"):
        with pytest.raises(DataError, match=r"volume-0.* holds no number, only NaN or infinity"):
            build_dataset(config(tmp_path / folder, **options), "train")[0]
