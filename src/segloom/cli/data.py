"""``segloom data``: look a data set over, list or prepare its files, or fetch one."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from tyro.conf import Positional

from segloom.cli import prepare
from segloom.cli.options import parse
from segloom.config.data import DataConfig
from segloom.config.load import dump_data_options, read_values
from segloom.data.readers import find_data_set
from segloom.data.tools.download import download, find_download
from segloom.data.tools.write_lists import write_lists
from segloom.data_check import check
from segloom.data_check.leakage import draw_lookalikes, find_leakage
from segloom.errors import ConfigError, DataError, UnknownNameError
from segloom.files import write_text
from segloom.terminal import progress_bar
from segloom.text import printable
from segloom.training.from_data import choose_options, open_options

if TYPE_CHECKING:
    from segloom.data_check import DataReport

__all__ = ["CheckOptions", "DownloadListOptions", "DownloadOptions", "run"]

USAGE = """usage: segloom data COMMAND ...   (segloom data COMMAND --help tells more)

  check DIR                    look at every image and label map; print the options that read them
  check DIR --leakage          also name films, patients and pictures that stand in two splits
  list NAME --out DIR          write lists of image, label map and edge map, one per split
  download camvid --out DIR    fetch a public data set
  prepare DIR --out DIR        turn colour label maps into class ids, once\
"""

MAX_ROWS = 40
MAX_FILES = 8


def run(words: Sequence[str]) -> int:
    """Run one of the commands below; return 0 for fine, 1 for problems found."""
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
    options = parse(CheckOptions, words, verb="data check")
    with progress_bar("reading", "pairs", quiet=options.json) as progress:
        report = check(
            options.directory, classes=options.classes, limit=options.limit, progress=progress
        )
    if options.leakage or options.pictures:
        _check_leakage(report, options)
    if options.json:
        print(json.dumps(report.to_dict(), indent=2))
    else:
        _print_report(report)
    if options.out is not None:
        _write_config(report, options.out)
    elif report.options and not options.json:
        print(f"next: segloom data check {shlex.quote(str(options.directory))} --out mine.yaml")
    return 0 if report.is_fine else 1


def _check_leakage(report: DataReport, options: CheckOptions) -> None:
    """Add what the splits have in common to the report."""
    if not report.options:
        raise DataError(
            f"{options.directory} cannot be read yet, so its splits cannot be compared; fix the "
            "problems that `segloom data check` names without --leakage first."
        )
    values = {**report.options, "root": options.directory, "group_by": options.group_by}
    with progress_bar("comparing", "images", quiet=options.json) as progress:
        found = find_leakage(DataConfig.model_validate(values), progress=progress)
    report.findings += found.findings
    if options.pictures is not None and found.lookalikes:
        draw_lookalikes(found, options.pictures)
        print(f"{options.pictures} is written", file=sys.stderr)
    elif options.pictures is not None:
        print(f"no two images look alike: {options.pictures} is not written", file=sys.stderr)


def _config(report: DataReport) -> str:
    """Write a configuration: a recipe, and on top of it what reads this folder and fits it."""
    recipe = find_data_set(str(report.options.get("name", "folder"))).default_recipe
    options, train = dict(report.options), ""
    values = {"data": {**options, "root": str(report.directory)}, "extends": recipe}
    config = read_values(values, report.directory)
    if report.is_fine and open_options(config):
        config = choose_options(config)
        crop, batch = config.data.crop, config.data.batch_size
        options |= {"crop": list(crop) if crop else None, "batch_size": batch}
        train = f"train: {{epochs: {config.train.epochs}}}\n"
    return f"extends: {recipe}\n{dump_data_options(options)}{train}"


def _write_config(report: DataReport, out: Path) -> None:
    """Write the configuration that trains on the folder, and say how to use it."""
    if not report.options:
        raise DataError(f"{out} is not written: no options that read {report.directory} are known.")
    if out.suffix not in (".yaml", ".yml"):
        raise ConfigError(f"--out {out} must end in .yaml, as configuration files do.")
    report.options["root"] = str(report.directory.absolute())  # the file may be read elsewhere
    write_text(out, _config(report))
    print(f"{out} is written", file=sys.stderr)
    print(f"next: segloom train {shlex.quote(str(out))}", file=sys.stderr)


def _list(words: Sequence[str]) -> int:
    options = parse(DownloadListOptions, words, verb="data list")
    config = options.data.model_copy(update={"name": options.name})
    written = write_lists(config, options.out, options.edges)
    for split, number in written.counts.items():
        print(f"{options.out / split}.csv: {number} samples")
    print(
        f"train on them, with the same classes: segloom train {shlex.quote(str(written.options))}"
    )
    return 0


def _download(words: Sequence[str]) -> int:
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
    wide = None if sys.stdout.isatty() else 110
    console = Console(width=wide, highlight=False)
    console.print(f"[bold]{escape(printable(report.directory))}[/bold]")
    if report.splits:
        _print_counts(console, report)
        _print_labels(console, report)
    for finding in report.findings:
        colour = "red" if finding.level == "problem" else "cyan"
        console.print(f"[{colour}]{finding.level}[/{colour}] {escape(printable(finding.message))}")
        for name in finding.files[:MAX_FILES]:
            console.print(f"    {escape(printable(name))}", soft_wrap=True)
        if len(finding.files) > MAX_FILES:
            console.print(f"    and {len(finding.files) - MAX_FILES} more")
    if report.options:
        console.print("\nThis configuration trains on it (--out FILE.yaml writes it):\n")
        print(_config(report))
    console.print("[green]fine[/green]" if report.is_fine else "[red]there are problems[/red]")


def _print_counts(console: Console, report: DataReport) -> None:
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
    table = Table("value", "share of pixels", "files", "class", box=None, pad_edge=False)
    for row in report.labels[:MAX_ROWS]:
        table.add_row(row.value, f"{row.share:.3%}", str(row.files), escape(printable(row.name)))
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
    leakage: bool = False
    """Name what the splits have in common: groups of images, such as films or patients, that stand
    in two of them, and images that look alike."""
    group_by: str = ""
    """Which images are a group, as for --data.group-by; empty takes what the reader knows."""
    pictures: Path | None = None
    """Draw the most alike images of different splits side by side into this .png file."""
    out: Path | None = None
    """Write a configuration that trains on the data set to this .yaml file."""
    json: bool = False
    """Print the report as JSON."""


@dataclass
class DownloadListOptions:
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
