"""``segloom predict RUN clip.mp4|rtsp://...|0 --out labelled.mp4``: label a film."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from segloom.errors import ConfigError
from segloom.prediction.predicts import Predicts
from segloom.prediction.video import Film, VideoOptions, is_live, predict_video
from segloom.text import printable

if TYPE_CHECKING:
    from segloom.cli.predict import PredictOptions

__all__ = ["label_film"]

STILL = ("truth", "edges", "export", "table", "montage", "probabilities", "outline")
"""Options of images that films do not take."""
SHOWN_EVERY_S = 2.0


def label_film(options: PredictOptions, open_model: Callable[[], Predicts]) -> int:
    """Label one film, stream or camera, and say how it went.

    Args:
        options: Of the command line.
        open_model: Opens the network, once all else is known to be in order.

    Raises:
        ConfigError: Options are given that films do not take, or several sources.
        DataError: The film cannot be read.
    """
    source, out = _source(options), _place(options)
    alpha = 0.5 if options.alpha is None else options.alpha
    how = VideoOptions(alpha=alpha, smoothing=options.smoothing, seconds=options.seconds)
    start = time.perf_counter()
    film = predict_video(open_model(), source, out, how, on_frame=_progress(options.json))
    seconds = time.perf_counter() - start
    if options.json:
        print(json.dumps({**asdict(film), "seconds": round(seconds, 2), "out": str(out)}, indent=2))
        return 0
    height, width = film.size
    parts = [f"{film.frames} frames of {width}x{height} in {seconds:.1f} s"]
    parts += [f"{film.skipped} passed over"] if film.skipped else []
    parts += [f"{film.damaged} damaged parts left out"] if film.damaged else []
    print(f"{', '.join(parts)}; {out}")
    return 0


def _source(options: PredictOptions) -> str:
    if len(options.sources) > 1:
        raise ConfigError("one film at a time: name a single film, stream or camera.")
    for name in STILL:
        if getattr(options, name):
            raise ConfigError(f"--{name} is of images; leave it out for a film.")
    if options.alpha is not None and not 0 <= options.alpha <= 1:
        raise ConfigError(f"--alpha is a share from 0 to 1, not {options.alpha:g}.")
    source = options.sources[0]
    if not is_live(source) and not Path(source).is_file():
        raise ConfigError(f"{source} does not exist.")
    return source


def _place(options: PredictOptions) -> Path:
    """Take the file that is named, or one in the folder of the results."""
    out = options.out
    if not out.suffix:
        source = options.sources[0]
        name = "stream" if is_live(source) else Path(source).stem
        out = out / f"{name}_overlay.mp4"
    if out.exists() and not options.overwrite:
        raise ConfigError(f"{out} is there already; add --overwrite, or choose another --out.")
    return out


def _progress(is_quiet: bool) -> Callable[[Film], None]:
    last = time.perf_counter()

    def show(film: Film) -> None:
        nonlocal last
        if not is_quiet and time.perf_counter() - last > SHOWN_EVERY_S:
            last = time.perf_counter()
            print(printable(f"{film.frames} frames ..."), file=sys.stderr)

    return show
