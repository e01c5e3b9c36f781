"""Comparing networks honestly: the same conditions, several seeds, paired statistics.

Importing this package does not import torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from segloom.lazy import lazy_names

if TYPE_CHECKING:
    from segloom.comparison.finished import compare_runs
    from segloom.comparison.publishing import publish
    from segloom.comparison.run import Comparison, compare

__all__ = ["Comparison", "compare", "compare_runs", "publish"]

_HOMES = {
    "Comparison": "segloom.comparison.run",
    "compare": "segloom.comparison.run",
    "compare_runs": "segloom.comparison.finished",
    "publish": "segloom.comparison.publishing",
}

__getattr__ = lazy_names(__name__, _HOMES)
