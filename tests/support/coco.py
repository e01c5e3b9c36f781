"""A small data set in the layout of COCO."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from segloom.labels.pictures import write_image

__all__ = ["draw_coco"]


def draw_coco(root: Path, split: str, number: int, image: np.ndarray, mask: np.ndarray) -> None:
    """Add an image, with its mask as run lengths, to the annotations of a split."""
    path = root / "annotations" / f"instances_{split}2017.json"
    kinds = [{"id": 1, "name": "road"}]
    content = {"images": [], "annotations": [], "categories": kinds}
    if path.is_file():
        content = json.loads(path.read_text())
    height, width = mask.shape
    flat = mask.T.ravel() > 0
    ends = [*(np.flatnonzero(np.diff(flat)) + 1).tolist(), flat.size]
    counts = np.diff([0, *([0] if flat[0] else []), *ends]).tolist()
    entry = {"id": number, "file_name": f"{number}.png", "height": height, "width": width}
    outline = {"size": [height, width], "counts": counts}
    item = {"id": number, "image_id": number, "category_id": 1, "segmentation": outline}
    content["images"].append(entry)
    content["annotations"].append(item)
    write_image(root / f"{split}2017" / f"{number}.png", image)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
