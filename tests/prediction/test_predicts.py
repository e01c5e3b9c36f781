"""Files are predicted by whatever answers images, with and without torch."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image

PROGRAM = """
import sys
from pathlib import Path

sys.modules["torch"] = None  # importing it raises

import numpy as np

from segloom.labels.space import Exclusive
from segloom.prediction.files import predict_files
from segloom.prediction.options import OUTPUTS, PredictionOptions
from segloom.types import LabelSet


class Brightness:
    labels = LabelSet(("dark", "bright"), ((0, 0, 0), (255, 255, 255)))
    space = Exclusive(2)
    num_channels = 3
    takes_edges = False

    def label_map(self, image):
        return self.space.decide(self.probabilities(image))

    def probabilities(self, image):
        bright = image.mean(axis=2, dtype=np.float32) / 255
        return np.stack([1 - bright, bright])


file, out = map(Path, sys.argv[1:])
options = PredictionOptions(outputs=frozenset(OUTPUTS))
(result,) = predict_files(Brightness(), [file], out, options)
assert result.error is None, result.error
print(result.shares["bright"], *sorted(result.written))
"""


def test_another_backend_predicts_files_without_torch(tmp_path: Path) -> None:
    image = np.zeros((4, 8, 3), np.uint8)
    image[:, :2] = 200
    Image.fromarray(image).save(tmp_path / "a.png")
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path / "a.png"), str(tmp_path / "out")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [
        "0.25",
        "label",
        "montage",
        "overlay",
        "palette",
        "probabilities",
    ]
    labels = np.array(Image.open(tmp_path / "out" / "a_label.png"))
    np.testing.assert_array_equal(labels, image[..., 0] == 200)
