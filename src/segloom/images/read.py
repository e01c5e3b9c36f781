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

import os
import warnings
from collections.abc import Iterable, Iterator, Sequence
from io import BytesIO
from itertools import takewhile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from segloom.errors import DataError, ImageTooLargeError

__all__ = [
    "DATA_ENDINGS",
    "IMAGE_ENDINGS",
    "MAX_PIXELS",
    "SLICE_ENDING",
    "VOLUME_ENDINGS",
    "check_regular",
    "decode_image",
    "image_files",
    "irregular",
    "is_hidden",
    "is_slice",
    "is_turned",
    "is_volume",
    "iter_images",
    "orientation",
    "read_image",
    "to_rgb",
]

WILDCARDS = frozenset("*?[")
IMAGE_ENDINGS = frozenset(
    {".avif", ".bmp", ".gif", ".jfif", ".jp2", ".jpe", ".jpeg", ".jpg", ".pbm", ".pgm", ".png"}
    | {".pnm", ".ppm", ".tif", ".tiff", ".webp"}
)
"""Endings, in lower case, by which a file in a folder is taken for an image."""

VOLUME_ENDINGS = (".nii", ".nii.gz")
"""Endings, in lower case, of volumes, which are predicted slice by slice."""

SLICE_ENDING = ".npy"
"""Ending, in lower case, of one slice of a volume, stored by NumPy; only who names it means it."""

DATA_ENDINGS = IMAGE_ENDINGS | {SLICE_ENDING}
"""What is taken for an image or a label map in the folders of a data set."""

SYSTEM_FOLDERS = frozenset({"__MACOSX", "@eaDir", "#recycle", "$RECYCLE.BIN", "lost+found"})
"""What macOS's archives, storage boxes and Windows put beside files: previews and rubbish."""

DECODED_FORMATS = ("AVIF", "BMP", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "TIFF", "WEBP")
"""What `decode_image` takes, by Pillow's names: EPS and its like would start other programs."""

ORIENTATION = 0x0112
"""Number of the EXIF entry."""
FIRST_TURNED = 5
"""Orientations from this on exchange width and height."""

SAMPLES, EXTRA_SAMPLES = 277, 338
"""Numbers of the TIFF tags of all bands, and of what those beyond the colours are."""
TRANSPARENCY = (1, 2)
"""Kinds of such a band."""

VIDEO_ENDINGS = frozenset({".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".webm"})
"""Endings, in lower case, of videos, which are not read."""

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
    check_regular(path)
    try:
        return _read(path, str(path), MAX_PIXELS, None)
    except UnidentifiedImageError as error:
        raise DataError(_not_an_image(path)) from error
    except FileNotFoundError as error:
        raise DataError(f"{path} does not exist.") from error
    except IsADirectoryError as error:
        raise DataError(f"{path} is a folder; give an image file.") from error
    except PermissionError as error:
        raise DataError(f"{path} may not be read; check its permissions.") from error


def decode_image(
    content: bytes, *, name: str = "the image", max_pixels: int = MAX_PIXELS
) -> NDArray[np.uint8]:
    """Decode an image that is in memory, from a source that nobody vouches for.

    Only the formats of `IMAGE_ENDINGS` are tried, and its size is checked before a pixel is
    decoded.

    Args:
        content: Bytes of an image file.
        name: What messages call it.
        max_pixels: Largest image that is decoded.

    Returns:
        As `read_image`.

    Raises:
        ImageTooLargeError: It has more than ``max_pixels`` pixels.
        DataError: As `read_image`.
    """
    if not content:
        raise DataError(f"{name} is empty; send the bytes of an image file.")
    Image.init()  # fills OPEN; AVIF, for one, is not in every Pillow
    formats = tuple(kind for kind in DECODED_FORMATS if kind in Image.OPEN)
    try:
        return _read(BytesIO(content), name, max_pixels, formats)
    except UnidentifiedImageError as error:
        raise DataError(
            f"{name} is not an image of a known format; convert it to PNG or JPEG."
        ) from error


def _read(
    source: Path | BytesIO, name: str, max_pixels: int, formats: tuple[str, ...] | None
) -> NDArray[np.uint8]:
    """Read an image; what the operating system says of a path is for the caller."""
    try:
        with warnings.catch_warnings():
            # Pillow warns about odd metadata and about sizes that the check below allows.
            warnings.simplefilter("ignore")
            with Image.open(source, formats=formats) as image:
                if image.width * image.height > max_pixels:
                    raise _too_large(name, max_pixels)
                return to_rgb(image, name)
    except (DataError, UnidentifiedImageError, FileNotFoundError):
        raise
    except (IsADirectoryError, PermissionError):
        raise
    except Image.DecompressionBombError as error:
        raise _too_large(name, max_pixels) from error
    except MemoryError as error:
        raise DataError(f"{name} does not fit into memory; cut it into parts.") from error
    # Decoders meet damaged files with many kinds of exception (OSError, SyntaxError,
    # struct.error, EOFError, ...): a user must hear which file it was.
    except Exception as error:
        raise DataError(
            f"{name} is damaged or cut short ({error}); copy or export it again."
        ) from error


def to_rgb(image: Image.Image, name: str = "the image") -> NDArray[np.uint8]:
    """Return the pixels of an opened image, by the rules of files.

    Args:
        image: The image.
        name: What messages call it.

    Returns:
        uint8 ``(H, W, 3)``, RGB, contiguous and writable, upright.

    Raises:
        DataError: It has floating-point pixels, or values beyond 16 bits.
    """
    if image.mode == "F":
        raise DataError(
            f"{name} has floating-point pixels, whose range is unknown; save it with 8 or 16 bits."
        )
    if (bands := _dropped_bands(image)) is not None:
        raise DataError(
            f"{name} has {bands} bands, of which three would be read; a network that is trained on "
            "files with so many bands takes them all."
        )
    upright = ImageOps.exif_transpose(image)
    if upright.mode == "I" or upright.mode.startswith("I;"):
        return _from_deep_grey(np.asarray(upright), name)
    if upright.mode != "RGB":
        upright = upright.convert("RGB")
    return np.array(upright)  # a copy: asarray would be read-only


def _dropped_bands(image: Image.Image) -> int | None:
    """Count the bands of a TIFF that holds more than colours and transparency, else None."""
    tags = getattr(image, "tag_v2", None)
    if tags is None or image.mode == "CMYK":
        return None
    kinds = tags.get(EXTRA_SAMPLES, ())
    kinds = kinds if isinstance(kinds, tuple) else (kinds,)
    is_more = any(kind not in TRANSPARENCY for kind in kinds)
    return int(tags.get(SAMPLES, 1)) if is_more else None


def is_turned(path: Path) -> bool:
    """Return whether the EXIF orientation of a file exchanges its width and height."""
    return orientation(path) >= FIRST_TURNED


def orientation(path: Path) -> int:
    """Return the EXIF orientation of a file, 1 to 8; 1, upright, of one that has none."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(path) as image:
                return int(image.getexif().get(ORIENTATION, 1))
    except Exception:  # whoever reads it says what is wrong
        return 1


def _from_deep_grey(values: NDArray[np.integer], name: str) -> NDArray[np.uint8]:
    """Keep the high byte of 16-bit grey values ``(H, W)``; RGB arrives with it already taken."""
    low, high = int(values.min()), int(values.max())
    if low < 0 or high > 65535:
        raise DataError(
            f"{name} has values from {low} to {high}, beyond 16 bits; save it with 8 or 16 bits."
        )
    grey = (values >> 8).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=2)


def _too_large(name: str, max_pixels: int) -> ImageTooLargeError:
    return ImageTooLargeError(
        f"{name} has more than {max_pixels:,} pixels; cut it into parts or scale it down."
    )


def _not_an_image(path: Path) -> str:
    if path.stat().st_size == 0:
        return f"{path} is empty; copy it again."
    if path.suffix.lower() in (".tif", ".tiff"):
        return (
            f"{path} is no TIFF of one or three bands of 8 or 16 bits; files with other bands are "
            "read as training images, and by networks that were trained on them."
        )
    return f"{path} is not an image of a known format; convert it to PNG or JPEG."


def check_regular(path: Path) -> None:
    """Refuse a broken link, a pipe and a device before they are opened: a pipe may wait for ever.

    Raises:
        DataError: It is one.
    """
    if not path.is_file() and not path.is_dir() and os.path.lexists(path):
        raise DataError(irregular(path) or f"{path} is no regular file.")


def irregular(path: Path) -> str | None:
    """Explain why what is named like an image is none: a broken link, a pipe, a folder.

    Returns:
        A sentence; None for a file, and for a folder that holds images.
    """
    if path.is_file():
        return None
    if path.is_dir():
        if any(inside.suffix.lower() in DATA_ENDINGS for inside in path.rglob("*")):
            return None
        return f"{path} is a folder named like an image; rename or remove it."
    if path.is_symlink() and not path.exists():
        return f"{path} is a link to {path.readlink()}, which does not exist; restore or remove it."
    return f"{path} is named like an image but is no regular file; remove it."


def is_hidden(name: str) -> bool:
    """Return whether a file or folder of this name is no part of what a user sees in a folder."""
    return name.startswith(".") or name in SYSTEM_FOLDERS


def is_volume(path: Path) -> bool:
    """Return whether a file is a volume by its name."""
    return path.name.lower().endswith(VOLUME_ENDINGS)


def is_slice(path: Path) -> bool:
    """Return whether a file is a slice of a volume by its name."""
    return path.suffix.lower() == SLICE_ENDING


def image_files(sources: Sequence[str | Path]) -> list[Path]:
    """Expand files, folders and globs into image files and volumes.

    A file counts whatever its ending; so does what is no file, such as a broken link, which cannot
    be read later. A folder gives all files below it that end like an image or a volume
    (`IMAGE_ENDINGS`, `VOLUME_ENDINGS`) except hidden ones, or if it has none its arrays of NumPy;
    a glob (``*``, ``?``, ``[]``,
    ``**``) gives the files that end so and the folders that it matches, and slices if it ends
    like one (`SLICE_ENDING`).

    Returns:
        Paths in the order of the sources, sorted within each, none twice.

    Raises:
        DataError: A source does not exist, or holds no image.
    """
    found: dict[Path, None] = {}
    for source in sources:
        _refuse_streams(str(source))
        files = _expand(Path(source).expanduser())
        if not files:
            raise DataError(
                f"{source} holds no image; images end in {' '.join(sorted(IMAGE_ENDINGS))}."
            )
        found.update(dict.fromkeys(files))
    return list(found)


def iter_images(folder: Path, *, leave_out: Path | None = None) -> Iterator[Path]:
    """Find the images below a folder one by one, in no order, without a list of them all.

    Args:
        folder: Where to look; hidden files and folders do not count.
        leave_out: A folder below it that does not count.

    Raises:
        DataError: A folder cannot be read.
    """
    try:
        entries = os.scandir(folder)
    except OSError as error:
        raise DataError(f"{folder} cannot be read: {error.strerror or error}.") from error
    with entries:
        for entry in entries:
            path = Path(entry.path)
            if is_hidden(entry.name):
                continue
            if entry.is_dir(follow_symlinks=False):
                if leave_out is None or path.resolve() != leave_out.resolve():
                    yield from iter_images(path, leave_out=leave_out)
            elif _is_image(path):
                yield path


def _refuse_streams(source: str) -> None:
    """Refuse what other programs take for images in the place of files.

    Raises:
        DataError: It is an address, a video, or the number of a camera.
    """
    if "://" in source:
        raise DataError(f"{source} is an address; download the file and name that.")
    if Path(source).suffix.lower() in VIDEO_ENDINGS:
        raise DataError(
            f"{source} is a video; cut it into images first, for example with "
            f"`ffmpeg -i {source} frames/%05d.png`, and name their folder."
        )
    if source.isdecimal() and not os.path.lexists(source):
        raise DataError(f"{source} is no file; cameras are not read, so name images.")


def _expand(source: Path) -> list[Path]:
    if not source.is_dir() and os.path.lexists(source):
        return [source]
    if source.is_dir():
        inside = _visible(source.rglob("*"), below=source)
        return sorted(filter(_is_image, inside)) or sorted(filter(is_slice, inside))
    if set(str(source)) & WILDCARDS:
        return _matching(source)
    raise DataError(f"{source} does not exist.")


def _matching(source: Path) -> list[Path]:
    """List what a pattern matches, and what lies in the folders among that."""
    plain = list(takewhile(lambda part: not set(part) & WILDCARDS, source.parts))
    start, pattern = Path(*plain), Path(*source.parts[len(plain) :])
    matches = _visible(start.glob(str(pattern)), below=start)
    inside = [file for folder in matches if folder.is_dir() for file in _expand(folder)]
    slices = filter(is_slice, matches) if is_slice(source) else ()
    return sorted({*filter(_is_image, matches), *slices, *inside})


def _visible(paths: Iterable[Path], *, below: Path) -> list[Path]:
    """Drop what is hidden below the source; a hidden folder above it hides nothing."""
    return [path for path in paths if not any(map(is_hidden, path.relative_to(below).parts))]


def _is_image(path: Path) -> bool:
    """Return whether something is named like an image, and is no folder of images."""
    is_named_so = path.suffix.lower() in IMAGE_ENDINGS or is_volume(path)
    return is_named_so and (path.is_file() or irregular(path) is not None)
