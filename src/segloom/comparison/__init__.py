"""Comparing networks honestly: the same conditions, several seeds, paired statistics."""

from segloom.comparison.run import Comparison, compare, compare_runs

__all__ = ["Comparison", "compare", "compare_runs"]
