"""Networks of our own, one file per paper; `segloom.models.architectures` names them."""
