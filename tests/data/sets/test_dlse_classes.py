"""The 29 colour classes of DLSE equal the recorded table of the original program."""

from __future__ import annotations

import numpy as np
from PIL import Image

from segloom.config.data import DataConfig
from segloom.data.sets.dlse_classes import DLSE_CLASSES, DLSE_LABEL_MAP, DLSE_NEUTRAL
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


def test_a_recorded_colour_label_map_gives_the_recorded_classes(recorded, tmp_path):
    data = recorded("dlse_one_hot")
    pixels = np.ascontiguousarray(data.array("in.label_bgr")[..., ::-1])
    labels, ids = settle(tmp_path, pixels)
    data.compare(ids, "out.class_index", 0, kind="labels")
    # The program's vectors hold a single one at every pixel: no pixel is void here.
    data.compare((ids != 255).astype(int), "out.onehot_sum", 0, kind="labels")
    table = data.array("meta.palette_bgr")[:, None, ::-1].astype(np.uint8)
    _, ids = settle(tmp_path, np.ascontiguousarray(table))
    data.compare(ids[:, 0], "meta.palette_index", 0, kind="labels")
    assert labels == DLSE_CLASSES


def test_an_unknown_colour_is_neutral_and_a_known_one_is_not(tmp_path):
    pixels = np.array([[[1, 2, 3], [1, 1, 1], [0, 0, 0], [255, 0, 0]]], np.uint8)
    _, ids = settle(tmp_path, pixels)
    names = [DLSE_CLASSES.classes[class_id] for class_id in ids[0]]
    assert names == ["neutral", "neutral", "neutral", "rider"]
