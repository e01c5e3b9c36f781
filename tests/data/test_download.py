"""Downloads survive bad lines, refuse wrong or hostile bytes, and are checked in the end."""

from __future__ import annotations

import hashlib
import io
import json
import os
import signal
import subprocess
import sys
import tarfile
import threading
import time
import zipfile
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path, PurePosixPath

import numpy as np
import pytest
from PIL import Image

from segloom.cli.main import main
from segloom.data.camvid import NUM_FRAMES
from segloom.data.download import DOWNLOADS, Download, Patience, download
from segloom.data.download import sets as download_sets
from segloom.data.download.fetch import fetch, part_of
from segloom.data.download.sets import label_digest, verify_camvid
from segloom.data.download.unpack import unpack
from segloom.errors import DataError

BODY = np.random.default_rng(0).bytes(600_000)
SHA256 = hashlib.sha256(BODY).hexdigest()
HASTY = Patience(attempts=3, pause_s=0.0, timeout_s=5.0)


class Server:
    """A server that behaves as badly as the test says, and remembers what it was asked for."""

    def __init__(self) -> None:
        self.body, self.etag = BODY, '"one"'
        self.ranges: list[str | None] = []
        self.cut: list[int] = []
        """Per request, after how many bytes to break off; empty: never."""
        self.statuses: list[int] = []
        """Per request, the answer instead of the file."""
        self.knows_ranges = True
        self.says_length = True
        self.stalls = False
        self.redirect: str | None = None
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.answer(self)

            def log_message(self, *arguments: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.http.server_port}/set.zip"
        self.thread = threading.Thread(target=self.http.serve_forever, args=(0.01,), daemon=True)
        self.thread.start()
        self.released = threading.Event()

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        asked = request.headers.get("Range")
        self.ranges.append(asked)
        if self.statuses and (status := self.statuses.pop(0)) != 200:
            request.send_error(status)
            return
        if self.redirect:
            request.send_response(302)
            request.send_header("Location", self.redirect)
            request.end_headers()
            return
        start = 0
        same = request.headers.get("If-Range") in (None, self.etag)
        if asked and self.knows_ranges and same:
            start = int(asked.removeprefix("bytes=").removesuffix("-"))
            if start >= len(self.body):
                request.send_error(416)
                return
            request.send_response(206)
            end = len(self.body) - 1
            request.send_header("Content-Range", f"bytes {start}-{end}/{len(self.body)}")
        else:
            request.send_response(200)
        if self.says_length:
            request.send_header("Content-Length", str(len(self.body) - start))
        if self.etag:
            request.send_header("ETag", self.etag)
        request.end_headers()
        length = self.cut.pop(0) if self.cut else len(self.body)
        try:
            request.wfile.write(self.body[start : start + length])
            request.wfile.flush()
            if self.stalls:
                self.released.wait(20)
        except ConnectionError:
            pass

    def close(self) -> None:
        self.released.set()
        self.http.shutdown()
        self.http.server_close()
        self.thread.join()


@pytest.fixture
def server():
    found = Server()
    yield found
    found.close()


def get(server: Server, path: Path, **options: object) -> Path:
    arguments = {"sha256": SHA256, "max_bytes": 10**7, "patience": HASTY, **options}
    return fetch(server.url, path, **arguments)


# Fetching


def test_a_file_comes_whole_and_nothing_else_is_left(server, tmp_path):
    told: list[tuple[int, int | None]] = []
    path = get(server, tmp_path / "deep/set.zip", progress=lambda *step: told.append(step))
    assert path.read_bytes() == BODY
    assert [file.name for file in path.parent.iterdir()] == ["set.zip"]
    assert told[-1] == (len(BODY), len(BODY))


def test_a_line_that_breaks_is_taken_up_where_it_broke(server, tmp_path):
    server.cut = [200_000, 150_000]
    assert get(server, tmp_path / "set.zip").read_bytes() == BODY
    assert server.ranges == [None, "bytes=200000-", "bytes=350000-"]


def test_progress_forgives_earlier_failures(server, tmp_path):
    server.cut = [90_000] * 6  # twice as many breaks as attempts, but each brings something
    assert get(server, tmp_path / "set.zip").read_bytes() == BODY


def test_a_later_call_goes_on_from_the_part(server, tmp_path):
    server.cut = [200_000, 0, 0, 0, 0]
    with pytest.raises(DataError, match=r"200,000 bytes are kept in .*set.zip.part\. Run the same"):
        get(server, tmp_path / "set.zip")
    assert part_of(tmp_path / "set.zip").read_bytes() == BODY[:200_000]
    server.cut = []
    get(server, tmp_path / "set.zip")
    assert server.ranges[-1] == "bytes=200000-"
    assert (tmp_path / "set.zip").read_bytes() == BODY


def test_a_server_that_ignores_ranges_begins_anew(server, tmp_path):
    server.knows_ranges, server.cut = False, [200_000]
    assert get(server, tmp_path / "set.zip").read_bytes() == BODY
    assert server.ranges == [None, "bytes=200000-"]


def test_a_new_version_on_the_server_begins_anew(server, tmp_path):
    server.cut = [200_000, 0, 0, 0, 0]
    with pytest.raises(DataError):
        get(server, tmp_path / "set.zip", sha256=None)
    server.body, server.etag, server.cut = BODY[::-1], '"two"', []
    assert get(server, tmp_path / "set.zip", sha256=None).read_bytes() == BODY[::-1]


@pytest.mark.parametrize("etag", ["", 'W/"weak"'])
def test_without_mark_or_digest_pieces_are_not_joined(server, tmp_path, etag):
    server.etag, server.cut = etag, [200_000]
    assert get(server, tmp_path / "set.zip", sha256=None).read_bytes() == BODY
    assert server.ranges == [None, None]


def test_with_a_digest_pieces_are_joined_without_a_mark(server, tmp_path):
    server.etag, server.cut = "", [200_000]
    assert get(server, tmp_path / "set.zip").read_bytes() == BODY
    assert server.ranges == [None, "bytes=200000-"]


def test_a_part_that_is_too_long_is_thrown_away(server, tmp_path):
    part_of(tmp_path / "set.zip").write_bytes(BODY + b"more")
    assert get(server, tmp_path / "set.zip").read_bytes() == BODY


def test_wrong_bytes_are_thrown_away(server, tmp_path):
    server.body = b"<html>sign in</html>"
    with pytest.raises(DataError, match=r"sent something else than expected \(sha256"):
        get(server, tmp_path / "set.zip")
    assert list(tmp_path.iterdir()) == []


def test_a_missing_file_is_said_at_once(server, tmp_path):
    server.statuses = [404] * 9
    with pytest.raises(DataError, match="the server answers 404 Not Found; fetch it by hand"):
        get(server, tmp_path / "set.zip")
    assert len(server.ranges) == 1


def test_a_busy_server_is_asked_again(server, tmp_path):
    server.statuses = [503, 429]
    assert get(server, tmp_path / "set.zip").read_bytes() == BODY
    assert len(server.ranges) == 3


def test_a_server_that_stays_busy_is_given_up(server, tmp_path):
    server.statuses = [503] * 9
    with pytest.raises(DataError, match="the server answers 503 Service Unavailable; 0 bytes"):
        get(server, tmp_path / "set.zip")
    assert len(server.ranges) == HASTY.attempts


def test_a_silent_server_counts_as_broken(server, tmp_path):
    server.stalls, server.cut = True, [100_000, 0, 0, 0]
    with pytest.raises(DataError, match="the server fell silent"):
        get(server, tmp_path / "set.zip", patience=Patience(2, 0.0, 0.3))
    assert part_of(tmp_path / "set.zip").stat().st_size == 100_000


def test_nobody_at_the_address_is_said(server, tmp_path):
    url = server.url
    server.close()
    with pytest.raises(DataError, match=r"could not be fetched: .*refused"):
        fetch(url, tmp_path / "a", sha256=None, max_bytes=9, patience=HASTY)


def test_pauses_double(server, tmp_path, monkeypatch):
    server.statuses, pauses = [503] * 4, []
    monkeypatch.setattr(time, "sleep", pauses.append)
    get(server, tmp_path / "set.zip", patience=Patience(9, 1.0, 5.0))
    assert pauses == [1.0, 2.0, 4.0, 8.0]


@pytest.mark.parametrize("says_length", [True, False])
def test_too_much_is_refused(server, tmp_path, says_length):
    server.says_length = says_length
    with pytest.raises(DataError, match="sends more than the 100,000 bytes"):
        get(server, tmp_path / "set.zip", max_bytes=100_000)
    assert not (tmp_path / "set.zip").exists()


def test_redirects_are_followed_but_not_to_files(server, tmp_path):
    server.redirect = "file:///etc/hostname"
    with pytest.raises(DataError, match="cannot be fetched"):
        get(server, tmp_path / "set.zip")
    other = Server()
    server.redirect = other.url
    assert get(server, tmp_path / "set.zip").read_bytes() == BODY
    other.close()


@pytest.mark.parametrize("url", ["file:///etc/hostname", "ftp://x/y", "set.zip"])
def test_other_addresses_are_refused(tmp_path, url):
    with pytest.raises(DataError, match="no http or https address"):
        fetch(url, tmp_path / "a", sha256=None, max_bytes=9)


def test_a_place_that_cannot_be_written_is_said(server, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match=r"cannot write .*set.zip.part .*free some space"):
        get(server, tmp_path / "file" / "set.zip")


def test_ctrl_c_leaves_a_part_to_go_on_from(server, tmp_path):
    server.stalls, server.cut = True, [300_000]
    code = (
        f"import signal, sys; sys.path[:0] = {sys.path!r}\n"
        # A shell that starts the tests in the background lets its children ignore SIGINT.
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from pathlib import Path\n"
        "from segloom.data.download.fetch import fetch\n"
        f"path = Path({str(tmp_path / 'set.zip')!r})\n"
        f"fetch({server.url!r}, path, sha256=None, max_bytes=10**7)\n"
    )
    running = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE)
    part = part_of(tmp_path / "set.zip")
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not (part.is_file() and part.stat().st_size > 250_000):
        time.sleep(0.02)
    os.kill(running.pid, signal.SIGINT)
    assert b"KeyboardInterrupt" in running.communicate(timeout=60)[1]
    kept = part.stat().st_size
    assert kept > 250_000
    server.stalls = False
    assert get(server, tmp_path / "set.zip").read_bytes() == BODY
    assert server.ranges[-1] == f"bytes={kept}-"


# Unpacking


def everything(name: PurePosixPath) -> PurePosixPath:
    return name


def zipped(path: Path, **members: bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name.replace("__", "/"), content)
    return path


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


# The data set


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
