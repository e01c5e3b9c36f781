"""Draw every figure of the documentation: ``python docs/figures/draw.py [NAME ...]``.

Networks are built and run, and what they did is drawn; images are scenes that segloom generates.
The same files come out each time on one machine.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import ideas
import networks
import torch
from matplotlib.figure import Figure
from style import save

FOLDER = Path(__file__).resolve().parent

FIGURES: dict[str, Callable[[], Figure]] = {
    "afma": ideas.afma,
    "celt": ideas.celt,
    "control": ideas.control,
    "dilation": ideas.dilation,
    "dlinknet": networks.dlinknet,
    "dlse": networks.dlse,
    "eomt": networks.eomt,
    "fam": ideas.fam,
    "fem": ideas.fem,
    "fenet": networks.fenet,
    "hed": networks.hed,
    "linear": networks.linear,
    "linknet": networks.linknet,
    "pipeline": ideas.pipeline,
    "se": ideas.se,
    "sfnet": networks.sfnet,
    "supervision": ideas.supervision,
    "transformer": networks.transformer,
}
"""Name of the file, without ``.png``, and what draws it."""


def main(words: list[str] | None = None) -> None:
    """Draw the figures that are named, or all."""
    parser = argparse.ArgumentParser(description="Draw the figures of the documentation.")
    parser.add_argument("names", nargs="*", choices=[[], *FIGURES], metavar="NAME")
    parser.add_argument("--out", type=Path, default=FOLDER, help="folder of the PNG files")
    options = parser.parse_args(words)
    for name in options.names or FIGURES:
        torch.manual_seed(0)
        save(FIGURES[name](), options.out / f"{name}.png")


if __name__ == "__main__":
    main()
