"""Edge maps of a folder of photographs, found by HED: images in, grey PNG files out.

A finished file carries a mark of the weights, the geometry and the image it was made from, so that
a second run makes only what is missing or has changed. A bad file stops nothing.
"""

from __future__ import annotations

import errno
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin

from segloom.enhancements.hed.network import Geometry
from segloom.enhancements.hed.weights import load_hed
from segloom.errors import (
    ConfigError,
    DataError,
    SegloomError,
    describe_system_error,
    is_memory_error,
)
from segloom.files import atomic_path
from segloom.images.read import check_regular, image_files, read_image
from segloom.inference.optimize import choose_device

__all__ = ["EdgeFile", "EdgeFinder", "edge_targets"]

MARK = "segloom-edges"
"""Name of the PNG text that tells what an edge map was made from."""

WHOLE_LIMIT = 2**22  # pixels of an image that is seen whole; a larger one goes window by window
HALO = 128
"""Pixels that a window shows beyond what it is used for. An edge depends on less (the deepest
convolution sees 196 pixels across, and two of its values are blended), and 128 is a multiple of 16,
so that a window pools the pixels that the whole image pools."""


@dataclass(frozen=True)
class EdgeFile:
    """What became of one image."""

    image: Path
    edges: Path
    """The file with its edges."""
    skipped: bool = False
    """True if it was there already, from the same image and weights."""
    error: str | None = None
    """Why there are no edges, in one sentence; None if all went well."""


def edge_targets(source: Path, out: Path) -> list[tuple[Path, Path]]:
    """Pair the images below a folder with the files of their edges: same place and name, ``.png``.

    Raises:
        DataError: There is no image, ``out`` is the folder of the images, or two images would
            become one file.
    """
    if not source.is_dir():
        raise DataError(f"{source} is not a folder; give the folder of the images with --in DIR.")
    inside, into = source.resolve(), out.resolve()
    if inside == into:
        raise DataError(
            f"the edges would replace the images of {source}; give another folder with --out DIR."
        )
    pairs: dict[Path, Path] = {}
    for image in image_files([source]):
        if image.resolve().is_relative_to(into):  # edges of an earlier run, within the images
            continue
        target = (out / image.relative_to(source)).with_suffix(".png")
        if target in pairs:
            raise DataError(f"{pairs[target]} and {image} would both become {target}; rename one.")
        pairs[target] = image
    if not pairs:
        raise DataError(f"{source} holds no image but the edges in {out}; add images to it.")
    return [(image, target) for target, image in pairs.items()]


class EdgeFinder:
    """Finds edges with one network.

    Args:
        weights: A file of HED weights; see `segloom.enhancements.hed.weights.load_hed`.
        geometry: How score maps lie on the image.
        device: ``auto`` is the GPU where there is one.
        whole_limit: Largest image that is seen whole, in pixels.

    Raises:
        CheckpointError: The weights cannot be read or do not fit.
        ConfigError: The device is not there.
    """

    def __init__(
        self,
        weights: Path,
        *,
        geometry: Geometry = "caffe",
        device: Literal["auto", "cpu", "cuda"] = "auto",
        whole_limit: int = WHOLE_LIMIT,
    ) -> None:
        if device not in ("auto", "cpu", "cuda"):
            raise ConfigError(f"device must be auto, cpu or cuda, not '{device}'.")
        self.device = choose_device(device)
        network = load_hed(weights, geometry).requires_grad_(requires_grad=False)
        self.network = network.to(memory_format=torch.channels_last).to(self.device)
        self.mark = f"{_digest(weights)} {geometry}"
        self.whole_limit = whole_limit

    def edges(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Find the edges of an image of any size.

        Args:
            image: uint8 ``(H, W, 3)``, RGB.

        Returns:
            uint8 ``(H, W)``: 255 times the probability of an edge.
        """
        height, width = image.shape[:2]
        found = np.empty((height, width), np.uint8)
        for rows, columns in _windows(height, width, self.whole_limit):
            above, before = max(0, rows.start - HALO), max(0, columns.start - HALO)
            part = image[above : rows.stop + HALO, before : columns.stop + HALO]
            pixels = torch.from_numpy(np.ascontiguousarray(part)).to(self.device)
            with torch.inference_mode():
                edges = self.network.edges(pixels.permute(2, 0, 1)[None].float())[0, 0]
            edges = edges[rows.start - above :, columns.start - before :]
            edges = edges[: rows.stop - rows.start, : columns.stop - columns.start]
            found[rows, columns] = (255 * edges).round().to(torch.uint8).numpy(force=True)
        return found

    def write(self, image: Path, target: Path) -> EdgeFile:
        """Find the edges of a file and write them as 8-bit grey PNG, in one step.

        Raises:
            SegloomError: The edges cannot be written; no other image would fare better.
        """
        try:
            mark = f"{self.mark} {_digest(image)}"
            if _mark_of(target) == mark:
                return EdgeFile(image, target, skipped=True)
            if _is_foreign(target):
                reason = f"{target} was not written by `segloom edges`; choose another --out."
                return EdgeFile(image, target, error=reason)
            found = self.edges(read_image(image))
        except DataError as error:
            return EdgeFile(image, target, error=str(error))
        except (MemoryError, RuntimeError) as error:
            if not is_memory_error(error):
                raise
            reason = f"{image} does not fit into memory; scale it down or close other programs."
            return EdgeFile(image, target, error=reason)
        text = PngImagePlugin.PngInfo()
        text.add_text(MARK, mark)
        try:
            with atomic_path(target) as temporary:
                Image.fromarray(found).save(temporary, pnginfo=text)
        except OSError as error:
            if error.errno == errno.ENAMETOOLONG:
                return EdgeFile(image, target, error=f"{target} is too long a name.")
            raise SegloomError(
                f"cannot write {target}: {describe_system_error(error) or error}"
            ) from error
        return EdgeFile(image, target)


def _windows(height: int, width: int, whole_limit: int) -> Iterator[tuple[slice, slice]]:
    """Divide an image into parts that are used, which `HALO` widens to what is seen."""
    step = 1024 if height * width > whole_limit else max(height, width)
    for top in range(0, height, step):
        for left in range(0, width, step):
            yield slice(top, min(top + step, height)), slice(left, min(left + step, width))


def _digest(path: Path) -> str:
    check_regular(path)
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()[:32]
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}).") from error


def _is_foreign(path: Path) -> bool:
    """Return whether a picture is there that segloom did not make; a damaged one is replaced."""
    try:
        with Image.open(path) as image:
            return MARK not in image.info
    except FileNotFoundError:
        return False
    except (OSError, ValueError, SyntaxError):
        return path.is_dir()
    except Image.DecompressionBombError:
        return True


def _mark_of(path: Path) -> str | None:
    """Read what an edge map was made from; None if it is not there or is something else."""
    try:
        with Image.open(path) as image:
            text: str | None = image.info.get(MARK)
            return text
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None
