"""Models by name, and a trained network behind the server."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from support.networks import build, labels
from support.servers import pixels, png, running

from segloom.config.evaluation import InferenceConfig
from segloom.errors import CheckpointError, ConfigError
from segloom.inference import Predictor
from segloom.labels.polygons import trace_polygons
from segloom.models.weights.checkpoint import save_pretrained
from segloom.runtime.description import ExportFormat
from segloom.serve.models import PLATFORMS, Model, open_models, split_name
from segloom.types import LabelSet

__all__ = ["labels"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, labels: LabelSet) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "street scenes"
    save_pretrained(build("unet", "tu-test_resnet"), folder / "checkpoints" / "best", labels)
    return folder


@pytest.fixture(scope="module")
def opened(run: Path) -> list[Model]:
    flipped = InferenceConfig(flip=True)
    return [*open_models([str(run)], InferenceConfig()), *open_models([f"flip={run}"], flipped)]


@pytest.mark.parametrize("place", [0, 1])
def test_answers_are_those_of_predict(run: Path, opened: list[Model], place: int) -> None:
    image = np.random.default_rng(1).integers(0, 256, (50, 70, 3), np.uint8)
    predictor = Predictor.from_path(run, InferenceConfig(flip=bool(place)))
    expected = predictor.label_map(image)
    name = ("street-scenes", "flip")[place]
    with running(opened) as client:

        def ask(**parameters: str) -> np.ndarray:
            url = "/v1/segment"
            answer = client.post(url, params={"model": name, **parameters}, content=png(image))
            return pixels(answer.content)

        assert [m["name"] for m in client.get("/v1/models").json()["models"]][place] == name
        np.testing.assert_array_equal(ask(output="label"), expected)
        sure = np.rint(predictor.probabilities(image).max(0) * 255)
        np.testing.assert_array_equal(ask(output="confidence"), sure)
        answer = client.post(
            "/v1/segment", params={"model": name, "output": "polygons"}, content=png(image)
        )
    areas = [f["properties"]["area"] for f in answer.json()["features"]]
    assert sum(areas) == 50 * 70
    assert areas == [p.area for k in range(5) for p in trace_polygons(expected == k)]


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("runs/camvid", "camvid"),
        ("runs/camvid/", "camvid"),
        ("runs/my model (2)", "my-model-2"),
        ("best=runs/camvid", "best"),
        ("v1.2_a-b=x=y", "v1.2_a-b"),
    ],
)
def test_a_model_is_called_after_its_folder_or_as_given(source: str, name: str) -> None:
    assert split_name(source)[0] == name


def test_an_equals_sign_in_a_folder_that_is_there_is_no_name(tmp_path: Path) -> None:
    (tmp_path / "lr=0.1").mkdir()
    assert split_name(str(tmp_path / "lr=0.1")) == ("lr-0.1", tmp_path / "lr=0.1")


def test_names_that_cannot_be_are_told(run: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="'a b' is no name of a model"):
        open_models([f"a b={run}"], InferenceConfig())
    with pytest.raises(ConfigError, match="two models are called 'camvid'; name them apart"):
        open_models(["a/camvid", "b/camvid"], InferenceConfig())
    with pytest.raises(ConfigError, match="name at least one model"):
        open_models([], InferenceConfig())
    with pytest.raises(CheckpointError, match="neither a run nor a model directory"):
        open_models([str(tmp_path)], InferenceConfig())


def test_every_format_of_an_export_has_a_name_for_clients() -> None:
    assert set(PLATFORMS) == set(get_args(ExportFormat))


def test_a_network_that_takes_edges_is_refused(tmp_path: Path) -> None:
    model = build("unet", "tu-test_resnet", enhancements=[{"hed": {"source": "file"}}])
    save_pretrained(model, tmp_path / "edges", LabelSet(("a",) * 5, ((0, 0, 0),) * 5))
    with pytest.raises(ConfigError, match="takes an edge map with every image"):
        open_models([str(tmp_path / "edges")], InferenceConfig())
