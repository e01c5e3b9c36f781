"""Pictures of label maps: exact colours, exact files, and a sentence for what cannot be drawn."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from segloom.errors import ConfigError, DataError
from segloom.labels.painting import comparison
from segloom.labels.palette import _oklab, default_palette
from segloom.labels.pictures import (
    ERROR_LEGEND,
    FLIP_LEGEND,
    colorize,
    draw_legend,
    error_map,
    flip_map,
    legend,
    montage,
    overlay,
    write_image,
    write_label_png,
    write_palette_png,
)
from segloom.types import LabelSet

PALETTE = [(200, 10, 0), (0, 255, 3), (14, 15, 216)]
LABELS = np.array([[0, 1, 2], [255, 2, 0]], dtype=np.uint8)
IMAGE = np.arange(18, dtype=np.uint8).reshape(2, 3, 3) * 14


def test_colors_follow_the_palette_and_void_is_black() -> None:
    picture = colorize(LABELS, PALETTE)
    assert picture.dtype == np.uint8
    assert picture.tolist() == [
        [[200, 10, 0], [0, 255, 3], [14, 15, 216]],
        [[0, 0, 0], [14, 15, 216], [200, 10, 0]],
    ]


@pytest.mark.parametrize("dtype", [np.int64, np.int32, np.uint16])
def test_any_integer_map_is_painted_alike(dtype: type) -> None:
    assert np.array_equal(colorize(LABELS.astype(dtype), PALETTE), colorize(LABELS, PALETTE))


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (LABELS.astype(np.float32), "integer array.*float32"),
        (LABELS[None], r"shape \(1, 2, 3\)"),
        (np.zeros((0, 4), np.uint8), r"shape \(0, 4\)"),
        (np.array([[-1]]), "0 to 255; this one has -1"),
        (np.array([[256]]), "0 to 255; this one has 256"),
        (np.array([[3]], np.uint8), "class id 3, but the palette has 3 colours"),
    ],
)
def test_label_maps_that_cannot_be_painted_are_named(labels: np.ndarray, message: str) -> None:
    with pytest.raises(DataError, match=message):
        colorize(labels, PALETTE)


@pytest.mark.parametrize(
    ("palette", "message"),
    [
        ([(0, 0)], r"shape \(1, 2\)"),
        ([], "1 to 255 RGB colours"),
        ([(0, 0, 256)], "whole numbers from 0 to 255"),
        ([(0.5, 0, 0)], "whole numbers"),
    ],
)
def test_palettes_that_are_none_are_named(palette: list, message: str) -> None:
    with pytest.raises(DataError, match=message):
        colorize(np.zeros((1, 1), np.uint8), palette)


@given(st.floats(0, 1))
def test_overlay_stays_between_image_and_color(alpha: float) -> None:
    blend = overlay(IMAGE, LABELS, PALETTE, alpha=alpha).astype(float)
    expected = IMAGE * (1 - alpha) + colorize(LABELS, PALETTE) * alpha
    expected[1, 0] = IMAGE[1, 0]  # void keeps the image
    assert np.abs(blend - expected).max() <= 1.5


def test_overlay_never_wraps_around() -> None:
    white = np.full((1, 1, 3), 255, np.uint8)
    for alpha in np.linspace(0, 1, 101):
        assert overlay(white, np.zeros((1, 1), int), [(255, 255, 255)], alpha).min() >= 254


def test_overlay_names_wrong_sizes_forms_and_alpha() -> None:
    with pytest.raises(DataError, match="image and label map differ in size: 2x3 and 1x3"):
        overlay(IMAGE, LABELS[:1], PALETTE)
    with pytest.raises(DataError, match="image: a picture is a uint8 array"):
        overlay(IMAGE[..., 0], LABELS, PALETTE)
    with pytest.raises(DataError, match=r"share from 0 to 1, not 1\.5"):
        overlay(IMAGE, LABELS, PALETTE, alpha=1.5)


def test_errors_have_three_colors_apart_in_lightness() -> None:
    prediction = np.array([[0, 2, 2], [1, 255, 0]], dtype=np.uint8)
    picture = error_map(LABELS, prediction)
    right, wrong, black = ERROR_LEGEND[0][1], ERROR_LEGEND[1][1], (0, 0, 0)
    kinds = [[right, wrong, right], [black, wrong, right]]
    assert [[tuple(pixel) for pixel in row] for row in picture.tolist()] == kinds
    light = [0.299 * r + 0.587 * g + 0.114 * b for r, g, b in (right, wrong, black)]
    assert min(abs(a - b) for a, b in combinations(light, 2)) > 50


def test_error_map_names_different_sizes() -> None:
    with pytest.raises(DataError, match="truth and prediction differ in size: 2x3 and 2x2"):
        error_map(LABELS, LABELS[:, :2])


def test_flips_have_a_color_per_case_and_void_is_black() -> None:
    truth = np.array([[0, 0, 1, 1, 255, 255]])
    before = np.array([[1, 0, 0, 1, 0, 255]])
    after = np.array([[0, 1, 2, 1, 1, 0]])
    mended, spoiled, right, wrong = (list(color) for _, color in FLIP_LEGEND)
    black = [0, 0, 0]
    assert flip_map(truth, before, after).tolist() == [
        [mended, spoiled, wrong, right, black, black]
    ]


def test_flip_colors_differ_in_lightness_for_every_kind_of_colour_vision() -> None:
    weights = np.array([0.2126, 0.7152, 0.0722])
    shades = [float(weights @ np.array(color)) for _, color in FLIP_LEGEND]
    assert all(abs(a - b) > 15 for a, b in combinations([*shades, 0.0], 2))


def test_flip_map_names_which_size_differs() -> None:
    small, large = np.zeros((2, 2), np.uint8), np.zeros((2, 3), np.uint8)
    with pytest.raises(DataError, match=r"truth and first prediction differ in size: 2x2 and 2x3"):
        flip_map(small, large, small)
    with pytest.raises(DataError, match=r"truth and second prediction differ in size"):
        flip_map(small, small, large)


def test_default_palette_is_distinct_and_grows_without_changing() -> None:
    colors = default_palette(255)
    assert len(set(colors)) == 255
    assert (0, 0, 0) not in colors
    assert default_palette(11) == colors[:11]
    places = _oklab(np.array(colors[:20], np.uint8))
    assert min(np.linalg.norm(a - b) for a, b in combinations(places, 2)) > 0.15


@pytest.mark.parametrize("count", [0, 256])
def test_default_palette_names_an_impossible_count(count: int) -> None:
    with pytest.raises(ConfigError, match=f"1 to 255 colours, not {count}"):
        default_palette(count)


def test_legend_pairs_classes_with_their_colours() -> None:
    assert legend(["a", "b", "c"], PALETTE) == [*zip("abc", PALETTE, strict=True)]
    with pytest.raises(ConfigError, match="2 classes but 3 colours"):
        legend(["a", "b"], PALETTE)


def test_drawn_legend_has_the_width_and_every_color() -> None:
    entries = [*legend([f"class {i}" for i in range(40)], default_palette(40)), *ERROR_LEGEND]
    strip = draw_legend(entries, width=300)
    assert strip.shape[1] == 300
    present = {tuple(color) for color in np.unique(strip.reshape(-1, 3), axis=0).tolist()}
    assert {color for _, color in entries} <= present


def test_names_without_end_or_with_control_characters_stay_inside_the_legend() -> None:
    strip = draw_legend([("x" * 5000, (1, 2, 3)), ("a\nb\x00\t", (9, 8, 7)), ("", BLUE)], width=200)
    assert strip.shape[1] == 200
    assert (strip[:, -8:] == 255).all()
    assert strip.shape[0] < 120


BLUE = (0, 0, 250)


def test_montage_holds_every_panel_unchanged_and_side_by_side() -> None:
    rng = np.random.default_rng(0)
    panels = [(f"panel {i}", rng.integers(0, 250, (170, 200, 3), np.uint8)) for i in range(3)]
    picture = montage(panels, legend=legend(["a", "b", "c"], PALETTE))
    found = []
    for _, panel in panels:
        rows, columns = np.nonzero((picture == panel[0, 0]).all(axis=-1))
        hits = [
            (row, column)
            for row, column in zip(rows, columns, strict=True)
            if np.array_equal(picture[row : row + 170, column : column + 200], panel)
        ]
        assert len(hits) == 1
        found.append(hits[0])
    assert len({row for row, _ in found}) == 1
    assert np.diff([column for _, column in found]).tolist() == [210, 210]
    top = found[0][0]
    assert (picture[:top] < 100).any(), "no title above the panels"
    assert tuple(PALETTE[1]) in map(tuple, picture[top + 170 :].reshape(-1, 3).tolist())


def test_montage_takes_single_pixels_and_huge_panels() -> None:
    labels = np.zeros((3000, 40), np.uint8)
    labels[::2] = 1
    panels = [("dot", IMAGE[:1, :1]), ("tall", colorize(labels, PALETTE))]
    picture = montage(panels, panel_limits=(64, 300))
    assert picture.shape[0] < 360
    colors = {tuple(color) for color in picture[40:300, 90:].reshape(-1, 3).tolist()}
    allowed = {*map(tuple, PALETTE), (255, 255, 255)}
    assert colors <= allowed, "shrinking invented colours of no class"
    dot = (picture == IMAGE[0, 0]).all(axis=-1)
    assert dot.sum() >= 64 * 64


def test_montage_shrinks_photographs_by_averaging() -> None:
    rng = np.random.default_rng(0)
    photo = rng.integers(0, 256, (400, 400, 3), np.uint8)
    picture = montage([("", photo)], panel_limits=(40, 50))
    inner = picture[picture.shape[0] - 40 : -20, 20:50].astype(float)
    assert 100 < inner.mean() < 155
    assert inner.std() < 25


def test_montage_refuses_nothing_and_grey_panels() -> None:
    with pytest.raises(DataError, match="at least one panel"):
        montage([])
    with pytest.raises(DataError, match=r"panel 'truth': a picture is.*shape \(2, 3\)"):
        montage([("truth", LABELS)])


def test_label_png_keeps_every_value(tmp_path: Path) -> None:
    labels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    write_label_png(tmp_path / "new" / "a.png", labels)
    with Image.open(tmp_path / "new" / "a.png") as image:
        assert image.mode == "L"
        assert np.array_equal(np.asarray(image), labels)


def test_palette_png_keeps_ids_and_shows_colors(tmp_path: Path) -> None:
    write_palette_png(tmp_path / "a.png", LABELS, PALETTE)
    with Image.open(tmp_path / "a.png") as image:
        assert image.mode == "P"
        assert np.array_equal(np.asarray(image), LABELS)
        assert np.array_equal(np.asarray(image.convert("RGB")), colorize(LABELS, PALETTE))


@pytest.mark.parametrize(("name", "tolerance"), [("a.png", 0), ("a.jpg", 12), ("a.JPEG", 12)])
def test_images_are_written_by_their_ending(tmp_path: Path, name: str, tolerance: int) -> None:
    smooth = np.repeat(np.arange(0, 240, 10, dtype=np.uint8), 24 * 3).reshape(24, 24, 3)
    write_image(tmp_path / name, smooth)
    with Image.open(tmp_path / name) as image:
        assert np.abs(np.asarray(image).astype(int) - smooth).max() <= tolerance
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_wrong_endings_and_forms_are_named_and_leave_no_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"a\.gif: pictures are written as .*not '\.gif'"):
        write_image(tmp_path / "a.gif", IMAGE)
    with pytest.raises(DataError, match=r"a\.jpg: label maps are written as \.png"):
        write_label_png(tmp_path / "a.jpg", LABELS)
    with pytest.raises(DataError, match=r"a\.png: a picture is a uint8 array"):
        write_image(tmp_path / "a.png", IMAGE.astype(float))
    with pytest.raises(DataError, match="class id 2"):
        write_palette_png(tmp_path / "a.png", LABELS, PALETTE[:2])
    assert list(tmp_path.iterdir()) == []


def test_views_and_reversed_arrays_are_written_right(tmp_path: Path) -> None:
    write_image(tmp_path / "a.png", IMAGE[:, ::-1])
    write_label_png(tmp_path / "b.png", LABELS[::-1, ::2])
    with Image.open(tmp_path / "a.png") as image:
        assert np.array_equal(np.asarray(image), IMAGE[:, ::-1])
    with Image.open(tmp_path / "b.png") as image:
        assert np.array_equal(np.asarray(image), LABELS[::-1, ::2])


def test_comparison_shows_truth_prediction_and_errors_with_all_their_colours() -> None:
    prediction = np.array([[0, 2, 2], [1, 2, 0]], dtype=np.uint8)
    picture = comparison(IMAGE, LABELS, prediction, LabelSet(("red", "green", "dark"), PALETTE))
    found = set(map(tuple, np.unique(picture.reshape(-1, 3), axis=0).tolist()))
    assert found >= {*PALETTE, (0, 0, 0), *(color for _, color in ERROR_LEGEND)}
    panels = [("", IMAGE), ("", colorize(LABELS, PALETTE)), ("", colorize(prediction, PALETTE))]
    assert picture.shape[1] > montage(panels).shape[1]
