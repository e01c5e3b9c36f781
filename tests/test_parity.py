"""The page of comparisons with the original programs names every recorded file, and can say no."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from support.parity import FINDINGS, Comparison, Findings, parity_table
from support.recorded import Recording
from support.recorded_files import RECORDED

HERE = Path(__file__).with_name("recorded")
PAGE = Path(__file__).resolve().parents[1] / "docs" / "parity.md"


@pytest.fixture(autouse=True)
def no_findings():
    """Keep what is compared here out of the table."""
    yield
    FINDINGS.take()


def test_every_recorded_file_is_listed(shared):
    files = [path.stem for path in (shared / "fixtures").rglob("*.*") if path.suffix != ".md"]
    assert sorted(files) == sorted(RECORDED)


def test_what_this_repository_holds_of_them_is_the_same(shared):
    files = [path for path in HERE.rglob("*") if path.suffix in (".npz", ".json")]
    assert len(files) == 27
    for path in files:
        original = shared / "fixtures" / path.relative_to(HERE)
        assert path.read_bytes() == original.read_bytes(), path


def test_the_recorded_results_here_are_small():
    assert sum(path.stat().st_size for path in HERE.rglob("*")) < 2 * 2**20


def test_the_page_compares_every_recorded_file():
    rows = re.findall(r"^\| (\w+) \|.* \| (\S+) \| (\S+) \|$", PAGE.read_text(), re.MULTILINE)
    assert set(RECORDED) == {file for file, _, _ in rows}
    for file, error, bound in rows:
        assert float(error) <= (0 if bound == "exact" else float(bound)), file


def test_the_table_shows_what_no_test_reads():
    findings = Findings()
    findings.compared += [
        Comparison("ohem_ce", "out.case0.loss", "loss", 2e-7, 1e-5),
        Comparison("ohem_ce", "out.case1.loss", "loss", 3e-7, 1e-5),
    ]
    findings.held["ohem_ce"] = ["out.case0.loss", "out.case9.loss"]
    findings.read.add(("ohem_ce", "out.case0.loss"))
    page = parity_table(findings)
    assert "| loss | `out.case0.loss`, `out.case1.loss` | 3e-07 | 1e-05 |" in page
    assert "| hed_full | HED: both geometries | – | no test compares it | – | – |" in page
    assert "- ohem_ce: `out.case9.loss`\n" in page


def test_a_comparison_fails_beyond_its_bound():
    data = Recording("ohem_ce", {"out.y": torch.tensor([1.0, -4.0]), "out.zero": torch.zeros(1)})
    data.compare(torch.tensor([1.0004, -4.0]), "out.y", 1.1e-4)
    with pytest.raises(AssertionError, match=r"out\.y: relative error 1\.0e-04 over 9e-05"):
        data.compare(torch.tensor([1.0004, -4.0]), "out.y", 9e-5)
    with pytest.raises(AssertionError):
        data.compare(torch.tensor([float("nan"), -4.0]), "out.y", 1.0)
    with pytest.raises(AssertionError):
        data.compare(torch.tensor([[1.0, -4.0]]), "out.y")
    data.compare(torch.zeros(1), "out.zero", 0)
    assert [found.kind for found in FINDINGS.compared[:1]] == ["forward"]


@pytest.mark.parametrize("kept", [[], ["ohem_ce.npz"]])
def test_the_page_is_not_written_without_the_recorded_results(kept, tmp_path):
    page, folder = tmp_path / "parity.md", tmp_path / "fixtures" / "some"
    folder.mkdir(parents=True)
    for name in kept:
        (folder / name).touch()
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"{__file__}"]
    done = subprocess.run(
        [*command, "--parity-table", str(page)],
        env={**os.environ, "SEGLOOM_SHARED": str(tmp_path)},
        cwd=Path(__file__).resolve().parents[1],
        capture_output=True,
        text=True,
    )
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    count = len(RECORDED)
    sentence = f"lacks {count - len(kept)} of {count} recorded results .* The page is not written."
    assert re.search(sentence, done.stderr)
    assert "Traceback" not in done.stderr
    assert not page.exists()
