"""The journal: what is read back, and what is not."""

from __future__ import annotations

import json

import numpy as np
import pytest

from segloom.config import EvalConfig
from segloom.errors import DataError
from segloom.evaluation.image_counts import count_image
from segloom.evaluation.journal import Journal, fingerprint, read_counts

CONFIG = EvalConfig(size_limits=(4, 30), davis_tolerances=(0.05, 2))

EMPTY = [[], []]
GOOD = {"index": 1, "id": "a", "confusion": EMPTY, "size": EMPTY, "boundary": EMPTY}
GOOD |= {"distances": [1, 1], "davis": EMPTY, "davis_distances": [1, 2]}
CHANGES = (
    {"confusion": [[99], [1]]},
    {"confusion": [[-1], [1]]},
    {"distances": [1]},
    {"davis": [[24], [1]]},
    {"davis_distances": [1]},
)
ARRAYS = {"confusion", "size", "boundary", "distances", "davis", "davis_distances"}
BAD_LINES = [json.dumps(GOOD | change) for change in CHANGES]


def counts(seed):
    random = np.random.default_rng(seed)
    prediction, truth = random.integers(0, 3, (2, 12, 15), dtype=np.uint8)
    truth[random.random(truth.shape) < 0.1] = 255
    return count_image(f"image{seed}", prediction, truth, 3, CONFIG)


def same(first, second):
    return (
        first.id == second.id
        and first.counts.keys() == second.counts.keys() == ARRAYS
        and first.counts["davis_distances"].tolist() == [1, 2]
        and all(np.array_equal(first.counts[name], second.counts[name]) for name in ARRAYS)
    )


@pytest.fixture
def path(tmp_path):
    journal = Journal(tmp_path / "journal", "key", 3, CONFIG)
    for index in (0, 2):
        journal.append(index, counts(index))
    return journal.path


def test_counts_come_back_as_they_were(path):
    done = Journal(path, "key", 3, CONFIG).done
    assert list(done) == [0, 2]
    assert all(same(done[index], counts(index)) for index in done)


def test_line_that_a_kill_cut_short_is_dropped_and_written_again(path):
    content = path.read_bytes()
    path.write_bytes(content[: len(content) - 40])
    journal = Journal(path, "key", 3, CONFIG)
    assert list(journal.done) == [0]
    journal.append(2, counts(2))
    assert path.read_bytes() == content


@pytest.mark.parametrize(
    "line",
    [
        "",
        "{}",
        "null",
        *BAD_LINES,
        "\x00\x01",
    ],
)
def test_line_that_is_no_result_is_dropped(path, line):
    with path.open("a") as file:
        file.write(line + "\n")
    assert list(Journal(path, "key", 3, CONFIG).done) == [0, 2]


def test_line_of_a_result_is_kept(path):
    with path.open("a") as file:
        file.write(json.dumps(GOOD) + "\n")
    assert list(Journal(path, "key", 3, CONFIG).done) == [0, 2, 1]


def test_another_fingerprint_starts_from_nothing(path):
    assert Journal(path, "other", 3, CONFIG).done == {}
    assert Journal(path, "key", 3, CONFIG).done == {}


def test_empty_file_starts_from_nothing(tmp_path):
    (tmp_path / "journal").touch()
    assert Journal(tmp_path / "journal", "key", 3, CONFIG).done == {}


def test_fingerprint_sees_values_and_file_contents(tmp_path):
    file = tmp_path / "weights"
    file.write_bytes(b"a")
    first = fingerprint({"x": 1}, {"weights": file})
    assert first == fingerprint({"x": 1}, {"weights": file})
    assert first != fingerprint({"x": 2}, {"weights": file})
    file.write_bytes(b"b")
    assert first != fingerprint({"x": 1}, {"weights": file})


def test_published_journal_is_read_in_the_order_of_the_images(tmp_path):
    journal = Journal(tmp_path / "journal", "key", 3, CONFIG)
    for index in (2, 0):
        journal.append(index, counts(index))
    journal.publish(tmp_path / "counts.jsonl")
    read = read_counts(tmp_path / "counts.jsonl", 3, CONFIG)
    assert len(read) == 2
    assert same(read[0], counts(0))
    assert same(read[1], counts(2))
    assert not journal.path.exists()


def test_counts_without_the_measure_of_davis_are_read_where_it_is_not_asked_for(tmp_path):
    journal = Journal(tmp_path / "counts.jsonl", "key", 3, CONFIG)
    journal.append(0, counts(0))
    head, line = journal.path.read_text().splitlines()
    values = {key: v for key, v in json.loads(line).items() if not key.startswith("davis")}
    journal.path.write_text(f"{head}\n{json.dumps(values)}\n")
    (read,) = read_counts(journal.path, 3, EvalConfig(size_limits=(4, 30)))
    assert read.counts["davis"].shape == (0, 3, 4)
    np.testing.assert_array_equal(read.counts["boundary"], counts(0).counts["boundary"])
    with pytest.raises(DataError, match="cannot be read"):
        read_counts(journal.path, 3, CONFIG)


@pytest.mark.parametrize("content", [None, "{}\n{}\n", "{}\n[1"])
def test_counts_that_cannot_be_read_are_named(tmp_path, content):
    path = tmp_path / "counts.jsonl"
    if content is not None:
        path.write_text(content)
    with pytest.raises(DataError, match=r"counts.jsonl cannot be read .* `segloom eval`"):
        read_counts(path, 3, CONFIG)
