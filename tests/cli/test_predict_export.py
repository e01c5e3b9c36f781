"""``segloom predict --export`` and ``--table``: what a network says, as objects."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from segloom.cli.main import main
from segloom.config import DataConfig
from segloom.data.readers import read_labelled_source
from segloom.models import create_model
from segloom.models.weights.checkpoint import save_pretrained
from segloom.prediction.annotations import outline
from segloom.types import LabelSet

CLASSES = ("background", "cell", "dirt")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("run")
    torch.manual_seed(0)
    model = create_model("unet", encoder_name="tu-test_resnet", classes=len(CLASSES)).eval()
    with torch.no_grad():  # as likely as one another, so that every class is found
        logits = model(torch.randn(4, 3, 64, 64))
        bias = next(m for m in reversed(list(model.modules())) if isinstance(m, nn.Conv2d)).bias
        assert bias is not None
        bias -= logits.transpose(0, 1).flatten(1).median(1).values
    labels = LabelSet(CLASSES, ((0, 0, 0), (255, 0, 0), (0, 0, 255)))
    save_pretrained(model, path / "checkpoints" / "best", labels)
    return path


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder = tmp_path / "set" / "images"
    folder.mkdir(parents=True)
    for number, name in enumerate(("a", "b")):
        pixels = np.random.default_rng(number).integers(0, 256, (40, 48, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{name}.png")
    return folder


def predict(run: Path, images: Path, out: Path, *words: str) -> dict[str, np.ndarray]:
    assert main(["predict", str(run), str(images), "--out", str(out), *words]) == 0
    return {n: np.asarray(Image.open(out / f"{n}_label.png")) for n in ("a", "b")}


@pytest.mark.parametrize("tool", ["labelme", "yolo", "cvat"])
def test_what_is_exported_is_read_again_as_it_was(tool, run, images, tmp_path) -> None:
    predicted = predict(run, images, tmp_path / "out", "--export", tool)
    assert all(len(np.unique(labels)) > 1 for labels in predicted.values())
    root = images.parent
    for path in sorted((tmp_path / "out" / tool).rglob("*.*")):
        # LabelMe and CVAT want annotations beside the images, YOLO in a folder labels.
        place = images if tool == "labelme" else root
        target = place / path.relative_to(tmp_path / "out" / tool)
        target.parent.mkdir(exist_ok=True)
        target.write_bytes(path.read_bytes())
    if tool == "cvat":
        for path in images.iterdir():
            path.rename(root / path.name)
    config = DataConfig(name=tool, root=root, classes=CLASSES, split_shares=(1.0, 0.0, 0.0))
    source, _, decoder = read_labelled_source(config, "train")
    assert len(source.records) == 2
    for record in source.records:
        decoded = source.decode(record, decoder).mask
        np.testing.assert_array_equal(decoded, predicted[record.image.stem])


def test_coco_holds_area_box_and_category_of_every_object(run, images, tmp_path) -> None:
    predicted = predict(run, images, tmp_path / "out", "--export", "coco")
    content = json.loads((tmp_path / "out" / "coco" / "annotations.json").read_text())
    assert content["categories"] == [{"id": 1, "name": "cell"}, {"id": 2, "name": "dirt"}]
    assert [image["file_name"] for image in content["images"]] == ["a.png", "b.png"]
    for image in content["images"]:
        labels = predicted[Path(image["file_name"]).stem]
        for class_id in (1, 2):
            mine = [
                item["area"]
                for item in content["annotations"]
                if (item["image_id"], item["category_id"]) == (image["id"], class_id)
            ]
            assert sum(mine) == (labels == class_id).sum()


def test_geojson_rings_are_closed_and_holes_are_rings_of_their_own(tmp_path) -> None:
    from segloom.prediction.annotations import annotator

    mask = np.zeros((6, 8), bool)
    mask[1:5, 1:6] = True
    mask[2:4, 2:4] = False
    writer = annotator("geojson", tmp_path, ("background", "cell"))
    writer.add(outline(Path("a.png"), "a", {"background": ~mask, "cell": mask}))
    writer.finish()
    assert writer.shared_file is None
    (feature,) = json.loads((tmp_path / "a.geojson").read_text())["features"]
    assert feature["properties"] == {"class": "cell", "area": 16}
    outer, hole = feature["geometry"]["coordinates"]
    assert outer[0] == outer[-1]
    assert {tuple(point) for point in outer} == {(1, 1), (6, 1), (6, 5), (1, 5)}
    assert {tuple(point) for point in hole} == {(2, 2), (4, 2), (4, 4), (2, 4)}


def test_small_objects_are_left_out_and_outlines_simplified(run, images, tmp_path) -> None:
    words = ("--export", "coco", "--min-area", "9", "--simplify", "2")
    predict(run, images, tmp_path / "every", "--export", "coco")
    predict(run, images, tmp_path / "few", *words)
    every, few = (
        json.loads((tmp_path / out / "coco" / "annotations.json").read_text())["annotations"]
        for out in ("every", "few")
    )
    assert few
    assert min(item["area"] for item in few) >= 9
    assert len(few) < len(every)
    points = [sum(len(item["segmentation"][0]) for item in found) for found in (every, few)]
    assert points[1] < points[0]


def test_table_describes_every_class_of_every_image(run, images, tmp_path) -> None:
    table = tmp_path / "objects.csv"
    predicted = predict(
        run, images, tmp_path / "out", "--table", str(table), "--probabilities", "True"
    )
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {(Path(row["image"]).stem, row["class"]) for row in rows} == {
        (name, CLASSES[value]) for name, labels in predicted.items() for value in np.unique(labels)
    }
    for row in rows:
        mask = predicted[Path(row["image"]).stem] == CLASSES.index(row["class"])
        assert int(row["pixels"]) == mask.sum()
        assert float(row["share"]) == pytest.approx(mask.mean(), abs=1e-6)
        assert float(row["mean_size"]) == pytest.approx(mask.sum() / int(row["objects"]), abs=0.05)
        assert 1 / 3 < float(row["mean_confidence"]) <= 1


def test_objects_touch_along_an_edge_not_at_a_corner() -> None:
    from segloom.prediction.objects import object_rows

    mask = np.zeros((4, 4), bool)
    mask[0, 0] = mask[1, 1] = mask[1, 2] = True
    (row,) = object_rows(Path("a.png"), {"cell": mask})
    assert (row["pixels"], row["objects"], row["mean_size"]) == (3, 2, 1.5)


def test_export_without_label_maps_is_refused(run, images, tmp_path, capsys) -> None:
    words = ["predict", str(run), str(images), "--out", str(tmp_path / "o"), "--no-label"]
    assert main([*words, "--export", "coco"]) == 2
    assert "leave --no-label out" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("tool", "file"),
    [
        ("labelme", "labelme/a.json"),
        ("yolo", "yolo/labels/a.txt"),
        ("coco", "coco/annotations.json"),
        ("cvat", "cvat/annotations.xml"),
        ("geojson", "geojson/a.geojson"),
    ],
)
def test_a_correction_is_not_replaced(tool, file, run, images, tmp_path, capsys) -> None:
    """LabelMe saves what a person corrects into the very file that was imported."""
    out = tmp_path / "out"
    predict(run, images, out, "--export", tool)
    predict(run, images, out, "--export", tool)  # its own files
    (out / file).write_text("corrected by hand")
    words = ["predict", str(run), str(images), "--out", str(out), "--export", tool]
    assert main(words) == 2
    assert f"{Path(file).name} would be replaced by a prediction" in capsys.readouterr().err
    assert (out / file).read_text() == "corrected by hand"
    if tool in ("labelme", "yolo", "geojson"):
        assert main([*words, "--skip-existing"]) == 0
        assert (out / file).read_text() == "corrected by hand"
    assert main([*words, "--overwrite"]) == 0
    assert (out / file).read_text() != "corrected by hand"


def test_a_table_of_the_user_is_not_replaced(run, images, tmp_path, capsys) -> None:
    table = tmp_path / "objects.csv"
    predict(run, images, tmp_path / "out", "--table", str(table))
    predict(run, images, tmp_path / "out", "--table", str(table))
    table.write_text("patient,age\n1,77\n")
    words = ["predict", str(run), str(images), "--out", str(tmp_path / "out")]
    assert main([*words, "--table", str(table)]) == 2
    assert "objects.csv is no table of `segloom predict`" in capsys.readouterr().err
    assert table.read_text() == "patient,age\n1,77\n"
