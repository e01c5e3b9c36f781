"""Encoders that SMP does not build as they are needed: any image size, plain transformers."""
