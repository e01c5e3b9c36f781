"""Random joint changes of an image, its label map and its edges, on uint8 arrays.

What is drawn (`Draws`) is separate from what is done: one draw is a pure function of the options
and of a generator, and so of (seed, epoch, index). The part of the image that the crop will show is
cut out first, as a view of the cached file, and only that part is resized and copied. What a crop
shows beyond the image is `FILL` in the image and void in the label map.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from segloom.config.data import AugmentConfig
from segloom.data.planes import Planes
from segloom.data.plugin_transforms import change, plugin_transforms
from segloom.types import IGNORE_INDEX

__all__ = [
    "FILL",
    "Draws",
    "JointTransform",
    "SampleKey",
    "draw",
    "fill_of",
    "flip",
    "jitter",
    "sample_generator",
]

VOID = (IGNORE_INDEX, 0)  # void beside the image; of an int64, its low and its high half
FILL = (124, 116, 104)
"""RGB of what lies outside the image: the mean of ImageNet, near 0 after normalisation."""
MIDDLE = 128
"""The same of every band, where there are other than three."""
MAX_CHANNELS = 4
"""Of an image that OpenCV warps or pads at once."""


MAX_HUE = 72.0  # degrees of hue at jitter 1
BLUR_SIGMA = (0.3, 1.5)  # pixels

YIQ = np.array([[0.299, 0.587, 0.114], [0.5959, -0.2746, -0.3213], [0.2115, -0.5227, 0.3112]])
"""RGB to luma and the plane of hue (angle) and saturation (radius)."""
RGB = np.linalg.inv(YIQ)


class SampleKey(NamedTuple):
    """What a sampler asks a data set for: one view of one sample."""

    epoch: int
    sample: int
    """Index in the data set."""
    place: int | None = None
    """Of a view in class-uniform sampling its place in the epoch, since a sample may come twice."""
    center: tuple[int, int] | None = None
    """Row and column in the image that the crop shows."""


@dataclass(frozen=True)
class Draws:
    """Everything that is random about one view of a sample, whatever its size."""

    zoom: float = 1.0
    top: float = 0.5
    """Place of the crop between the upper (0) and the lower (1) end of the image, or, with a
    center, between the lowest and the highest crop that show it."""
    left: float = 0.5
    is_flipped: bool = False
    angle: float = 0.0
    """Degrees, counter-clockwise."""
    brightness: float = 1.0
    contrast: float = 1.0
    saturation: float = 1.0
    hue: float = 0.0
    """Degrees."""
    sigma: float = 0.0
    """Of the blur, in pixels; 0 is none."""
    center: tuple[int, int] | None = None
    """Row and column in the image that the crop shows (before a rotation)."""


def sample_generator(
    seed: int, epoch: int, index: int, place: int | None = None
) -> np.random.Generator:
    """Make the generator of one sample in one epoch; its numbers depend on nothing else.

    Args:
        seed: Of the run; not negative, like the others.
        epoch: Number of the pass over the data set.
        index: Place of the sample in the data set.
        place: Place in the epoch, where a sample may come twice.
    """
    key = (epoch, index) if place is None else (epoch, index, place)
    sequence = np.random.SeedSequence(seed, spawn_key=key)
    return np.random.Generator(np.random.PCG64(sequence))


def draw(config: AugmentConfig, generator: np.random.Generator) -> Draws:
    """Draw one view. Ten numbers are taken whatever the options, so each keeps its own place.

    Zoom, brightness, contrast and saturation are log-uniform: up and down are equally likely.
    """
    u = generator.random(10)
    low, high = np.log(config.scale)
    spread = config.jitter * (2 * u - 1)
    is_blurred = u[9] < config.blur
    return Draws(
        zoom=float(np.exp(low + (high - low) * u[0])),
        top=float(u[1]),
        left=float(u[2]),
        is_flipped=bool(u[3] < config.flip),
        angle=float(config.rotate * (2 * u[4] - 1)),
        brightness=float(np.exp(spread[5])),
        contrast=float(np.exp(spread[6])),
        saturation=float(np.exp(spread[7])),
        hue=float(MAX_HUE * spread[8]),
        sigma=float(np.interp(u[9], (0, config.blur), BLUR_SIGMA)) if is_blurred else 0.0,
    )


@dataclass(frozen=True)
class JointTransform:
    """Random scale, crop, rotation, flip, jitter and blur of a sample.

    Args:
        config: Ranges and probabilities.
        crop: Height and width of the result in pixels; None keeps the size of each image.
    """

    config: AugmentConfig
    crop: tuple[int, int] | None = None

    def __call__(
        self,
        planes: Planes,
        generator: np.random.Generator,
        center: tuple[int, int] | None = None,
    ) -> Planes:
        """Return a random view of a sample; all arrays are new, contiguous and writable.

        Args:
            planes: The sample.
            generator: Of its random numbers.
            center: Row and column that the crop shows; None leaves its place to chance.
        """
        planes = self.apply(planes, replace(draw(self.config, generator), center=center))
        for name, transform in plugin_transforms(self.config.extra):
            planes = change(planes, name, transform, generator)
        return planes

    def apply(self, planes: Planes, draws: Draws) -> Planes:
        """Return the view that ``draws`` describes."""
        size = self.crop or (planes.mask.shape[0], planes.mask.shape[1])
        planes = (_rotate if draws.angle else _cut)(planes, size, draws)
        if draws.is_flipped:
            planes = flip(planes)
        image = jitter(planes.image, draws)
        if draws.sigma:
            image = cv2.GaussianBlur(image, (5, 5), draws.sigma)
        return planes._replace(image=image)


def flip(planes: Planes) -> Planes:
    """Mirror a sample left to right."""
    image, mask = cv2.flip(planes.image, 1), np.ascontiguousarray(planes.mask[:, ::-1])
    return Planes(image, mask, None if planes.edge is None else cv2.flip(planes.edge, 1))


def jitter(image: NDArray[np.uint8], draws: Draws) -> NDArray[np.uint8]:
    """Change brightness, contrast, saturation and hue of uint8 RGB ``(H, W, 3)``.

    All four are linear in RGB, so they are one matrix and one pass: saturation scales and hue
    turns the colour plane of YIQ, contrast stretches about the mean grey, brightness scales.
    """
    if (draws.brightness, draws.contrast, draws.saturation, draws.hue) == (1, 1, 1, 0):
        return image
    if image.shape[2] != 3:
        return _jitter_bands(image, draws)
    cosine, sine = np.cos(np.radians(draws.hue)), np.sin(np.radians(draws.hue))
    turn = np.eye(3)
    turn[1:, 1:] = draws.saturation * np.array([[cosine, -sine], [sine, cosine]])
    gain = draws.brightness * draws.contrast
    grey = float(YIQ[0] @ cv2.mean(image[::4])[:3])  # every fourth row tells it well enough
    offset = np.full((3, 1), draws.brightness * (1 - draws.contrast) * grey)
    changed: NDArray[np.uint8] = cv2.transform(image, np.hstack([gain * RGB @ turn @ YIQ, offset]))
    return changed


def _jitter_bands(image: NDArray[np.uint8], draws: Draws) -> NDArray[np.uint8]:
    """Change brightness and contrast; bands that are no colours have no hue and saturation."""
    gain = np.float32(draws.brightness * draws.contrast)
    offset = np.float32(draws.brightness * (1 - draws.contrast) * float(image[::4].mean()))
    changed: NDArray[np.uint8] = np.rint((image * gain + offset).clip(0, 255)).astype(np.uint8)
    return changed


def fill_of(channels: int) -> tuple[int, ...]:
    """Return what lies outside an image of so many channels."""
    return FILL if channels == 3 else (MIDDLE,) * channels


def _by_groups(
    change: Callable[[NDArray[np.uint8], tuple[int, ...]], NDArray[np.uint8]],
    image: NDArray[np.uint8],
) -> NDArray[np.uint8]:
    """Change an image ``(H, W, C)`` in groups of as many channels as OpenCV takes."""
    fill = fill_of(image.shape[2])
    if len(fill) <= MAX_CHANNELS:
        changed = change(image, fill)
        return changed if changed.ndim == 3 else changed[..., None]
    groups = [slice(start, start + MAX_CHANNELS) for start in range(0, len(fill), MAX_CHANNELS)]
    parts = [change(np.ascontiguousarray(image[..., group]), fill[group]) for group in groups]
    return np.dstack(parts)


def _cut(planes: Planes, size: tuple[int, int], draws: Draws) -> Planes:
    """Zoom and crop without rotation, by slicing before resizing."""
    (rows, out_rows), (columns, out_columns) = _spans(planes.mask.shape, size, draws)
    place = partial(_place, size=size, at=(out_rows, out_columns))
    image = _resize(planes.image[rows, columns], out_rows, out_columns, draws.zoom)
    mask = _resize(_channels(planes.mask[rows, columns]), out_rows, out_columns, None)
    edge = None
    if planes.edge is not None:
        edge = place(_resize(planes.edge[rows, columns], out_rows, out_columns, draws.zoom), fill=0)
    mask = _whole(place(mask, fill=VOID), planes.mask.dtype)
    return Planes(_by_groups(lambda part, fill: place(part, fill=fill), image), mask, edge)


def _spans(
    shape: tuple[int, ...], size: tuple[int, int], draws: Draws
) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """Choose the source pixels and where they go in the crop, for rows and for columns."""
    row, column = draws.center or (None, None)
    return (
        _span(shape[0], size[0], draws.zoom, draws.top, row),
        _span(shape[1], size[1], draws.zoom, draws.left, column),
    )


def _span(
    length: int, wanted: int, zoom: float, place: float, center: int | None
) -> tuple[slice, slice]:
    """Along one axis, choose the source pixels and where they go in the crop."""
    zoomed = max(1, round(length * zoom))
    if zoomed <= wanted:  # the whole image shows, void beside it
        start = round(place * (wanted - zoomed))
        return slice(0, length), slice(start, start + zoomed)
    taken = min(length, max(1, round(wanted / zoom)))
    start = round(place * (length - taken))
    if center is not None:  # anywhere in the crop, but for what the border of the image forbids
        start = min(max(0, center - round(place * (taken - 1))), length - taken)
    return slice(start, start + taken), slice(0, wanted)


Number = TypeVar("Number", bound=np.integer)


def _resize(
    plane: NDArray[Number], rows: slice, columns: slice, zoom: float | None
) -> NDArray[Number]:
    """Bring a plane to the length of the spans; ``zoom`` None marks a label map."""
    width, height = columns.stop - columns.start, rows.stop - rows.start
    if plane.shape[:2] == (height, width):
        return plane
    if zoom is None:
        method = cv2.INTER_NEAREST_EXACT  # pixel centres, as the image; INTER_NEAREST is off by 1/2
    else:
        method = cv2.INTER_AREA if zoom < 0.5 else cv2.INTER_LINEAR
    resized: NDArray[Number] = cv2.resize(plane, (width, height), interpolation=method)
    return resized


def _place(
    plane: NDArray[Number],
    size: tuple[int, int],
    at: tuple[slice, slice],
    fill: int | tuple[int, ...],
) -> NDArray[Number]:
    if plane.shape[:2] == size:
        return np.require(plane, requirements=["C", "W", "O"])
    rows, columns = at
    below, beside = size[0] - rows.stop, size[1] - columns.stop
    value = fill if isinstance(fill, tuple) else (fill,)
    placed: NDArray[Number] = cv2.copyMakeBorder(
        plane, rows.start, below, columns.start, beside, cv2.BORDER_CONSTANT, value=value
    )
    return placed


def _rotate(planes: Planes, size: tuple[int, int], draws: Draws) -> Planes:
    """Zoom, crop and rotate about the centre of the crop, in one interpolation."""
    (rows, out_rows), (columns, out_columns) = _spans(planes.mask.shape, size, draws)
    near_rows, near_columns = (_around(span, draws.zoom, size) for span in (rows, columns))
    image, mask = (
        np.ascontiguousarray(plane[near_rows, near_columns])
        for plane in (planes.image, _channels(planes.mask))
    )
    cosine = np.cos(np.radians(draws.angle)) / draws.zoom
    sine = np.sin(np.radians(draws.angle)) / draws.zoom
    matrix = np.array([[cosine, -sine, 0.0], [sine, cosine, 0.0]])  # crop to source, (x, y)
    middle = [_middle(out_columns), _middle(out_rows)]
    source = [_middle(columns) - near_columns.start, _middle(rows) - near_rows.start]
    matrix[:, 2] = source - matrix[:, :2] @ middle
    warp = partial(cv2.warpAffine, M=matrix, dsize=size[::-1], borderMode=cv2.BORDER_CONSTANT)
    smooth, nearest = (
        method | cv2.WARP_INVERSE_MAP for method in (cv2.INTER_LINEAR, cv2.INTER_NEAREST)
    )
    edge = None
    if planes.edge is not None:
        near = np.ascontiguousarray(planes.edge[near_rows, near_columns])
        edge = warp(near, flags=smooth, borderValue=(0,))
    turned = warp(mask, flags=nearest, borderValue=VOID)
    return Planes(
        _by_groups(lambda part, fill: warp(part, flags=smooth, borderValue=fill), image),
        _whole(turned, planes.mask.dtype),
        edge,
    )


def _channels(mask: NDArray[np.integer]) -> NDArray[np.integer]:
    """Show OpenCV, which has no int64, the two halves of each as channels of int32."""
    if mask.dtype != np.int64:
        return mask
    return np.ascontiguousarray(mask).view(np.int32).reshape(*mask.shape, 2)


def _whole(mask: NDArray[np.integer], dtype: np.dtype[np.integer]) -> NDArray[np.integer]:
    """Undo `_channels`."""
    return mask if mask.ndim == 2 else np.ascontiguousarray(mask).view(dtype)[..., 0]


def _middle(span: slice) -> float:
    """Centre of a span, where 0 is the centre of the first pixel."""
    return float((span.start + span.stop - 1) / 2)


def _around(span: slice, zoom: float, size: tuple[int, int]) -> slice:
    """Widen a span to all that a turned crop may show; OpenCV warps at most 32766 pixels."""
    reach = int(np.hypot(*size) / 2 / zoom) + 2
    middle = (span.start + span.stop) // 2
    return slice(max(0, middle - reach), middle + reach)
