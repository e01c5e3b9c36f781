"""Generated street scenes with CamVid's eleven classes: the data set that needs no download."""

from segloom.scenes.scene import make_scene

__all__ = ["make_scene"]
