"""Masks as users of other tools reported them: read to the pixel, or refused with the reason.

Each case writes one kind of label map of the same scenes. Where it is fine, training must get what
was drawn; where it is not, `data check` must say so and training must not start.
"""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image, ImageCms
from support.drawn_scenes import Labels, Save, write

from segloom.config import DataConfig
from segloom.data.readers import read_labelled_source
from segloom.data_check import check
from segloom.data_check.training import check_training
from segloom.errors import DataError

COLORS = np.array([[0, 0, 0], [200, 0, 0], [0, 0, 200]], np.uint8)
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def decode(options: dict[str, Any]) -> dict[str, Labels]:
    config = DataConfig.model_validate(options)
    decoded = {}
    for split in ("train", "val", "test"):
        source, _, decoder = read_labelled_source(config, split)
        for record in source.records:
            decoded[record.image.stem] = source.decode(record, decoder).mask
    return decoded


def picture(values: Callable[[Labels], NDArray[Any]], ending: str = "png", **options: Any) -> Save:
    """Save what ``values`` makes of a label map by Pillow."""

    def save(labels: Labels, path: Path) -> None:
        Image.fromarray(values(labels)).save(path.with_name(f"{path.name}.{ending}"), **options)

    return save


def tiff(values: Callable[[Labels], NDArray[Any]], **options: Any) -> Save:
    def save(labels: Labels, path: Path) -> None:
        tifffile.imwrite(path.with_name(f"{path.name}.tif"), values(labels), **options)

    return save


def resized(values: Callable[[Labels], NDArray[Any]]) -> Save:
    """Save a label map that was scaled down and up again by interpolation."""

    def smear(labels: Labels) -> NDArray[Any]:
        small = Image.fromarray(values(labels)).resize((32, 24), Image.Resampling.BILINEAR)
        return np.asarray(small.resize((64, 48), Image.Resampling.BILINEAR))

    return picture(smear)


def palette(
    colors: list[int], values: Callable[[Labels], NDArray[Any]] = np.asarray, **options: Any
) -> Save:
    def save(labels: Labels, path: Path) -> None:
        image = Image.fromarray(values(labels))
        image.putpalette(colors)
        image.save(path.with_name(f"{path.name}.png"), **options)

    return save


def alpha(labels: Labels, value: int = 255) -> Labels:
    """A shape in the transparency alone."""
    shape = np.zeros((*labels.shape, 4), np.uint8)
    shape[..., 3] = (labels > 0) * value
    return shape


def times(factor: int, kind: type = np.uint8) -> Callable[[Labels], NDArray[Any]]:
    return lambda labels: (labels.astype(np.int64) * factor).astype(kind)


def rgba(background: int) -> Callable[[Labels], Labels]:
    return lambda labels: np.dstack(
        [COLORS[labels], np.where(labels > 0, 255, background).astype(np.uint8)]
    )


def alternating(even: Save, odd: Save) -> Save:
    """Save every second file otherwise."""
    return lambda labels, path: (odd if int(path.name[2:]) % 2 else even)(labels, path)


EXACT: dict[str, tuple[Save, bool]] = {
    "ids": (picture(np.asarray), False),
    "ids of two classes": (picture(np.asarray), True),
    "0 and 255": (picture(times(255)), True),
    "one bit": (picture(lambda labels: labels > 0), True),
    "grey as RGB": (picture(lambda labels: np.repeat(labels[..., None], 3, axis=2)), False),
    "grey with alpha": (
        picture(lambda labels: np.dstack([labels, np.full_like(labels, 255)])),
        False,
    ),
    "16-bit ids": (picture(times(1, np.uint16)), False),
    "16-bit 0 and 65535": (picture(times(65535, np.uint16)), True),
    "16-bit ids times 1000": (picture(times(1000, np.uint16)), False),
    "alpha alone": (picture(alpha), True),
    "half transparent alone": (picture(lambda labels: alpha(labels, 128)), True),
    "colours with alpha": (picture(rgba(255)), False),
    "colours on a transparent ground": (picture(rgba(0)), False),
    "one colour on a transparent ground": (picture(rgba(0)), True),
    "palette": (palette(COLORS.ravel().tolist()), False),
    "palette of black and white": (palette([0, 0, 0, 255, 255, 255]), True),
    "palette of 4 bits": (palette(COLORS.ravel().tolist(), bits=4), False),
    "palette and colours": (
        alternating(palette(COLORS.ravel().tolist()), picture(lambda labels: COLORS[labels])),
        False,
    ),
    "colours with a profile": (
        picture(lambda labels: COLORS[labels], icc_profile=SRGB),
        False,
    ),
    "animation": (
        picture(np.asarray, "gif", save_all=True, append_images=[Image.new("P", (64, 48))]),
        False,
    ),
    "CMYK TIFF": (
        lambda labels, path: Image.fromarray(COLORS[labels]).convert("CMYK").save(f"{path}.tif"),
        False,
    ),
    "big-endian TIFF": (tiff(times(1, np.uint16), byteorder=">"), False),
    "TIFF of planes": (
        tiff(lambda m: COLORS[m].transpose(2, 0, 1), photometric="rgb", planarconfig="separate"),
        False,
    ),
    "TIFF of several pages": (
        tiff(lambda labels: np.stack([labels, labels[::-1]]), photometric="minisblack"),
        False,
    ),
    "BMP": (picture(np.asarray, "bmp"), False),
    "GIF": (picture(np.asarray, "gif"), False),
    "lossless WebP": (picture(times(255), "webp", lossless=True), True),
    "NumPy": (lambda labels, path: np.save(f"{path}.npy", labels.astype(np.int64)), False),
    "TIFF": (tiff(times(1)), False),
    "TIFF, packed and tiled": (tiff(times(1), compression="zlib", tile=(16, 16)), False),
    "TIFF of 16 bits": (tiff(times(1, np.uint16)), False),
    "TIFF of 32 bits": (tiff(times(1, np.int32)), False),
    "TIFF of 64 bits": (tiff(times(1, np.int64)), False),
    "TIFF of truth values": (tiff(lambda labels: labels > 0), True),
    "TIFF with white as zero": (tiff(times(255), photometric="miniswhite"), True),
    "TIFF of colours": (tiff(lambda labels: COLORS[labels], photometric="rgb"), False),
}
"""Name to how it is saved, and whether it has two classes."""


def compare(options: dict[str, Any], truth: dict[str, Labels], agreement: float = 1.0) -> None:
    """Compare what is read with what was drawn, up to the order of the classes."""
    decoded = decode(options)
    assert set(decoded) == set(truth)
    ids = [
        int(np.bincount(decoded["im0"][truth["im0"] == value].ravel()).argmax())
        for value in np.unique(truth["im0"])
    ]
    assert len(set(ids)) == len(ids)
    for name, labels in truth.items():
        assert (decoded[name] == np.array(ids)[labels]).mean() >= agreement


@pytest.mark.parametrize("kind", EXACT)
def test_what_was_drawn_is_read_to_the_pixel(kind: str, tmp_path: Path) -> None:
    save, two = EXACT[kind]
    truth = write(tmp_path, save, two=two)
    report = check(tmp_path)
    assert report.is_fine, report.findings
    compare(report.options, truth)


SMEARED: dict[str, tuple[Save, bool]] = {
    "JPEG of 0 and 255": (picture(times(255), "jpg", quality=90), True),
    "JPEG of far ids": (picture(times(100), "jpg", quality=90), False),
    "JPEG of colours": (picture(lambda labels: COLORS[labels], "jpg", quality=95), False),
    "WebP of 0 and 255": (picture(times(255), "webp", quality=90), True),
    "resized 0 and 255": (resized(times(255)), True),
    "resized far ids": (resized(times(100)), False),
    "resized colours": (resized(lambda labels: COLORS[labels]), False),
}


@pytest.mark.parametrize("kind", SMEARED)
def test_smeared_values_make_no_classes_and_are_named(kind: str, tmp_path: Path) -> None:
    save, two = SMEARED[kind]
    truth = write(tmp_path, save, two=two)
    report = check(tmp_path)
    assert report.is_fine, report.findings
    assert {"smeared", "jpeg-binary"} & {finding.kind for finding in report.findings}
    assert len(report.options["classes"]) == (2 if two else 3)
    compare(report.options, truth, agreement=0.96)


def turn(root: Path, orientation: int) -> None:
    """Save the images as JPEG with an EXIF orientation."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    for path in root.rglob("images/*.png"):
        with Image.open(path) as image:
            image.save(path.with_suffix(".jpg"), exif=exif)
        path.unlink()


@pytest.mark.parametrize("orientation", [2, 3, 4])
def test_images_that_are_turned_over_alone_are_told(orientation: int, tmp_path: Path) -> None:
    write(tmp_path, picture(np.asarray))
    turn(tmp_path, orientation)
    (found,) = (one for one in check(tmp_path).findings if one.kind == "orientation")
    assert "the EXIF orientation of 6 images turns them over or mirrors them" in found.message


def test_black_and_white_images_in_a_folder_of_that_name_stay_images(tmp_path: Path) -> None:
    truth = write(tmp_path, picture(np.asarray))
    for path in tmp_path.rglob("images/*.png"):
        with Image.open(path) as image:
            image.convert("1").save(path)
    report = check(tmp_path)
    assert report.is_fine, report.findings
    compare(report.options, truth)


def swapped(labels: Labels, path: Path) -> None:
    """Save the palette of every second file in another order."""
    order = [0, 2, 1] if int(path.name[2:]) % 2 else [0, 1, 2]
    values = np.argsort(order).astype(np.uint8)
    palette(COLORS[order].ravel().tolist(), lambda drawn: values[drawn])(labels, path)


REFUSED: dict[str, tuple[Save, bool, tuple[str, ...], str]] = {
    "JPEG of 0 and 1": (picture(np.asarray, "jpg"), True, (), "JPEG files"),
    "JPEG of near ids": (picture(np.asarray, "jpg"), False, (), "JPEG files"),
    "WebP of near ids": (picture(np.asarray, "webp", quality=80), False, (), "JPEG files"),
    "palettes in another order": (swapped, False, (), "2 different palettes"),
    "0 and 1 here, 0 and 255 there": (
        alternating(picture(np.asarray), picture(times(255))),
        True,
        (),
        "none both 1 and 255",
    ),
    "colours here, ids there": (
        alternating(picture(np.asarray), picture(lambda labels: COLORS[labels])),
        False,
        (),
        "The values 1, 2 are no colours of the others",
    ),
    "trimap": (picture(lambda m: np.array([0, 255, 127], np.uint8)[m]), False, (), "as trimaps do"),
    "0 and 255 of three classes": (
        picture(times(255)),
        True,
        ("a", "b", "c"),
        "name two classes if 255 is an object",
    ),
    "alpha of three classes": (picture(alpha), True, ("a", "b", "c"), "name two classes"),
    "a class without a pixel": (picture(np.asarray), False, tuple("abcd"), "d has not one pixel"),
    "all background": (picture(np.zeros_like), False, ("a", "b"), "every labelled pixel"),
    "all void": (picture(lambda m: np.full_like(m, 255)), False, ("a", "b"), "label pixel is 255"),
    "values beyond the classes": (picture(np.asarray), False, ("a", "b"), "outside the 2 classes"),
    "one row more": (
        picture(lambda labels: np.pad(labels, ((0, 1), (0, 0)))),
        False,
        (),
        "not of the size",
    ),
    "floating point": (tiff(times(1, np.float32)), False, (), "cannot be read"),
    "a channel per class": (
        lambda labels, path: np.save(f"{path}.npy", labels == np.arange(3)[:, None, None]),
        False,
        (),
        "cannot be read",
    ),
    "photographs": (
        picture(lambda m: np.random.default_rng(m.sum()).integers(0, 255, (48, 64, 3), np.uint8)),
        False,
        (),
        "",
    ),
}
"""Name to how it is saved, whether it has two classes, the user's classes, and what is said."""


@pytest.mark.parametrize("kind", REFUSED)
def test_what_training_would_learn_wrong_is_never_fine(kind: str, tmp_path: Path) -> None:
    save, two, classes, words = REFUSED[kind]
    write(tmp_path, save, two=two)
    report = check(tmp_path, classes=classes)
    problems = [finding.message for finding in report.findings if finding.level == "problem"]
    assert any(words in message for message in problems), report.findings
    assert not report.is_fine


def test_training_refuses_what_the_check_calls_a_problem(tmp_path: Path) -> None:
    write(tmp_path, swapped)
    config = DataConfig(root=tmp_path, classes=("a", "b", "c"))
    assert [one.kind for one in check_training(config) if one.level == "problem"] == ["palettes"]
    write(tmp_path / "two", picture(times(255)), two=True)
    config = DataConfig(root=tmp_path / "two", classes=("a", "b", "c"))
    assert [one.kind for one in check_training(config)] == ["one-class"]


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_names_of_any_form_and_in_capitals_pair_up(form: str, tmp_path: Path) -> None:
    other = {"NFC": "NFD", "NFD": "NFC"}[form]

    def save(labels: Labels, path: Path) -> None:
        name = unicodedata.normalize(other, path.name).upper()
        Image.fromarray(labels).save(path.with_name(f"{name}.PNG"))

    truth = write(tmp_path, save, name=unicodedata.normalize(form, "stra\u00dfe_\u00e9{}"))
    for split in ("train", "val", "test"):
        (tmp_path / split).rename(tmp_path / split.title())
    report = check(tmp_path)
    assert report.is_fine, report.findings
    decoded = decode(report.options)
    for name, labels in truth.items():
        np.testing.assert_array_equal(decoded[name], labels)


def link(path: Path) -> None:
    path.symlink_to("/nowhere/else.png")


def loop(path: Path) -> None:
    path.symlink_to(path.name)


@pytest.mark.parametrize("make", [link, loop, os.mkfifo, Path.mkdir])
@pytest.mark.parametrize("place", ["train/images", "train/masks", "test/images"])
def test_what_is_named_like_an_image_and_is_none_is_named(
    make: Callable[[Path], None], place: str, tmp_path: Path
) -> None:
    write(tmp_path, picture(np.asarray))
    odd = tmp_path / place / "im9.png"
    make(odd)
    report = check(tmp_path)
    found = next(finding for finding in report.findings if finding.kind == "irregular")
    assert found.level == "problem"
    assert str(odd) in str(found.files)
    split = place.partition("/")[0]  # training and evaluation read only theirs
    with pytest.raises(DataError, match=r"im9\.png is "):
        read_labelled_source(DataConfig(root=tmp_path, classes=("a", "b", "c")), split)


LISTS = {
    "byte order mark": lambda rows: "\ufeff" + "\n".join(",".join(row) for row in rows),
    "carriage returns": lambda rows: "\r\n".join(",".join(row) for row in rows) + "\r\n",
    "quotes and spaces": lambda rows: "\n".join(", ".join(f'"{c}"' for c in row) for row in rows),
    "backslashes": lambda rows: "\n".join(",".join(row) for row in rows).replace("/", "\\"),
    "other capitals": lambda rows: "\n".join(",".join(row).upper() for row in rows),
    "further columns": lambda rows: (
        "id,image,fold,mask\n" + "\n".join(f"{n},{row[0]},1,{row[1]}" for n, row in enumerate(rows))
    ),
    "semicolons": lambda rows: "\n".join(";".join(row) for row in rows),
    "a dot and a slash": lambda rows: "\n".join(",".join(f"./{c}" for c in row) for row in rows),
    "paths of Windows": lambda rows: "\n".join(
        ",".join(f"C:\\data\\{c}".replace("/", "\\") for c in row) for row in rows
    ),
    "paths of another machine": lambda rows: "\n".join(
        ",".join(f"/home/anna/{c}" for c in row) for row in rows
    ),
    "tabs": lambda rows: "\n".join("\t".join(row) for row in rows),
}


@pytest.mark.parametrize("kind", LISTS)
def test_lists_are_read_as_programs_write_them(kind: str, tmp_path: Path) -> None:
    truth = write(tmp_path, picture(np.asarray))
    lists = {}
    for split in ("train", "val", "test"):
        stems = [path.stem for path in sorted((tmp_path / split / "images").iterdir())]
        rows = [(f"{split}/images/{stem}.png", f"{split}/masks/{stem}.png") for stem in stems]
        lists[split] = tmp_path / f"{split}.csv"
        lists[split].write_text(LISTS[kind](rows), encoding="utf-8", newline="")
    options = {"name": "list", "root": tmp_path, "lists": lists, "classes": ("a", "b", "c")}
    decoded = decode(options)
    assert len(decoded) == len(truth)
    for name, labels in truth.items():
        np.testing.assert_array_equal(decoded[name], labels)


def in_colours(*, first: Save) -> Save:
    """Save the first label map in a way of its own, and the others in colours."""

    def save(labels: Labels, path: Path) -> None:
        drawn = first if path.name == "im0" else picture(lambda labels: COLORS[labels])
        drawn(labels, path)

    return save


def test_a_label_map_of_one_bit_among_colours_is_black_and_white(tmp_path: Path) -> None:
    write(tmp_path, in_colours(first=picture(lambda labels: labels > 2)))  # all of it is black
    report = check(tmp_path)
    assert [f.level for f in report.findings if f.kind == "mixed-kinds"] == ["note"]
    assert report.is_fine
    drawn = write(tmp_path / "white", in_colours(first=picture(lambda labels: labels > 0)))
    report = check(tmp_path / "white")
    assert {row.value: row.name for row in report.labels}["1"] == "color_255_255_255"
    np.testing.assert_array_equal(decode(report.options)["im0"] > 0, drawn["im0"] > 0)


def test_rows_of_indices_among_colours_have_the_class_that_they_show(tmp_path: Path) -> None:
    def palette(labels: Labels, path: Path) -> None:
        indexed = Image.fromarray(labels, "P")
        indexed.putpalette(COLORS.tobytes())
        indexed.save(path.with_name(f"{path.name}.png"))

    write(tmp_path, in_colours(first=palette))
    rows = {row.value: row.name for row in check(tmp_path).labels}
    assert len(rows) == 6
    assert rows["1"] == rows["200,0,0"] != ""
    assert rows["2"] == rows["0,0,200"] != ""
