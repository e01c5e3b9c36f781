"""A note of an export in the run it came from, and a section of the run's reports about it."""

from __future__ import annotations

from pathlib import Path

from segloom.errors import DataError
from segloom.exports.gate import Findings
from segloom.files import write_json
from segloom.report import write_report
from segloom.run_directory import RunDirectory
from segloom.runtime.description import Description, ExportKind

__all__ = ["note_export"]


def note_export(
    run: Path, out: Path, kind: ExportKind, description: Description, findings: Findings
) -> None:
    """Note an export in its run, and write the reports of the run anew.

    One note is kept of each format and precision. A run that cannot be written to has none; what
    else is no run, neither.

    Args:
        run: Where the network comes from.
        out: Where the export lies.
        kind: What was asked for.
        description: What it is.
        findings: How it compared.
    """
    directory = RunDirectory(run)
    if not directory.config.is_file():
        return
    file = out / description.file
    weights = [path for path in (file, file.with_suffix(".bin")) if path.is_file()]
    note = {
        "format": kind,
        "precision": description.precision,
        "folder": str(out.resolve()),
        "megabytes": round(sum(path.stat().st_size for path in weights) / 1e6, 1),
        "weights_sha256": description.weights_sha256,
        "segloom_version": description.segloom_version,
        **findings.to_json(),
    }
    try:
        directory.gates.mkdir(exist_ok=True)
        write_json(directory.gates / f"{kind}_{description.precision}.json", note)
        for split in directory.evaluated_splits:
            write_report(run, split)
    except (DataError, OSError):  # `segloom report` tells what is wrong
        return
