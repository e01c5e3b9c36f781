"""Looking a data set over before it is trained on: what is there, what is wrong, what to write."""

from segloom.data_check.finding import Finding
from segloom.data_check.layout import Layout
from segloom.data_check.report import DataReport, LabelRow, SplitCount, check

__all__ = ["DataReport", "Finding", "LabelRow", "Layout", "SplitCount", "check"]
