"""``segloom data prepare DIR --out DIR``: colour label maps become class ids, once."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from tyro.conf import Positional

from segloom.cli.options import parse
from segloom.data.tools.prepare import camvid_labels, prepare, read_palette
from segloom.errors import ConfigError
from segloom.terminal import progress_bar
from segloom.types import IGNORE_INDEX

__all__ = ["PrepareOptions", "run"]


@dataclass
class PrepareOptions:
    """Turn the colour label maps of a folder into PNGs of class ids; goes on where it stopped."""

    labels: Positional[Path]
    """Folder of label maps."""
    out: Path
    """Folder to write: the same names, and counts.json with the pixels of each class."""
    palette: Path | None = None
    """Text file with a line RED GREEN BLUE [NAME] per class; None takes CamVid's official merge of
    32 colours into 11 classes."""
    unknown: str = "error"
    """What another colour is: error, void, or a class id."""
    ending: str = ""
    """End of the files' stems that the new names leave out, such as _L."""
    json: bool = False
    """Print the result as JSON."""


def run(words: Sequence[str]) -> int:
    """Prepare and say what was done."""
    options = parse(PrepareOptions, words, verb="data prepare")
    if options.unknown not in ("error", "void") and not options.unknown.isdecimal():
        raise ConfigError(f"--unknown is error, void or a class id, not '{options.unknown}'.")
    names: dict[str, int | None] = {"error": None, "void": IGNORE_INDEX}
    unknown = names[options.unknown] if options.unknown in names else int(options.unknown)
    labels, decoder = (
        camvid_labels(unknown)
        if options.palette is None
        else read_palette(options.palette, unknown)
    )
    with progress_bar("preparing", "label maps", quiet=options.json) as progress:
        done = prepare(
            options.labels, options.out, labels, decoder, ending=options.ending, progress=progress
        )
    if options.json:
        print(json.dumps({**asdict(done), "path": str(done.path)}, indent=2))
        return 0
    total = sum(done.pixels.values())
    for name, pixels in done.pixels.items():
        print(f"{name:<20}{pixels / max(total, 1):>8.2%}")
    print(f"{done.path}: {done.num_maps} label maps, {done.num_written} of them new")
    return 0
