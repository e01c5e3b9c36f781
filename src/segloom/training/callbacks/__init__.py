"""Callbacks of the training loop: saving, recording, averaging, progress."""
