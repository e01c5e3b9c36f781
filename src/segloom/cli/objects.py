"""What `segloom predict` makes of label maps: polygons and a table of objects."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from segloom.files import write_csv
from segloom.images.geo import is_geotiff
from segloom.images.read import is_volume
from segloom.prediction.annotations import annotator, outline
from segloom.prediction.files import result_names
from segloom.prediction.geo import GEO_LABEL_ENDING, write_geojson
from segloom.prediction.ledger import Ledger
from segloom.prediction.objects import COLUMNS, class_masks, object_rows
from segloom.prediction.results import ENDINGS

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from segloom.cli.predict import PredictOptions
    from segloom.prediction.annotations import Annotator
    from segloom.prediction.results import PredictedFile
    from segloom.types import LabelSet

__all__ = ["follow_up", "make_annotator"]


def make_annotator(
    options: PredictOptions, files: Sequence[Path], labels: LabelSet
) -> Annotator | None:
    """Make the writer of polygons; refuse where it would replace what somebody corrected."""
    if options.export is None:
        return None
    writer = annotator(options.export, options.out / options.export, labels.classes)
    targets = [writer.file_of(name) for name in result_names(files)]
    kept = [path for path in targets if path and not (options.skip_existing and path.exists())]
    shared = [writer.shared_file] if writer.shared_file else []
    Ledger(writer.out, replaces=options.overwrite).check([*kept, *shared], files)
    return writer


def follow_up(
    results: Iterator[PredictedFile],
    options: PredictOptions,
    labels: LabelSet,
    writer: Annotator | None,
) -> Iterator[PredictedFile]:
    """Pass results on; outline them and count their objects where this is asked for."""
    if writer is None and options.table is None:
        yield from results
        return
    outlines = _Outlines(writer, options) if writer else None
    rows: list[dict[str, object]] = []
    for result in results:
        if result.error is None:
            rows += _describe(result, labels.classes, outlines)
        yield result
    if outlines:
        outlines.finish()
    if options.table is not None:
        write_csv(options.table, COLUMNS, rows)


def _describe(
    result: PredictedFile, classes: tuple[str, ...], outlines: _Outlines | None
) -> list[dict[str, object]]:
    """Outline the objects of a result, and list those of an image for the table."""
    if is_geotiff(result.image):
        if outlines:
            outlines.add_map(result.written["label"], classes)
        return []
    if is_volume(result.image):
        return []
    masks = class_masks(result.written, classes)
    if outlines:
        outlines.add(result, masks)
    return object_rows(result.image, masks, result.written.get("probabilities"))


class _Outlines:
    """The polygons that are written beside label maps."""

    def __init__(self, writer: Annotator, options: PredictOptions) -> None:
        self.writer, self.options = writer, options
        self.ledger = Ledger(writer.out)

    def add(self, result: PredictedFile, masks: dict[str, NDArray[np.bool_]]) -> None:
        """Outline the objects of an image, unless a file of its own is to stay as it is."""
        own = self.writer.file_of(name := _name_of(result))
        if own and self.options.skip_existing and own.exists():
            return
        outlined = outline(
            result.image,
            name,
            masks,
            min_area=self.options.min_area,
            tolerance=self.options.simplify,
        )
        with self.ledger.writing([own] if own else []):
            self.writer.add(outlined)

    def add_map(self, label: Path, classes: tuple[str, ...]) -> None:
        """Outline the objects of a GeoTIFF, unless its file is to stay as it is."""
        target = self.writer.file_of(label.name.removesuffix(GEO_LABEL_ENDING))
        if target is None or (self.options.skip_existing and target.exists()):
            return
        with self.ledger.writing([target]):
            write_geojson(label, target, classes, min_area=self.options.min_area)

    def finish(self) -> None:
        """Write the file of all images, if there is one."""
        if shared := self.writer.shared_file:
            with self.ledger.writing([shared]):
                self.writer.finish()
            print(f"{shared} is written", file=sys.stderr)


def _name_of(result: PredictedFile) -> str:
    """Return what the results of an image are called, without an ending."""
    if (label := result.written.get("label")) is not None:
        return label.name.removesuffix(ENDINGS["label"])
    return next(path.stem for kind, path in result.written.items() if kind.startswith("mask."))
