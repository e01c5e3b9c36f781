"""What is written of a prediction, and what comes with its images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from segloom.prediction.class_truth import ClassTruth
from segloom.prediction.truth import Truth

__all__ = ["DEFAULT_OUTPUTS", "OUTPUTS", "Output", "PredictionOptions"]

Output = Literal["label", "palette", "overlay", "errors", "montage", "probabilities"]
"""A file per image:

- label: The class ids as 8-bit PNG, or a PNG of 0 and 255 per class where these may overlap.
- palette: The class ids as a PNG that shows the classes' colours; not where these may overlap.
- overlay: The image tinted with the classes' colours, or with lines around the objects.
- errors: With ground truth, where the prediction is right, wrong or unmeasured.
- montage: Image, classes and overlay side by side with a legend; with ground truth, image, ground
  truth, prediction and errors.
- probabilities: A compressed NumPy archive with ``probabilities`` float16 ``(K, H, W)`` and
  ``classes``.
"""
OUTPUTS: tuple[Output, ...] = get_args(Output)
"""All of them, in the order in which they are written."""
DEFAULT_OUTPUTS: frozenset[Output] = frozenset({"label", "palette", "overlay", "errors"})


@dataclass(frozen=True, kw_only=True)
class PredictionOptions:
    """Options of `segloom.prediction.files.predict_files`."""

    outputs: frozenset[Output] = DEFAULT_OUTPUTS
    """What is written, as far as it can be: errors need ground truth."""
    alpha: float = 0.5
    """Share of the classes' colours in the overlay, 0 to 1."""
    outline: bool = False
    """Draw lines around the objects in the overlay."""
    skip_existing: bool = False
    """Pass over images whose results are all there and not older than the image."""
    overwrite: bool = False
    """Replace files that segloom did not write, or that were changed since; an image or a label map
    of the truth is never replaced."""
    truth: Truth | ClassTruth | None = None
    """Label maps of the images, from `segloom.prediction.truth.find_truth`."""
    edges: Mapping[Path, Path] | None = None
    """Edge map of every image, as `segloom.data.companions.match_files` finds them, for a network
    that takes them."""
    hu_window: tuple[float, float] = (-250.0, 250.0)
    """Values of a volume or a slice that are black and white to the network, as in its training."""

    def sources(self, image: Path) -> tuple[Path, ...]:
        """Return the files that the results of an image are made from, itself first."""
        truth = self.truth.sources(image) if self.truth else ()
        edge = (self.edges or {}).get(image)
        return (image, *truth, *([edge] if edge else []))
