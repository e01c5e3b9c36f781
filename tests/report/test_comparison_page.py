"""The page of a comparison: every section from known numbers, odd cases, and any name."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.comparisons import GROUP, measured, study
from support.html_page import HOSTILE_NAMES, Page

from segloom.comparison.cells.plan import Group
from segloom.comparison.statistics.analysis import FailedCell, analyse
from segloom.labels.pictures import FLIP_LEGEND, write_image
from segloom.report.changed import ChangedImage, ChangedPair
from segloom.report.comparison import render_comparison, write_comparison
from segloom.report.comparison_result import CoursePoint

HOSTILE = (*HOSTILE_NAMES, "a@b | c \\ $d_e")


def compared(runs: list, **options: Any) -> dict[str, Any]:
    return analyse(runs, **{"baseline": "none", **options})


def read(comparison: dict[str, Any], changes: list[ChangedPair] | None = None) -> Page:
    """Render a page, check what holds for every page, and return it."""
    html = render_comparison(comparison, changes)
    page = Page(html)
    page.text = " ".join(page.text.split())
    body = html.split("</style>")[1].split("<script>")[0]
    without_data = re.sub(r"data:image/webp;base64,[^\"]*", "data:", body)
    assert not re.search(r"\b(nan|NaN|None|inf|undefined)\b|-0\.0+\b", without_data)
    assert all(value.startswith("#") for value in page.values("href"))
    ids = page.values("id")
    assert len(ids) == len(set(ids))
    assert {value[1:] for value in page.values("href")} <= set(ids)
    assert page.tags.count("script") == page.tags.count("style") == page.tags.count("h1") == 1
    for tag, name in (("svg", "aria-label"), ("img", "alt")):
        words = [value for t, n, value in page.attributes if (t, n) == (tag, name)]
        hidden = page.attributes.count((tag, "aria-hidden", "true"))
        assert len(words) + hidden == page.tags.count(tag)
        assert all(words)
    return page


def test_a_clear_gain_is_shown_in_every_section() -> None:
    runs = [*study(cost=1.0)[:3], *study(cost=1.5, small=0.25)[3:]]
    page = read(compared(runs))
    for words in (
        "afma against none",
        "6 runs: unet, resnet18, streets",
        "unet + afma: helps: +5.10 points (95 %",
        "3 seeds, 20 images.",
        "none 3 61.0 ± 1.0 20.0 ± 0.0 30.0 ± 0.0 baseline",
        "afma 3 66.1 ± 1.1 25.0 ± 0.0 30.0 ± 0.0 +5.1 (",
        "road 61.0 ± 1.0 66.1 ± 1.1 +5.1",
        "IoU of objects < 256 px",
        "boundary IoU (0.75 %)",
        "15.00 1.50×",  # parameters, million
        "30.0 1.50×",  # latency, ms
        "+5.00, +5.10, +5.20",
        "Hedges' g",
    ):
        assert words in page.text, words
    labels = page.values("aria-label")
    assert any(
        label.startswith("Gain in mIoU in points, with 95 % intervals: afma +5.1")
        for label in labels
    )
    assert page.tags.count("b") == 1  # the gain beside its costs, on one axis
    assert "What the gains vary by" in page.text
    assert "one seed" not in page.text.split("How the verdicts come")[0]


def test_sections_go_from_the_finding_to_the_images(tmp_path: Path) -> None:
    result = compared(study())
    for row in result.groups[0].rows:
        row.course = [CoursePoint(e, 0.5 + 0.01 * e, 0.4, 0.7) for e in range(1, 9)]
    page = read(result, [changed(tmp_path, [(0.4, 0.52)])])
    order = ["result", "gains", "training", "cost", "scores", "published", "protocol"]
    order += ["statistics", "images"]
    assert [value for value in page.values("id") if not value.startswith("h-")] == order
    assert [value[1:] for value in page.values("href")] == ["result", *order]
    result_section = page.text.split(" Result ")[2]
    assert result_section.startswith("On unet, resnet18, streets, afma (+5.1 points of mIoU, 95 %")
    (label,) = [v for v in page.values("aria-label") if v.startswith("Validation mIoU")]
    assert "unet, resnet18, streets: none, epoch 8: 58.0 % (40.0 to 70.0); afma" in label


def test_search_before_the_comparison_is_a_column_and_a_warning_if_the_baseline_had_less() -> None:
    assert "Runs of a search" not in read(compared(study())).text
    page = read(compared(study(), conditions={"tuning": {"none": 40, "afma": 40}}))
    assert "none 3 40 61.0" in page.text
    assert "part of a gain may come from that" not in page.text
    page = read(compared(study(), conditions={"tuning": {"afma": 12}}))
    assert "afma 3 12 66.1" in page.text
    assert "the baseline had 0 runs of a search for options, afma 12: part of a" in page.text


def test_many_kinds_have_their_courses_in_several_charts() -> None:
    runs = [measured(name, 0, 0.5) for name in ("none", *"abcdefg")]
    result = compared(runs)
    for row in result.groups[0].rows:
        row.course = [CoursePoint(e, 0.5, 0.4, 0.6) for e in (1, 2)]
    charts = [label for label in read(result).values("aria-label") if "Validation" in label]
    assert [label.count("epoch 2") for label in charts] == [6, 3]
    assert all("none, epoch 2" in label for label in charts)


def test_page_lies_beside_the_tables_and_loads_nothing(tmp_path: Path) -> None:
    path = write_comparison(tmp_path, compared(study()))
    assert path == tmp_path / "comparison.html"
    html = path.read_text(encoding="utf-8")
    page = Page(html)
    assert not re.search(r"https?:|[\"'(]//[a-z]|@import|url\(", html)
    digest = base64.b64encode(hashlib.sha256(page.script.encode()).digest()).decode()
    (policy,) = [value for value in page.values("content") if "default-src" in value]
    assert f"script-src 'sha256-{digest}'" in policy


def test_one_seed_has_no_p_value_and_says_so() -> None:
    page = read(compared(study(seeds=1)))
    assert "This comparison has one seed: there is no p-value and no verdict." in page.text
    assert "no verdict: +5.00 points" in page.text
    assert "one seed: no verdict" in page.text
    assert "helps" not in page.text.replace("helps or hurts", "").replace("more seeds help;", "")
    assert ("g", "class", "k-open") in page.attributes


def test_some_comparisons_may_have_one_seed_and_others_more() -> None:
    runs = [*study(), measured("celt", 0, 0.7)]
    page = read(compared(runs))
    assert "Some comparisons here have one seed" in page.text
    assert "unet + celt: no verdict" in page.text


def test_undecided_names_the_seeds_that_would_decide_it() -> None:
    runs = [measured("none", s, 0.6 + 0.01 * s) for s in range(3)]
    runs += [measured("afma", s, 0.6 + 0.01 * ((s + 1) % 3)) for s in range(3)]
    page = read(compared(runs))
    assert re.search(
        r"unet \+ afma: undecided: 0\.00 points \(95 % .*; about \d+ more seeds to find a gain of "
        r"1 point, 3 seeds, 20 images",
        page.text,
    )
    assert "k-none" in page.values("class")


@pytest.mark.parametrize(
    ("seeds", "words"), [(1, "no verdict: 0.00 points"), (3, "both give the same scores, 3 seeds")]
)
def test_identical_runs_differ_in_nothing(seeds: int, words: str) -> None:
    runs = [measured("none", s, 0.6) for s in range(seeds)]
    runs += [replace(run, variant="same") for run in runs]
    page = read(compared(runs))
    assert words in page.text


def test_harm_is_called_by_its_name_and_shape() -> None:
    html = render_comparison(compared(study(gain=-0.05)))
    assert "hurts: -5.0" in " ".join(Page(html).text.split())
    forest = html.split('class="chart forest"')[1].split("</svg>")[0]
    assert 'class="k-hurts"' in forest
    assert 'class="point" d="M' in forest  # a triangle, so colour is not the only sign


def test_groups_are_named_and_measured_against_their_own_baseline() -> None:
    other = Group("streets", "fpn", "resnet18")
    page = read(compared([*study(), *study(gain=-0.05, group=other)]))
    assert "unet + afma: helps" in page.text
    assert "fpn + afma: hurts" in page.text
    assert "a multiple of the baseline's of its group" in page.text
    assert page.text.count("baseline") >= 2


def test_a_variant_of_equal_runs_has_no_general_gain_beside_one_that_has() -> None:
    other = Group("streets", "fpn", "resnet18")
    runs = [*study(), *study(group=other)]
    runs += [replace(run, variant="same") for run in runs if run.variant == "none"]
    result = compared(runs)
    assert [item.variant for item in result.general] == ["afma"]
    assert "all networks" in read(result).text


def test_lost_runs_have_their_cause_once_and_are_counted_nowhere() -> None:
    lost = [
        FailedCell(f"fam-seed{s}", GROUP, "fam", s, "failed", "no joins to swap.") for s in (0, 1)
    ]
    lost.append(FailedCell("celt-seed0", GROUP, "celt", 0, "waiting", ""))
    page = read(compared(study(), missing=lost))
    assert "failed: no joins to swap. fam-seed0, fam-seed1" in page.text
    assert page.text.count("no joins to swap.") == 1
    assert "waiting celt-seed0" in page.text
    assert "unet + fam, unet + celt: not compared: no seed of both is done" in page.text
    assert "fam 0 – – – – – not compared" in page.text
    assert "6 runs" in page.text


def test_nothing_is_done_yet() -> None:
    lost = [FailedCell(n, GROUP, n, 0, "waiting", "") for n in ("none", "afma")]
    page = read(compared([], missing=lost))
    assert "0 runs" in page.text
    assert "not compared" in page.text
    assert "svg" not in page.tags


def test_the_baseline_alone_has_nothing_to_be_compared_with() -> None:
    page = read(compared(study(seeds=2)[:2]))
    assert "There is nothing to compare: only none is here." in page.text


def test_runs_without_costs_say_so_and_have_no_such_chart() -> None:
    page = read(compared(study(cost=None)))
    assert "No costs are known" in page.text
    assert "Gain and costs" not in page.values("aria-label")


def test_two_classes_without_sizes_and_boundaries() -> None:
    runs = study(classes=("ground", "bird"), small=None, boundary=None)
    page = read(compared(runs))
    assert "bird 61.0" in page.text
    assert "objects" not in page.text.split("Images")[0]
    assert page.tags.count("figcaption") == 1  # mIoU


def test_hostile_names_are_only_text(tmp_path: Path) -> None:
    group = Group(HOSTILE[0], HOSTILE[1], HOSTILE[2])
    runs = [
        measured(variant, 0, 0.5, group=group, classes=HOSTILE, name=HOSTILE[0])
        for variant in ("none", *HOSTILE)
    ]
    lost = [FailedCell(HOSTILE[0], group, HOSTILE[1], 5, HOSTILE[2], HOSTILE[3])]
    conditions = {
        "seeds": [0],
        "policy": HOSTILE[0],
        "versions": {HOSTILE[0]: HOSTILE[1]},
        "processor": HOSTILE[0],
        "accelerators": [HOSTILE[0]],
        "differences": list(HOSTILE),
        "protocols": {
            HOSTILE[0]: {
                "data": {"name": HOSTILE[0]},
                "train": {"epochs": 1, "precision": HOSTILE[0]},
                "model": {"encoder_weights": HOSTILE[1]},
                "loss": {"terms": {HOSTILE[0]: 1.0}, "class_weights": "</pre>"},
            }
        },
    }
    pair = ChangedPair(
        *HOSTILE[:3],
        variant=HOSTILE[0],
        seed=0,
        images=(ChangedImage(HOSTILE[0], 0.1, 0.2, tmp_path / "none.png"),),
        cause="",
    )
    page = read(compared(runs, missing=lost, conditions=conditions), [pair])
    assert "alert" not in page.script
    assert HOSTILE[0] in page.text
    assert "{{ 7 * 7 }}" in page.text
    assert not [name for _, name, _ in page.attributes if name.startswith("on")]
    assert max(map(len, page.values("title"))) <= 400


def changed(tmp_path: Path, values: list[tuple[float, float]]) -> ChangedPair:
    path = tmp_path / "picture.png"
    write_image(path, (np.arange(40 * 200 * 3) % 251).astype(np.uint8).reshape(40, 200, 3))
    images = tuple(ChangedImage(f"street_{i}", a, b, path) for i, (a, b) in enumerate(values))
    return ChangedPair("streets", "unet", "resnet18", "afma", 2, images)


def test_pictures_are_sorted_into_improved_and_worsened(tmp_path: Path) -> None:
    page = read(compared(study()), [changed(tmp_path, [(0.4, 0.52), (0.5, 0.46)])])
    improved, worsened = page.text.split("Most worsened")
    assert "unet + afma against unet unet, resnet18, streets, seed 2" in improved
    assert "street_0 mean IoU 40.0 % without, 52.0 % with: +12.0" in improved
    assert "street_1 mean IoU 50.0 % without, 46.0 % with: -4.0" in worsened
    assert page.tags.count("img") == 2
    assert all(value.startswith("data:image/webp") for value in page.values("src"))
    assert all(name in page.text for name, _ in FLIP_LEGEND)


def test_pictures_that_cannot_be_shown_have_a_reason(tmp_path: Path) -> None:
    pair = ChangedPair("streets", "unet", "resnet18", "afma", 0, cause="the maps were not kept.")
    page = read(compared(study()), [pair])
    assert "No pictures: the maps were not kept." in page.text
    missing = ChangedPair(
        *("streets", "unet", "resnet18", "afma", 0),
        images=(ChangedImage("x", 0.1, 0.2, tmp_path / "none.png"),),
    )
    assert "The picture of this image cannot be read." in read(compared(study()), [missing]).text
    none = ChangedPair("streets", "unet", "resnet18", "afma", 0)
    assert "No image changed." in read(compared(study()), [none]).text
    assert "No two networks share a seed" in read(compared(study()), []).text


def test_without_pictures_there_is_no_such_section() -> None:
    page = read(compared(study()), None)
    assert "#images" not in page.values("href")
    assert "Images that changed most" not in page.text


def test_many_pictures_share_a_budget(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pair = changed(tmp_path, [(0.1, 0.2)] * 4)
    noise = np.random.default_rng(0).integers(0, 256, (100, 700, 3), np.uint8)
    write_image(pair.images[0].path, noise)
    sizes = []
    for budget in (4_000_000, 80_000):
        monkeypatch.setattr("segloom.report.changed.PICTURE_BUDGET", budget)
        page = read(compared(study()), [pair])
        assert page.tags.count("img") == 4
        sizes.append(sum(map(len, page.values("src"))))
    assert sizes[1] < 80_000 * 4 / 3 + 1000 < sizes[0]


def test_differences_between_finished_runs_are_named() -> None:
    texts = [f"train.epochs is {n} in a, 5 in b" for n in range(25)]
    page = read(compared(study(), conditions={"differences": texts}))
    assert "The runs differ in more than what is compared" in page.text
    assert texts[19] in page.text
    assert texts[20] not in page.text
    assert "and 5 more." in page.text


PROTOCOL = {
    "data": {"name": "cityscapes", "crop": [512, 1024], "batch_size": 8, "class_uniform": 0.0},
    "model": {"encoder_weights": "imagenet"},
    "optim": {"name": "sgd", "lr": 0.01, "schedule": "poly"},
    "loss": {"terms": {"cross_entropy": 1.0}, "class_weights": "none"},
    "train": {"epochs": 10, "steps_per_epoch": 100, "precision": "bf16", "ema": 0.99},
    "eval": {"split": "val", "inference": {"scales": [1.0], "flip": True}},
}


def test_protocol_and_published_figures_stand_beside_ours() -> None:
    group = Group("cityscapes", "pspnet", "resnet50")
    conditions = {
        "seeds": [0, 1, 2],
        "policy": "Void is not counted.",
        "versions": {"torch": "2.0", "lost": None},
        "protocols": {"cityscapes": PROTOCOL},
    }
    page = read(compared(study(group=group), conditions=conditions))
    for words in (
        "Measured on val split, 20 images",
        "Training crop 512x1024",
        "Length 1,000 steps",
        "Optimiser sgd, learning rate 0.01, poly",
        "Inference flip",
        "Loss cross_entropy 1; class weights none",
        "Arithmetic bf16, moving average 0.99",
        "Seeds 0, 1, 2",
        "Void pixels Void is not counted.",
        "Accelerators none Versions torch 2.0",
        "pspnet + afma 66.1 ± 1.1 this comparison",
        "PSPNet 78.5 mmsegmentation model zoo",
        "protocol differs: ",
        "training 80,000 steps against 1,000 steps",
        "inference one pass at full size against flip",
        "steps_per_epoch: 100",
        "Other networks on the same data",
    ):
        assert words in page.text, words


def test_figures_of_unknown_networks_are_said_to_be_unknown() -> None:
    page = read(compared(study(), conditions={"protocols": {"streets": {}}}))
    assert "segloom knows no published figure of this: unet, resnet18, streets." in page.text
    named = Group("streets", "networks", "as named")
    page = read(compared(study(group=named), conditions={"protocols": {"streets": {}}}))
    assert "segloom knows no published figure of the same data." in page.text
