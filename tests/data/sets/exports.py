"""Label maps written as labelling tools export them, for tests of the way back."""

from __future__ import annotations

import base64
import io
import itertools
import json
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from segloom.labels.polygons import trace_polygons

LabelMap = NDArray[np.uint8]
Samples = Mapping[str, tuple[LabelMap, LabelMap]]
"""Stem to image ``(H, W, 3)`` and label map ``(H, W)``."""


def save_images(folder: Path, samples: Samples, suffix: str = ".png") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, (image, _) in samples.items():
        Image.fromarray(image).save(folder / f"{name}{suffix}")


def save_png(path: Path, pixels: NDArray[Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def png_text(mask: NDArray[np.bool_]) -> bytes:
    file = io.BytesIO()
    Image.fromarray(mask).save(file, "PNG")
    return file.getvalue()


def rings(labels: LabelMap, class_id: int) -> list[list[tuple[float, float]]]:
    """Outline the objects of a class, a hole reached by a cut."""
    polygons = trace_polygons(labels == class_id)
    return [[(float(x), float(y)) for x, y in polygon.ring] for polygon in polygons]


def box(mask: NDArray[np.bool_]) -> tuple[int, int, int, int]:
    """Left, top, right and bottom, the last two outside."""
    rows, columns = np.nonzero(mask)
    return columns.min(), rows.min(), columns.max() + 1, rows.max() + 1


def columnwise_runs(mask: NDArray[np.bool_]) -> list[int]:
    """COCO's run lengths: down the columns, background first."""
    flat = np.concatenate([[False], mask.ravel("F"), [False]]).astype(np.int8)
    ends = np.nonzero(np.diff(flat))[0]
    return np.diff([0, *ends.tolist(), mask.size]).tolist()


def brush(mask: NDArray[np.bool_]) -> list[int]:
    """Label Studio's stream of bits of an RGBA image, in runs and words by turns."""
    alpha = np.where(mask, 255, 0).astype(np.uint8)
    pixels = np.repeat(alpha.reshape(-1, 1), 4, axis=1).ravel()
    text = f"{len(pixels):032b}{7:05b}{2:04b}{3:04b}{7:04b}{15:04b}"
    starts = [0, *(np.nonzero(np.diff(pixels))[0] + 1).tolist(), len(pixels)]
    for first, last in itertools.pairwise(starts):
        while first < last:
            length = min(last - first, 2**16)
            size = 0 if length <= 8 else 3
            text += f"{int(size == 3)}{size:02b}{length - 1:0{3 if size == 0 else 16}b}"
            text += f"{pixels[first]:08b}" * (1 if size == 3 else length)
            first += length
    text += "0" * (-len(text) % 8)
    return [int(text[k : k + 8], 2) for k in range(0, len(text), 8)]


def labelme_masks(root: Path, samples: Samples, classes: tuple[str, ...]) -> None:
    save_images(root, samples)
    for name, (_, labels) in samples.items():
        shapes = []
        for class_id, label in enumerate(classes[1:], 1):
            if (mask := labels == class_id).any():
                left, top, right, bottom = map(int, box(mask))
                data = base64.b64encode(png_text(mask[top:bottom, left:right])).decode()
                points = [[left, top], [right - 1, bottom - 1]]
                shapes.append(
                    {"label": label, "shape_type": "mask", "points": points, "mask": data}
                )
        facts = {"imagePath": f"{name}.png", "shapes": shapes}
        (root / f"{name}.json").write_text(json.dumps(facts))


def cvat_masks(root: Path, samples: Samples, classes: tuple[str, ...]) -> None:
    save_images(root / "images", samples)
    names = "".join(f"<label><name>{label}</name></label>" for label in classes[1:])
    text = f"<annotations><meta><task><labels>{names}</labels></task></meta>"
    for number, (name, (_, labels)) in enumerate(samples.items()):
        height, width = labels.shape
        text += f'<image id="{number}" name="{name}.png" width="{width}" height="{height}">'
        for class_id, label in enumerate(classes[1:], 1):
            if (mask := labels == class_id).any():
                left, top, right, bottom = box(mask)
                runs = columnwise_runs(mask[top:bottom, left:right].T)
                text += (
                    f'<mask label="{label}" rle="{", ".join(map(str, runs))}" left="{left}" '
                    f'top="{top}" width="{right - left}" height="{bottom - top}" z_order="0"/>'
                )
        text += "</image>"
    (root / "annotations.xml").write_text(text + "</annotations>")


def cvat_coco(root: Path, samples: Samples, classes: tuple[str, ...]) -> None:
    save_images(root / "images" / "default", samples)
    images: list[dict[str, Any]] = []
    things: list[dict[str, Any]] = []
    for number, (name, (_, labels)) in enumerate(samples.items(), 1):
        height, width = labels.shape
        images.append({"id": number, "file_name": f"{name}.png", "height": height, "width": width})
        for class_id in range(1, len(classes)):
            if (labels == class_id).any():
                runs = {"size": [height, width], "counts": columnwise_runs(labels == class_id)}
                things.append(
                    {"id": len(things), "image_id": number, "category_id": class_id}
                    | {"segmentation": runs, "iscrowd": 1, "attributes": {"occluded": False}}
                )
    categories = [{"id": k, "name": label} for k, label in enumerate(classes) if k]
    content = {"images": images, "annotations": things, "categories": categories}
    (root / "annotations").mkdir()
    (root / "annotations" / "instances_default.json").write_text(json.dumps(content))


def label_studio(
    root: Path, samples: Samples, classes: tuple[str, ...], kind: str = "polygon"
) -> None:
    save_images(root / "images", samples)
    tasks = []
    for number, (name, (_, labels)) in enumerate(samples.items()):
        height, width = labels.shape
        size = {"original_width": width, "original_height": height}
        regions: list[dict[str, Any]] = []
        for class_id, label in enumerate(classes[1:], 1):
            if kind == "brush":
                if (mask := labels == class_id).any():
                    value = {"format": "rle", "rle": brush(mask), "brushlabels": [label]}
                    regions.append({**size, "type": "brushlabels", "value": value})
                continue
            for ring in rings(labels, class_id):
                points = [[100 * x / width, 100 * y / height] for x, y in ring]
                value = {"points": points, "closed": True, "polygonlabels": [label]}
                regions.append({**size, "type": "polygonlabels", "value": value})
        image = f"/data/upload/7/0123abcd-{name}.png"
        if kind == "minimal":
            flat = [{**size, **region["value"]} for region in regions]
            tasks.append({"id": number, "image": image, "label": flat, "annotator": 1})
        else:
            annotation = {"id": 1, "was_cancelled": False, "result": regions}
            tasks.append({"id": number, "data": {"image": image}, "annotations": [annotation]})
    (root / "project-7.json").write_text(json.dumps(tasks))


def supervisely(root: Path, samples: Samples, classes: tuple[str, ...]) -> None:
    save_images(root / "ds0" / "img", samples)
    (root / "ds0" / "ann").mkdir()
    kinds = [{"title": label, "shape": "bitmap", "color": "#FF0000"} for label in classes[1:]]
    (root / "meta.json").write_text(json.dumps({"classes": kinds, "tags": []}))
    for name, (_, labels) in samples.items():
        objects = []
        for class_id, label in enumerate(classes[1:], 1):
            if (mask := labels == class_id).any():
                left, top, right, bottom = map(int, box(mask))
                data = zlib.compress(png_text(mask[top:bottom, left:right]))
                bitmap = {"data": base64.b64encode(data).decode(), "origin": [left, top]}
                objects.append({"classTitle": label, "geometryType": "bitmap", "bitmap": bitmap})
        height, width = labels.shape
        content = {"size": {"height": height, "width": width}, "objects": objects, "tags": []}
        (root / "ds0" / "ann" / f"{name}.png.json").write_text(json.dumps(content))


def via(root: Path, samples: Samples, classes: tuple[str, ...]) -> None:
    save_images(root, samples)
    entries = {}
    for name, (_, labels) in samples.items():
        regions = []
        for class_id, label in enumerate(classes[1:], 1):
            for ring in rings(labels, class_id):
                x, y = ([point[k] for point in ring] for k in range(2))
                shape = {"name": "polygon", "all_points_x": x, "all_points_y": y}
                regions.append({"shape_attributes": shape, "region_attributes": {"label": label}})
        entries[f"{name}.png123"] = {"filename": f"{name}.png", "size": 123, "regions": regions}
    (root / "via_region_data.json").write_text(json.dumps(entries))


def yolo(root: Path, samples: Samples, classes: tuple[str, ...]) -> None:
    save_images(root / "images", samples)
    (root / "labels").mkdir()
    (root / "data.yaml").write_text(f"names: [{', '.join(classes[1:])}]\n")
    for name, (_, labels) in samples.items():
        height, width = labels.shape
        lines = []
        for class_id in range(1, len(classes)):
            for ring in rings(labels, class_id):
                values = (f"{x / width!r} {y / height!r}" for x, y in ring)
                lines.append(f"{class_id - 1} {' '.join(values)}")
        (root / "labels" / f"{name}.txt").write_text("\n".join(lines))


COLORS = np.array([[0, 0, 0], [250, 50, 83], [51, 221, 255]], np.uint8)


def cvat_segmentation_masks(root: Path, samples: Samples, classes: tuple[str, ...]) -> None:
    save_images(root / "JPEGImages", samples)
    for name, (_, labels) in samples.items():
        save_png(root / "SegmentationClass" / f"{name}.png", COLORS[labels])
        save_png(root / "SegmentationObject" / f"{name}.png", COLORS[(labels > 0).astype(int)])
    lines = [f"{c}:{','.join(map(str, COLORS[k]))}::" for k, c in enumerate(classes)]
    (root / "labelmap.txt").write_text("# label:color_rgb:parts:actions\n" + "\n".join(lines))
    lists = root / "ImageSets" / "Segmentation"
    lists.mkdir(parents=True)
    (lists / "default.txt").write_text("\n".join(samples))


def roboflow_masks(root: Path, samples: Samples, classes: tuple[str, ...]) -> None:
    for number, (name, (image, labels)) in enumerate(samples.items()):
        folder = root / ("train", "valid", "test")[min(2, max(0, number - 4))]
        save_png(folder / f"{name}_png.rf.{number:032x}.jpg", image)
        save_png(folder / f"{name}_png.rf.{number:032x}_mask.png", labels)
        rows = "".join(f"{k}, {c}\n" for k, c in enumerate(classes))
        (folder / "_classes.csv").write_text("Pixel Value, Class\n" + rows)


def masks_with_names(root: Path, samples: Samples, classes: tuple[str, ...]) -> None:
    save_images(root / "images", samples)
    for name, (_, labels) in samples.items():
        save_png(root / "masks" / f"{name}.png", labels)
    (root / "classes.txt").write_text("\r\n".join(classes))


def nnunet(root: Path, samples: Samples, classes: tuple[str, ...]) -> None:
    for name, (image, labels) in samples.items():
        save_png(root / "imagesTr" / f"{name}_0000.png", image)
        save_png(root / "labelsTr" / f"{name}.png", labels)
    names = {label: k for k, label in enumerate(classes)}
    facts = {"labels": names, "channel_names": {"0": "R"}, "file_ending": ".png"}
    (root / "dataset.json").write_text(json.dumps(facts))


def color_table(root: Path, samples: Samples, classes: tuple[str, ...]) -> None:
    save_images(root / "images", samples)
    for name, (_, labels) in samples.items():
        save_png(root / "labels" / f"{name}_L.png", COLORS[labels])
    rows = "".join(f"{c},{','.join(map(str, COLORS[k]))}\n" for k, c in enumerate(classes))
    (root / "class_dict.csv").write_text("name,r,g,b\n" + rows)


def objects(labels: LabelMap, class_id: int) -> list[NDArray[np.bool_]]:
    """Cut a class into its objects, bool ``(H, W)``."""
    from scipy.ndimage import label

    numbered, count = label(labels == class_id)
    return [numbered == number for number in range(1, count + 1)]


def mask_files(root: Path, samples: Samples, classes: tuple[str, ...], place: str) -> None:
    """Write a file per object: ``place`` holds {name}, {label} and {number}."""
    for name, (image, labels) in samples.items():
        for class_id, label in enumerate(classes[1:], 1):
            for number, mask in enumerate(objects(labels, class_id)):
                path = root / place.format(name=name, label=label, number=number)
                save_png(path, (mask * 255).astype(np.uint8))
        save_png(root / place.partition("/masks/")[0].format(name=name) / f"{name}.png", image)


Writer = Callable[[Path, Samples, tuple[str, ...]], None]

EXPORTS: dict[str, tuple[Writer, str]] = {
    "LabelMe masks": (labelme_masks, "labelme"),
    "CVAT XML masks": (cvat_masks, "cvat"),
    "CVAT COCO 1.0": (cvat_coco, "coco"),
    "CVAT Segmentation mask 1.1": (cvat_segmentation_masks, "folder"),
    "Label Studio JSON": (label_studio, "label_studio"),
    "Label Studio JSON-MIN": (lambda r, s, c: label_studio(r, s, c, "minimal"), "label_studio"),
    "Label Studio brush": (lambda r, s, c: label_studio(r, s, c, "brush"), "label_studio"),
    "Supervisely": (supervisely, "supervisely"),
    "VIA": (via, "via"),
    "YOLO": (yolo, "yolo"),
    "Roboflow semantic masks": (roboflow_masks, "folder"),
    "folders with classes.txt": (masks_with_names, "folder"),
    "nnU-Net": (nnunet, "folder"),
    "class_dict.csv": (color_table, "folder"),
}
"""Name of an export to its writer and the reader that reads it."""
