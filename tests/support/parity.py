"""What the tests compared with recorded results, and how far off it was, as one table."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from support.recorded_files import RECORDED

__all__ = ["FINDINGS", "Comparison", "Findings", "parity_table"]

HEAD = """# Parity with the original programs

Every published method and network here was compared with results that its original program
computed: arrays of inputs, weights and outputs, recorded once. One row is one recorded file, one
kind of result and one bound; the error is the largest difference, divided by the largest recorded
value. Bound *exact* means that no difference is allowed. `make parity` runs the tests that read a
recorded file and writes this page from what they found; the last digit of an error depends on the
processor.

| recorded file | what | kind | arrays compared | worst relative error | bound in the test |
|---|---|---|---|---:|---:|
"""


REST = """
## Recorded, but read by no test

Settings that a test states itself, weights that a program makes and never applies, and notes:

"""


class Comparison(NamedTuple):
    """One result of ours beside the recorded one."""

    file: str
    key: str
    kind: str
    error: float
    """Largest difference over the largest recorded value."""
    bound: float
    """Largest error that the test allows; 0 for equality."""


@dataclass
class Findings:
    """What tests saw of recorded files."""

    compared: list[Comparison] = field(default_factory=list)
    read: set[tuple[str, str]] = field(default_factory=set)
    """Files and keys that a test looked at."""
    held: dict[str, list[str]] = field(default_factory=dict)
    """All keys of the files that a test opened."""

    def add(self, other: Findings) -> None:
        self.compared += [Comparison(*found) for found in other.compared]
        self.read |= other.read
        self.held |= other.held

    def take(self) -> dict[str, object]:
        """Hand out everything, as what travels between processes, and begin anew."""
        compared = [tuple(found) for found in self.compared]
        taken = {"compared": compared, "read": self.read, "held": self.held}
        self.compared, self.read, self.held = [], set(), {}
        return taken


FINDINGS = Findings()
"""Of the test that runs; `tests/conftest.py` takes them when it ends."""


def parity_table(findings: Findings) -> str:
    """Write the page: a row per file, kind and bound, and one for every file that no test read."""
    groups: dict[tuple[str, str, float], list[Comparison]] = {}
    for found in findings.compared:
        groups.setdefault((found.file, found.kind, found.bound), []).append(found)
    rows, unread = [], []
    for file, what in RECORDED.items():
        own = {place: group for place, group in groups.items() if place[0] == file}
        if not own:
            rows.append(f"| {file} | {what} | – | no test compares it | – | – |")
        for (_, kind, bound), group in sorted(own.items()):
            keys = ", ".join(f"`{key}`" for key in dict.fromkeys(found.key for found in group))
            error = max(found.error for found in group)
            rows.append(
                f"| {file} | {what} | {kind} | {keys} | {f'{error:.0e}' if error else '0'} "
                f"| {f'{bound:.0e}' if bound else 'exact'} |"
            )
        rest = [key for key in findings.held.get(file, ()) if (file, key) not in findings.read]
        if rest:
            unread.append(f"- {file}: {', '.join(f'`{key}`' for key in rest)}")
    return HEAD + "\n".join(rows) + "\n" + REST + ("\n".join(unread) or "None.") + "\n"
