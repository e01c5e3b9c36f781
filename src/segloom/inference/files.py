"""Predicting files: many images in, label maps and pictures out; a bad file stops nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from segloom import pictures
from segloom.errors import ConfigError, DataError, SegloomError
from segloom.files import atomic_path
from segloom.images import read_image
from segloom.inference.predictor import Predictor

__all__ = ["ENDINGS", "PredictedFile", "predict_files", "result_names"]

ENDINGS = {
    "label": "_label.png",
    "palette": "_palette.png",
    "overlay": "_overlay.png",
    "montage": "_montage.png",
    "probabilities": "_probabilities.npz",
}
"""What is written after the image's name, by the name of the option."""


@dataclass(frozen=True)
class PredictedFile:
    """What became of one image."""

    image: Path
    size: tuple[int, int] | None = None
    """Height and width in pixels; None if the image was not read."""
    written: dict[str, Path] = field(default_factory=dict)
    """Result files by kind (`ENDINGS`)."""
    shares: dict[str, float] = field(default_factory=dict)
    """Share of the pixels by class, 0 to 1, of the classes that are there."""
    skipped: bool = False
    """True if every result was there already and none was made."""
    error: str | None = None
    """Why there is no result, in one sentence; None if all went well."""


def predict_files(
    predictor: Predictor,
    files: Sequence[Path],
    out: Path,
    *,
    label: bool = True,
    palette: bool = True,
    overlay: bool = True,
    montage: bool = False,
    probabilities: bool = False,
    skip_existing: bool = False,
) -> Iterator[PredictedFile]:
    """Predict images one after the other; an image that cannot be read gives an entry with error.

    Results lie directly in ``out`` under the image's name: ``street.jpg`` gives
    ``street_label.png`` and so on. Where two images share a name, as many of their folders as it
    takes come before it (``left-street``, ``right-street``). Each file is written in one step and
    stays if the program is stopped.

    Args:
        predictor: Answers the images.
        files: Images, as `segloom.images.image_files` finds them.
        out: Folder of the results; made if need be.
        label: Write the class ids as 8-bit PNG.
        palette: Write the class ids as a PNG that shows the classes' colours.
        overlay: Write the image tinted with the classes' colours.
        montage: Write image, classes and overlay side by side with a legend.
        probabilities: Write a compressed NumPy archive with ``probabilities`` float16
            ``(K, H, W)`` and ``classes``.
        skip_existing: Pass over images whose results are all there and not older than the image.

    Yields:
        One entry per file, in order.

    Raises:
        ConfigError: Nothing is to be written.
        SegloomError: The results cannot be written; no other image would fare better.
    """
    chosen = {
        "label": label,
        "palette": palette,
        "overlay": overlay,
        "montage": montage,
        "probabilities": probabilities,
    }
    kinds = [kind for kind, wanted in chosen.items() if wanted]
    if not kinds:
        raise ConfigError(f"nothing is to be written; ask for one of {', '.join(ENDINGS)}.")
    names = result_names(files)
    return (
        _predict_file(predictor, file, name, out, kinds, skip_existing=skip_existing)
        for file, name in zip(files, names, strict=True)
    )


def result_names(files: Sequence[Path]) -> list[str]:
    """Name the results of every image after it, told apart by folders and then by numbers.

    Names are compared without regard to case, since some file systems do not tell it.
    """
    names = [file.stem for file in files]
    for depth in range(1, max((len(file.parts) for file in files), default=0)):
        repeated = _repeated(names)
        if not repeated:
            return names
        for index in repeated:
            folders = files[index].absolute().parent.parts[1:][-depth:]
            names[index] = "-".join([*folders, files[index].stem])
    # Same folders and same stem: street.jpg beside street.png.
    for index in _repeated(names):
        names[index] += f"_{files[index].suffix.removeprefix('.')}"
    while repeated := _repeated(names):
        for number, index in enumerate(repeated, start=1):
            names[index] += f"_{number}"
    return names


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
    *,
    skip_existing: bool,
) -> PredictedFile:
    targets = {kind: out / f"{name}{ENDINGS[kind]}" for kind in kinds}
    if skip_existing and _are_up_to_date(targets.values(), file):
        return PredictedFile(file, written=targets, skipped=True)
    try:
        image = read_image(file)
        values = predictor.probabilities(image) if "probabilities" in kinds else None
        labels = _labels(predictor, image, values)
    except DataError as error:
        return PredictedFile(file, error=str(error))
    except MemoryError:
        height, width = image.shape[:2]
        reason = f"{file} has {height} x {width} pixels, too many for this machine's memory."
        return PredictedFile(file, size=(height, width), error=reason)
    try:
        _write(predictor, targets, image, labels, values)
    except OSError as error:
        raise SegloomError(
            f"cannot write to {out} ({error}); free space there or choose another folder."
        ) from error
    return PredictedFile(
        file,
        size=(image.shape[0], image.shape[1]),
        written=targets,
        shares=_shares(labels, predictor.labels.classes),
    )


def _are_up_to_date(results: Iterable[Path], image: Path) -> bool:
    try:
        made = image.stat().st_mtime
        return all(path.stat().st_mtime >= made for path in results)
    except OSError:
        return False


def _labels(
    predictor: Predictor, image: NDArray[np.uint8], values: NDArray[np.float32] | None
) -> NDArray[np.uint8]:
    if values is None:
        return predictor.label_map(image)
    labels: NDArray[np.uint8] = values.argmax(axis=0).astype(np.uint8)
    return labels


def _write(
    predictor: Predictor,
    targets: dict[str, Path],
    image: NDArray[np.uint8],
    labels: NDArray[np.uint8],
    values: NDArray[np.float32] | None,
) -> None:
    classes, colors = predictor.labels.classes, predictor.labels.palette
    tinted = (
        pictures.overlay(image, labels, colors) if {"overlay", "montage"} & set(targets) else image
    )
    for kind, path in targets.items():
        if kind == "label":
            pictures.write_label_png(path, labels)
        elif kind == "palette":
            pictures.write_palette_png(path, labels, colors)
        elif kind == "overlay":
            pictures.write_image(path, tinted)
        elif kind == "montage":
            painted = pictures.colorize(labels, colors)
            panels = [("image", image), ("prediction", painted), ("overlay", tinted)]
            entries = pictures.legend(classes, colors)[:-1]  # a prediction has no void
            pictures.write_image(path, pictures.montage(panels, legend=entries))
        elif values is not None:
            with atomic_path(path) as temporary:
                np.savez_compressed(
                    temporary, probabilities=values.astype(np.float16), classes=np.array(classes)
                )


def _shares(labels: NDArray[np.uint8], classes: Sequence[str]) -> dict[str, float]:
    counts = np.bincount(labels.ravel(), minlength=len(classes))
    return {
        name: round(float(count) / labels.size, 6)
        for name, count in zip(classes, counts, strict=True)
        if count
    }
