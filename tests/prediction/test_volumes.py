"""A volume is predicted slice by slice and written on the grid of its source."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from segloom.cli.main import main
from segloom.config import DataConfig, RunConfig
from segloom.config.load import dump_config
from segloom.images.volumes import read_volume, window
from segloom.inference import Predictor
from segloom.models.weights.checkpoint import save_pretrained
from segloom.prediction.files import predict_files, result_names
from segloom.prediction.options import PredictionOptions

nibabel = pytest.importorskip("nibabel", reason="the extra segloom[medical] is not installed")


def make_volume(path: Path) -> Path:
    random = np.random.default_rng(0)
    affine = np.array([[0, 0, -0.8, 3], [0.7, 0, 0, -5], [0, 5.0, 0, 9], [0, 0, 0, 1]])
    voxels = random.integers(-400, 400, (40, 3, 33)).astype(np.int16)  # front, up, left
    nibabel.Nifti1Image(voxels, affine).to_filename(path)
    return path


def test_every_slice_is_predicted_and_lies_on_its_source(model, labels, tmp_path):
    file = make_volume(tmp_path / "case.nii.gz")
    predictor = Predictor(model, labels)
    options = PredictionOptions(hu_window=(-200, 200))
    (result,) = predict_files(predictor, [file], tmp_path / "out", options)
    assert result.error is None
    assert (result.size, result.written) == (
        (40, 33),
        {"label": tmp_path / "out" / "case_label.nii.gz"},
    )
    assert sum(result.shares.values()) == pytest.approx(1, abs=1e-4)
    source, written = nibabel.load(file), nibabel.load(result.written["label"])
    np.testing.assert_array_equal(written.affine, source.affine)
    assert written.header.get_zooms() == source.header.get_zooms()
    ids, stored = np.asarray(written.dataobj), np.asarray(source.dataobj)
    for index in range(3):
        grey = window(stored[::-1, index].astype(np.float32), (-200, 200))
        expected = predictor.label_map(np.repeat(grey[..., None], 3, axis=2))
        np.testing.assert_array_equal(ids[::-1, index], expected)
    assert read_volume(result.written["label"]).voxels.shape == (3, 40, 33)


def test_a_damaged_volume_stops_nothing_and_what_is_done_is_skipped(model, labels, tmp_path):
    good = make_volume(tmp_path / "good.nii.gz")
    bad = tmp_path / "bad.nii.gz"
    bad.write_bytes(good.read_bytes()[:500])
    predictor = Predictor(model, labels)
    results = list(predict_files(predictor, [bad, good], tmp_path / "out"))
    assert "bad.nii.gz is damaged, cut short" in results[0].error
    assert results[1].error is None
    going_on = PredictionOptions(skip_existing=True)
    (again,) = predict_files(predictor, [good], tmp_path / "out", going_on)
    assert again.skipped


def test_names_of_volumes_lose_their_whole_ending():
    names = result_names([Path("a/x.nii.gz"), Path("b/x.nii"), Path("b/y.tar.png")])
    assert names == ["a-x", "b-x", "y.tar"]


def test_the_program_takes_the_window_of_the_training(model, labels, tmp_path, capsys):
    run = tmp_path / "run"
    save_pretrained(model, run / "checkpoints" / "best", labels)
    (run / "config.yaml").write_text(dump_config(RunConfig(data=DataConfig(hu_window=(-50, 50)))))
    make_volume(tmp_path / "case.nii.gz")
    ids = {}
    for name, options in (("run", []), ("same", ["--hu-window", "-50", "50"])):
        out = tmp_path / name
        words = ["predict", str(run), str(tmp_path / "case.nii.gz"), "--out", str(out), *options]
        assert main(words) == 0, capsys.readouterr().err
        ids[name] = np.asarray(nibabel.load(out / "case_label.nii.gz").dataobj)
    np.testing.assert_array_equal(ids["run"], ids["same"])
    expected = Predictor.from_path(run)
    window_of_run = PredictionOptions(hu_window=(-50, 50))
    (result,) = predict_files(
        expected, [tmp_path / "case.nii.gz"], tmp_path / "other", window_of_run
    )
    np.testing.assert_array_equal(nibabel.load(result.written["label"]).dataobj, ids["run"])
    wrong = ["predict", str(run), str(tmp_path / "case.nii.gz"), "--hu-window", "5", "1"]
    assert main(wrong) == 2
    assert "from low to high values" in capsys.readouterr().err


def test_labels_beside_their_volumes_are_left_out(model, labels, tmp_path, capsys):
    save_pretrained(model, tmp_path / "model", labels)
    case = tmp_path / "case"
    for name in ("volume-2.nii.gz", "segmentation-2.nii.gz", "segmentation-3.nii", "deep/x.nii"):
        (case / name).parent.mkdir(parents=True, exist_ok=True)
        make_volume(case / name)
    words = ["predict", str(tmp_path / "model"), "--out", str(tmp_path / "out")]
    assert main([*words, str(case)]) == 0
    assert "left out 1 of 4 files: labels of volumes" in capsys.readouterr().err
    names = ["segmentation-3", "volume-2", "x"]
    assert sorted(p.name for p in (tmp_path / "out").glob("[!.]*")) == [
        f"{name}_label.nii.gz" for name in names
    ]
    assert main([*words, str(case / "segmentation-2.nii.gz")]) == 0, "it was named"
    assert "left out" not in capsys.readouterr().err
    assert main([*words, str(case / "segm*-2.nii.gz")]) == 2
    assert "holds only labels of volumes; name the volumes" in capsys.readouterr().err


def test_slices_of_labels_are_left_out_of_a_glob(model, labels, tmp_path, capsys):
    save_pretrained(model, tmp_path / "model", labels)
    for name in ("volume-3_40", "segmentation-3_40"):
        np.save(tmp_path / f"{name}.npy", np.zeros((8, 9), np.float32))
    out = tmp_path / "out"
    words = ["predict", str(tmp_path / "model"), str(tmp_path / "*.npy"), "--out", str(out)]
    assert main(words) == 0
    assert "left out 1 of 2 files: labels of volumes" in capsys.readouterr().err
    assert not list(out.glob("segmentation*"))


def test_a_real_labelled_folder_gives_its_volumes(shared, model, labels, tmp_path, capsys):
    volumes = sorted((shared / "data" / "samples" / "lits").rglob("volume-*.nii*"))
    if not volumes:
        pytest.skip("no LiTS volume among the samples")
    save_pretrained(model, tmp_path / "model", labels)
    (tmp_path / "case").mkdir()
    mask = next(volumes[0].parent.glob(volumes[0].name.replace("volume", "segmentation")))
    for path in (volumes[0], mask):  # two slices of it: the whole only takes longer
        part = nibabel.load(path).slicer[::8, ::8, :2]
        part.to_filename(tmp_path / "case" / path.name)
    out = tmp_path / "out"
    words = ["predict", str(tmp_path / "model"), str(tmp_path / "case"), "--out", str(out)]
    assert main(words) == 0
    assert "left out 1 of 2 files: labels of volumes" in capsys.readouterr().err
    assert [path.name for path in out.glob("[!.]*")] == [
        f"{volumes[0].name.removesuffix('.gz').removesuffix('.nii')}_label.nii.gz"
    ]


def test_a_volume_of_no_numbers_is_refused_and_the_rest_predicted(model, labels, tmp_path, capsys):
    save_pretrained(model, tmp_path / "model", labels)
    voxels = np.full((8, 9, 3), np.nan, np.float32)
    (tmp_path / "case").mkdir()
    nibabel.Nifti1Image(voxels, np.eye(4)).to_filename(tmp_path / "case" / "empty.nii")
    voxels[4, 4, 2] = 40  # as scanners fill what lies outside their circle
    nibabel.Nifti1Image(voxels, np.eye(4)).to_filename(tmp_path / "case" / "round.nii")
    words = ["predict", str(tmp_path / "model"), str(tmp_path / "case")]
    assert main([*words, "--out", str(tmp_path / "out")]) == 1
    output = capsys.readouterr()
    assert "empty.nii holds no number, only NaN or infinity; export it again." in output.err
    assert [path.name for path in (tmp_path / "out").glob("[!.]*")] == ["round_label.nii.gz"]
