"""Semantic segmentation with plug-in enhancements. Names load on first use (PEP 562)."""
