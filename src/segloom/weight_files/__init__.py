"""Weight files of several kinds as named tensors. No code in a file is ever run."""

from segloom.weight_files.read import WEIGHT_SUFFIXES, check_fit, read_state_dict

__all__ = ["WEIGHT_SUFFIXES", "check_fit", "read_state_dict"]
