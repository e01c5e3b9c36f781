"""Networks of ours: one file each, readable beside its paper."""
