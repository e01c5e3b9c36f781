"""The small networks of `support.networks` as fixtures."""

from support.networks import labels, make_model, model

__all__ = ["labels", "make_model", "model"]
