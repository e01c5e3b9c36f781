"""The page: well formed, self-contained, complete, and safe with any name."""

from __future__ import annotations

import base64
import hashlib
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from support.html_page import HOSTILE_NAMES, Page

from segloom.files import write_text
from segloom.labels.pictures import write_image
from segloom.report import write_report
from segloom.report.html import cut

MakeRun = Callable[..., Path]


def _write(run: Path) -> tuple[str, Page]:
    html = write_report(run, "test").read_text(encoding="utf-8")
    return html, Page(html)


def test_report_lies_beside_the_metrics_and_repeats_to_the_byte(make_run: MakeRun) -> None:
    run = make_run()
    path = write_report(run, "test")
    assert path == run / "eval" / "test" / "report.html"
    first = path.read_bytes()
    write_report(run, "test")
    assert path.read_bytes() == first


def test_numbers_of_every_file_appear(make_run: MakeRun) -> None:
    _, page = _write(make_run())
    text = " ".join(page.text.split())
    for words in (
        "unet + resnet18 + afma + celt",
        "camvid, test split, run my-run",
        "Over 3 images of the test split, the mean intersection over union of 3 classes is",
        "95 % interval from 60.1 % to 64.6 %",
        "(2,000 times)",
        "pixel accuracy aAcc 91.2 %",
        "14.33 million",
        "6 epochs, seed 3",
        "scales 1.0, 1.5; flip yes",
        "Void pixels are never counted.",
        "43.2 to 56.8",
        "An object is a connected component of the truth.",
        "< 256 px 1,234 21.3 20.0 to 25.0 32.4",
        "The band is as wide as the tolerance.",
        "0.75 % 4.5 41.2 – 52.3 51.0 to 53.0",
        "best 74.0 %, epoch 6",
        "median 40.0 %",
        "street_1 mean IoU 77.7 %",
        "segloom train camvid --train.epochs 6",
        "--split test",
        "not in the truth",
    ):
        assert words in text, words
    assert re.search(r"truth tree, predicted road: \d", str(page.values("title")))


def test_definitions_are_folded_away(make_run: MakeRun) -> None:
    html, _ = _write(make_run())
    fold = '<details class="how"><summary>How this is measured</summary><p>'
    for words in ("An object is a connected component", "The band is as wide"):
        assert fold + words in html
        assert html.count(words) == 1


def test_the_head_names_the_folder_of_the_data(make_run: MakeRun) -> None:
    run = make_run()
    (run / "config.yaml").write_text('{"data": {"name": "folder", "root": "/data/nuclei"}}')
    assert "nuclei (read as folder), test split, run my-run" in _write(run)[1].text


def test_page_loads_nothing_and_lets_only_its_own_script_run(make_run: MakeRun) -> None:
    html, page = _write(make_run())
    without_data = re.sub(r"data:image/webp;base64,[^\"]*", "data:", html)
    assert not re.search(r"https?:|[\"'(]//[a-z]|@import|url\(", without_data)
    assert all(value.startswith("data:image/webp") for value in page.values("src"))
    assert all(value.startswith("#") for value in page.values("href"))
    assert "link" not in page.tags
    assert page.tags.count("script") == 1
    digest = base64.b64encode(hashlib.sha256(page.script.encode()).digest()).decode()
    policy = next(value for value in page.values("content") if "default-src" in value)
    assert f"script-src 'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy


def test_links_lead_somewhere_and_pictures_have_words(make_run: MakeRun) -> None:
    _, page = _write(make_run())
    ids = page.values("id")
    assert len(ids) == len(set(ids))
    assert {value[1:] for value in page.values("href")} <= set(ids)
    assert page.tags.count("h1") == 1
    assert page.tags.count("img") == 2
    assert len([1 for tag, name, value in page.attributes if (tag, name) == ("img", "alt")]) == 2
    labelled = [1 for tag, name, _ in page.attributes if (tag, name) == ("svg", "aria-label")]
    drawn = [1 for tag, name, _ in page.attributes if (tag, name) == ("svg", "role")]
    assert len(labelled) == len(drawn) >= 5


HOSTILE = (*HOSTILE_NAMES, "\ud800 lone", "javascript:alert(1)")


def test_hostile_names_are_only_text(make_run: MakeRun) -> None:
    montage = [{"id": name, "file": "montage/street_1.png", "mIoU": None} for name in HOSTILE]
    run = make_run(
        names=HOSTILE,
        montages={"best": montage, "worst": []},
        model={"architecture": HOSTILE[0], "encoder_name": HOSTILE[1], "enhancements": {"<b>": {}}},
        policy=HOSTILE[0],
        inference={HOSTILE[0]: HOSTILE[1]},
    )
    write_text(run / "config.yaml", "a: </pre><script>alert(2)</script>")
    write_text(run / "command.txt", "</pre><script>alert(3)</script>")
    _, page = _write(run)
    assert page.tags.count("script") == 1
    assert page.tags.count("style") == 1
    assert "alert" not in page.script
    assert "<script>alert(1)</script>" in page.text
    assert "<script>alert(2)</script>" in page.text
    assert "{{ 7 * 7 }}" in page.text
    assert max(map(len, page.values("title"))) <= 400
    assert not [name for _, name, _ in page.attributes if name.startswith("on")]


OPTIONAL = ("intervals", "size", "boundary", "policy", "inference", "model", "montages")


def test_a_run_with_nothing_but_scores_still_has_a_report(make_run: MakeRun) -> None:
    run = make_run(**dict.fromkeys(OPTIONAL[1:]), intervals={}, per_class=[], confusion=[])
    for name in ("metrics.csv", "config.yaml", "command.txt", "eval/test/per_image.csv"):
        (run / name).unlink()
    _, page = _write(run)
    assert "62.3" in page.text
    assert "interval" not in page.text
    headings = [value for value in page.values("id") if value.startswith("h-")]
    assert headings == ["h-result", "h-measured", "h-reproduce"]


@pytest.mark.parametrize("key", OPTIONAL)
def test_each_part_may_be_missing_alone(make_run: MakeRun, key: str) -> None:
    _, page = _write(make_run(**{key: {} if key == "intervals" else None}))
    assert "62.3" in page.text


def test_missing_numbers_are_dashes_never_nan(make_run: MakeRun) -> None:
    scores = dict.fromkeys(("mIoU", "aAcc"))
    html, page = _write(make_run(scores=scores, intervals={"mIoU": [None, None]}))
    assert "no mean IoU" in page.text
    body = html.split("</style>")[1].split("<script>")[0]
    assert not re.search(r"\b(nan|NaN|None|inf|undefined)\b", body)


def test_one_class_one_image_one_epoch(make_run: MakeRun) -> None:
    run = make_run(names=("a", "b"), num_images=1, confusion=[[0, 0], [0, 0]])
    write_text(run / "metrics.csv", "epoch,lr,train/total,val/mIoU\n1,0.001,2.0,0.0\n")
    _, page = _write(run)
    assert "Over 1 image of" in " ".join(page.text.split())
    assert "1 epoch as a table" in page.text
    assert page.text.count("not in the truth") == 2


@pytest.mark.parametrize("count", [41, 255])
def test_many_classes_become_a_map_without_numbers(make_run: MakeRun, count: int) -> None:
    _, page = _write(make_run(names=tuple(f"class {i}" for i in range(count))))
    assert f"Confusion matrix of {count} classes" in str(page.values("aria-label"))
    assert f"class {count - 1}" in page.text


def test_pictures_outside_the_evaluation_are_not_drawn_in(make_run: MakeRun) -> None:
    picture = np.zeros((20, 20, 3), np.uint8)
    montage = {"best": [{"id": "x", "file": "../../../secret.png", "mIoU": 0.5}], "worst": []}
    run = make_run(montages=montage)
    write_image(run.parent / "secret.png", picture)
    _, page = _write(run)
    assert "img" not in page.tags
    assert "missing or cannot be read" in page.text


def test_many_large_pictures_stay_below_six_megabytes(make_run: MakeRun) -> None:
    run = make_run()
    noise = np.random.default_rng(0).integers(0, 256, (460, 1970, 3), np.uint8)
    write_image(run / "eval" / "test" / "montage" / "street_1.png", noise)
    many = [{"id": f"n{i}", "file": "montage/street_1.png", "mIoU": 0.5} for i in range(3)]
    write_text(run / "config.yaml", "# long\n" * 100_000)
    run = _replace_montages(run, {"best": many, "worst": many})
    html, page = _write(run)
    assert page.tags.count("img") == 6
    assert len(html.encode()) < 6_000_000


def _replace_montages(run: Path, montages: dict) -> Path:
    import json

    path = run / "eval" / "test" / "metrics.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "montages": montages}))
    return run


@pytest.mark.parametrize(
    ("text", "expected"), [("short", "short"), ("a\n\x00 b", "a b"), ("x" * 99, "x" * 59 + "…")]
)
def test_names_are_cut_to_one_line(text: str, expected: str) -> None:
    assert cut(text) == expected


def test_report_does_not_import_torch() -> None:
    code = "import sys, segloom.report; print({'torch', 'matplotlib', 'cv2'} & set(sys.modules))"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "set()"


def test_regions_are_shown_with_means_wholes_and_intervals(make_run: MakeRun) -> None:
    region = {
        "name": "lesion",
        "mean": {"Dice": 0.8123, "thresholded Jaccard": 0.6543},
        "whole": {"Dice": 0.876},
        "intervals": {"mean.Dice": [0.7011, 0.9022]},
    }
    part = {"definition": "Nothing found.", "unit": "case", "num_units": 7, "regions": [region]}
    page = Page(write_report(make_run(regions=part), "test").read_text())
    text = re.sub(r"\s+", " ", page.text)
    assert "Means over 7 cases. How this is measured Nothing found." in text
    assert "lesion Dice 81.2 70.1 to 90.2 87.6" in text
    assert "lesion thresholded Jaccard 65.4" in text
    assert ("a", "href", "#regions") in page.attributes


def test_a_page_without_regions_does_not_name_them(make_run: MakeRun) -> None:
    page = Page(write_report(make_run(regions=None), "test").read_text())
    assert ("a", "href", "#regions") not in page.attributes
