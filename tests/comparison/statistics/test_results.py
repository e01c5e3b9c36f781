"""From counts of runs to resamples: what is drawn, and that all runs share it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from segloom.comparison.cells.plan import Group
from segloom.comparison.statistics.analysis import analyse
from segloom.comparison.statistics.results import read_counted, resample
from segloom.config.data import DataConfig
from segloom.config.evaluation import EvalConfig
from segloom.config.load import dump_config
from segloom.config.run import RunConfig
from segloom.evaluation.image_counts import count_image
from segloom.evaluation.journal import Journal
from segloom.evaluation.summary import summarize
from segloom.labels.palette import default_palette
from segloom.report.comparison_words import image_notes
from segloom.types import LabelSet, Place

CONFIG = EvalConfig(bootstrap=0, size_limits=(), boundary_tolerances=())
LABELS = LabelSet(("a", "b"), default_palette(2))
GROUP = Group("camvid", "unet", "resnet18")
FRAMES = [f"Seq05VD_f{n:05}" for n in range(0, 2400, 30)] + [f"0001TP_{n:06}" for n in range(40)]


def write_run(folder: Path, right: float, *, names=FRAMES, data=True, places=()) -> Path:
    """Write what `segloom eval` leaves; what is right changes slowly along the frames."""
    rng = np.random.default_rng(0)
    where = folder / "eval/test"
    where.mkdir(parents=True)
    journal = Journal(where / "journal", "key", 2, CONFIG)
    for index, name in enumerate(names):
        truth = rng.integers(0, 2, (12, 12), dtype=np.uint8)
        share = right + 0.2 * right * np.sin(index / 12)
        guess = np.where(rng.random(truth.shape) < share, truth, 1 - truth).astype(np.uint8)
        counts = count_image(name, guess, truth, 2, CONFIG)
        journal.append(index, replace(counts, place=places[index]) if places else counts)
    images = [journal.done[index] for index in range(len(names))]
    journal.publish(where / "counts.jsonl")
    metrics = summarize(images, LABELS, CONFIG) | {"model": {"num_parameters": 1}}
    (where / "metrics.json").write_text(json.dumps(metrics))
    if data:
        config = RunConfig(data=DataConfig(name="camvid", root=Path("/gone")))
        (folder / "config.yaml").write_text(dump_config(config))
    return folder


def read(folder: Path, variant: str, seed: int = 0):
    return read_counted(folder, GROUP, variant, seed, facts={})


def study(tmp_path: Path, **options):
    runs = [
        read(
            write_run(tmp_path / f"{variant}{seed}", share + 0.01 * seed, **options), variant, seed
        )
        for variant, share in (("none", 0.6), ("afma", 0.65))
        for seed in range(2)
    ]
    return resample(runs, baseline="none")


def test_counts_of_before_groups_take_the_films_from_the_names_of_the_frames(tmp_path):
    measured = study(tmp_path)
    assert measured[0].resampling.unit == "block"
    assert measured[0].resampling.groups == ("Seq05VD", "0001TP")
    assert len({run.resampling for run in measured}) == 1
    (group,) = analyse(measured, baseline="none").groups
    assert group.resampling.unit == "block"
    assert "(Seq05VD, 0001TP)" in group.resampling.rule
    assert image_notes(group) == [group.resampling.rule]
    (pair,) = group.pairs
    assert set(pair.by_group) == {"Seq05VD", "0001TP"}
    differences = [
        one.group_miou["0001TP"] - two.group_miou["0001TP"]
        for one, two in zip(measured[2:], measured[:2], strict=True)
    ]
    assert pair.by_group["0001TP"] == pytest.approx(np.mean(differences))


def test_films_make_the_part_of_the_images_larger_and_its_degrees_fewer(tmp_path):
    films = study(tmp_path / "films")
    single = study(tmp_path / "single", names=[str(i) for i in range(120)], data=False)
    assert single[0].resampling.unit == "image"
    assert single[0].resampling.degrees == 119
    assert films[0].resampling.degrees < 40
    np.testing.assert_allclose(films[0].scores, single[0].scores)
    assert films[0].resampled[:, 0].std() > 1.3 * single[0].resampled[:, 0].std()


def test_variance_of_a_gain_is_divided_into_seeds_single_images_and_films(tmp_path):
    films = study(tmp_path / "films")
    single = study(tmp_path / "single", names=[str(i) for i in range(120)], data=False)
    (with_films,), (alone,) = (analyse(m, baseline="none").groups[0].pairs for m in (films, single))
    for pair in (with_films, alone):
        parts = pair.variance
        assert parts.seeds + parts.images + parts.groups == pytest.approx(1)
        assert parts.seeds == pytest.approx(pair.scores["mIoU"].seed_share)
    assert alone.variance.groups == 0
    assert with_films.variance.groups > 0.2
    # What single images bring is the same variance, whether they are films or not.
    ours, theirs = (
        pair.variance.images * pair.scores["mIoU"].standard_error ** 2
        for pair in (with_films, alone)
    )
    assert ours == pytest.approx(theirs, rel=0.15)


def test_one_seed_has_no_shares_of_variance(tmp_path):
    runs = [run for run in study(tmp_path) if run.seed == 0]
    assert analyse(runs, baseline="none").groups[0].pairs[0].variance is None


def test_places_that_an_evaluation_wrote_go_before_the_names(tmp_path):
    places = [Place(f"patient{i // 4}") for i in range(len(FRAMES))]
    measured = study(tmp_path, places=places)
    assert measured[0].resampling.unit == "group"
    assert measured[0].resampling.degrees == 29
