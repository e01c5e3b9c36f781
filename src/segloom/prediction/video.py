"""Predicting films and streams: frames are decoded, labelled and encoded at the same time.

One thread reads frames, the caller's labels them, a third writes them; between them lie queues of
a few frames, so that memory does not grow with the length. What comes live (a camera, a stream)
cannot wait: while the network is busy, frames are passed over, and the newest ones are labelled.

PyAV (the extra ``segloom[video]``) decodes and encodes with FFmpeg. Sound is not kept.

Axes: K classes, H W image size.
"""

from __future__ import annotations

import queue
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Literal, NamedTuple, ParamSpec, get_args

import numpy as np
from numpy.typing import NDArray

from segloom.errors import ConfigError, DataError
from segloom.files import atomic_path
from segloom.images.read import IMAGE_ENDINGS
from segloom.labels.painting import tint
from segloom.prediction.predicts import Predicts

if TYPE_CHECKING:
    from av import VideoFrame, VideoStream
    from av.container import InputContainer, OutputContainer

__all__ = ["VIDEO_ENDINGS", "Film", "VideoOptions", "is_live", "is_video", "predict_video"]

VIDEO_ENDINGS = frozenset({".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".ts", ".webm"})
"""Endings, in lower case, by which a file is taken for a film."""
WRITTEN_ENDINGS = (".mp4", ".mkv", ".mov")
STREAMS = ("rtsp://", "rtsps://", "rtmp://", "http://", "https://", "udp://", "srt://")
Encoder = Literal["libx264", "libopenh264", "h264", "mpeg4"]
ENCODERS: tuple[Encoder, ...] = get_args(Encoder)
"""By preference; not every FFmpeg has the first two."""
WAITING = 4
"""Frames that wait between two threads."""
Words = ParamSpec("Words")
TICK_S = 0.2  # how often a waiting thread looks whether the others are still there


def is_video(source: str) -> bool:
    """Return whether a source is a film, a stream or the number of a camera."""
    return is_live(source) or Path(source).suffix.lower() in VIDEO_ENDINGS


def is_live(source: str) -> bool:
    """Return whether a source does not wait: a camera, or a stream that is no image by its name."""
    is_image = Path(source).suffix.lower() in IMAGE_ENDINGS
    return source.isdecimal() or (source.lower().startswith(STREAMS) and not is_image)


@dataclass(frozen=True, kw_only=True)
class VideoOptions:
    """How a film is labelled."""

    alpha: float = 0.5
    """Share of the classes' colours."""
    smoothing: float = 0.0
    """Share of the earlier frames' probabilities in those of a frame, 0 to below 1: what flickers
    becomes calm, and what moves leaves a trace."""
    seconds: float | None = None
    """Length of what is labelled; None is all of it."""

    def __post_init__(self) -> None:
        if not 0 <= self.smoothing < 1:
            raise ConfigError(f"--smoothing is {self.smoothing}; give 0 or more, but less than 1.")
        if self.seconds is not None and not self.seconds > 0:
            raise ConfigError(f"--seconds is {self.seconds}; give a number above 0.")


@dataclass
class Film:
    """What became of a film; counts go up while it is labelled."""

    frames: int = 0
    """That were labelled and written."""
    skipped: int = 0
    """That a live source had meanwhile."""
    damaged: int = 0
    """Packets that could not be decoded."""
    size: tuple[int, int] = (0, 0)
    """Height and width of the frames."""
    encoder: str = ""


class _Frame(NamedTuple):
    """One picture of a film."""

    pixels: NDArray[np.uint8]
    """``(H, W, 3)``, upright."""
    seconds: float
    """Since the first."""


@dataclass
class _Line:
    """A queue between two threads, which ends when either side ends."""

    stop: threading.Event
    frames: queue.Queue[_Frame | None] = field(default_factory=lambda: queue.Queue(WAITING))

    def put(self, frame: _Frame | None) -> bool:
        """Wait for room; False if the others have stopped."""
        while not self.stop.is_set():
            with suppress(queue.Full):
                self.frames.put(frame, timeout=TICK_S)
                return True
        return False

    def replace(self, frame: _Frame) -> int:
        """Put a frame without waiting, instead of the oldest ones; returns how many these were."""
        dropped = 0
        while True:
            try:
                self.frames.put_nowait(frame)
                return dropped
            except queue.Full:
                with suppress(queue.Empty):
                    self.frames.get_nowait()
                    dropped += 1

    def __iter__(self) -> Iterator[_Frame]:
        """Return frames up to the None at the end."""
        while not self.stop.is_set():
            with suppress(queue.Empty):
                frame = self.frames.get(timeout=TICK_S)
                if frame is None:
                    return
                yield frame


def predict_video(
    predictor: Predicts,
    source: str,
    out: Path,
    options: VideoOptions | None = None,
    *,
    on_frame: Callable[[Film], None] | None = None,
) -> Film:
    """Label a film, a stream or a camera, and write it tinted with the colours of its classes.

    The file appears when it is finished. Ctrl+C ends what comes live in order.

    Args:
        predictor: Answers the frames; of three channels.
        source: A file, an address such as ``rtsp://...``, or the number of a camera.
        out: The film that is written, ``.mp4``, ``.mkv`` or ``.mov``.
        options: How it is labelled.
        on_frame: Told after every frame.

    Returns:
        How many frames there were, and how it was written.

    Raises:
        ConfigError: PyAV is missing, the network takes other than three channels, or ``out`` ends
            otherwise or is the source.
        DataError: The source cannot be opened, or holds no picture.
    """
    options = options or VideoOptions()
    av = _import_av()
    _check(predictor, source, out)
    film, stop = Film(), threading.Event()
    read, write = _Line(stop), _Line(stop)
    faults: list[BaseException] = []
    with _opened(av, source) as (container, stream), atomic_path(out) as temporary:
        threads = [
            _thread(stop, faults, _decode, av, container, stream, read, film, options, source),
            _thread(stop, faults, _encode, av, stream, write, film, temporary),
        ]
        try:
            _label(predictor, read, write, film, options, on_frame)
        except KeyboardInterrupt:
            if not is_live(source):
                raise
        except BaseException:
            stop.set()
            raise
        finally:
            if not stop.is_set():
                write.put(None)
                threads[1].join()
            stop.set()
            for thread in threads:
                thread.join()
        if faults:
            raise faults[0]
        if not film.frames:
            raise DataError(f"{source} holds no picture that can be decoded; export it again.")
    return film


def _label(
    predictor: Predicts,
    read: _Line,
    write: _Line,
    film: Film,
    options: VideoOptions,
    on_frame: Callable[[Film], None] | None,
) -> None:
    earlier: NDArray[np.float32] | None = None
    for pixels, seconds in read:
        if options.smoothing:
            values = predictor.probabilities(pixels)
            if earlier is not None and earlier.shape == values.shape:
                values = options.smoothing * earlier + (1 - options.smoothing) * values
            earlier = values
            labels = predictor.space.decide(values)
        else:
            labels = predictor.label_map(pixels)
        if not write.put(_Frame(tint(pixels, labels, predictor.labels, options.alpha), seconds)):
            return
        film.frames += 1
        if on_frame is not None:
            on_frame(film)


def _decode(
    av: ModuleType,
    container: InputContainer,
    stream: VideoStream,
    line: _Line,
    film: Film,
    options: VideoOptions,
    source: str,
) -> None:
    """Put frames uint8 ``(H, W, 3)``, upright, with their time in seconds."""
    start: float | None = None
    last = -1.0
    for frame in _frames(av, container, stream, film):
        seconds = frame.time if frame.time is not None else last + 1 / _rate(stream)
        start = seconds if start is None else start
        at = max(seconds - start, last + 1e-3)  # times that run backwards cannot be written
        if line.stop.is_set() or (options.seconds is not None and at >= options.seconds):
            break
        last = at
        pixels = frame.to_ndarray(format="rgb24")
        turns = round(getattr(frame, "rotation", 0) / 90) % 4
        pixels = np.ascontiguousarray(np.rot90(pixels, turns))
        if is_live(source):
            film.skipped += line.replace(_Frame(pixels, at))
        else:
            line.put(_Frame(pixels, at))
    line.put(None)


def _frames(
    av: ModuleType, container: InputContainer, stream: VideoStream, film: Film
) -> Iterator[VideoFrame]:
    """Decode packet by packet, so that a damaged one costs no more than itself."""
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets, None)
        except av.FFmpegError:  # the file ends within a packet, or the line broke
            film.damaged += 1
            packet = None
        if packet is None:
            return
        try:
            yield from packet.decode()
        except av.FFmpegError:
            film.damaged += 1


def _encode(av: ModuleType, source: VideoStream, line: _Line, film: Film, path: Path) -> None:
    with av.open(str(path), "w") as container:
        stream = None
        for pixels, seconds in line:
            if stream is None:
                film.size = (pixels.shape[0], pixels.shape[1])
                stream = _add_stream(av, container, source, film)
            frame = av.VideoFrame.from_ndarray(_fitted(pixels, stream), format="rgb24")
            frame.time_base = Fraction(1, 90_000)
            frame.pts = round(seconds * 90_000)
            container.mux(stream.encode(frame))
        if stream is not None:
            container.mux(stream.encode(None))


def _add_stream(
    av: ModuleType, container: OutputContainer, source: VideoStream, film: Film
) -> VideoStream:
    name = next(name for name in ENCODERS if name in av.codecs_available)
    film.encoder = name
    stream: VideoStream = container.add_stream(
        name, rate=Fraction(_rate(source)).limit_denominator(1001)
    )
    height, width = film.size
    # Colours are stored at half the size, so that sides must be even.
    stream.height, stream.width = height + height % 2, width + width % 2
    stream.pix_fmt = "yuv420p"
    stream.codec_context.time_base = Fraction(1, 90_000)
    if name == "libx264":
        stream.options = {"crf": "20", "preset": "veryfast"}
    else:
        stream.bit_rate = max(1_000_000, 4 * height * width)
    return stream


def _fitted(pixels: NDArray[np.uint8], stream: VideoStream) -> NDArray[np.uint8]:
    """Give a frame the size of the film, which streams may change on the way."""
    below, beside = stream.height - pixels.shape[0], stream.width - pixels.shape[1]
    if below < 0 or beside < 0:
        pixels = pixels[: stream.height, : stream.width]
    padded: NDArray[np.uint8] = np.pad(
        pixels, ((0, max(below, 0)), (0, max(beside, 0)), (0, 0)), mode="edge"
    )
    return padded


def _rate(stream: VideoStream) -> float:
    return float(stream.average_rate or stream.guessed_rate or 30)


def _thread(
    stop: threading.Event,
    faults: list[BaseException],
    work: Callable[Words, None],
    *words: Words.args,
    **named: Words.kwargs,
) -> threading.Thread:
    def run() -> None:
        try:
            work(*words, **named)
        except BaseException as error:  # raised again by the caller's thread
            faults.append(error)
            stop.set()

    thread = threading.Thread(target=run, name=work.__name__, daemon=True)
    thread.start()
    return thread


@contextmanager
def _opened(av: ModuleType, source: str) -> Iterator[tuple[InputContainer, VideoStream]]:
    address, options = source, dict[str, object]()
    if source.isdecimal():
        address, kind = {
            "darwin": (source, "avfoundation"),
            "win32": (f"video={source}", "dshow"),
        }.get(sys.platform, (f"/dev/video{source}", "v4l2"))
        options = {"format": kind}
    elif source.lower().startswith("rtsp"):
        options = {"options": {"rtsp_transport": "tcp"}, "timeout": 20}
    try:
        container = av.open(address, **options)
    except FileNotFoundError as error:
        name = f"camera {source} ({address})" if source.isdecimal() else source
        raise DataError(f"{name} does not exist.") from error
    except (av.FFmpegError, OSError, ValueError) as error:
        raise DataError(f"{source} cannot be opened as a film ({error}).") from error
    with container:
        if not container.streams.video:
            raise DataError(f"{source} holds no picture, only sound.")
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        yield container, stream


def _check(predictor: Predicts, source: str, out: Path) -> None:
    if predictor.num_channels != 3:
        raise ConfigError(
            f"films have three channels, but the network takes {predictor.num_channels}."
        )
    if out.suffix.lower() not in WRITTEN_ENDINGS:
        raise ConfigError(f"{out}: films are written as {', '.join(WRITTEN_ENDINGS)}; see --out.")
    if not is_live(source) and out.exists() and out.samefile(source):
        raise ConfigError(f"{out} is the film that is read; choose another file with --out.")


def _import_av() -> ModuleType:
    try:
        import av
    except ImportError as error:
        raise ConfigError(
            "films need PyAV, which is not here; install `segloom[video]`."
        ) from error
    found: ModuleType = av
    return found
