"""From a run directory to ``eval/<split>/report.html``.

The page loads nothing: its policy (CSP) forbids every address but its own data, and lets only the
one script run whose hash it names.
"""

from __future__ import annotations

import base64
import hashlib
import re
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from segloom.files import write_text
from segloom.labels.pictures import ERROR_LEGEND
from segloom.report import sections
from segloom.report.comparison_words import signed
from segloom.report.exported import read_exports
from segloom.report.plots import short_number
from segloom.report.read import RunRecord, read_record

__all__ = ["render", "render_page", "write_page", "write_report"]

FOLDER = Path(__file__).parent


def write_report(run: Path, split: str) -> Path:
    """Write the report of the evaluation of ``run`` on ``split``; return its path.

    It reads metrics.json and, where they are, per_image.csv and the montages of the evaluation,
    and metrics.csv, config.yaml, command.txt and the notes of exports of the run. The same files
    give the same bytes.

    Raises:
        DataError: There is no evaluation of this split, or its metrics.json is damaged.
    """
    record = read_record(run, split)
    path = record.folder / "report.html"
    write_page(path, render(record))
    return path


def render(record: RunRecord) -> str:
    """Make the page; every text from the run is escaped."""
    network, measured_on = sections.titles(record)
    return render_page(
        "report.html.j2",
        metrics=record.metrics,
        overlaps=record.metrics.mode == "multilabel",
        network=network,
        measured_on=measured_on,
        scores=sections.score_list(record),
        facts=sections.facts(record),
        error_colors=[(name, sections.css_color(color)) for name, color in ERROR_LEGEND],
        classes=sections.class_rows(record),
        confusion=sections.confusion_rows(record),
        confusions=sections.frequent_confusions(record),
        size_chart=sections.size_chart(record.metrics.size),
        size_classes=sections.size_classes(record),
        measures=sections.other_tables(record),
        image_chart=sections.per_image_chart(record),
        per_image=sorted(record.per_image, key=lambda pair: pair[1]),
        figures=sections.figures(record),
        exports=read_exports(record.run),
        charts=sections.histories(record),
        history=record.history,
        config_text=record.config_text,
        commands=sections.command_lines(record),
    )


def render_page(template: str, **values: object) -> str:
    """Fill a template of this folder, with the style sheet and the script; all text is escaped."""
    environment = Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        percent=sections.percent,
        cut=cut,
        signed=lambda v: "\N{EN DASH}" if v is None else signed(v),
        short=lambda v: "\N{EN DASH}" if v is None else short_number(v),
    )
    script = (FOLDER / "report.js").read_text(encoding="utf-8")
    return environment.get_template(template).render(
        **values,
        style=(FOLDER / "report.css").read_text(encoding="utf-8"),
        script=script,
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        version=_version(),
    )


def write_page(path: Path, html: str) -> None:
    """Write a page as UTF-8."""
    # A lone surrogate in a name has no UTF-8; a question mark takes its place.
    write_text(path, html.encode("utf-8", "replace").decode("utf-8"))


def cut(text: object, length: int = 60) -> str:
    """Shorten a name for the eye: one line, three dots where something is missing."""
    text = re.sub(r"[\x00-\x20\x7f-\xa0]+", " ", str(text)).strip()
    return text if len(text) <= length else text[: length - 1].rstrip() + "\N{HORIZONTAL ELLIPSIS}"


def _version() -> str:
    try:
        return version("segloom")
    except PackageNotFoundError:
        return "from a source folder"
