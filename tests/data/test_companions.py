"""A file belongs to the image whose name it has; anything else is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from segloom.data.companions import match_files
from segloom.errors import DataError


def fill(folder: Path, *names: str) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return folder


@pytest.mark.parametrize(
    ("image", "names", "chosen"),
    [
        ("a.jpg", ("a.png", "b.png"), "a.png"),
        ("a.jpg", ("deep/a.png",), "deep/a.png"),
        ("a.jpg", ("a_L.png", "ab_L.png"), "a_L.png"),
        ("a.jpg", ("a.png", "a_1.png"), "a.png"),
        ("left/a.jpg", ("left/a.png", "right/a.png"), "left/a.png"),
        ("x/left/a.jpg", ("left/a.png", "x/left/a.png", "a.png"), "x/left/a.png"),
    ],
)
def test_a_file_is_found_by_name_and_then_by_folder(
    tmp_path: Path, image: str, names: tuple[str, ...], chosen: str
) -> None:
    folder = fill(tmp_path / "maps", *names)
    photograph = tmp_path / "images" / image
    assert match_files([photograph], folder, "edge map") == {photograph: folder / chosen}


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (("b.png",), "has no edge map of its name"),
        (("ab.png",), "has no edge map of its name"),
        (("a_1.png", "a_2.png"), "has 2 edge maps of its name"),
        (("p/a.png", "q/a.png"), "has 2 edge maps of its name"),
    ],
)
def test_no_file_and_several_are_refused(
    tmp_path: Path, names: tuple[str, ...], words: str
) -> None:
    folder = fill(tmp_path / "maps", *names)
    with pytest.raises(DataError, match=rf"a\.jpg {words}.*such as a\.png"):
        match_files([tmp_path / "images" / "a.jpg"], folder, "edge map")


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is not a folder; give the one of the label maps"):
        match_files([], tmp_path / "gone", "label map")


def test_ends_of_names_that_do_not_count(tmp_path: Path) -> None:
    kinds = ("labelIds", "labelTrainIds", "color")
    names = [f"{city}_gtFine_{kind}.png" for city in ("ulm_1", "ulm_11") for kind in kinds]
    folder = fill(tmp_path / "maps", *(f"ulm/{name}" for name in names))
    images = [tmp_path / f"{city}_leftImg8bit.png" for city in ("ulm_1", "ulm_11")]
    for kind in kinds:
        endings = {"image_ending": "_leftImg8bit", "ending": f"_gtFine_{kind}"}
        assert match_files(images, folder, "label map", **endings) == {
            images[0]: folder / f"ulm/ulm_1_gtFine_{kind}.png",
            images[1]: folder / f"ulm/ulm_11_gtFine_{kind}.png",
        }
    with pytest.raises(DataError, match=r"has 3 label maps of its name.*\(name the ending\)\."):
        match_files(
            images, folder, "label map", image_ending="_leftImg8bit", hint="name the ending"
        )
    with pytest.raises(DataError, match=r"has no label map .* such as ulm_1_gt\.png"):
        match_files(images, folder, "label map", image_ending="_leftImg8bit", ending="_gt")
