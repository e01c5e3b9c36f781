"""Weight files of several kinds as named tensors. No code in a file is ever run."""

from segloom.weight_files.prefixes import strip_prefix, without_compile
from segloom.weight_files.read import WEIGHT_SUFFIXES, check_fit, read_state_dict

__all__ = ["WEIGHT_SUFFIXES", "check_fit", "read_state_dict", "strip_prefix", "without_compile"]
