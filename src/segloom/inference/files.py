"""Predicting files: many images in, label maps and pictures out; a bad file stops nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from segloom import pictures
from segloom.data.lits import read_slice
from segloom.data.planes import read_edges
from segloom.errors import ConfigError, DataError, SegloomError
from segloom.files import atomic_path
from segloom.images import VOLUME_ENDINGS, is_slice, is_volume, read_image
from segloom.inference.class_truth import ClassTruth
from segloom.inference.predictor import Predictor
from segloom.inference.results import (
    ENDINGS,
    PredictedFile,
    class_mask_files,
    is_up_to_date,
    shares_of,
    write_class_masks,
)
from segloom.inference.truth import Truth
from segloom.inference.volumes import LABEL_ENDING, predict_volume
from segloom.label_bits import pack
from segloom.palette import num_values, value_palette
from segloom.types import IGNORE_INDEX

__all__ = ["ENDINGS", "PredictedFile", "predict_files", "result_names"]


def predict_files(
    predictor: Predictor,
    files: Sequence[Path],
    out: Path,
    *,
    label: bool = True,
    palette: bool = True,
    overlay: bool = True,
    errors: bool = True,
    montage: bool = False,
    probabilities: bool = False,
    skip_existing: bool = False,
    truth: Truth | ClassTruth | None = None,
    edges: Mapping[Path, Path] | None = None,
    hu_window: tuple[float, float] = (-250.0, 250.0),
) -> Iterator[PredictedFile]:
    """Predict images one after the other; an image that cannot be read gives an entry with error.

    Results lie directly in ``out`` under the image's name: ``street.jpg`` gives
    ``street_label.png`` and so on. Where two images share a name, as many of their folders as it
    takes come before it (``left-street``, ``right-street``). Each file is written in one step and
    stays if the program is stopped. A volume gives ``NAME_label.nii.gz`` alone, a slice of one
    (``.npy``) the files of an image.

    Where classes may overlap, the label map is a PNG of 0 and 255 per class, ``CLASS/street.png``,
    as such data sets are laid out, and there is no palette PNG.

    Args:
        predictor: Answers the images.
        files: Images, as `segloom.images.image_files` finds them.
        out: Folder of the results; made if need be.
        label: Write the class ids as 8-bit PNG.
        palette: Write the class ids as a PNG that shows the classes' colours.
        overlay: Write the image tinted with the classes' colours.
        errors: Where there is truth, write where the prediction is right, wrong or unmeasured.
        montage: Write image, classes and overlay side by side with a legend; where there is truth,
            image, truth, prediction and errors.
        probabilities: Write a compressed NumPy archive with ``probabilities`` float16
            ``(K, H, W)`` and ``classes``.
        skip_existing: Pass over images whose results are all there and not older than the image.
        truth: Label maps of the images, from `segloom.inference.truth.find_truth`.
        edges: Edge map of every image, as `segloom.data.companions.match_files` finds them, for a
            network that takes them.
        hu_window: Values of a volume or a slice that are black and white to the network, as in its
            training.

    Yields:
        One entry per file, in order.

    Raises:
        ConfigError: Nothing is to be written, masks would replace those of the truth, or edge maps
            are missing, not taken, or asked of a volume.
        SegloomError: The results cannot be written; no other image would fare better.
    """
    chosen = {
        "label": label,
        "palette": palette,
        "overlay": overlay,
        "errors": errors and truth is not None,
        "montage": montage,
        "probabilities": probabilities,
    }
    lacking = ("palette",) if predictor.labels.is_multilabel else ()
    possible = [kind for kind in ENDINGS if kind not in lacking]
    kinds = [kind for kind in possible if chosen[kind]]
    if not kinds:
        raise ConfigError(f"nothing is to be written; ask for one of {', '.join(possible)}.")
    if isinstance(truth, ClassTruth) and label and truth.folder.resolve() == out.resolve():
        raise ConfigError(
            f"{out} is the folder of the truth, whose masks the results would replace; choose "
            "another with --out."
        )
    _check_edges(predictor, files, edges)
    names = result_names(files)
    return (
        predict_volume(predictor, file, out / f"{name}{LABEL_ENDING}", hu_window, skip_existing)
        if is_volume(file)
        else _predict_file(
            predictor,
            file,
            name,
            out,
            kinds,
            truth,
            (edges or {}).get(file),
            hu_window,
            skip_existing,
        )
        for file, name in zip(files, names, strict=True)
    )


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


def _predict_file(
    predictor: Predictor,
    file: Path,
    name: str,
    out: Path,
    kinds: Sequence[str],
    truth: Truth | ClassTruth | None,
    edge: Path | None,
    hu_window: tuple[float, float],
    skip_existing: bool,
) -> PredictedFile:
    targets = {kind: out / f"{name}{ENDINGS[kind]}" for kind in kinds}
    if "label" in targets and predictor.labels.is_multilabel:
        del targets["label"]
        targets = class_mask_files(out, predictor.labels.classes, name) | targets
    sources = [path for path in (file, *(truth.sources(file) if truth else ()), edge) if path]
    if skip_existing and is_up_to_date(targets.values(), *sources):
        return PredictedFile(file, written=targets, skipped=True)
    try:
        image = read_slice(file, hu_window) if is_slice(file) else read_image(file)
        size = (image.shape[0], image.shape[1])
        expected = truth.read(file, size) if truth else None
        seen = np.dstack([image, read_edges(edge, image, file)]) if edge else image
        values = predictor.probabilities(seen) if "probabilities" in kinds else None
        labels = _labels(predictor, seen, values)
    except DataError as error:
        return PredictedFile(file, error=str(error))
    except MemoryError:
        reason = f"{file} has {size[0]} x {size[1]} pixels, too many for this machine's memory."
        return PredictedFile(file, size=size, error=reason)
    try:
        _write(predictor, targets, image, labels, expected, values)
    except OSError as error:
        raise SegloomError(
            f"cannot write to {out} ({error}); free space there or choose another folder."
        ) from error
    counted = None if expected is None else expected != IGNORE_INDEX
    return PredictedFile(
        file,
        size=size,
        written=targets,
        shares=shares_of(
            np.bincount(labels.ravel(), minlength=num_values(predictor.labels)),
            predictor.labels,
        ),
        accuracy=None if counted is None else float((labels == expected)[counted].mean()),
        void=None if counted is None else float(1 - counted.mean()),
    )


def _check_edges(
    predictor: Predictor, files: Sequence[Path], edges: Mapping[Path, Path] | None
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


def _labels(
    predictor: Predictor, image: NDArray[np.uint8], values: NDArray[np.float32] | None
) -> NDArray[np.uint8]:
    if values is None:
        return predictor.label_map(image)
    if predictor.labels.is_multilabel:
        return pack(values >= 0.5)
    labels: NDArray[np.uint8] = values.argmax(axis=0).astype(np.uint8)
    return labels


def _write(
    predictor: Predictor,
    targets: dict[str, Path],
    image: NDArray[np.uint8],
    labels: NDArray[np.uint8],
    truth: NDArray[np.uint8] | None,
    values: NDArray[np.float32] | None,
) -> None:
    classes, colors = predictor.labels.classes, value_palette(predictor.labels)
    tinted = image
    if {"overlay", "montage"} & set(targets):
        tinted = pictures.overlay(image, pictures.tinted_labels(labels, predictor.labels), colors)
    if predictor.labels.is_multilabel:
        write_class_masks([path for kind, path in targets.items() if kind not in ENDINGS], labels)
    for kind, path in targets.items():
        if kind == "label":
            pictures.write_label_png(path, labels)
        elif kind == "palette":
            pictures.write_palette_png(path, labels, colors)
        elif kind == "overlay":
            pictures.write_image(path, tinted)
        elif kind == "errors" and truth is not None:
            pictures.write_image(path, pictures.error_map(truth, labels))
        elif kind == "montage" and truth is not None:
            picture = pictures.comparison(image, truth, labels, predictor.labels)
            pictures.write_image(path, picture)
        elif kind == "montage":
            painted = pictures.colorize(labels, colors)
            panels = [("image", image), ("prediction", painted), ("overlay", tinted)]
            entries = pictures.legend_of(predictor.labels)[:-1]  # a prediction has no void
            pictures.write_image(path, pictures.montage(panels, legend=entries))
        elif kind == "probabilities" and values is not None:
            with atomic_path(path) as temporary:
                np.savez_compressed(
                    temporary, probabilities=values.astype(np.float16), classes=np.array(classes)
                )
