"""Archives are unpacked completely, or refused."""

from __future__ import annotations

import io
import tarfile
import zipfile
from pathlib import Path, PurePosixPath

import pytest
from support.file_server import BODY, zipped

from segloom.data.tools.download.unpack import unpack
from segloom.errors import DataError


def everything(name: PurePosixPath) -> PurePosixPath:
    return name


def open_up(archive: Path, folder: Path, **options: object) -> int:
    arguments = {"choose": everything, "max_files": 10, "max_bytes": 10_000, **options}
    return unpack(archive, folder, **arguments)


@pytest.mark.parametrize("ending", ["zip", "tar", "tar.gz", "tar.xz"])
def test_chosen_members_are_written(tmp_path, ending):
    path = tmp_path / f"a.{ending}"
    if ending == "zip":
        zipped(path, a__b=b"one", c=b"two")
    else:
        with tarfile.open(path, f"w:{ending[4:]}") as archive:
            for name, content in (("a/b", b"one"), ("c", b"two")):
                info = tarfile.TarInfo(name)
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
    chosen = {"a/b": PurePosixPath("x/y")}
    count = open_up(path, tmp_path / "out", choose=lambda name: chosen.get(str(name)))
    assert count == 1
    assert (tmp_path / "out/x/y").read_bytes() == b"one"
    assert [p.name for p in (tmp_path / "out").rglob("*")] == ["x", "y"]


@pytest.mark.parametrize("name", ["../evil", "/evil", "a/../../evil", "a\\..\\evil", "C:evil"])
@pytest.mark.parametrize("is_tar", [False, True])
def test_names_that_lead_elsewhere_are_refused(tmp_path, name, is_tar):
    path = tmp_path / "a"
    if is_tar:
        with tarfile.open(path, "w") as archive:
            archive.addfile(tarfile.TarInfo(name), io.BytesIO(b""))
    else:
        zipped(path, **{name: b"x"})
    with pytest.raises(DataError, match="unsafe name"):
        open_up(path, tmp_path / "out")
    assert not list(tmp_path.rglob("evil*"))


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_in_a_tar_are_refused(tmp_path, kind):
    with tarfile.open(tmp_path / "a", "w") as archive:
        info = tarfile.TarInfo("link")
        info.type, info.linkname = kind, "/etc/hostname"
        archive.addfile(info)
    with pytest.raises(DataError, match="link, which is a link or a device"):
        open_up(tmp_path / "a", tmp_path / "out")


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ([""], "is damaged"),
        (["a" * 300], "holds the name a+..., which is too long"),
        (["a", "a/b"], "holds a/b both as a file and as a folder"),
        (["a/b", "a"], "holds a both as a file and as a folder"),
    ],
)
def test_names_that_no_file_can_have_are_refused(tmp_path, names, message):
    with zipfile.ZipFile(tmp_path / "a", "w") as archive:
        for name in names:
            archive.writestr(zipfile.ZipInfo(name), b"x")
    with pytest.raises(DataError, match=message):
        open_up(tmp_path / "a", tmp_path / "out")


def test_links_in_a_zip_are_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "a", "w") as archive:
        info = zipfile.ZipInfo("link")
        info.external_attr = 0o120777 << 16
        archive.writestr(info, "/etc/hostname")
    with pytest.raises(DataError, match="link, which is a link or a device"):
        open_up(tmp_path / "a", tmp_path / "out")


def test_an_archive_that_swells_is_stopped(tmp_path):
    bomb = zipped(tmp_path / "a", zeros=bytes(5_000_000))
    assert bomb.stat().st_size < 10_000
    with pytest.raises(DataError, match="swells to more than it should"):
        open_up(bomb, tmp_path / "out")
    assert sum(p.stat().st_size for p in (tmp_path / "out").rglob("*")) <= 10_000


def test_too_many_files_are_refused(tmp_path):
    path = zipped(tmp_path / "a", **{f"f{number}": b"" for number in range(11)})
    with pytest.raises(DataError, match="more than 10 files"):
        open_up(path, tmp_path / "out")


def test_two_members_of_one_place_are_refused(tmp_path):
    path = zipped(tmp_path / "a", a=b"1", b=b"2")
    with pytest.raises(DataError, match="holds x twice"):
        open_up(path, tmp_path / "out", choose=lambda _: PurePosixPath("x"))


def test_a_damaged_archive_is_named(tmp_path):
    path = zipped(tmp_path / "a", a=BODY[:5000])
    content = bytearray(path.read_bytes())
    content[2000:2100] = bytes(100)
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"a is damaged|a cannot be unpacked"):
        open_up(path, tmp_path / "out")


def test_no_archive_is_named(tmp_path):
    (tmp_path / "a").write_bytes(b"<html>")
    with pytest.raises(DataError, match="neither a zip nor a tar archive"):
        open_up(tmp_path / "a", tmp_path / "out")
