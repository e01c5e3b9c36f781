"""Predictions as polygons in the formats of labelling tools, for a person to correct.

    coco     annotations.json     COCO's JSON (CVAT, Label Studio, Roboflow, Supervisely import it)
    labelme  NAME.json            LabelMe, beside a path to the image
    yolo     labels/NAME.txt      YOLO segmentation, with data.yaml for the names
    cvat     annotations.xml      CVAT for images 1.1
    geojson  NAME.geojson         polygons with holes, in pixels: x to the right, y down

All but GeoJSON know no holes: there a hole is reached over a cut that encloses no area. Outlines
run along the edges of the pixels (`segloom.labels.polygons`), so that without simplification they
lose nothing. A class called background is not outlined.
"""

from __future__ import annotations

import json
import os
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from segloom.files import write_bytes, write_json, write_text
from segloom.labels.polygons import Polygon, trace_polygons

__all__ = [
    "BACKGROUND",
    "AnnotationFormat",
    "Annotator",
    "Outlined",
    "annotator",
    "feature_collection",
    "outline",
]

AnnotationFormat = Literal["coco", "labelme", "yolo", "cvat", "geojson"]
BACKGROUND = "background"


@dataclass(frozen=True)
class Outlined:
    """One image with the outlines of its objects."""

    image: Path
    name: str
    """What its results are called, without an ending."""
    height: int
    width: int
    objects: tuple[tuple[str, Polygon], ...]
    """Class and outline."""


def outline(
    image: Path,
    name: str,
    masks: Mapping[str, NDArray[np.bool_]],
    *,
    min_area: int = 1,
    tolerance: float = 0.0,
) -> Outlined:
    """Outline the objects of an image.

    Args:
        image: Its file.
        name: What its results are called.
        masks: Class to its pixels, bool ``(H, W)``; that of the background is left out.
        min_area: Smallest object and smallest hole that is kept, in pixels.
        tolerance: Largest distance in pixels by which an outline is simplified.
    """
    height, width = next(iter(masks.values())).shape
    objects = tuple(
        (label, polygon)
        for label, mask in masks.items()
        if label != BACKGROUND
        for polygon in trace_polygons(mask, min_area=min_area, tolerance=tolerance)
    )
    return Outlined(image, name, height, width, objects)


class Annotator(ABC):
    """Writes outlines in one format.

    Args:
        out: Folder of the annotations.
        classes: Names that are outlined, in the order of their ids.
    """

    single: ClassVar[str] = ""
    """File of each image below the folder, if it has one; NAME is what its results are called."""
    shared: ClassVar[str] = ""
    """File of all images below the folder, if there is one; written at the end."""

    def __init__(self, out: Path, classes: tuple[str, ...]) -> None:
        self.out, self.classes = out, classes

    def file_of(self, name: str) -> Path | None:
        """Return the file of one image by the name of its results, if each has its own."""
        return self.out / self.single.replace("NAME", name) if self.single else None

    @property
    def shared_file(self) -> Path | None:
        """The file of all images, if there is one."""
        return self.out / self.shared if self.shared else None

    @abstractmethod
    def add(self, outlined: Outlined) -> None:
        """Write an image, or keep it for the end."""

    def finish(self) -> None:  # noqa: B027 - most formats have nothing to add
        """Write the file of all images, if there is one."""


def annotator(kind: AnnotationFormat, out: Path, classes: Sequence[str]) -> Annotator:
    """Make the writer of a format.

    Args:
        kind: Name of the format.
        out: Folder of the annotations.
        classes: Names in the order of their ids.
    """
    things = tuple(name for name in classes if name != BACKGROUND)
    writers: dict[str, type[Annotator]] = {
        "coco": _Coco,
        "labelme": _Labelme,
        "yolo": _Yolo,
        "cvat": _Cvat,
        "geojson": _GeoJson,
    }
    return writers[kind](out, things)


class _Coco(Annotator):
    shared = "annotations.json"

    def __init__(self, out: Path, classes: tuple[str, ...]) -> None:
        super().__init__(out, classes)
        self.images: list[dict[str, object]] = []
        self.objects: list[dict[str, object]] = []

    def add(self, outlined: Outlined) -> None:
        number = len(self.images) + 1
        sides = {"height": outlined.height, "width": outlined.width}
        taken = {image["file_name"] for image in self.images}
        parts = outlined.image.parts
        names = ("/".join(parts[-length:]) for length in range(1, len(parts) + 1))
        file_name = next(name for name in names if name not in taken)
        self.images.append({"id": number, "file_name": file_name, **sides})
        for label, polygon in outlined.objects:
            self.objects.append(
                {
                    "id": len(self.objects) + 1,
                    "image_id": number,
                    "category_id": self.classes.index(label) + 1,
                    "segmentation": [_flat(polygon)],
                    "area": polygon.area,
                    "bbox": list(polygon.box),
                    "iscrowd": 0,
                }
            )

    def finish(self) -> None:
        categories = [{"id": k, "name": name} for k, name in enumerate(self.classes, start=1)]
        content = {
            "images": self.images,
            "annotations": self.objects,
            "categories": categories,
        }
        write_text(self.out / self.shared, json.dumps(content))


class _Labelme(Annotator):
    single = "NAME.json"

    def add(self, outlined: Outlined) -> None:
        shapes = [
            {
                "label": label,
                "points": polygon.ring.tolist(),
                "group_id": None,
                "description": "",
                "shape_type": "polygon",
                "flags": {},
            }
            for label, polygon in outlined.objects
        ]
        content: dict[str, object] = {
            "version": "5.5.0",
            "flags": {},
            "shapes": shapes,
            "imagePath": os.path.relpath(outlined.image.absolute(), self.out.absolute()),
            "imageData": None,
            "imageHeight": outlined.height,
            "imageWidth": outlined.width,
        }
        write_text(self.out / self.single.replace("NAME", outlined.name), json.dumps(content))


class _Yolo(Annotator):
    single = "labels/NAME.txt"
    shared = "data.yaml"

    def add(self, outlined: Outlined) -> None:
        size = (outlined.width, outlined.height)
        lines = [
            " ".join((str(self.classes.index(label)), *_words(polygon.ring / size, ".9g")))
            for label, polygon in outlined.objects
        ]
        write_text(
            self.out / self.single.replace("NAME", outlined.name), "".join(f"{x}\n" for x in lines)
        )

    def finish(self) -> None:
        import yaml  # the distribution segloom-runtime has this file, but not PyYAML

        content = {"path": ".", "names": dict(enumerate(self.classes))}
        write_text(self.out / self.shared, yaml.safe_dump(content, sort_keys=False))


class _Cvat(Annotator):
    shared = "annotations.xml"

    def __init__(self, out: Path, classes: tuple[str, ...]) -> None:
        super().__init__(out, classes)
        self.root = ElementTree.Element("annotations")
        ElementTree.SubElement(self.root, "version").text = "1.1"
        labels = self.root
        for tag in ("meta", "task", "labels"):
            labels = ElementTree.SubElement(labels, tag)
        for name in classes:
            ElementTree.SubElement(ElementTree.SubElement(labels, "label"), "name").text = name
        self.number = 0

    def add(self, outlined: Outlined) -> None:
        sides = {"width": str(outlined.width), "height": str(outlined.height)}
        facts = {"id": str(self.number), "name": outlined.image.name, **sides}
        image = ElementTree.SubElement(self.root, "image", facts)
        self.number += 1
        for label, polygon in outlined.objects:
            points = ";".join(f"{x:.9g},{y:.9g}" for x, y in polygon.ring)
            facts = {"label": label, "source": "auto", "occluded": "0", "points": points}
            ElementTree.SubElement(image, "polygon", {**facts, "z_order": "0"})

    def finish(self) -> None:
        ElementTree.indent(self.root)
        content = ElementTree.tostring(self.root, encoding="utf-8", xml_declaration=True)
        write_bytes(self.out / self.shared, content)


class _GeoJson(Annotator):
    single = "NAME.geojson"

    def add(self, outlined: Outlined) -> None:
        content = feature_collection(outlined.objects)
        write_json(self.out / self.single.replace("NAME", outlined.name), content)


def feature_collection(objects: Iterable[tuple[str, Polygon]]) -> dict[str, object]:
    """Return the GeoJSON of objects, each a class and an outline, in pixels: y runs down."""
    features = [
        {
            "type": "Feature",
            "properties": {"class": label, "area": polygon.area},
            "geometry": {
                "type": "Polygon",
                "coordinates": [_closed(r) for r in (polygon.exterior, *polygon.holes)],
            },
        }
        for label, polygon in objects
    ]
    return {"type": "FeatureCollection", "features": features}


def _flat(polygon: Polygon) -> list[float]:
    return [float(value) for value in polygon.ring.ravel()]


def _words(values: NDArray[np.float64], form: str) -> Iterator[str]:
    return (format(value, form) for value in values.ravel())


def _closed(ring: NDArray[np.float64]) -> list[list[float]]:
    points: list[list[float]] = ring.tolist()
    return [*points, points[0]]
