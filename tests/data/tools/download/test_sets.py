"""A data set is fetched, unpacked and checked in the end."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.file_server import HASTY, FileServer, zipped

from segloom.cli.main import main
from segloom.data.sets.camvid import NUM_FRAMES
from segloom.data.tools.download import DOWNLOADS, Download, download
from segloom.data.tools.download import sets as download_sets
from segloom.data.tools.download.sets import label_digest, verify_camvid
from segloom.errors import DataError


@pytest.fixture
def server():
    found = FileServer()
    yield found
    found.close()


def camvid_like(folder: Path) -> dict[str, bytes]:
    """Archive members of a tiny set in CamVid's places, and things that are left out."""
    members = {"Repo/README.md": b"x", "Repo/CamVid/train.txt": b"x", "Repo/Models/big": bytes(99)}
    for split in NUM_FRAMES:
        for number in range(2):
            pixels = ((np.indices((360, 480)).sum(0) // 40 + number) % 12).astype(np.uint8)
            for place, image in ((split, pixels * 20), (f"{split}annot", pixels)):
                mode = Image.fromarray(image).convert("RGB" if place == split else "L")
                file = io.BytesIO()
                mode.save(file, "PNG")
                members[f"Repo/CamVid/{place}/{number}.png"] = file.getvalue()
    return members


@pytest.fixture
def tiny(server, tmp_path, monkeypatch) -> Callable[[], Download]:
    """The CamVid entry, with a tiny archive behind it and the digests that belong to it."""
    members = camvid_like(tmp_path)
    for name, content in members.items():
        if "annot" in name:
            path = tmp_path / "digest" / name.split("/")[2] / name.split("/")[3]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
    digests = {split: label_digest(tmp_path / "digest" / f"{split}annot") for split in NUM_FRAMES}
    monkeypatch.setattr(download_sets, "CAMVID_DIGESTS", digests)
    monkeypatch.setattr(download_sets, "NUM_FRAMES", dict.fromkeys(NUM_FRAMES, 2))
    server.body = zipped(tmp_path / "set.zip", **members).read_bytes()
    entry = DOWNLOADS["camvid"]
    found = Download(**{**vars(entry), "url": server.url})
    monkeypatch.setitem(DOWNLOADS, "camvid", found)
    return lambda: found


def test_a_data_set_is_fetched_unpacked_and_checked(server, tiny, tmp_path):
    out = tmp_path / "new/camvid"
    done = download("camvid", out, patience=HASTY)
    assert (done.splits, done.was_there) == ({"train": 2, "val": 2, "test": 2}, False)
    names = {path.relative_to(out).as_posix() for path in out.rglob("*.*")}
    assert len(names) == 12
    assert "trainannot/0.png" in names
    assert [path.name for path in out.parent.iterdir()] == ["camvid"]
    again = download("camvid", out, patience=HASTY)
    assert again.was_there
    assert len(server.ranges) == 1


def test_a_data_set_on_a_bad_line_goes_on_in_a_second_call(server, tiny, tmp_path):
    half = len(server.body) // 2
    server.cut = [half, 0, 0, 0]
    with pytest.raises(DataError, match="Run the same command again"):
        download("camvid", tmp_path / "camvid", patience=HASTY)
    assert not (tmp_path / "camvid").exists()
    server.cut = []
    download("camvid", tmp_path / "camvid", patience=HASTY)
    assert server.ranges[-1] == f"bytes={half}-"


def test_an_empty_folder_may_be_filled(server, tiny, tmp_path):
    (tmp_path / "camvid").mkdir()
    assert download("camvid", tmp_path / "camvid", patience=HASTY).splits["train"] == 2


def test_a_used_folder_is_left_alone(server, tiny, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/thesis.txt").write_text("all I have")
    with pytest.raises(DataError, match="mine is not empty and holds no complete 'camvid'"):
        download("camvid", tmp_path / "mine", patience=HASTY)
    assert (tmp_path / "mine/thesis.txt").read_text() == "all I have"
    with pytest.raises(DataError, match=r"thesis.txt is a file; give a folder"):
        download("camvid", tmp_path / "mine/thesis.txt")


def test_labels_of_another_release_are_refused(server, tiny, tmp_path, monkeypatch):
    monkeypatch.setitem(download_sets.CAMVID_DIGESTS, "val", "0" * 64)
    with pytest.raises(DataError, match="valannot are not those of CamVid"):
        download("camvid", tmp_path / "camvid", patience=HASTY)
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {"set.zip", "digest"}  # no half data set, and the next call fetches anew


def test_a_missing_pair_is_refused(server, tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(download_sets, "NUM_FRAMES", dict.fromkeys(NUM_FRAMES, 3))
    with pytest.raises(DataError, match="holds 2 pairs, but CamVid has 3"):
        download("camvid", tmp_path / "camvid", patience=HASTY)


def test_images_of_another_size_are_refused(server, tiny, tmp_path):
    download("camvid", tmp_path / "camvid", patience=HASTY)
    Image.new("RGB", (20, 10)).save(tmp_path / "camvid/test/1.png")
    with pytest.raises(DataError, match=r"test/1.png is 20x10, not 480x360"):
        verify_camvid(tmp_path / "camvid")


def test_labels_are_digested_as_pixels_not_as_files(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 12, (36, 48), np.uint8)
    for level, name in ((0, "one"), (9, "two")):
        (tmp_path / name).mkdir()
        Image.fromarray(pixels).save(tmp_path / name / "a.png", compress_level=level)
    assert label_digest(tmp_path / "one") == label_digest(tmp_path / "two")
    pixels[0, 0] += 1
    Image.fromarray(pixels).save(tmp_path / "two/a.png")
    assert label_digest(tmp_path / "one") != label_digest(tmp_path / "two")


def test_command_prints_terms_before_it_fetches(server, tiny, tmp_path, capsys):
    assert main(["data", "download", "camvid", "--out", str(tmp_path / "camvid")]) == 0
    streams = capsys.readouterr()
    for text in ("research and other non-commercial use only", "Cite: Brostow", server.url):
        assert text in streams.err
    assert "complete (2 train, 2 val, 2 test)" in streams.out
    assert "--data.name camvid --data.root" in streams.out
    words = ["data", "download", "camvid", "--out", str(tmp_path / "camvid"), "--json"]
    assert main(words) == 0
    assert json.loads(capsys.readouterr().out)["was_there"] is True


def test_command_refuses_unknown_names(tmp_path, capsys):
    assert main(["data", "download", "camvd", "--out", str(tmp_path / "x")]) == 2
    assert "unknown download 'camvd': did you mean 'camvid'?" in capsys.readouterr().err


def test_the_table_pins_versions_and_bounds():
    for entry in DOWNLOADS.values():
        assert entry.url.startswith("https://")
        assert entry.max_bytes <= 10**9
        assert "Terms:" in entry.terms
        assert "Cite:" in entry.terms


@pytest.mark.slow
def test_real_camvid_labels_have_the_digests(shared):
    assert verify_camvid(shared / "data" / "camvid") == NUM_FRAMES


def test_real_camvid_validation_labels_have_their_digest(shared):
    found = label_digest(shared / "data" / "camvid" / "valannot")
    assert found == download_sets.CAMVID_DIGESTS["val"]
