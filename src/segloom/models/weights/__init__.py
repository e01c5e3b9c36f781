"""Weights: checkpoints, model cards, conversion of foreign files, pretrained encoders."""
