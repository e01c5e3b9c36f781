"""Scenes as files: generated once into the user's cache folder, read from there ever after.

A file is complete or absent, so a kill loses one scene at most, and two processes that fill the
same folder write the same bytes.
"""

from __future__ import annotations

import hashlib
import logging
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from segloom.config.data import DataConfig
from segloom.data.cache import default_cache_dir
from segloom.data.sets.base import DataSet
from segloom.data.sets.camvid import CAMVID
from segloom.data.source import DatasetSource, check_split
from segloom.errors import ConfigError, DataError
from segloom.files import write_bytes
from segloom.scenes import make_scene, scene
from segloom.scenes.style import SPLITS
from segloom.types import Record

__all__ = ["DATA_SET", "MIN_SIDE", "SEED", "generator_key", "read", "scenes_folder"]

SEED = 0
"""The seed of the embedded data set; with another it would be another data set."""
MIN_SIDE = 32
"""Pixels; in smaller scenes nothing can be told apart."""


@lru_cache(maxsize=1)
def generator_key() -> str:
    """Text that differs between generators that may draw different pixels.

    It is made from the sources of `segloom.scenes` and the versions of NumPy and OpenCV, so that
    scenes of an older installation are never mixed with new ones.
    """
    digest = hashlib.sha256(f"{np.__version__} {cv2.__version__}".encode())
    for path in sorted(Path(scene.__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def scenes_folder(config: DataConfig) -> Path:
    """Folder of the scenes: below ``config.root``, ``config.cache_dir`` or the user's cache."""
    home = config.root or config.cache_dir or default_cache_dir().parent
    height, width = config.scene_size
    return home.expanduser() / "scenes" / f"{height}x{width}-{generator_key()}"


def read(config: DataConfig, split: str) -> DatasetSource:
    """Read a split of the generated scenes, generating what is not there yet.

    Args:
        config: ``num_scenes`` and ``scene_size`` say how many and how large.
        split: train, val or test.

    Raises:
        DataError: The split is unknown, or the folder cannot be written.
        ConfigError: The scenes are too small, or fewer than none.
    """
    check_split(split)
    if min(config.scene_size) < MIN_SIDE:
        raise ConfigError(
            f"data.scene_size {config.scene_size} is too small; give at least {MIN_SIDE} by "
            f"{MIN_SIDE} pixels."
        )
    count = config.num_scenes[SPLITS.index(split)]
    if count < 0:
        raise ConfigError(f"data.num_scenes {config.num_scenes} must not be negative.")
    folder = scenes_folder(config) / split
    names = [f"{split}_{index:05d}" for index in range(count)]
    pairs = [
        (folder / "images" / f"{name}.png", folder / "masks" / f"{name}.png") for name in names
    ]
    try:
        _fill(pairs, split, config.scene_size)
    except OSError as error:
        raise DataError(
            f"cannot write generated scenes to {folder} ({error.strerror}); choose another folder "
            "with --data.cache-dir DIR."
        ) from error
    records = [Record(name, *pair) for name, pair in zip(names, pairs, strict=True)]
    return DatasetSource(tuple(records), CAMVID, "index")


def _fill(pairs: list[tuple[Path, Path]], split: str, size: tuple[int, int]) -> None:
    """Generate the scenes whose files are missing."""
    missing = [index for index, pair in enumerate(pairs) if not _is_there(pair)]
    if not missing:
        return
    folder = pairs[0][0].parent.parent
    log = logging.getLogger("segloom")
    log.info("drawing %d %s scenes into %s", len(missing), split, folder)
    for index in missing:
        if _is_there(pairs[index]):
            continue  # another process was faster
        image, mask = make_scene(SEED, split, index, size=size)
        # The image comes last: where it is, its label map is too.
        write_bytes(pairs[index][1], _encode(mask))
        write_bytes(pairs[index][0], _encode(image[..., ::-1]))


def _is_there(pair: tuple[Path, Path]) -> bool:
    return pair[0].is_file() and pair[1].is_file()


def _encode(pixels: NDArray[np.uint8]) -> bytes:
    """PNG bytes of grey or BGR pixels."""
    done, encoded = cv2.imencode(
        ".png", np.ascontiguousarray(pixels), [cv2.IMWRITE_PNG_COMPRESSION, 3]
    )
    if not done:
        raise DataError(
            f"a scene of {pixels.shape} pixels cannot be stored as PNG; make it smaller."
        )
    content: bytes = encoded.tobytes()
    return content


DATA_SET = DataSet(
    read,
    options=frozenset({"num_scenes", "scene_size"}),
    needs_root=False,
    default_recipe="demo",
)
