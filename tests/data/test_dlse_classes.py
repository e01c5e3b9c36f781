"""The 29 colour classes of DLSE equal the recorded table of the original program."""

from __future__ import annotations

import numpy as np
from PIL import Image

from segloom.config.data import DataConfig
from segloom.data.dlse_classes import DLSE_CLASSES, DLSE_LABEL_MAP, DLSE_NEUTRAL
from segloom.data.source import DatasetSource, settle_labels
from segloom.types import Record


def settle(tmp_path, pixels, **options):
    path = tmp_path / "label.png"
    Image.fromarray(pixels).save(path)
    source = DatasetSource(
        (Record("label", path, path),),
        DLSE_CLASSES,
        "color",
        label_map=DLSE_LABEL_MAP,
        unknown=DLSE_NEUTRAL,
    )
    labels, decoder = settle_labels(DataConfig(**options), source, source)
    return labels, decoder.decode(path)


def test_a_recorded_colour_label_map_gives_the_recorded_classes(shared, tmp_path):
    with np.load(shared / "fixtures" / "fenet_linknet" / "dlse_one_hot.npz") as file:
        labels, ids = settle(tmp_path, np.ascontiguousarray(file["in.label_bgr"][..., ::-1]))
        np.testing.assert_array_equal(ids, file["out.class_index"])
        table = file["meta.palette_bgr"][:, None, ::-1].astype(np.uint8)
        _, ids = settle(tmp_path, np.ascontiguousarray(table))
        np.testing.assert_array_equal(ids[:, 0], file["meta.palette_index"])
    assert labels == DLSE_CLASSES


def test_an_unknown_colour_is_neutral_and_a_known_one_is_not(tmp_path):
    pixels = np.array([[[1, 2, 3], [1, 1, 1], [0, 0, 0], [255, 0, 0]]], np.uint8)
    _, ids = settle(tmp_path, pixels)
    names = [DLSE_CLASSES.classes[class_id] for class_id in ids[0]]
    assert names == ["neutral", "neutral", "neutral", "rider"]
