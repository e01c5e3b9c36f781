"""NIfTI volumes: any axes become axial slices and go back; damaged and absurd files are refused."""

from __future__ import annotations

import gzip
import struct
from itertools import permutations, product
from pathlib import Path

import numpy as np
import pytest

from segloom.errors import ConfigError, DataError
from segloom.images.volumes import MAX_VOXELS, count_slices, read_volume, window, write_label_volume

nibabel = pytest.importorskip("nibabel", reason="the extra segloom[medical] is not installed")

SHAPE = (5, 4, 3)  # left, back, up


def position_volume(codes: str) -> tuple[np.ndarray, np.ndarray]:
    """Voxels that hold 100 x + 10 y + z of the axes left, back, up, stored as ``codes`` says."""
    x, y, z = np.indices(SHAPE)
    from_lps = nibabel.orientations.ornt_transform(
        nibabel.orientations.axcodes2ornt("LPS"), nibabel.orientations.axcodes2ornt(codes)
    )
    stored = nibabel.orientations.apply_orientation(100 * x + 10 * y + z, from_lps)
    inverse = nibabel.orientations.inv_ornt_aff(from_lps, SHAPE)
    return stored.astype(np.int16), np.diag([-0.7, -0.8, 5.0, 1.0]) @ inverse


def save(path: Path, voxels: np.ndarray, affine: np.ndarray | None = None) -> Path:
    nibabel.Nifti1Image(voxels, np.eye(4) if affine is None else affine).to_filename(path)
    return path


CODES = [
    "".join(pair[flip] for pair, flip in zip(axes, flips, strict=True))
    for axes in permutations(["LR", "PA", "SI"])
    for flips in product([0, 1], repeat=3)
]


@pytest.mark.parametrize("codes", CODES)
def test_slices_are_axial_whichever_way_they_are_stored(tmp_path, codes):
    stored, affine = position_volume(codes)
    path = save(tmp_path / "volume.nii.gz", stored, affine)
    volume = read_volume(path)
    assert volume.voxels.shape == SHAPE[::-1]
    assert count_slices(path) == 3
    row, column = np.indices((4, 5))
    np.testing.assert_array_equal(volume.values(2), 100 * column + 10 * row + 2)
    labels = (volume.voxels % 3).astype(np.uint8)
    write_label_volume(tmp_path / "out.nii.gz", labels, volume)
    written = nibabel.load(tmp_path / "out.nii.gz")
    np.testing.assert_array_equal(np.asarray(written.dataobj), stored % 3)
    np.testing.assert_allclose(written.affine, affine, rtol=1e-6)
    assert written.get_data_dtype() == np.uint8


@pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int32, np.float32, np.float64, ">i2"])
def test_stored_numbers_of_every_type_become_values(tmp_path, ending, dtype):
    voxels = np.arange(24).reshape(4, 3, 2).astype(dtype)
    affine = np.diag([-1.0, -1, 1, 1])
    volume = read_volume(save(tmp_path / f"v{ending}", voxels, affine))
    np.testing.assert_array_equal(volume.values(1), voxels[:, :, 1].T.astype(np.float32))


def test_slope_and_intercept_are_applied(tmp_path):
    image = nibabel.Nifti1Image(np.full((2, 2, 2), 10, np.int16), np.diag([-1.0, -1, 1, 1]))
    image.header.set_slope_inter(2, -1024)
    path = tmp_path / "v.nii.gz"
    content = bytearray(image.to_bytes())
    struct.pack_into("<ff", content, 112, 2, -1024)
    path.write_bytes(gzip.compress(bytes(content)))
    assert read_volume(path).values(0).tolist() == [[-1004, -1004], [-1004, -1004]]


def test_a_changed_file_is_read_anew(tmp_path):
    path = save(tmp_path / "v.nii.gz", np.zeros((2, 2, 2), np.int16))
    assert read_volume(path) is read_volume(path)
    save(path, np.ones((2, 2, 2), np.int16))
    assert read_volume(path).values(0).max() == 1


def test_a_window_clips_and_what_is_no_number_is_black():
    values = np.array([-1000, -250, 0, 250, 3000, np.nan, np.inf, -np.inf], np.float32)
    assert window(values, (-250, 250)).tolist() == [0, 0, 128, 255, 255, 0, 255, 0]
    with pytest.raises(ConfigError, match="from low to high values, not from 5 to 1"):
        window(values, (5, 1))


def test_the_real_volume_has_the_voxels_of_its_readme(shared):
    folder = shared / "data" / "samples" / "lits"
    labels = read_volume(folder / "segmentation-117.nii.gz")
    assert np.bincount(labels.voxels.ravel()).tolist() == [1481801, 485268, 130083]
    volume = read_volume(folder / "volume-117.nii.gz")
    stored = np.asarray(nibabel.load(folder / "volume-117.nii.gz").dataobj)
    # The affine is the identity (right, front, up), so both axes of a slice turn round.
    np.testing.assert_array_equal(volume.values(40), stored[::-1, ::-1, 40].T)


def forge(path: Path, offset: int, form: str, *values: float) -> Path:
    content = bytearray(nibabel.Nifti1Image(np.zeros((2, 2, 2), np.int16), np.eye(4)).to_bytes())
    struct.pack_into("<" + form, content, offset, *values)
    path.write_bytes(gzip.compress(bytes(content)))
    return path


@pytest.mark.parametrize(
    ("offset", "form", "values", "message"),
    [
        (40, "4h", (3, 32767, 32767, 32767), rf"claims 32767 x 32767 .*beyond {MAX_VOXELS:,}"),
        (40, "4h", (3, 900, 900, 900), "claims 900 x 900 x 900 voxels"),
        (40, "4h", (3, 0, 2, 2), "not three"),
        (40, "4h", (3, -5, 2, 2), "damaged, cut short|not three"),
        (40, "5h", (4, 2, 2, 1, 2), "not three; save one volume per file"),
        (40, "3h", (2, 2, 4), "not three"),
        (40, "h", (77,), "damaged, cut short or no NIfTI"),
        (40, "4h", (3, 2, 2, 60), "damaged, cut short or no NIfTI"),
        (70, "h", (128,), "save it with one number each"),
        (70, "h", (32,), "save it with one number each"),
        (70, "h", (9999,), "damaged, cut short or no NIfTI"),
        (108, "f", (1e30,), "damaged, cut short or no NIfTI"),
        (108, "f", (float("nan"),), "damaged, cut short or no NIfTI"),
        (280, "4f", (0, 0, 0, 0), "an affine that tells no directions"),
        (280, "f", (float("nan"),), "an affine that tells no directions"),
    ],
)
def test_absurd_headers_are_refused(tmp_path, offset, form, values, message):
    path = forge(tmp_path / "v.nii.gz", offset, form, *values)
    with pytest.raises(DataError, match=message) as caught:
        read_volume(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
@pytest.mark.parametrize("share", [0, 0.02, 0.3, 0.9])
def test_a_file_cut_short_gives_one_sentence(tmp_path, ending, share):
    random = np.random.default_rng(0)
    path = save(tmp_path / f"v{ending}", random.integers(-999, 999, (20, 20, 20)).astype(np.int16))
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(DataError, match=r"v\.nii.* is damaged, cut short or no NIfTI") as caught:
        read_volume(path)
    assert "\n" not in str(caught.value)


def test_what_is_no_volume_is_refused(tmp_path):
    with pytest.raises(DataError, match="cannot be read"):
        read_volume(tmp_path / "none.nii.gz")
    for name, content in (("text.nii", b"hello" * 100), ("text.nii.gz", b"hello" * 100)):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DataError, match="damaged, cut short or no NIfTI"):
            read_volume(tmp_path / name)
    (tmp_path / "v.mgz").write_bytes(b"x")
    with pytest.raises(DataError, match=r"does not end in \.nii or \.nii\.gz"):
        read_volume(tmp_path / "v.mgz")


def test_without_nibabel_the_extra_is_named(tmp_path, monkeypatch):
    path = save(tmp_path / "v.nii.gz", np.zeros((2, 2, 2), np.int16))
    monkeypatch.setitem(__import__("sys").modules, "nibabel", None)
    with pytest.raises(ConfigError, match=r"pip install segloom\[medical\]"):
        read_volume(path)
