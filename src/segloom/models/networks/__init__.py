"""Networks of ours, one file per paper; `models/architectures.py` names their builders."""
