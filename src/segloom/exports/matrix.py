"""Which architecture exports with which enhancement.

The tests export every pair that fits and compare it at five sizes; `NOT_EXPORTED` is what they
expect to be refused.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from segloom.models.matrix import Fit, fit_matrix

__all__ = ["NOT_EXPORTED", "export_matrix"]

NOT_EXPORTED: Mapping[tuple[str, str], str] = {}
"""Why the gate refuses the ONNX file of an architecture with an enhancement (empty for none), which
is named as the command line names it. All pairs pass at present."""


def export_matrix(progress: Callable[[int, int], None] | None = None) -> list[Fit]:
    """Build every architecture with every variant of every enhancement, and say what exports.

    Args:
        progress: Called after each cell with the number done and the number of all.
    """
    return [
        cell._replace(export="" if cell.refusal else NOT_EXPORTED.get(cell[:2], ""))
        for cell in fit_matrix(progress)
    ]
