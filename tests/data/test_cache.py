"""A cached sample is whole and current, whatever happens to its writers."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from segloom.data.cache import ABANDONED_AFTER, HEADER, SampleCache, default_cache_dir
from segloom.data.planes import Planes
from segloom.errors import DataError
from segloom.types import Record


def make_planes(height: int = 6, width: int = 5, seed: int = 0, *, edge: bool = False) -> Planes:
    random = np.random.default_rng(seed)
    image = random.integers(0, 256, (height, width, 3), np.uint8)
    mask = random.integers(0, 256, (height, width), np.uint8)
    return Planes(image, mask, image[..., 0].copy() if edge else None)


def make_record(folder: Path, name: str = "a") -> Record:
    image, mask = folder / f"{name}.jpg", folder / f"{name}.png"
    image.write_bytes(b"image")
    mask.write_bytes(b"mask")
    return Record(name, image, mask)


def assert_equal(first: Planes, second: Planes) -> None:
    for left, right in zip(first, second, strict=True):
        np.testing.assert_array_equal(left, right)


def must_not_decode() -> Planes:
    raise AssertionError("decoded although the cache holds it")


@pytest.fixture
def cache(tmp_path):
    return SampleCache(tmp_path / "cache", "decoder")


@pytest.fixture
def record(tmp_path):
    return make_record(tmp_path)


@pytest.mark.parametrize("edge", [False, True])
@pytest.mark.parametrize("size", [(6, 5), (1, 1), (300, 7)])
def test_a_sample_is_decoded_once_also_for_other_processes(cache, record, size, edge):
    planes = make_planes(*size, edge=edge)
    assert_equal(cache.fetch(record, lambda: planes), planes)
    assert_equal(cache.fetch(record, must_not_decode), planes)
    assert_equal(SampleCache(cache.folder, "decoder").fetch(record, must_not_decode), planes)


def test_cached_arrays_cannot_be_changed_by_accident(cache, record):
    cache.fetch(record, make_planes)
    cached = cache.fetch(record, must_not_decode)
    with pytest.raises(ValueError, match="read-only"):
        cached.mask[0, 0] = 1


def test_changed_files_replace_their_entry(cache, record):
    cache.fetch(record, make_planes)
    entry = cache.entry(record)
    new = make_planes(seed=1)
    record.mask.write_bytes(b"another mask")
    assert_equal(cache.fetch(record, lambda: new), new)
    assert_equal(cache.fetch(record, must_not_decode), new)
    newer = make_planes(9, 9, seed=2)
    os.utime(record.image, ns=(1, 1))
    assert_equal(cache.fetch(record, lambda: newer), newer)
    assert cache.entry(record) == entry
    assert len(list(cache.folder.rglob("*.sample"))) == 1


def test_a_file_that_changes_while_it_is_decoded_is_read_again(cache, record):
    def decode() -> Planes:
        record.image.write_bytes(b"changed meanwhile")
        return make_planes()

    cache.fetch(record, decode)
    new = make_planes(seed=1)
    assert_equal(cache.fetch(record, lambda: new), new)


def test_another_decoder_has_entries_of_its_own(cache, record):
    first, second = make_planes(), make_planes(seed=1)
    other = SampleCache(cache.folder, "another decoder")
    cache.fetch(record, lambda: first)
    assert_equal(other.fetch(record, lambda: second), second)
    assert_equal(cache.fetch(record, must_not_decode), first)


def test_an_edge_map_is_part_of_the_key(cache, record):
    cache.fetch(record, make_planes)
    edged = Record(record.id, record.image, record.mask, record.mask)
    assert cache.fetch(edged, lambda: make_planes(edge=True)).edge is not None


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content[: HEADER.size - 1],
        lambda content: content[: HEADER.size],
        lambda content: content[:-1],
        lambda content: content + b"x",
        lambda content: b"",
        lambda content: bytes(len(content)),
        lambda content: content[:-1] + bytes([content[-1] ^ 1]),
        lambda content: b"X" + content[1:],
    ],
)
def test_a_damaged_entry_counts_as_missing_and_is_mended(cache, record, damage):
    planes = make_planes()
    cache.fetch(record, lambda: planes)
    entry = cache.entry(record)
    whole = entry.read_bytes()
    entry.write_bytes(damage(whole))
    fresh = SampleCache(cache.folder, "decoder")  # as after a crash of the machine
    assert_equal(fresh.fetch(record, lambda: planes), planes)
    assert entry.read_bytes() == whole


def test_a_cache_that_cannot_be_written_decodes_each_time_and_says_so_once(
    tmp_path, record, caplog
):
    (tmp_path / "cache").write_text("a file where the folder should be")
    cache = SampleCache(tmp_path / "cache", "decoder")
    planes = make_planes()
    with caplog.at_level(logging.WARNING):
        assert_equal(cache.fetch(record, lambda: planes), planes)
        assert_equal(cache.fetch(record, lambda: planes), planes)
    assert len(caplog.records) == 1
    assert "set data.cache_dir" in caplog.text


def test_a_missing_file_is_named(cache, record):
    record.mask.unlink()
    with pytest.raises(DataError, match=r"a\.png cannot be read"):
        cache.fetch(record, must_not_decode)


def test_what_killed_writers_left_is_removed_after_an_hour(cache, record, tmp_path):
    cache.fetch(record, make_planes)
    folder = cache.entry(record).parent
    old, young = folder / ".dead.sample", folder / ".alive.sample"
    for path in (old, young):
        path.write_bytes(b"half")
    long_ago = time.time() - ABANDONED_AFTER - 60
    os.utime(old, (long_ago, long_ago))
    SampleCache(cache.folder, "decoder").fetch(make_record(tmp_path, "b"), make_planes)
    assert not old.exists()
    assert young.exists()


def test_the_default_folder_follows_the_operating_system(monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_cache_dir() == tmp_path / "segloom" / "samples"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert default_cache_dir() == Path.home() / ".cache" / "segloom" / "samples"
    monkeypatch.setattr(sys, "platform", "darwin")
    assert default_cache_dir() == Path.home() / "Library" / "Caches" / "segloom" / "samples"
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path))
    assert default_cache_dir() == tmp_path / "segloom" / "samples"


WRITER = """
import itertools, sys
import numpy as np
from pathlib import Path
from segloom.data.cache import SampleCache
from segloom.data.planes import Planes
from segloom.types import Record

folder = Path(sys.argv[1])
records = [Record(n, folder / f"{n}.jpg", folder / f"{n}.png") for n in "abcd"]

def planes(number):
    # Every byte of a sample is the same, so that a mixture of two would show.
    return Planes(np.full((400, 300, 3), number, np.uint8), np.full((400, 300), number, np.uint8))

print("ready", flush=True)
for round in itertools.count():
    for number, record in enumerate(records):
        cache = SampleCache(folder / "cache", "decoder")
        got = cache.fetch(record, lambda: planes(number))
        assert (got.image == number).all() and (got.mask == number).all(), "a mixed entry"
        cache.entry(record).unlink(missing_ok=True)  # so that writing never ends
"""


def test_two_writers_and_kill_9_never_leave_a_half_entry(tmp_path):
    records = [make_record(tmp_path, name) for name in "abcd"]
    reader = SampleCache(tmp_path / "cache", "decoder")

    def start() -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        return process

    writers = [start(), start()]
    reads = 0
    try:
        for kill in range(4):
            until = time.monotonic() + 0.25 + 0.037 * kill
            patience = time.monotonic() + 30  # a busy machine may not come to read for a while
            while time.monotonic() < until or (reads == 0 and time.monotonic() < patience):
                for number, record in enumerate(records):
                    got = reader._load(reader.entry(record), reader._stamp(record))
                    if got is not None:
                        reads += 1
                        assert (got.image == number).all()
                        assert (got.mask == number).all()
            assert all(writer.poll() is None for writer in writers), "a writer failed"
            victim = writers.pop(0)
            victim.send_signal(signal.SIGKILL)
            victim.wait()
            assert victim.stdout is not None
            victim.stdout.close()
            writers.append(start())
        for path in (tmp_path / "cache").glob("??/[!.]*.sample"):
            assert path.stat().st_size == HEADER.size + 400 * 300 * 4
        assert reads > 0
    finally:
        for writer in writers:
            writer.kill()
            writer.wait()
            assert writer.stdout is not None
            writer.stdout.close()
