"""Every pair of architecture and enhancement is built, and what does not fit says what would."""

from __future__ import annotations

import json
from contextlib import contextmanager
from pathlib import Path

import pytest

from segloom.cli import catalogue
from segloom.cli.main import main
from segloom.exports import matrix as exports
from segloom.exports.matrix import export_matrix
from segloom.models import matrix
from segloom.models.matrix import Fit, markdown_table

PAGE = Path(__file__).parents[2] / "docs" / "enhancements" / "README.md"


def test_the_table_marks_refusals_and_says_why():
    cells = [Fit("unet", "a", ""), Fit("unet", "b", "b: no."), Fit("fpn", "a", "b: no.")]
    cells.append(Fit("fpn", "b", ""))
    assert markdown_table(cells).splitlines() == [
        "| | a | b |",
        "|---|---|---|",
        "| unet | yes | no (1) |",
        "| fpn | no (1) | yes |",
        "",
        "1. b: no.",
    ]


def test_the_table_tells_what_fits_but_does_not_export():
    cells = [Fit("unet", "a", "", "wrong at 33 x 65."), Fit("unet", "b", "a: no.")]
    lines = markdown_table(cells).splitlines()
    assert lines[2:] == ["| unet | yes, no export (1) | no (2) |", "", *lines[4:]]
    assert lines[4:] == ["1. wrong at 33 x 65.", "2. a: no."]


def test_the_table_tells_what_exports_to_one_format_alone():
    cells = [Fit("unet", "a", "", "", "at 1 x 1."), Fit("unet", "b", "", "wrong.", "")]
    lines = markdown_table(cells).splitlines()
    assert lines[2] == "| unet | yes, no OpenVINO (1) | yes, no export (2) |"
    assert lines[4:] == ["1. at 1 x 1.", "2. wrong."]


def test_the_command_builds_every_pair(monkeypatch, capsys):
    monkeypatch.setattr(matrix, "list_architectures", lambda: ["unet", "fpn"])
    monkeypatch.setattr(matrix, "list_enhancements", lambda: ["afma", "fam"])
    assert main(["list", "enhancements", "--matrix"]) == 0
    shown = capsys.readouterr()
    assert "| unet | yes | no (1) |" in shown.out
    assert "| fpn | yes | yes |" in shown.out
    assert "and `segloom export` writes them as ONNX and for OpenVINO, for any batch" in shown.out
    monkeypatch.setattr(exports, "NOT_EXPORTED", {("fpn", "fam"): "wrong.", ("unet", "fam"): "?"})
    monkeypatch.setattr(exports, "NOT_IN_OPENVINO", {("unet", "afma"): "not there."})
    assert main(["list", "enhancements", "--matrix", "--json"]) == 0
    cells = {(c["architecture"], c["enhancement"]): c for c in json.loads(capsys.readouterr().out)}
    assert cells["fpn", "fam"]["export"] == "wrong."
    assert cells["unet", "fam"]["export"] == ""  # they do not fit
    assert cells["unet", "afma"]["openvino"] == "not there."
    assert cells["fpn", "afma"]["openvino"] == ""
    assert cells["unet", "fam"]["refusal"] != ""
    assert shown.err == "building every architecture with every enhancement ...\n"
    assert main(["list", "losses", "--matrix"]) == 2


def test_the_command_builds_an_encoder_of_every_family(monkeypatch, capsys):
    monkeypatch.setattr(matrix, "list_architectures", lambda: ["unet", "dpt", "eomt"])
    monkeypatch.setattr(matrix, "FAMILIES", ("tu-test_vit", "tu-test_resnet", "tu-cait_xxs24_224"))
    assert main(["list", "encoders", "--matrix"]) == 0
    shown = capsys.readouterr()
    lines = shown.out.splitlines()
    assert lines[0] == "| | unet | dpt | eomt |"
    assert lines[2:5] == [
        "| tu-test_vit | fits (1) | fits (1) | fits (1) |",
        "| tu-test_resnet | yes | fits (1) | no (2) |",
        "| tu-cait_xxs24_224 | no (3) | no (4) | no (5) |",
    ]
    assert "1. the network is built; the export of this pair is not among those" in shown.out
    assert "2. eomt needs a plain vision transformer of timm" in shown.out
    assert shown.err == "building every architecture with every family of encoders ...\n"


def test_a_terminal_shows_how_far_it_is(monkeypatch, capsys):
    told = []

    @contextmanager
    def bar(*words):
        yield lambda *counts: told.append((*words, *counts))

    monkeypatch.setattr(matrix, "list_architectures", lambda: ["fpn"])
    monkeypatch.setattr(matrix, "list_enhancements", lambda: ["fam", "fem"])
    monkeypatch.setattr(catalogue, "progress_bar", bar)
    assert main(["list", "enhancements", "--matrix"]) == 0
    assert [counts[0] for counts in told] == ["building"] * len(told)
    assert [done for *_, done, _ in told] == list(range(1, told[-1][-1] + 1))
    assert capsys.readouterr().err == ""


@pytest.mark.slow
def test_the_page_shows_the_table():
    assert markdown_table(export_matrix()) in PAGE.read_text()
