"""Exported networks, opened with numpy, Pillow and their own runtime; nothing imports torch."""

from segloom.runtime.description import Description, is_export
from segloom.runtime.model import ExportedModel, load

__all__ = ["Description", "ExportedModel", "is_export", "load"]
