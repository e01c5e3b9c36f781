"""Colour label maps become class ids: the merge, resuming, counts, and the recorded conversion."""

from __future__ import annotations

import json
import os

import numpy as np
import pytest
from PIL import Image

from segloom.cli.main import main
from segloom.data.sets.camvid import CAMVID, COLORS
from segloom.data.statistics import ClassCounts, class_weights
from segloom.data.tools.prepare import camvid_labels, prepare, read_palette
from segloom.errors import ConfigError, DataError
from segloom.labels.decoder import make_decoder
from segloom.labels.stored import StoredLabels, read_labels


@pytest.fixture
def labeled(tmp_path):
    """Two label maps with every colour of CamVid."""
    colors = np.array([color for color, _ in COLORS.values()], np.uint8)
    folder = tmp_path / "LabeledApproved_full"
    folder.mkdir()
    for name in ("0001TP_006690_L", "0001TP_006720_L"):
        Image.fromarray(colors.reshape(4, 8, 3)).save(folder / f"{name}.png")
    return folder


def test_recorded_conversion_sends_other_colours_to_class_zero(recorded):
    data = recorded("ln_misc")
    palette = [tuple(color) for color in data["meta.colors"].tolist()]
    stored = StoredLabels(data.array("in.rgb_label"), "color", is_lossy=False)
    decoder = make_decoder(12, "color", palette=palette, unknown=0)
    data.compare(decoder.convert(stored, "label.png"), "out.int_label", 0, kind="labels")
    with pytest.raises(DataError, match="holds colours outside the 12 classes"):
        make_decoder(12, "color", palette=palette).convert(stored, "label.png")


def test_recorded_class_weights(recorded):
    data = recorded("ln_misc")
    pixels = np.rint(data.array("in.class_freq") * 1e9).astype(np.int64)
    counts = ClassCounts(pixels, np.full(12, 10**9), 1)
    data.compare(class_weights(counts, "log2"), "out.class_weights", 1e-5, kind="class weights")


def test_weights_of_the_authors_program_divide_by_the_largest_class():
    counts = ClassCounts(np.array([600, 300, 0]), np.array([1000, 1000, 0]), 1)
    expected = 1 / np.log(1.02 + np.array([1.0, 0.5, 0.0]))
    np.testing.assert_allclose(class_weights(counts, "log_max"), expected)


def test_official_merge_writes_ids_and_counts(labeled, tmp_path, capsys):
    out = tmp_path / "ids"
    assert main(["data", "prepare", str(labeled), "--out", str(out), "--ending", "_L"]) == 0
    assert "2 label maps, 2 of them new" in capsys.readouterr().out
    stored = read_labels(out / "0001TP_006690.png")
    names = [name for _, name in COLORS.values()]
    expected = [255 if name is None else CAMVID.classes.index(name) for name in names]
    np.testing.assert_array_equal(stored.pixels.ravel(), expected)
    assert stored.colors is not None
    assert tuple(stored.colors[3]) == CAMVID.palette[3]
    counts = json.loads((out / "counts.json").read_text())
    assert counts["label_maps"] == 2
    assert counts["void_pixels"] == 2
    assert counts["pixels"]["road"] == 2 * names.count("road")


def test_a_stopped_run_goes_on_and_counts_all(labeled, tmp_path):
    out = tmp_path / "ids"
    labels, decoder = camvid_labels()
    whole = prepare(labeled, out, labels, decoder, ending="_L")
    (out / "0001TP_006720.png").unlink()
    (out / "counts.json").unlink()
    calls = []
    again = prepare(labeled, out, labels, decoder, ending="_L", progress=lambda *n: calls.append(n))
    assert (whole.num_written, again.num_written) == (2, 1)
    assert again.pixels == whole.pixels
    assert calls == [(1, 2), (2, 2)]
    changed = labeled / "0001TP_006690_L.png"
    future = (out / "0001TP_006690.png").stat().st_mtime + 10
    os.utime(changed, (future, future))
    assert prepare(labeled, out, labels, decoder, ending="_L").num_written == 1


def test_palette_file_and_other_colours(labeled, tmp_path):
    (tmp_path / "label_integer.txt").write_text("0 0 0\tVoid\n128 64 128\n\n")
    words = ["data", "prepare", str(labeled), "--palette", str(tmp_path / "label_integer.txt")]
    assert main([*words, "--out", str(tmp_path / "a"), "--unknown", "0"]) == 0
    counts = json.loads((tmp_path / "a" / "counts.json").read_text())
    assert counts["pixels"] == {"Void": 62, "class 1": 2}
    assert main([*words, "--out", str(tmp_path / "b"), "--unknown", "void"]) == 0
    assert json.loads((tmp_path / "b" / "counts.json").read_text())["void_pixels"] == 60


def test_unknown_colours_and_mixed_folders_are_refused(labeled, tmp_path, capsys):
    (tmp_path / "p.txt").write_text("0 0 0 void\n128 64 128 road\n")
    words = ["data", "prepare", str(labeled), "--palette", str(tmp_path / "p.txt")]
    assert main([*words, "--out", str(tmp_path / "a")]) == 2
    error = capsys.readouterr().err
    assert "0001TP_006690_L.png holds colours outside the 2 classes" in error
    assert f"Add them to {tmp_path / 'p.txt'}, or take the rest as void with --unknown" in error
    assert not (tmp_path / "a" / "counts.json").exists()
    assert main([*words, "--out", str(tmp_path / "a"), "--unknown", "7"]) == 2
    assert "unknown values cannot become 7" in capsys.readouterr().err
    assert main([*words, "--out", str(tmp_path / "a"), "--unknown", "blue"]) == 2
    assert "--unknown is error, void or a class id, not 'blue'" in capsys.readouterr().err
    assert main([*words, "--out", str(tmp_path / "a"), "--unknown", "void"]) == 0
    assert main([*words, "--out", str(tmp_path / "a"), "--unknown", "1"]) == 2
    assert "prepared with other colours or classes" in capsys.readouterr().err
    assert main([*words, "--out", str(labeled), "--unknown", "void"]) == 2
    assert "is not empty and was not prepared by segloom" in capsys.readouterr().err
    labels, decoder = camvid_labels()
    with pytest.raises(DataError, match="holds no label map ending in _M"):
        prepare(labeled, tmp_path / "c", labels, decoder, ending="_M")
    with pytest.raises(DataError, match="there is no folder"):
        prepare(tmp_path / "none", tmp_path / "c", labels, decoder)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0 0 0\n1 2\n", "line 2 of .* is '1 2', not RED GREEN BLUE"),
        ("0 0 300 x\n", "line 1 of .* is '0 0 300 x'"),
        ("0 0 0 a\n0 0 0 b\n", "line 2 of .* repeats a colour"),
    ],
)
def test_palette_files_that_cannot_be_used(text, message, tmp_path):
    (tmp_path / "p.txt").write_text(text)
    with pytest.raises(ConfigError, match=message):
        read_palette(tmp_path / "p.txt")
    with pytest.raises(ConfigError, match="there is no palette file"):
        read_palette(tmp_path / "none.txt")


def test_a_refused_palette_can_be_mended_and_the_written_maps_stay(tmp_path, capsys):
    for name, color in (("a", (0, 0, 0)), ("b", (9, 9, 9))):
        Image.new("RGB", (3, 2), color).save(tmp_path / f"{name}.png")
    labels = tmp_path / "labels"
    labels.mkdir()
    for name in "ab":
        (tmp_path / f"{name}.png").rename(labels / f"{name}.png")
    words = ["data", "prepare", str(labels), "--out", str(tmp_path / "out")]
    assert main(words) == 2  # b has none of CamVid's colours, a was written
    assert "These 11 are CamVid's; give the colours of another" in capsys.readouterr().err
    before = (tmp_path / "out" / "a.png").stat().st_mtime_ns
    assert main([*words, "--unknown", "void"]) == 0
    assert (tmp_path / "out" / "a.png").stat().st_mtime_ns == before
    assert main(words) == 2  # void maps are not those of a strict call
    assert "prepared with other colours or classes" in capsys.readouterr().err
