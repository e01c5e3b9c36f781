"""Downloads survive bad lines and refuse wrong bytes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest
from support.file_server import BODY, HASTY, FileServer, fetch_from

from segloom.data.tools.download import Patience
from segloom.data.tools.download.fetch import fetch, part_of
from segloom.errors import DataError


@pytest.fixture
def server():
    found = FileServer()
    yield found
    found.close()


def test_a_file_comes_whole_and_nothing_else_is_left(server, tmp_path):
    told: list[tuple[int, int | None]] = []
    path = fetch_from(server, tmp_path / "deep/set.zip", progress=lambda *step: told.append(step))
    assert path.read_bytes() == BODY
    assert [file.name for file in path.parent.iterdir()] == ["set.zip"]
    assert told[-1] == (len(BODY), len(BODY))


def test_a_line_that_breaks_is_taken_up_where_it_broke(server, tmp_path):
    server.cut = [200_000, 150_000]
    assert fetch_from(server, tmp_path / "set.zip").read_bytes() == BODY
    assert server.ranges == [None, "bytes=200000-", "bytes=350000-"]


def test_progress_forgives_earlier_failures(server, tmp_path):
    server.cut = [90_000] * 6  # twice as many breaks as attempts, but each brings something
    assert fetch_from(server, tmp_path / "set.zip").read_bytes() == BODY


def test_a_later_call_goes_on_from_the_part(server, tmp_path):
    server.cut = [200_000, 0, 0, 0, 0]
    with pytest.raises(DataError, match=r"200,000 bytes are kept in .*set.zip.part\. Run the same"):
        fetch_from(server, tmp_path / "set.zip")
    assert part_of(tmp_path / "set.zip").read_bytes() == BODY[:200_000]
    server.cut = []
    fetch_from(server, tmp_path / "set.zip")
    assert server.ranges[-1] == "bytes=200000-"
    assert (tmp_path / "set.zip").read_bytes() == BODY


def test_a_server_that_ignores_ranges_begins_anew(server, tmp_path):
    server.knows_ranges, server.cut = False, [200_000]
    assert fetch_from(server, tmp_path / "set.zip").read_bytes() == BODY
    assert server.ranges == [None, "bytes=200000-"]


def test_a_new_version_on_the_server_begins_anew(server, tmp_path):
    server.cut = [200_000, 0, 0, 0, 0]
    with pytest.raises(DataError):
        fetch_from(server, tmp_path / "set.zip", sha256=None)
    server.body, server.etag, server.cut = BODY[::-1], '"two"', []
    assert fetch_from(server, tmp_path / "set.zip", sha256=None).read_bytes() == BODY[::-1]


@pytest.mark.parametrize("etag", ["", 'W/"weak"'])
def test_without_mark_or_digest_pieces_are_not_joined(server, tmp_path, etag):
    server.etag, server.cut = etag, [200_000]
    assert fetch_from(server, tmp_path / "set.zip", sha256=None).read_bytes() == BODY
    assert server.ranges == [None, None]


def test_with_a_digest_pieces_are_joined_without_a_mark(server, tmp_path):
    server.etag, server.cut = "", [200_000]
    assert fetch_from(server, tmp_path / "set.zip").read_bytes() == BODY
    assert server.ranges == [None, "bytes=200000-"]


def test_a_part_that_is_too_long_is_thrown_away(server, tmp_path):
    part_of(tmp_path / "set.zip").write_bytes(BODY + b"more")
    assert fetch_from(server, tmp_path / "set.zip").read_bytes() == BODY


def test_wrong_bytes_are_thrown_away(server, tmp_path):
    server.body = b"<html>sign in</html>"
    with pytest.raises(DataError, match=r"sent something else than expected \(sha256"):
        fetch_from(server, tmp_path / "set.zip")
    assert list(tmp_path.iterdir()) == []


def test_a_missing_file_is_said_at_once(server, tmp_path):
    server.statuses = [404] * 9
    with pytest.raises(DataError, match="the server answers 404 Not Found; fetch it by hand"):
        fetch_from(server, tmp_path / "set.zip")
    assert len(server.ranges) == 1


def test_a_busy_server_is_asked_again(server, tmp_path):
    server.statuses = [503, 429]
    assert fetch_from(server, tmp_path / "set.zip").read_bytes() == BODY
    assert len(server.ranges) == 3


def test_a_server_that_stays_busy_is_given_up(server, tmp_path):
    server.statuses = [503] * 9
    with pytest.raises(DataError, match="the server answers 503 Service Unavailable; 0 bytes"):
        fetch_from(server, tmp_path / "set.zip")
    assert len(server.ranges) == HASTY.attempts


def test_a_silent_server_counts_as_broken(server, tmp_path):
    server.stalls, server.cut = True, [100_000, 0, 0, 0]
    with pytest.raises(DataError, match="the server fell silent"):
        fetch_from(server, tmp_path / "set.zip", patience=Patience(2, 0.0, 0.3))
    assert part_of(tmp_path / "set.zip").stat().st_size == 100_000


def test_nobody_at_the_address_is_said(server, tmp_path):
    url = server.url
    server.close()
    with pytest.raises(DataError, match=r"could not be fetched: .*refused"):
        fetch(url, tmp_path / "a", sha256=None, max_bytes=9, patience=HASTY)


def test_pauses_double(server, tmp_path, monkeypatch):
    server.statuses, pauses = [503] * 4, []
    monkeypatch.setattr(time, "sleep", pauses.append)
    fetch_from(server, tmp_path / "set.zip", patience=Patience(9, 1.0, 5.0))
    assert pauses == [1.0, 2.0, 4.0, 8.0]


@pytest.mark.parametrize("says_length", [True, False])
def test_too_much_is_refused(server, tmp_path, says_length):
    server.says_length = says_length
    with pytest.raises(DataError, match="sends more than the 100,000 bytes"):
        fetch_from(server, tmp_path / "set.zip", max_bytes=100_000)
    assert not (tmp_path / "set.zip").exists()


def test_redirects_are_followed_but_not_to_files(server, tmp_path):
    server.redirect = "file:///etc/hostname"
    with pytest.raises(DataError, match="cannot be fetched"):
        fetch_from(server, tmp_path / "set.zip")
    other = FileServer()
    server.redirect = other.url
    assert fetch_from(server, tmp_path / "set.zip").read_bytes() == BODY
    other.close()


@pytest.mark.parametrize("url", ["file:///etc/hostname", "ftp://x/y", "set.zip"])
def test_other_addresses_are_refused(tmp_path, url):
    with pytest.raises(DataError, match="no http or https address"):
        fetch(url, tmp_path / "a", sha256=None, max_bytes=9)


def test_a_place_that_cannot_be_written_is_said(server, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match=r"cannot write .*set.zip.part .*free some space"):
        fetch_from(server, tmp_path / "file" / "set.zip")


def test_ctrl_c_leaves_a_part_to_go_on_from(server, tmp_path):
    server.stalls, server.cut = True, [300_000]
    code = (
        f"import signal, sys; sys.path[:0] = {sys.path!r}\n"
        # A shell that starts the tests in the background lets its children ignore SIGINT.
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from pathlib import Path\n"
        "from segloom.data.tools.download.fetch import fetch\n"
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
    assert fetch_from(server, tmp_path / "set.zip").read_bytes() == BODY
    assert server.ranges[-1] == f"bytes={kept}-"
