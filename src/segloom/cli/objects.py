"""What `segloom predict` makes of label maps: polygons and a table of objects."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
    ledger = Ledger(writer.out) if writer else None
    rows: list[dict[str, Any]] = []
    for result in results:
        if result.error is None and is_geotiff(result.image):
            if writer and ledger:
                _outline_on_map(result, labels, options, writer, ledger)
        elif result.error is None and not is_volume(result.image):
            masks = class_masks(result.written, labels.classes)
            if writer and ledger:
                _outline(result, masks, options, writer, ledger)
            rows += object_rows(result.image, masks, result.written.get("probabilities"))
        yield result
    if writer and ledger and (shared := writer.shared_file):
        with ledger.writing([shared]):
            writer.finish()
        print(f"{shared} is written", file=sys.stderr)
    if options.table is not None:
        write_csv(options.table, COLUMNS, rows)


def _outline(
    result: PredictedFile,
    masks: dict[str, Any],
    options: PredictOptions,
    writer: Annotator,
    ledger: Ledger,
) -> None:
    """Outline the objects of an image, unless a file of its own is to stay as it is."""
    own = writer.file_of(name := _name_of(result))
    if own and options.skip_existing and own.exists():
        return
    outlined = outline(
        result.image, name, masks, min_area=options.min_area, tolerance=options.simplify
    )
    with ledger.writing([own] if own else []):
        writer.add(outlined)


def _outline_on_map(
    result: PredictedFile,
    labels: LabelSet,
    options: PredictOptions,
    writer: Annotator,
    ledger: Ledger,
) -> None:
    """Outline the objects of a GeoTIFF, unless its file is to stay as it is."""
    label = result.written["label"]
    target = writer.file_of(label.name.removesuffix(GEO_LABEL_ENDING))
    if target is None or (options.skip_existing and target.exists()):
        return
    with ledger.writing([target]):
        write_geojson(label, target, labels.classes, min_area=options.min_area)


def _name_of(result: PredictedFile) -> str:
    """Return what the results of an image are called, without an ending."""
    if (label := result.written.get("label")) is not None:
        return label.name.removesuffix(ENDINGS["label"])
    return next(path.stem for kind, path in result.written.items() if kind.startswith("mask."))
