"""Generated street scenes with CamVid's eleven classes: the data set that needs no download."""

from segloom.data.scenes.scene import make_scene
from segloom.data.scenes.store import read

__all__ = ["make_scene", "read"]
