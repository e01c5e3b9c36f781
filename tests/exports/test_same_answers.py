"""An exported network answers as the program does, whatever the options."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.exports import LABELS
from support.networks import build

from segloom.cli.main import main
from segloom.config import DataConfig, InferenceConfig
from segloom.exports import Export
from segloom.exports.making import write_exact
from segloom.exports.run import describe
from segloom.images.pixels import PixelFormat
from segloom.inference import Predictor
from segloom.runtime import ExportedModel, load
from segloom.runtime.options import Options
from segloom.runtime.session import OnnxSession

OPTIONS = [
    {},
    {"flip": True},
    {"scales": (0.5, 1.0, 1.75)},
    {"scales": (0.75, 1.5), "flip": True, "average": "logits"},
    {"window": (64, 48)},
    {"window": (64, 48), "overlap": 0.2},
    {"window": (64, 64), "blend": "average", "overlap": 1 / 3},
    {"window": (64, 64), "scales": (0.5, 1.25), "flip": True},
    {"window": (64, 64), "scales": (1.0,), "flip": True, "average": "logits"},
    {"window": (500, 40)},
]


def picture(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(5).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize("options", OPTIONS, ids=lambda options: " ".join(options) or "plain")
def test_label_maps_and_probabilities_are_equal(run: Path, exported: Export, options: dict) -> None:
    predictor = Predictor.from_path(run, InferenceConfig(device="cpu", **options))
    model = load(exported.folder, threads=1, **options)
    for size in ((1, 1), (130, 171)):
        image = picture(*size)
        probabilities = model.probabilities(image)
        np.testing.assert_allclose(probabilities, predictor.probabilities(image), atol=1e-4)
        np.testing.assert_array_equal(model.label_map(image), predictor.label_map(image))
        np.testing.assert_array_equal(model(image, probabilities=True).probabilities, probabilities)


def test_a_huge_image_is_seen_through_windows_as_in_the_program(
    run: Path, exported: Export, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("segloom.images.windows.FALLBACK_WINDOW", 64)
    seen: list[tuple[int, ...]] = []

    class Watched(OnnxSession):
        def logits(self, images: np.ndarray) -> np.ndarray:
            seen.append(images.shape)
            return super().logits(images)

    session = Watched(exported.folder / "model.onnx", threads=1)
    model = ExportedModel(exported.description, session, whole_limit=10_000)
    predictor = Predictor.from_path(run, InferenceConfig(device="cpu"))
    predictor.whole_limit = 10_000
    image = picture(110, 150)
    np.testing.assert_array_equal(model.label_map(image), predictor.label_map(image))
    assert set(seen) == {(1, 64, 64, 3)}
    assert len(seen) == 6


def test_predict_takes_an_export_and_writes_what_it_writes_of_a_run(
    run: Path, exported: Export, tmp_path: Path
) -> None:
    Image.fromarray(picture(60, 80)).save(tmp_path / "a.png")
    outputs = ["--montage", "--probabilities", "--export", "geojson", "--table"]
    for model, out in ((run, tmp_path / "of_run"), (exported.folder, tmp_path / "of_export")):
        words = [str(model), str(tmp_path / "a.png"), "--out", str(out), *outputs]
        assert main(["predict", *words, str(out / "table.csv"), "--inference.flip"]) == 0
    names = sorted(path.name for path in (tmp_path / "of_run").rglob("*") if path.is_file())
    found = sorted(path.name for path in (tmp_path / "of_export").rglob("*") if path.is_file())
    assert found == names
    assert len(names) >= 7
    for name in ("a_label.png", "a_palette.png", "a_overlay.png", "a_montage.png"):
        first, second = (tmp_path / folder / name for folder in ("of_run", "of_export"))
        np.testing.assert_array_equal(np.asarray(Image.open(first)), np.asarray(Image.open(second)))


def test_predict_with_an_export_loads_neither_torch_nor_the_options_of_data(
    exported: Export, tmp_path: Path
) -> None:
    Image.fromarray(picture(60, 80)).save(tmp_path / "a.png")
    words = ["predict", str(exported.folder), str(tmp_path / "a.png"), "--out", str(tmp_path / "o")]
    code = (
        "import sys; from segloom.cli.main import main; "
        f"assert main({words!r}) == 0; "
        "print({'torch', 'yaml', 'segloom.config.data'} & {*sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "set()"
    assert (tmp_path / "o" / "a_label.png").is_file()


def test_options_that_an_export_has_not_are_refused(
    exported: Export, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.fromarray(picture(6, 8)).save(tmp_path / "a.png")
    words = ["predict", str(exported.folder), str(tmp_path / "a.png"), "--inference.precision"]
    assert main([*words, "bf16"]) == 2
    assert "whose precision is that of its file" in capsys.readouterr().err


@pytest.mark.parametrize("options", [{}, {"window": (64, 48), "scales": (0.75, 1.0), "flip": True}])
def test_edges_and_deep_bands_are_answered_as_by_the_program(
    with_edges: tuple[Predictor, ExportedModel], options: dict, tmp_path: Path
) -> None:
    """An edge map as the last channel, and values of 16 bits that become bytes by their range."""
    predictor, model = with_edges
    predictor.config = InferenceConfig(device="cpu", **options)
    model.options = Options(**options)
    stored = np.random.default_rng(7).integers(0, 60_000, (90, 71, 3), dtype=np.uint16)
    np.save(tmp_path / "a.npy", stored)
    pixels = [m.pixel_format.read(tmp_path / "a.npy") for m in with_edges if m.pixel_format]
    np.testing.assert_array_equal(*pixels)
    assert 0 < pixels[0].mean() < 255
    image = np.dstack([pixels[0], picture(90, 71)[..., :1]])
    np.testing.assert_allclose(
        model.probabilities(image), predictor.probabilities(image), atol=1e-4
    )
    np.testing.assert_array_equal(model.label_map(image), predictor.label_map(image))


@pytest.fixture(scope="module")
def with_edges(tmp_path_factory: pytest.TempPathFactory) -> tuple[Predictor, ExportedModel]:
    """A network that takes edges and pixels of 16 bits, and its export."""
    network = build("unet", "tu-test_resnet", classes=2, enhancements="hed:source=file")
    network.pixels = PixelFormat(low=(0.0, 100.0, 5000.0), high=(65_535.0, 40_000.0, 50_000.0))
    description = describe(network, LABELS, DataConfig())
    folder = tmp_path_factory.mktemp("with_edges")
    session = write_exact(network, folder, description)
    config = InferenceConfig(device="cpu")
    return Predictor(network, LABELS, config), ExportedModel(description, session)
