"""A submission to the Cityscapes benchmark: the label maps of the test images in one zip file.

The server (https://www.cityscapes-dataset.com/submit) wants one 8-bit grey PNG of label ids, not
training ids, per test image, 2048 x 1024 pixels, whose name begins with CITY_SEQUENCE_FRAME.
"""

from __future__ import annotations

import json
import shlex
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from segloom.config.evaluation import InferenceConfig
from segloom.data.sets.cityscapes import CITYSCAPES, NUM_IMAGES, find_test_images
from segloom.data.sets.cityscapes_labels import LABEL_IDS
from segloom.errors import ConfigError, DataError, SegloomError
from segloom.files import atomic_path, write_text
from segloom.images.read import read_image
from segloom.inference.predictor import Predictor
from segloom.labels.pictures import write_label_png
from segloom.models.weights.checkpoint import read_saved

__all__ = ["submit_cityscapes"]

SIZE = (1024, 2048)
ENDING = "_pred.png"
STAMP = "made_from.json"


def submit_cityscapes(
    run: Path,
    root: Path,
    out: Path,
    inference: InferenceConfig | None = None,
    *,
    partial: bool = False,
    on_progress: Callable[[int, int], None] | None = None,
) -> int:
    """Predict the test split of Cityscapes and zip the label maps.

    Finished label maps lie in ``OUT.parts`` until the zip is complete, so that a stopped call goes
    on where it was when it is made again with the same weights and options; an older ``out`` stays
    as it is until then.

    Args:
        run: A run (its best checkpoint is taken) or a model directory.
        root: Folder of Cityscapes.
        out: The zip file.
        inference: How an image is seen.
        partial: Allow another number of images than the 1525 of the test split.
        on_progress: Told the finished images and all, before the first and after each.

    Returns:
        How many label maps the zip holds.

    Raises:
        CheckpointError: There is no network at ``run``, or it cannot be loaded.
        ConfigError: The network has other classes, or ``out`` is no zip.
        DataError: The images are not those of the test split.
        SegloomError: The results cannot be written.
    """
    inference = inference or InferenceConfig()
    if out.suffix.lower() != ".zip":
        raise ConfigError(f"{out} is no zip file; give a name that ends in .zip with --out.")
    images = find_test_images(root)
    if len(images) != NUM_IMAGES["test"] and not partial:
        raise DataError(
            f"{root} has {len(images)} test images, but the server takes exactly "
            f"{NUM_IMAGES['test']}; unpack all of leftImg8bit_trainvaltest.zip, or try it with "
            "--partial."
        )
    saved = read_saved(run)
    if saved.labels is None or saved.labels.classes != CITYSCAPES.classes:
        mend = "submit a network that was trained with the recipe cityscapes"
        if saved.labels is None and saved.spec["classes"] == len(CITYSCAPES.classes):
            names = shlex.join(CITYSCAPES.classes)
            mend += f", or name its classes with `segloom convert --class-names {names}`"
        raise ConfigError(f"{run} does not tell the 19 classes of Cityscapes apart; {mend}.")
    status = saved.weights.stat()
    stamp = json.dumps(
        {
            "weights": [str(saved.weights.absolute()), status.st_size, status.st_mtime_ns],
            "inference": inference.model_dump(mode="json"),
        }
    )
    parts = out.with_name(f"{out.name}.parts")
    try:
        _prepare(parts, stamp)
        _predict(Predictor.from_path(run, inference), images, parts, on_progress)
        _pack(images, parts, out)
        shutil.rmtree(parts)
    except OSError as error:
        raise SegloomError(
            f"cannot write {out} ({error}); free space there or choose another folder."
        ) from error
    return len(images)


def _prepare(parts: Path, stamp: str) -> None:
    """Keep what the same weights and options made, and remove anything else."""
    path = parts / STAMP
    if path.is_file() and path.read_text(encoding="utf-8") == stamp:
        return
    if parts.is_dir() and any(parts.iterdir()) and not path.is_file():
        raise ConfigError(
            f"{parts} is where unfinished label maps would go, but it holds something else; move "
            "it away or choose another --out."
        )
    if parts.is_dir():
        shutil.rmtree(parts)
    write_text(path, stamp)


def _predict(
    predictor: Predictor,
    images: dict[str, Path],
    parts: Path,
    on_progress: Callable[[int, int], None] | None,
) -> None:
    label_ids = np.array(LABEL_IDS, np.uint8)
    for done, (name, path) in enumerate(images.items()):
        if on_progress:
            on_progress(done, len(images))
        part = parts / f"{name}{ENDING}"
        if part.is_file() and part.stat().st_mtime_ns >= path.stat().st_mtime_ns:
            continue
        image = read_image(path)
        if image.shape[:2] != SIZE:
            raise DataError(
                f"{path} is {image.shape[1]} x {image.shape[0]} pixels, but the server takes "
                f"{SIZE[1]} x {SIZE[0]}; use the images as released."
            )
        write_label_png(part, label_ids[predictor.label_map(image)])
    if on_progress:
        on_progress(len(images), len(images))


def _pack(images: dict[str, Path], parts: Path, out: Path) -> None:
    """Zip the label maps one by one; PNGs are compressed already."""
    with atomic_path(out) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for name in images:
            # A fixed date: the same label maps give the same bytes.
            member = zipfile.ZipInfo(f"{name}{ENDING}")
            member.external_attr = 0o644 << 16
            archive.writestr(member, (parts / member.filename).read_bytes())
