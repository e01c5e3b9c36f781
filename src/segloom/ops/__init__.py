"""Tensor functions that know nothing of networks, data or files."""
