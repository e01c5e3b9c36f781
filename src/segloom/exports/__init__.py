"""Exported networks: written, compared with the network on real images, and only then kept."""

from segloom.exports.run import Export, export

__all__ = ["Export", "export"]
