"""Predicting files: many images in, label maps and pictures out; a bad file stops nothing."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain, compress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from segloom.data.planes import read_edges
from segloom.data.sets.lits import read_slice
from segloom.errors import (
    ConfigError,
    DataError,
    SegloomError,
    describe_system_error,
    is_memory_error,
)
from segloom.files import atomic_path
from segloom.images.form import as_rgb
from segloom.images.geo import is_geotiff
from segloom.images.read import VOLUME_ENDINGS, is_slice, is_volume
from segloom.labels import painting, pictures
from segloom.prediction.class_truth import ClassTruth
from segloom.prediction.geo import GEO_LABEL_ENDING, predict_raster
from segloom.prediction.ledger import Ledger
from segloom.prediction.options import OUTPUTS, Output, PredictionOptions
from segloom.prediction.predicts import Predicts, pixels_for, read_for
from segloom.prediction.results import (
    ENDINGS,
    PredictedFile,
    is_up_to_date,
    label_files,
    shares_of,
    write_labels,
)
from segloom.prediction.volumes import LABEL_ENDING, predict_volume
from segloom.types import IGNORE_INDEX

__all__ = ["ENDINGS", "PredictedFile", "predict_file", "predict_files", "result_names"]

BESIDE = ENDINGS.keys() - {"label"}
"""Kinds of results that are no label map."""
MAX_NAME = 255
"""Bytes of a file's name that file systems allow."""


def predict_files(
    predictor: Predicts,
    files: Sequence[Path],
    out: Path,
    options: PredictionOptions | None = None,
) -> Iterator[PredictedFile]:
    """Predict images one after the other; an image that cannot be read gives an entry with error.

    Results lie directly in ``out`` under the image's name: ``street.jpg`` gives
    ``street_label.png`` and so on. Where two images share a name, as many of their folders as it
    takes come before it (``left-street``, ``right-street``). Each file is written in one step and
    stays if the program is stopped. A volume gives ``NAME_label.nii.gz`` alone, a slice of one
    (``.npy``) the files of an image, a GeoTIFF ``NAME_label.tif`` alone.

    Where classes may overlap, the label map is a PNG of 0 and 255 per class, ``CLASS/street.png``,
    as such data sets are laid out, and there is no palette PNG.

    Args:
        predictor: Answers the images.
        files: Images, as `segloom.images.read.image_files` finds them.
        out: Folder of the results; made if need be.
        options: What is written, and what comes with the images.

    Yields:
        One entry per file, in order.

    Raises:
        ConfigError: Nothing is to be written, results would replace files that are read or that
            segloom did not write, or edge maps are missing, not taken, or asked of a volume.
        SegloomError: The results cannot be written; no other image would fare better.
    """
    options = options or PredictionOptions()
    outputs = _outputs(predictor, options)
    if isinstance(options.truth, ClassTruth) and "label" in outputs:
        _check_apart(options.truth, out)
    _check_edges(predictor, files, options.edges)
    targets = [
        _targets(predictor, file, out / name, outputs)
        for file, name in zip(files, result_names(files), strict=True)
    ]
    are_open = [
        not _is_made(file, results, options) for file, results in zip(files, targets, strict=True)
    ]
    ledger = Ledger(out, replaces=options.overwrite)
    ledger.check(
        chain.from_iterable(results.values() for results in compress(targets, are_open)),
        chain.from_iterable(map(options.sources, files)),
    )
    return (
        _predict_guarded(predictor, file, results, options, ledger)
        if is_open
        else PredictedFile(file, written=results, skipped=True)
        for file, results, is_open in zip(files, targets, are_open, strict=True)
    )


def predict_file(
    predictor: Predicts, file: Path, beginning: Path, options: PredictionOptions, ledger: Ledger
) -> PredictedFile:
    """Predict one file, as `predict_files` does, without a look at what else is there.

    Args:
        predictor: Answers the image.
        file: An image, volume or raster.
        beginning: Path of the results without their endings.
        options: What is written; with ``skip_existing``, results that are there stay.
        ledger: Of the folder of the results.

    Raises:
        ConfigError: Nothing is to be written.
        SegloomError: The results cannot be written; no other image would fare better.
    """
    targets = _targets(predictor, file, beginning, _outputs(predictor, options))
    if _is_made(file, targets, options):
        return PredictedFile(file, written=targets, skipped=True)
    return _predict_guarded(predictor, file, targets, options, ledger)


def _is_made(file: Path, targets: Mapping[str, Path], options: PredictionOptions) -> bool:
    return options.skip_existing and is_up_to_date(targets.values(), *options.sources(file))


def result_names(files: Sequence[Path]) -> list[str]:
    """Name the results of every image after it, told apart by folders and then by numbers.

    Names are compared without regard to case, since some file systems do not tell it.
    """
    names = [_stem(file) for file in files]
    for depth in range(1, max((len(file.parts) for file in files), default=0)):
        repeated = _repeated(names)
        if not repeated:
            return names
        for index in repeated:
            folders = files[index].absolute().parent.parts[1:][-depth:]
            names[index] = "-".join([*folders, _stem(files[index])])
    # Same folders and same stem: street.jpg beside street.png.
    for index in _repeated(names):
        names[index] += f"_{files[index].suffix.removeprefix('.')}"
    while repeated := _repeated(names):
        for number, index in enumerate(repeated, start=1):
            names[index] += f"_{number}"
    return names


def _stem(file: Path) -> str:
    ending = next((e for e in sorted(VOLUME_ENDINGS) if file.name.lower().endswith(e)), file.suffix)
    return file.name[: len(file.name) - len(ending)]


def _repeated(names: Sequence[str]) -> list[int]:
    places: dict[str, list[int]] = {}
    for index, name in enumerate(names):
        places.setdefault(name.lower(), []).append(index)
    return [index for same in places.values() if len(same) > 1 for index in same]


LABEL_END = ENDINGS["label"].removesuffix(".png")


def _outputs(predictor: Predicts, options: PredictionOptions) -> list[Output]:
    possible = [name for name in OUTPUTS if name != "palette" or predictor.space.fits_palette]
    chosen = [name for name in possible if name in options.outputs]
    if options.truth is None and "errors" in chosen:
        chosen.remove("errors")
    if not chosen:
        raise ConfigError(f"nothing is to be written; ask for one of {', '.join(possible)}.")
    return chosen


def _targets(
    predictor: Predicts, file: Path, beginning: Path, outputs: Sequence[Output]
) -> dict[str, Path]:
    """Name the results of an image or a volume by kind; ``beginning`` is a path without ending."""
    out, name = beginning.parent, beginning.name
    if is_volume(file):
        return {"label": out / f"{name}{LABEL_ENDING}"}
    if is_geotiff(file):
        return {"label": out / f"{name}{GEO_LABEL_ENDING}"}
    targets: dict[str, Path] = {kind: out / f"{name}{ENDINGS[kind]}" for kind in outputs}
    if targets.pop("label", None) is None:
        return targets
    return label_files(out, predictor.labels, name, LABEL_END) | targets


def _predict_guarded(
    predictor: Predicts,
    file: Path,
    targets: dict[str, Path],
    options: PredictionOptions,
    ledger: Ledger,
) -> PredictedFile:
    """Predict a file; what only this file leads to is its own error.

    Raises:
        SegloomError: The results cannot be written; no other image would fare better.
    """
    long = [path for path in targets.values() if len(os.fsencode(path.name)) > MAX_NAME]
    if long:
        return PredictedFile(
            file, error=f"{file} has too long a name: a result would be called {long[0].name}."
        )
    try:
        with ledger.writing(list(targets.values())):
            return _predict(predictor, file, targets, options)
    except (MemoryError, RuntimeError) as error:
        if not is_memory_error(error):
            raise
        reason = "there is too little memory; set --inference.window or use fewer scales."
        return PredictedFile(file, error=f"{file} cannot be predicted: {reason}")
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            return PredictedFile(file, error=f"{file} has too long a name for this file system.")
        reason = describe_system_error(error) or f"{error}."
        raise SegloomError(f"cannot write to {ledger.folder}: {reason}") from error


def _predict(
    predictor: Predicts, file: Path, targets: dict[str, Path], options: PredictionOptions
) -> PredictedFile:
    if is_volume(file):
        return predict_volume(predictor, file, targets["label"], options.hu_window)
    if is_geotiff(file):
        return predict_raster(predictor, file, targets["label"])
    return _predict_image(predictor, file, targets, options)


def _predict_image(
    predictor: Predicts, file: Path, targets: dict[str, Path], options: PredictionOptions
) -> PredictedFile:
    truth, edge = options.truth, (options.edges or {}).get(file)
    try:
        is_cut = is_slice(file) and pixels_for(predictor) is None
        image = read_slice(file, options.hu_window) if is_cut else read_for(predictor, file)
        size = (image.shape[0], image.shape[1])
        expected = truth.read(file, size) if truth else None
        seen = np.dstack([image, read_edges(edge, image, file)]) if edge else image
        values = predictor.probabilities(seen) if "probabilities" in targets else None
        labels = predictor.label_map(seen) if values is None else predictor.space.decide(values)
    except DataError as error:
        return PredictedFile(file, error=str(error))
    _write(predictor, targets, image, labels, expected, values, options)
    counts = predictor.space.count(labels)
    done = PredictedFile(
        file,
        size=size,
        written=targets,
        shares=shares_of(counts.classes, counts.labelled, predictor.labels),
    )
    if expected is None:
        return done
    counted = expected != IGNORE_INDEX
    right = float((labels == expected)[counted].mean())
    return replace(done, accuracy=right, void=float(1 - counted.mean()))


def _check_apart(truth: ClassTruth, out: Path) -> None:
    """Refuse to write masks of classes among those of the truth, whose names they have."""
    if truth.folder.resolve() == out.resolve():
        raise ConfigError(
            f"{out} is the folder of the truth, whose masks the results would replace; choose "
            "another with --out."
        )


def _check_edges(
    predictor: Predicts, files: Sequence[Path], edges: Mapping[Path, Path] | None
) -> None:
    if not predictor.takes_edges:
        if edges is not None:
            raise ConfigError("this network takes no edge maps; leave --edges out.")
        return
    volume = next((file for file in files if is_volume(file)), None)
    if volume is not None:
        raise ConfigError(f"this network takes edge maps, which volumes lack; leave {volume} out.")
    if edges is None:
        raise ConfigError(
            "this network takes an edge map with every image; name their folder with --edges DIR "
            "(`segloom edges` makes them)."
        )


def _write(
    predictor: Predicts,
    targets: dict[str, Path],
    image: NDArray[np.uint8],
    labels: NDArray[np.integer],
    truth: NDArray[np.integer] | None,
    values: NDArray[np.float32] | None,
    options: PredictionOptions,
) -> None:
    pixels = pixels_for(predictor)
    image = pixels.picture(image) if pixels else as_rgb(image)
    if maps := [path for kind, path in targets.items() if kind not in BESIDE]:
        write_labels(maps, labels, predictor.labels)
    if path := targets.get("palette"):
        pictures.write_palette_png(path, labels, predictor.labels.palette)
    if (path := targets.get("errors")) and truth is not None:
        pictures.write_image(path, pictures.error_map(truth, labels))
    _write_tinted(predictor, targets, image, labels, truth, options)
    if (path := targets.get("probabilities")) and values is not None:
        names = np.array(predictor.labels.classes)
        with atomic_path(path) as temporary:
            np.savez_compressed(temporary, probabilities=values.astype(np.float16), classes=names)


def _write_tinted(
    predictor: Predicts,
    targets: dict[str, Path],
    image: NDArray[np.uint8],
    labels: NDArray[np.integer],
    truth: NDArray[np.integer] | None,
    options: PredictionOptions,
) -> None:
    """Write the overlay, and the montage, which holds it where there is no truth."""
    if not targets.keys() & {"overlay", "montage"}:
        return
    tinted = painting.tint(image, labels, predictor.labels, options.alpha)
    if options.outline:
        tinted = painting.draw_outlines(tinted, labels, predictor.labels)
    if path := targets.get("overlay"):
        pictures.write_image(path, tinted)
    if path := targets.get("montage"):
        if truth is not None:
            picture = painting.comparison(image, truth, labels, predictor.labels)
        else:
            painted = painting.paint(labels, predictor.labels)
            panels = [("image", image), ("prediction", painted), ("overlay", tinted)]
            picture = pictures.montage(panels, legend=painting.legend_of(predictor.labels))
        pictures.write_image(path, picture)
