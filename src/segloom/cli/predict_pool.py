"""``segloom predict RUN FOLDER --engine ray --out DIR``: label very many images."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from segloom.errors import ConfigError
from segloom.prediction.options import OUTPUTS, PredictionOptions

if TYPE_CHECKING:
    from segloom.cli.predict import PredictOptions
    from segloom.inference.pool import Tally

__all__ = ["predict_with_ray"]

OTHERS = ("truth", "edges", "export", "table", "image_ending", "truth_ending", "seconds")
"""Options that need a list of all images, or are of films."""
SHOWN_EVERY_S = 2.0


def predict_with_ray(
    options: PredictOptions, alpha: float, trained_window: tuple[float, float]
) -> int:
    """Label every image below one folder, and return 1 if one of them failed.

    Args:
        options: Of the command line.
        alpha: Share of the colours in the overlay.
        trained_window: Values of a volume that are black and white to the network.

    Raises:
        ConfigError: Options are given that do not go with Ray, or no folder is named.
    """
    _check_alone(options)
    if len(options.sources) != 1 or not (folder := Path(options.sources[0]).expanduser()).is_dir():
        raise ConfigError("--engine ray takes one folder of images; name it after the run.")
    from segloom.inference.pool import FAILURES, PoolOptions, predict_folder

    done = predict_folder(
        options.run,
        folder,
        options.out,
        PredictionOptions(
            alpha=alpha,
            outline=options.outline,
            outputs=frozenset(name for name in OUTPUTS if getattr(options, name)),
            overwrite=options.overwrite,
            hu_window=options.hu_window or trained_window,
        ),
        options.inference,
        PoolOptions(options.address, options.workers),
        on_progress=_progress(),
    )
    failures = options.out / FAILURES
    if options.json:
        print(json.dumps({**asdict(done), "per_second": round(done.per_second, 2)}, indent=2))
    else:
        print(f"{_words(done)} in {done.seconds:.1f} s; results in {options.out}")
    if done.failed:
        print(f"segloom: {failures} says why {done.failed} images failed", file=sys.stderr)
    return 1 if done.failed else 0


def _check_alone(options: PredictOptions) -> None:
    for name in OTHERS:
        if getattr(options, name):
            word = name.replace("_", "-")
            raise ConfigError(f"--{word} does not go with --engine ray; leave one of them out.")


def _progress() -> Callable[[Tally], None]:
    """Say now and then on the error stream how far it is."""
    last = time.monotonic()

    def show(tally: Tally) -> None:
        nonlocal last
        if time.monotonic() - last >= SHOWN_EVERY_S:
            last = time.monotonic()
            print(_words(tally), file=sys.stderr)

    return show


def _words(tally: Tally) -> str:
    parts = [f"{tally.predicted} predicted ({tally.per_second:.1f} a second)"]
    parts += [f"{tally.skipped} were there"] if tally.skipped else []
    parts += [f"{tally.failed} failed"] if tally.failed else []
    return ", ".join(parts)
