"""What a reader returns, settled with the options of the user: names, splits, classes, formats."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segloom.config import DataConfig
from segloom.data.source import (
    DatasetSource,
    check_same_classes,
    check_split,
    data_root,
    settle_labels,
    unique_ids,
)
from segloom.errors import ConfigError, DataError
from segloom.labels.palette import class_palette
from segloom.labels.stored import StoredLabels
from segloom.types import LabelSet, Record

PATH = Path("m.png")
BLACK, RED, BLUE = (0, 0, 0), (255, 0, 0), (0, 0, 255)


def source(tmp_path, *maps, **facts):
    tmp_path.mkdir(exist_ok=True)
    records = []
    for number, pixels in enumerate(maps):
        path = tmp_path / f"{number}.png"
        Image.fromarray(np.array(pixels, np.uint8)).save(path)
        records.append(Record(str(number), path, path))
    return DatasetSource(tuple(records), **facts)


def settle(found, evidence=None, **options):
    return settle_labels(DataConfig(**options), found, evidence or found)


def ids(decoder, rows):
    stored = StoredLabels(np.array(rows, np.uint8), "grey", is_lossy=False)
    return decoder.convert(stored, PATH).tolist()


@pytest.mark.parametrize("split", ["Train", "dev", ""])
def test_there_are_three_splits(split):
    for known in ("train", "val", "test"):
        check_split(known)
    with pytest.raises(DataError, match=f"unknown split '{split}'; the splits are train, val, tes"):
        check_split(split)


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        (["x/a", "y/b"], ["a", "b"]),
        (["x/a", "y/a", "z/b"], ["x__a", "y__a", "z__b"]),
        (["../x/a", "/x/b", "y/a"], ["x__a", "x__b", "y__a"]),
        (["x__a", "x/a"], ["x__a", "a"]),
        (["x__a", "x/a", "y/a"], ["000000_x__a", "000001_x__a", "000002_y__a"]),
    ],
)
def test_samples_are_named_by_their_stems_then_their_paths_then_numbers(keys, expected):
    assert unique_ids([Path(key) for key in keys]) == expected


def test_a_folder_must_be_given_and_be_there(tmp_path):
    assert data_root(DataConfig(root=tmp_path)) == tmp_path
    with pytest.raises(DataError, match=r"the data set 'voc' needs a folder; .* --data\.root DIR"):
        data_root(DataConfig(name="voc"))
    (tmp_path / "file").touch()
    for name in ("file", "gone"):
        with pytest.raises(DataError, match=f"{name} is not a folder; give the data set's"):
            data_root(DataConfig(root=tmp_path / name))


@pytest.mark.parametrize(
    ("val", "sentence"),
    [
        (("a", "c"), "class 1 is 'b' in train, but 'c' in val"),
        (("a",), "class 1 is 'b' in train, but not there in val"),
        (("a", "b", "c"), "class 2 is not there in train, but 'c' in val"),
    ],
)
def test_splits_have_the_same_classes_in_the_same_order(val, sentence):
    check_same_classes({"train": ("a", "b"), "val": ("a", "b"), "test": ("a", "b")})
    with pytest.raises(DataError, match=sentence):
        check_same_classes({"train": ("a", "b"), "val": val})


def test_what_the_user_says_of_the_values_goes_before_the_reader(tmp_path):
    found = source(
        tmp_path,
        labels=LabelSet(("a", "b"), (RED, BLUE)),
        mask_format="index",
        label_map={"3": 0, "4": 1, "9": 255},
        ignore_values=(5,),
    )
    labels, decoder = settle(found)
    assert (labels.classes, labels.palette) == (("a", "b"), (RED, BLUE))
    assert ids(decoder, [[3, 4, 5, 9, 255]]) == [[0, 1, 255, 255, 255]]
    labels, decoder = settle(found, classes=("x", "y"))  # another meaning of the stored values
    assert (labels.classes, labels.palette) == (("x", "y"), class_palette(("x", "y")))
    assert ids(decoder, [[0, 1, 255]]) == [[0, 1, 255]]
    with pytest.raises(DataError, match=r"m\.png"):
        ids(decoder, [[3]])
    _, decoder = settle(found, label_map={"7": 1})
    assert ids(decoder, [[7, 255]]) == [[1, 255]]
    for value in (3, 5):
        with pytest.raises(DataError, match=r"m\.png"):
            ids(decoder, [[value]])
    _, decoder = settle(found, ignore_values=(6,))
    assert ids(decoder, [[3, 5, 6]]) == [[0, 255, 255]]


def test_the_same_classes_as_the_readers_leave_its_map_alone(tmp_path):
    labels = LabelSet(("a", "b"), (RED, BLUE))
    found = source(tmp_path, labels=labels, mask_format="index", label_map={"3": 0}, unknown=1)
    settled, decoder = settle(found, classes=("a", "b"), palette=(BLUE, RED))
    assert settled.palette == (BLUE, RED)
    assert ids(decoder, [[3, 77]]) == [[0, 1]]


def test_the_format_is_told_by_the_user_then_the_reader_then_the_evidence(tmp_path):
    labels = LabelSet(("a", "b"), (BLACK, RED))
    found = source(tmp_path, [[0, 1]], labels=labels)
    evidence = source(tmp_path / "other", [[0, 255]])
    _, decoder = settle(found, evidence)
    assert decoder.mask_format == "binary"
    _, decoder = settle(found)
    assert decoder.mask_format == "index"
    found = source(tmp_path, labels=labels, mask_format="color")
    assert settle(found, evidence)[1].mask_format == "color"
    assert settle(found, evidence, mask_format="index")[1].mask_format == "index"


def test_binary_label_maps_name_themselves_and_others_are_asked_for(tmp_path):
    labels, _ = settle(source(tmp_path, [[0, 255]]))
    assert labels.classes == ("background", "foreground")
    found = source(tmp_path, [[10, 2]], [[3, 2]])
    with pytest.raises(
        DataError, match=r"classes are not named; .*0\.png, \.\.\.\) hold: 2; 3; 10\."
    ):
        settle(found, mask_format="index")
    with pytest.raises(DataError, match=r"hold: 0,0,255; 255,0,0\."):
        settle(source(tmp_path, [[RED, BLUE]]))


def test_a_class_is_shown_in_the_first_colour_of_the_label_map(tmp_path):
    found = source(tmp_path, [[RED, BLUE]])
    label_map = {"255,0,0": 1, "0,0,255": 1, "9,9,9": 255, "1,2,3": 0}
    labels, _ = settle(found, classes=("a", "b"), mask_format="color", label_map=label_map)
    assert labels.palette == ((1, 2, 3), RED)


def test_colours_without_a_meaning_are_refused(tmp_path):
    options = {"classes": ("a", "b"), "mask_format": "color"}
    with pytest.raises(
        ConfigError, match=r"no option says which class has which; give data\.palet"
    ):
        settle(source(tmp_path, [[RED, BLUE]]), **options)
    codes = np.arange(257)
    shades = np.stack([codes % 256, codes // 256, 0 * codes], axis=1)[None]
    with pytest.raises(ConfigError, match="no option says which"):
        settle(source(tmp_path, shades[:, :256]), **options)
    with pytest.raises(DataError, match=r"0\.png has 257 colours, as photographs have; check"):
        settle(source(tmp_path, shades), **options)
