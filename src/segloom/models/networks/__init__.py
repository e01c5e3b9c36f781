"""Networks of ours, one file per paper; `segloom.models.architectures` names them."""
