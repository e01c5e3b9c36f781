"""Reading an image file of any kind into the one form that everything here works on.

Every file becomes uint8 RGB ``(H, W, 3)``, by these rules:

- The EXIF orientation is applied, so that an image is as a viewer shows it.
- 16-bit images, grey or colour, keep the high byte of each value: 0 to 65535 becomes 0 to 255
  whatever range the pixels use, so two files of one camera stay comparable.
- Grey and 1-bit images repeat their channel; palettes and CMYK are converted without a colour
  profile.
- Alpha is dropped, not blended: the colours are those that training tools read from the file.
- Of an animation or a multi-page file the first frame counts.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from itertools import takewhile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from segloom.errors import DataError

__all__ = [
    "IMAGE_ENDINGS",
    "MAX_PIXELS",
    "SLICE_ENDING",
    "VOLUME_ENDINGS",
    "image_files",
    "is_slice",
    "is_volume",
    "read_image",
]

IMAGE_ENDINGS = frozenset(
    {".avif", ".bmp", ".gif", ".jfif", ".jp2", ".jpe", ".jpeg", ".jpg", ".pbm", ".pgm", ".png"}
    | {".pnm", ".ppm", ".tif", ".tiff", ".webp"}
)
"""Endings, in lower case, by which a file in a folder is taken for an image."""

VOLUME_ENDINGS = (".nii", ".nii.gz")
"""Endings, in lower case, of volumes, which are predicted slice by slice."""

SLICE_ENDING = ".npy"
"""Ending, in lower case, of one slice of a volume, stored by NumPy; only who names it means it."""

MAX_PIXELS = 178_956_970
"""Largest image that is decoded (512 MiB of RGB); a small file can claim any size. It is the size
at which Pillow itself refuses."""


def read_image(path: str | Path) -> NDArray[np.uint8]:
    """Read an image file.

    Returns:
        uint8 ``(H, W, 3)``, RGB, contiguous and writable, upright.

    Raises:
        DataError: The file is missing, is no image, is damaged or cut short, has more than
            `MAX_PIXELS` pixels, or has floating-point pixels, which have no known range.
    """
    path = Path(path)
    try:
        with warnings.catch_warnings():
            # Pillow warns about odd metadata and about sizes that the check below allows.
            warnings.simplefilter("ignore")
            with Image.open(path) as image:
                if image.width * image.height > MAX_PIXELS:
                    raise _too_large(path)
                return _to_rgb(image, path)
    except DataError:
        raise
    except Image.DecompressionBombError as error:
        raise _too_large(path) from error
    except UnidentifiedImageError as error:
        raise DataError(_not_an_image(path)) from error
    except FileNotFoundError as error:
        raise DataError(f"{path} does not exist.") from error
    except IsADirectoryError as error:
        raise DataError(f"{path} is a folder; give an image file.") from error
    except PermissionError as error:
        raise DataError(f"{path} may not be read; check its permissions.") from error
    except MemoryError as error:
        raise DataError(f"{path} does not fit into memory; cut it into parts.") from error
    # Decoders meet damaged files with many kinds of exception (OSError, SyntaxError,
    # struct.error, EOFError, ...): a user must hear which file it was.
    except Exception as error:
        raise DataError(
            f"{path} is damaged or cut short ({error}); copy or export it again."
        ) from error


def _to_rgb(image: Image.Image, path: Path) -> NDArray[np.uint8]:
    if image.mode == "F":
        raise DataError(
            f"{path} has floating-point pixels, whose range is unknown; save it with 8 or 16 bits."
        )
    upright = ImageOps.exif_transpose(image)
    if upright.mode == "I" or upright.mode.startswith("I;"):
        return _from_deep_grey(np.asarray(upright), path)
    if upright.mode != "RGB":
        upright = upright.convert("RGB")
    return np.array(upright)  # a copy: asarray would be read-only


def _from_deep_grey(values: NDArray[np.integer], path: Path) -> NDArray[np.uint8]:
    """Keep the high byte of 16-bit grey values ``(H, W)``; RGB arrives with it already taken."""
    low, high = int(values.min()), int(values.max())
    if low < 0 or high > 65535:
        raise DataError(
            f"{path} has values from {low} to {high}, beyond 16 bits; save it with 8 or 16 bits."
        )
    grey = (values >> 8).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=2)


def _too_large(path: Path) -> DataError:
    return DataError(
        f"{path} has more than {MAX_PIXELS:,} pixels; cut it into parts or scale it down."
    )


def _not_an_image(path: Path) -> str:
    if path.stat().st_size == 0:
        return f"{path} is empty; copy it again."
    return f"{path} is not an image of a known format; convert it to PNG or JPEG."


def is_volume(path: Path) -> bool:
    """Tell by its name whether a file is a volume."""
    return path.name.lower().endswith(VOLUME_ENDINGS)


def is_slice(path: Path) -> bool:
    """Tell by its name whether a file is a slice of a volume."""
    return path.suffix.lower() == SLICE_ENDING


def image_files(sources: Sequence[str | Path]) -> list[Path]:
    """Expand files, folders and globs into image files and volumes.

    A file counts whatever its ending; a folder gives all files below it that end like an image or
    a volume (`IMAGE_ENDINGS`, `VOLUME_ENDINGS`) except hidden ones; a glob (``*``, ``?``, ``[]``,
    ``**``) gives the files that end so and the folders that it matches, and slices if it ends
    like one (`SLICE_ENDING`).

    Returns:
        Paths in the order of the sources, sorted within each, none twice.

    Raises:
        DataError: A source does not exist, or holds no image.
    """
    found: dict[Path, None] = {}
    for source in sources:
        files = _expand(Path(source).expanduser())
        if not files:
            raise DataError(
                f"{source} holds no image; images end in {' '.join(sorted(IMAGE_ENDINGS))}."
            )
        found.update(dict.fromkeys(files))
    return list(found)


def _expand(source: Path) -> list[Path]:
    if source.is_file():
        return [source]
    if source.is_dir():
        return sorted(filter(_is_image, _visible(source.rglob("*"), below=source)))
    if any(sign in str(source) for sign in "*?["):
        plain = list(takewhile(lambda part: not set(part) & set("*?["), source.parts))
        start = Path(*plain)
        pattern = Path(*source.parts[len(plain) :])
        matches = _visible(start.glob(str(pattern)), below=start)
        inside = [file for folder in matches if folder.is_dir() for file in _expand(folder)]
        slices = filter(is_slice, matches) if is_slice(source) else ()
        return sorted({*filter(_is_image, matches), *slices, *inside})
    raise DataError(f"{source} does not exist.")


def _visible(paths: Iterable[Path], *, below: Path) -> list[Path]:
    """Drop what is hidden below the source; a hidden folder above it hides nothing."""
    return [
        path
        for path in paths
        if not any(part.startswith(".") for part in path.relative_to(below).parts)
    ]


def _is_image(path: Path) -> bool:
    is_named_so = path.suffix.lower() in IMAGE_ENDINGS or is_volume(path)
    return is_named_so and path.is_file()
