"""What is wrong with the files of a data set: damaged, of another size, or there more than once."""

from __future__ import annotations

from pathlib import Path

from segloom.data_check.contents import Contents
from segloom.data_check.finding import Finding

__all__ = ["file_findings"]


def file_findings(contents: Contents) -> list[Finding]:
    """Describe which files cannot be read, do not fit each other, or are there several times."""
    findings = []
    if contents.damaged:
        message = f"{len(contents.damaged)} files cannot be read; replace or remove them."
        findings.append(Finding("problem", "damaged", message, tuple(contents.damaged)))
    if contents.mismatched:
        message = f"{len(contents.mismatched)} label maps are not of the size of their image."
        if contents.num_turned:
            message += (
                f" {contents.num_turned} would be if the EXIF orientation of the image were left "
                "out: remove it from the images (`exiftool -Orientation= FILE`), or turn the label "
                "maps."
            )
        findings.append(Finding("problem", "size", message, tuple(contents.mismatched)))
    if alone := contents.turned_alone:
        message = (
            f"the EXIF orientation of {len(alone)} images turns them over or mirrors them, and "
            "their label maps have none; images are read upright, so see that the label maps are."
        )
        findings.append(Finding("note", "orientation", message, tuple(alone)))
    return findings + _repeated(contents)


def _repeated(contents: Contents) -> list[Finding]:
    """Describe which images occur more than once."""
    twice = [files for files in contents.hashes.values() if len(files) > 1]
    leaks = [files for files in twice if len({split for split, _ in files}) > 1]
    if leaks:
        message = (
            f"{len(leaks)} images are in more than one split, so scores on them mean nothing; "
            "remove them from one."
        )
        return [Finding("problem", "leak", message, _spell_same(leaks))]
    if twice:
        message = f"{len(twice)} images occur more than once."
        return [Finding("note", "twice", message, _spell_same(twice))]
    return []


def _spell_same(groups: list[list[tuple[str, Path]]]) -> tuple[str, ...]:
    return tuple(" = ".join(str(path) for _, path in files) for files in groups)
