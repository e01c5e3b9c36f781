"""The exported form gives the network's answers from pixels as they are decoded."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from segloom.exports.form import ExportForm, weights_digest
from segloom.inference import InferenceGraph
from segloom.models import SegmentationModel

PIXELS = torch.arange(2 * 33 * 47 * 3).reshape(2, 33, 47, 3).remainder(251).byte()


@pytest.mark.parametrize(
    "options", [{}, {"classes": 1}, {"mode": "multilabel"}, {"mode": "multilabel", "classes": 9}]
)
@torch.inference_mode()
def test_answers_are_those_of_the_inference_path(
    make_model: Callable[..., SegmentationModel], options: dict
) -> None:
    model = make_model("fpn", "tu-test_resnet", **options)
    digest = weights_digest(model)
    form, graph = ExportForm(model, probabilities=True), InferenceGraph(model).eval()
    labels, logits, probabilities = form(PIXELS)
    image = PIXELS.permute(0, 3, 1, 2)
    expected = graph.logits(image)
    torch.testing.assert_close(logits, expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(probabilities, graph.activate(expected), rtol=1e-4, atol=1e-5)
    assert labels.dtype == graph.label(image).dtype
    assert (labels == graph.label(image)).float().mean() > 0.999
    assert weights_digest(model) == digest


def test_outputs_are_named_in_order(model: SegmentationModel) -> None:
    assert ExportForm(model).outputs == ["labels", "logits"]
    assert len(ExportForm(model)(PIXELS)) == 2
    assert ExportForm(model, probabilities=True).outputs == ["labels", "logits", "probabilities"]


def test_digest_is_of_names_and_values() -> None:
    layer = torch.nn.Linear(2, 2)
    first = weights_digest(layer)
    assert weights_digest(layer) == first
    assert weights_digest(torch.nn.Sequential(layer)) != first
    with torch.no_grad():
        layer.weight[0, 0] += 1e-6
    assert weights_digest(layer) != first
