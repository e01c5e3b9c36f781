"""Looking a data set over before it is trained on: what is there, what is wrong, what to write."""

from segloom.data.check.finding import Finding
from segloom.data.check.layout import Layout
from segloom.data.check.report import DataReport, LabelRow, SplitCount, check

__all__ = ["DataReport", "Finding", "LabelRow", "Layout", "SplitCount", "check"]
