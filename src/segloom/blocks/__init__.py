"""Blocks of layers that networks and enhancements share, and the surgery on SMP's own blocks."""
