"""``segloom predict RUN IMAGE|FOLDER|GLOB... --out DIR``: label images."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from tyro.conf import Positional

from segloom.cli.objects import follow_up, make_annotator
from segloom.cli.options import parse
from segloom.cli.predict_pool import predict_with_ray
from segloom.cli.predict_video import label_film
from segloom.config.effects import idle_inference_options
from segloom.config.evaluation import InferenceConfig
from segloom.data.companions import match_files
from segloom.data.sets.lits import is_labels
from segloom.errors import ConfigError, DataError
from segloom.images.geo import is_geotiff
from segloom.images.read import image_files
from segloom.inference.opening import open_predictor
from segloom.prediction.annotations import AnnotationFormat
from segloom.prediction.files import predict_files
from segloom.prediction.geo import GEO_LABEL_ENDING
from segloom.prediction.objects import may_be_replaced
from segloom.prediction.options import OUTPUTS, PredictionOptions
from segloom.prediction.predicts import pixels_for
from segloom.prediction.results import ENDINGS, label_files
from segloom.prediction.truth import find_truth
from segloom.prediction.video import is_video
from segloom.prediction.volumes import LABEL_ENDING
from segloom.run_directory import RunDirectory
from segloom.runtime.description import Description, is_export
from segloom.terminal import is_terminal, track
from segloom.text import printable

if TYPE_CHECKING:
    from segloom.config import DataConfig
    from segloom.prediction.class_truth import ClassTruth
    from segloom.prediction.predicts import Predicts
    from segloom.prediction.results import PredictedFile
    from segloom.prediction.truth import Truth
    from segloom.types import LabelSet

__all__ = ["PredictOptions", "run"]


@dataclass
class PredictOptions:
    """Label images with a trained network; a file that cannot be read stops nothing."""

    run: Positional[Path]
    """A run (its best checkpoint is taken), a model directory, or what `segloom export` wrote."""
    sources: Positional[tuple[str, ...]]
    """Images, CT volumes (.nii, .nii.gz) and slices (.npy), folders (searched to the bottom, slices
    beside images and segmentation-N beside volume-N left out) and globs such as "frames/*.jpg"; or
    one film, one stream (rtsp://...) or the number of a camera, with --out FILM.mp4."""
    out: Path = Path("predictions")
    """Folder of the results; street.jpg gives street_label.png and so on, a volume
    NAME_label.nii.gz, a GeoTIFF NAME_label.tif."""
    label: bool = True
    """Write NAME_label.png: class ids as grey values. Where classes may overlap (mode multilabel),
    CLASS/NAME.png instead: 0 and 255, one file per class."""
    palette: bool = True
    """Write NAME_palette.png: class ids that show as the classes' colours; not where classes may
    overlap."""
    overlay: bool = True
    """Write NAME_overlay.png: the image tinted with the classes' colours, but not where it is
    background."""
    alpha: float | None = None
    """Share of the colours in the overlay, 0 to 1; None is 0.5, or 0 with outline."""
    outline: bool = False
    """Draw lines around the objects in the overlay."""
    truth: Path | None = None
    """Folder of label maps of the images (ids, colours or 0/255), one of each one's name; where
    classes may overlap, of masks CLASS/NAME.png."""
    image_ending: str = ""
    """With truth, end of an image's stem that its label map lacks, such as _leftImg8bit."""
    truth_ending: str = ""
    """With truth, end of a label map's stem that its image lacks, such as _gtFine_labelIds; other
    files do not count."""
    errors: bool = True
    """With truth, write NAME_errors.png: right slate, wrong orange, void black."""
    edges: Path | None = None
    """Folder of edge maps, one of each image's name, for a network with hed:source=file."""
    montage: bool = False
    """Write NAME_montage.png: image, classes and overlay side by side with a legend; with truth,
    image, truth, prediction and errors."""
    probabilities: bool = False
    """Write NAME_probabilities.npz: float16 (classes, height, width)."""
    export: AnnotationFormat | None = None
    """Write the prediction as polygons that labelling tools import, into OUT/coco, OUT/labelme and
    so on."""
    min_area: int = 1
    """With export, smallest object and smallest hole that is kept, in pixels."""
    simplify: float = 0.0
    """With export, largest distance in pixels by which an outline is simplified; 0 keeps every
    corner."""
    table: Path | None = None
    """Write a CSV file with a row per image and class: pixels, share, objects, their mean size and,
    with probabilities, the mean confidence."""
    skip_existing: bool = False
    """Pass over images whose results are all there, to go on after a stop."""
    overwrite: bool = False
    """Replace files that segloom did not write or that were changed since; never an image or label
    map that is read."""
    hu_window: tuple[float, float] | None = None
    """Of a volume or a slice (.nii, .nii.gz, .npy), the values that are black and white; None is as
    trained."""
    smoothing: float = 0.0
    """Of a film, share of the earlier frames' probabilities in those of a frame, 0 to below 1."""
    seconds: float | None = None
    """Of a film, a stream or a camera, the length that is labelled; None is all."""
    inference: InferenceConfig = field(default_factory=InferenceConfig)
    engine: Literal["local", "ray"] = "local"
    """ray predicts one folder, however large, by a pool of processes; results lie in OUT as the
    images do in the folder, and the same command goes on after a stop."""
    workers: int | None = None
    """With ray, processes of one core each; None is one per core."""
    address: str | None = None
    """With ray, the cluster: auto, HOST:PORT or ray://HOST:PORT; None starts one here."""
    json: bool = False
    """Print a JSON object with one entry per image instead of lines; with ray, of the counts."""


def run(words: Sequence[str]) -> int:
    """Predict, say what became of every file, and return 1 if one of them failed."""
    options = parse(PredictOptions, words, verb="predict")
    for sentence in idle_inference_options(options.inference, "inference"):
        print(f"note: {sentence}", file=sys.stderr)
    if options.engine == "ray":
        return predict_with_ray(options, _alpha(options), _trained_window(options.run))
    if options.workers or options.address:
        raise ConfigError("--workers and --address go with --engine ray.")
    if any(map(is_video, options.sources)):
        return label_film(options, lambda: _open(options.run, options.inference)[0])
    return _predict_images(options)


def _predict_images(options: PredictOptions) -> int:
    files = _find(options)  # a wrong name is told before torch is loaded

    predictor, trained_window = _open(options.run, options.inference)
    files = _without_results(files, options.out, predictor.labels)
    files = _without_labels(files, options.sources)
    if (pixels := pixels_for(predictor)) is not None:
        files = pixels.first_bands(files)
    edges = match_files(files, options.edges, "edge map") if options.edges else None
    truth = _find_truth(options, files, predictor.labels)
    writer = make_annotator(options, files, predictor.labels)
    start = time.perf_counter()
    results = predict_files(
        predictor,
        files,
        options.out,
        PredictionOptions(
            alpha=_alpha(options),
            outline=options.outline,
            outputs=frozenset(name for name in OUTPUTS if getattr(options, name)),
            skip_existing=options.skip_existing,
            overwrite=options.overwrite,
            truth=truth,
            edges=edges,
            hu_window=options.hu_window or trained_window,
        ),
    )
    shown = _shown(results, len(files), lines=not options.json)
    done = list(follow_up(shown, options, predictor.labels, writer))
    if options.json:
        print(json.dumps(_summary(done, predictor.labels.classes), indent=2))
    else:
        _print_end(done, options.out, time.perf_counter() - start)
    errors = [result.error for result in done if result.error]
    for error in errors:
        print(f"segloom: {printable(error)}", file=sys.stderr)
    return 1 if errors else 0


def _find_truth(
    options: PredictOptions, files: Sequence[Path], labels: LabelSet
) -> Truth | ClassTruth | None:
    if options.truth is None:
        return None
    return find_truth(
        options.truth,
        files,
        labels,
        _trained_data(options.run),
        image_ending=options.image_ending,
        truth_ending=options.truth_ending,
    )


def _alpha(options: PredictOptions) -> float:
    if options.alpha is None:
        return 0.0 if options.outline else 0.5
    if not 0 <= options.alpha <= 1:
        raise ConfigError(f"--alpha is a share from 0 to 1, not {options.alpha:g}.")
    return options.alpha


def _open(run: Path, inference: InferenceConfig) -> tuple[Predicts, tuple[float, float]]:
    """Open a network, and tell which values of a volume are black and white to it."""
    return open_predictor(run, inference), _trained_window(run)


def _trained_window(run: Path) -> tuple[float, float]:
    if is_export(run):
        return Description.read(run).hu_window
    from segloom.config.data import DataConfig  # builds the checks of all data options

    return (_trained_data(run) or DataConfig()).hu_window


def _check_options(options: PredictOptions) -> None:
    """Refuse options that do not go together."""
    if options.truth is None and (options.image_ending or options.truth_ending):
        raise ConfigError(
            "--image-ending and --truth-ending pair images with label maps; name the folder of "
            "these with --truth DIR."
        )
    if (options.export or options.table) and not options.label:
        raise ConfigError("--export and --table read the label maps; leave --no-label out.")
    if options.table and not options.overwrite and not may_be_replaced(options.table):
        raise ConfigError(
            f"{options.table} is no table of `segloom predict`; choose another name with --table, "
            "or add --overwrite."
        )
    if not options.sources:
        raise ConfigError("name at least one image, folder or glob after the run.")


def _find(options: PredictOptions) -> list[Path]:
    _check_options(options)
    files = image_files(options.sources)
    place = next((file for file in files if is_geotiff(file)), None)
    if place is not None and (options.table or options.export not in (None, "geojson")):
        raise ConfigError(
            f"{place} is a GeoTIFF, which is written as --export geojson alone; leave --table and "
            "other formats out."
        )
    return files


def _trained_data(run: Path) -> DataConfig | None:
    """Look up on which data the run was trained; a model directory does not say."""
    path = RunDirectory(run).config
    if not path.is_file():
        return None
    from segloom.config.load import read_config  # loads the options of everything

    return read_config(path).data


def _without_results(files: Sequence[Path], out: Path, labels: LabelSet) -> list[Path]:
    """Leave out what an earlier prediction wrote, where results and images share a folder."""
    endings = (*ENDINGS.values(), LABEL_ENDING, GEO_LABEL_ENDING)
    results = label_files(out.resolve(), labels, "any", "")
    folders = {path.parent for path in results.values()} - {out.resolve()}
    kept = [
        file
        for file in files
        if not (file.name.endswith(endings) and file.resolve().parent == out.resolve())
        and file.resolve().parent not in folders
    ]
    if not kept:
        raise DataError(f"{out} holds only results of earlier predictions; name the images.")
    return kept


def _without_labels(files: Sequence[Path], sources: Sequence[str]) -> list[Path]:
    """Leave out labels that lie beside the volumes of LiTS, unless they are named one by one."""
    named = {Path(source).expanduser() for source in sources}
    kept = [file for file in files if file in named or not is_labels(file)]
    if not kept:
        raise DataError(f"{' '.join(sources)} holds only labels of volumes; name the volumes.")
    if len(kept) < len(files):
        count = len(files) - len(kept)
        print(f"left out {count} of {len(files)} files: labels of volumes", file=sys.stderr)
    return kept


def _shown(results: Iterator[PredictedFile], total: int, *, lines: bool) -> Iterator[PredictedFile]:
    """Pass results on: behind a bar on a terminal, with a line for each otherwise."""
    if is_terminal():
        yield from track(results, "predicting", total)
        return
    start = time.perf_counter()
    for number, result in enumerate(results, start=1):
        if lines:
            seconds, start = time.perf_counter() - start, time.perf_counter()
            print(
                f"{number}/{total}  {printable(result.image)}  {_fate(result)}  {seconds:.2f} s",
                flush=True,
            )
        yield result


def _fate(result: PredictedFile) -> str:
    if result.error:
        return "failed"
    if result.skipped:
        return "skipped"
    height, width = result.size or (0, 0)
    largest = sorted(result.shares.items(), key=lambda item: -item[1])[:3]
    fate = f"{height}x{width}  " + ", ".join(f"{name} {share:.0%}" for name, share in largest)
    if result.accuracy is not None:
        fate += f"  right {result.accuracy:.1%} (void {result.void:.0%})"
    return fate


def _print_end(done: Sequence[PredictedFile], out: Path, seconds: float) -> None:
    failed = sum(result.error is not None for result in done)
    skipped = sum(result.skipped for result in done)
    parts = [f"{len(done) - failed - skipped} predicted"]
    parts += [f"{skipped} skipped"] if skipped else []
    parts += [f"{failed} failed"] if failed else []
    print(f"{', '.join(parts)} in {seconds:.1f} s; results in {out}")


def _summary(done: Sequence[PredictedFile], classes: Sequence[str]) -> dict[str, object]:
    return {
        "classes": list(classes),
        "failed": sum(result.error is not None for result in done),
        "files": [
            {
                "image": str(result.image),
                "size": result.size,
                "written": {kind: str(path) for kind, path in result.written.items()},
                "shares": result.shares,
                "accuracy": result.accuracy,
                "void": result.void,
                "skipped": result.skipped,
                "error": result.error,
            }
            for result in done
        ],
    }
