"""The description of an export: through JSON and back, and what is no description."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from segloom.errors import CheckpointError
from segloom.labels.space import Exclusive, Overlapping
from segloom.runtime.description import DESCRIPTION, VERSION, Description, is_export
from segloom.types import LabelSet

LABELS = LabelSet(("road", "car"), ((1, 2, 3), (4, 5, 6)))
PLAIN = Description(
    format="onnx",
    precision="fp32",
    file="model.onnx",
    network="unet, resnet18",
    mode="multiclass",
    labels=LABELS,
    image_channels=3,
    edge_channels=0,
    mean=(0.5, 0.4, 0.3),
    std=(0.2, 0.2, 0.2),
    hu_window=(-100.0, 240.0),
    has_probabilities=True,
    weights_sha256="ab" * 32,
    segloom_version="1.2.3",
)
OVERLAPPING = replace(
    PLAIN,
    mode="multilabel",
    labels=replace(LABELS, is_multilabel=True),
    image_channels=5,
    edge_channels=1,
    has_probabilities=False,
)


def write(folder, values):
    (folder / DESCRIPTION).write_text(values if isinstance(values, str) else json.dumps(values))
    return folder


@pytest.mark.parametrize("description", [PLAIN, OVERLAPPING])
def test_a_description_comes_back_from_its_file(description, tmp_path):
    assert not is_export(tmp_path)
    write(tmp_path, description.to_json())
    assert is_export(tmp_path)
    assert Description.read(tmp_path) == description


def test_it_says_what_goes_in_and_comes_out():
    assert PLAIN.num_channels == 3
    assert PLAIN.space == Exclusive(2)
    values = PLAIN.to_json()
    assert values["input"]["shape"] == ["batch", "height", "width", 3]
    assert values["input"]["channels"] == ["red", "green", "blue"]
    assert values["output"]["labels"]["dtype"] == "uint8"
    assert values["output"]["logits"]["shape"] == ["batch", 2, "height", "width"]
    assert OVERLAPPING.num_channels == 6
    assert OVERLAPPING.space == Overlapping(2)
    channels = OVERLAPPING.to_json()["input"]["channels"]
    assert channels == [*(f"channel_{k}" for k in range(5)), "edges"]


def test_another_file_is_of_the_same_network():
    assert PLAIN.renamed("int8.onnx") == replace(PLAIN, file="int8.onnx")


def change(**values):
    content = PLAIN.to_json()
    for name, value in values.items():
        if value is None:
            del content[name]
        else:
            content[name] = value
    return content


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            change(segloom_export=VERSION + 1),
            r"of a newer program \(segloom 1\.2\.3\); update this one",
        ),
        (change(classes=None), "does not describe an exported network .KeyError"),
        (change(mean=["x"]), "does not describe an exported network .ValueError"),
        (change(mode="x"), "does not describe an exported network .KeyError"),
        (change(palette=[[1, 2]]), "does not describe an exported network"),
        (change(hu_window=[1]), "does not describe an exported network .IndexError"),
        (change(palette=[[1, 2, 3]]), "2 classes but 1 colours in the palette"),
        (change(file="../model.onnx"), "names a file outside its folder"),
        ([1], "does not describe an exported network .TypeError"),
        ("{", r"model\.json cannot be read .*; export it again"),
    ],
)
def test_something_else_is_refused_by_its_file(content, message, tmp_path):
    with pytest.raises(CheckpointError, match=message) as refused:
        Description.read(write(tmp_path, content))
    assert str(tmp_path) in str(refused.value)


def test_a_folder_without_it_is_no_export(tmp_path):
    with pytest.raises(CheckpointError, match=r"is not an exported network: it has no model\.json"):
        Description.read(tmp_path)
