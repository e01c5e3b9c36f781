"""The report shows what the gate of every export found."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from support.html_page import HOSTILE_NAMES, Page

from segloom.files import write_json
from segloom.report import write_report
from segloom.report.exported import read_exports
from segloom.run_directory import RunDirectory

MakeRun = Callable[..., Path]
NOTE = {
    "format": "openvino",
    "precision": "int8",
    "folder": "exports/camvid_int8",
    "megabytes": 14.8,
    "source": "split val",
    "calibration": "split train",
    "device": "OpenVINO CPU f32",
    "sizes": [
        {"size": "1 x 1 x 1", "error": 2.5e-6, "agreement": 1.0},
        {"size": "1 x 33 x 65", "error": 6.1e-6, "agreement": 1.0},
    ],
    "reduced_sizes": [{"size": "1 x 1 x 1", "error": 0.0213, "agreement": 0.98765}],
    "scores": {
        "images": 101,
        "agreement": 0.9919,
        "network": 0.6442,
        "exported": 0.6431,
        "per_class": {"road": [0.95, 0.951], "pole": [0.25, 0.2109]},
    },
    "silent_enhancements": ["celt"],
    "floating": {
        "layers": ["decoder.blocks.4.conv1.0/conv2d_28"],
        "of_layers": 80,
        "reason": "over 101 images the mIoU is 51.20 %",
    },
}


def write_notes(run: Path, **notes: object) -> None:
    (run / "gates").mkdir()
    for name, note in notes.items():
        write_json(run / "gates" / f"{name}.json", note)


def page_of(run: Path) -> Page:
    return Page(write_report(run, "test").read_text(encoding="utf-8"))


def test_figures_of_every_export_appear(make_run: MakeRun) -> None:
    run = make_run()
    plain = {**NOTE, "format": "onnx", "precision": "fp32", "floating": None, "reduced_sizes": []}
    write_notes(run, openvino_int8=NOTE, onnx_fp32=plain)
    page = page_of(run)
    assert "#exports" in page.values("href")
    for words in ("onnx fp32", "openvino int8", "14.8", "101 of split val", "OpenVINO CPU f32"):
        assert words in page.text, words
    for words in ("99.19", "64.42", "64.31", "6.1e-06", "2.1e-02", "98.765", "celt"):
        assert words in page.text, words
    assert "In floating point stay 1 of 80 layers: decoder.blocks.4.conv1.0/conv2d_28." in page.text
    assert page.text.index("pole", page.text.index("int8 in detail")) < page.text.rindex("road")
    ids = page.values("id")
    assert len(ids) == len(set(ids))


def test_a_run_without_exports_does_not_name_them(make_run: MakeRun) -> None:
    page = page_of(make_run())
    assert "exports" not in page.values("id")
    assert "#exports" not in page.values("href")


def test_notes_that_are_none_are_left_out_and_missing_numbers_are_dashes(make_run: MakeRun) -> None:
    run = make_run()
    write_notes(run, a={"precision": "fp32"}, b={"format": "onnx", "precision": "fp32"}, c=[1])
    (run / "gates" / "d.json").write_text("{")
    (run / "gates" / "e.json").write_bytes(b"\xff")
    notes = read_exports(RunDirectory(run))
    assert [(note.format, note.precision) for note in notes] == [("onnx", "fp32")]
    page = page_of(run)
    assert "onnx fp32" in page.text
    assert "None" not in page.text.split("Exports")[-1]
    assert "nan" not in page.text.split("Exports")[-1]


def test_hostile_names_are_only_text(make_run: MakeRun) -> None:
    name = HOSTILE_NAMES[0]
    text = json.dumps(NOTE)
    for word in ("openvino", "split val", "decoder.blocks.4.conv1.0/conv2d_28", "celt", "pole"):
        text = text.replace(json.dumps(word), json.dumps(name))
    run = make_run()
    write_notes(run, openvino_int8=json.loads(text))
    page = page_of(run)
    assert page.tags.count("script") == 1
    assert page.text.count(name) >= 4  # the format is cut
