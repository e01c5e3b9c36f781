"""``segloom data``: look a data set over, list or prepare its files, or fetch one."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from tyro.conf import Positional

from segloom.cli.progress import progress_bar
from segloom.config.data import DataConfig
from segloom.errors import UnknownNameError

if TYPE_CHECKING:
    from rich.console import Console

    from segloom.data.check import DataReport

__all__ = ["CheckOptions", "DownloadOptions", "ListOptions", "run"]

USAGE = """usage: segloom data COMMAND ...   (segloom data COMMAND --help tells more)

  check DIR                    look at every image and label map; print the options that read them
  list NAME --out DIR          write lists of image, label map and edge map, one per split
  download camvid --out DIR    fetch a public data set
  prepare DIR --out DIR        turn colour label maps into class ids, once\
"""

MAX_ROWS = 40
MAX_FILES = 8


def run(words: Sequence[str]) -> int:
    """Run one of the commands below; return 0 for fine, 1 for problems found."""
    from segloom.cli import prepare

    verb, *rest = words or ["--help"]
    if verb in ("-h", "--help"):
        print(USAGE)
        return 0 if words else 2
    commands: dict[str, Callable[[Sequence[str]], int]] = {
        "check": _check,
        "list": _list,
        "download": _download,
        "prepare": prepare.run,
    }
    if verb not in commands:
        raise UnknownNameError("data command", verb, commands)
    return commands[verb](rest)


def _check(words: Sequence[str]) -> int:
    from segloom.cli.options import parse
    from segloom.data.check import check

    options = parse(CheckOptions, words, verb="data check")
    with progress_bar("reading", "pairs", quiet=options.json) as progress:
        report = check(
            options.directory, classes=options.classes, limit=options.limit, progress=progress
        )
    if options.json:
        print(json.dumps(report.to_dict(), indent=2))
    else:
        _print_report(report)
    return 0 if report.is_fine else 1


def _list(words: Sequence[str]) -> int:
    from segloom.cli.options import parse
    from segloom.data.write_lists import write_lists

    options = parse(ListOptions, words, verb="data list")
    config = options.data.model_copy(update={"name": options.name})
    written = write_lists(config, options.out, options.edges)
    for split, number in written.counts.items():
        print(f"{options.out / split}.csv: {number} samples")
    print(
        f"train on them, with the same classes: segloom train {shlex.quote(str(written.options))}"
    )
    return 0


def _download(words: Sequence[str]) -> int:
    from segloom.cli.options import parse
    from segloom.data.download import download, find_download

    options = parse(DownloadOptions, words, verb="data download")
    source = find_download(options.name)
    print(source.terms, file=sys.stderr)
    print(f"From {source.url}", file=sys.stderr)
    with progress_bar("fetching", "bytes", quiet=options.json) as progress:
        done = download(options.name, options.out, progress=progress)
    if options.json:
        print(json.dumps({**asdict(done), "path": str(done.path)}, indent=2))
        return 0
    counts = ", ".join(f"{number} {split}" for split, number in done.splits.items())
    print(f"{done.path}: {'already there' if done.was_there else 'complete'} ({counts})")
    print(f"train on it with --data.name {options.name} --data.root {done.path}")
    return 0


def _print_report(report: DataReport) -> None:
    from rich.console import Console
    from rich.markup import escape

    wide = None if sys.stdout.isatty() else 110
    console = Console(width=wide, highlight=False)
    console.print(f"[bold]{escape(str(report.directory))}[/bold]")
    if report.splits:
        _print_counts(console, report)
        _print_labels(console, report)
    for finding in report.findings:
        colour = "red" if finding.level == "problem" else "cyan"
        console.print(f"[{colour}]{finding.level}[/{colour}] {escape(finding.message)}")
        for name in finding.files[:MAX_FILES]:
            console.print(f"    {escape(name)}", soft_wrap=True)
        if len(finding.files) > MAX_FILES:
            console.print(f"    and {len(finding.files) - MAX_FILES} more")
    if report.options:
        console.print("\nThese lines of a configuration read it:\n")
        print(report.yaml)
    console.print("[green]fine[/green]" if report.is_fine else "[red]there are problems[/red]")


def _print_counts(console: Console, report: DataReport) -> None:
    from rich.table import Table

    if layout := report.layout:
        ends = [f"ending in {end}" for end in (layout.image_ending, layout.mask_ending) if end]
        note = f" ({', '.join(ends)})" if ends else ""
        console.print(
            f"images in {layout.images}, label maps in {layout.masks}{note}", markup=False
        )
    table = Table("split", "pairs", "images alone", "label maps alone", box=None, pad_edge=False)
    for split, count in report.splits.items():
        numbers = (count.pairs, count.images_alone, count.masks_alone)
        table.add_row(split, *(str(number) for number in numbers))
    console.print(table)
    sizes = [f"{number} of {size}" for size, number in list(report.sizes.items())[:6]]
    more = len(report.sizes) - len(sizes)
    console.print(f"sizes: {', '.join(sizes)}{f' and {more} other sizes' if more > 0 else ''}")
    console.print(f"label maps: {report.storage} ({report.num_read} pairs read)")


def _print_labels(console: Console, report: DataReport) -> None:
    from rich.table import Table

    table = Table("value", "share of pixels", "files", "class", box=None, pad_edge=False)
    for row in report.labels[:MAX_ROWS]:
        table.add_row(row.value, f"{row.share:.3%}", str(row.files), row.name)
    if report.labels:
        console.print(table)
    if len(report.labels) > MAX_ROWS:
        console.print(f"and {len(report.labels) - MAX_ROWS} more values")


@dataclass
class CheckOptions:
    """Look at every image and label map below a folder and print the options that read them."""

    directory: Positional[Path]
    """Folder of the data set."""
    classes: tuple[str, ...] = ()
    """Names of the classes in the order of their ids, if you know them."""
    limit: int | None = None
    """Read at most this many pairs, evenly spread."""
    json: bool = False
    """Print the report as JSON."""


@dataclass
class ListOptions:
    """Write lists of image, label map and edge map, per split, and data.yaml, which reads them."""

    name: Positional[str]
    """Reader: cityscapes, camvid, folder, ..."""
    out: Path
    """Folder of the lists."""
    edges: Path | None = None
    """Folder of edge maps, named as the images or their label maps."""
    data: DataConfig = field(default_factory=DataConfig)
    """Where the data set is, and how it is read."""


@dataclass
class DownloadOptions:
    """Fetch a public data set."""

    name: Positional[str]
    """Which: camvid."""
    out: Path
    """Folder of the data set, new or empty."""
    json: bool = False
    """Print the result as JSON."""
