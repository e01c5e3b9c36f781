"""The graph gives the network's own answers at the size of the image, and exports."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import pytest
import torch

from segloom.inference.graph import InferenceGraph, label_scores
from segloom.models import SegmentationModel


def image(height: int, width: int, batch: int = 1) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, (batch, 3, height, width), dtype=torch.uint8, generator=generator)


@pytest.mark.parametrize("size", [(64, 64), (33, 47), (1, 1), (3, 90)])
@torch.inference_mode()
def test_logits_are_those_of_the_network(model: SegmentationModel, size: tuple[int, int]) -> None:
    pixels = image(*size, batch=2)
    logits = InferenceGraph(model)(pixels)
    assert logits.shape == (2, 5, *size)
    torch.testing.assert_close(logits, model(model.normalize(pixels)), rtol=1e-4, atol=1e-5)


@torch.inference_mode()
def test_outputs_agree_with_one_another(model: SegmentationModel) -> None:
    pixels = image(40, 56)
    logits = InferenceGraph(model, "logits")(pixels)
    probabilities = InferenceGraph(model, "probabilities")(pixels)
    labels = InferenceGraph(model, "labels")(pixels)
    torch.testing.assert_close(probabilities, logits.softmax(1))
    assert labels.dtype == torch.uint8
    assert labels.shape == (1, 40, 56)
    assert torch.equal(labels.long(), logits.argmax(1))


@torch.inference_mode()
def test_answer_does_not_depend_on_memory_layout(model: SegmentationModel) -> None:
    pixels = image(40, 56)
    graph = InferenceGraph(model)
    last = graph(pixels.contiguous(memory_format=torch.channels_last))
    torch.testing.assert_close(last, graph(pixels), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_label_takes_the_lowest_id_of_equal_scores(
    dtype: torch.dtype, layout: torch.memory_format
) -> None:
    scores = torch.randint(0, 4, (2, 7, 9, 11)).to(dtype).contiguous(memory_format=layout)
    expected = (scores == scores.amax(1, keepdim=True)).byte().argmax(1)
    assert torch.equal(label_scores(scores).long(), expected)
    assert label_scores(scores).is_contiguous()


@pytest.mark.parametrize("output", ["logits", pytest.param("labels", marks=pytest.mark.slow)])
def test_graph_exports_with_dynamic_batch_height_and_width(
    model: SegmentationModel, output: str
) -> None:
    graph = InferenceGraph(model, output).eval()
    dynamic = torch.export.Dim.DYNAMIC
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # torch's own, about its own functions
        program = torch.export.export(
            graph, (image(70, 90, batch=2),), dynamic_shapes=({0: dynamic, 2: dynamic, 3: dynamic},)
        )
    exported = program.module()
    with torch.no_grad():
        for pixels in (image(33, 101, batch=3), image(131, 197), image(96, 64, batch=2)):
            torch.testing.assert_close(exported(pixels), graph(pixels), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("output", ["probabilities", "labels"])
def test_overlapping_classes_export_with_a_sigmoid_each(
    make_model: Callable[..., SegmentationModel], output: str
) -> None:
    model = make_model("fpn", "tu-test_resnet", classes=3, mode="multilabel")
    graph = InferenceGraph(model, output).eval()
    dynamic = torch.export.Dim.DYNAMIC
    pixels = image(45, 61)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # torch's own, about its own functions
        exported = torch.export.export(
            graph, (image(70, 90, batch=2),), dynamic_shapes=({0: dynamic, 2: dynamic, 3: dynamic},)
        ).module()
        expected = model(model.normalize(pixels.float())).sigmoid()
        answer = exported(pixels)
    if output == "probabilities":
        torch.testing.assert_close(answer, expected, rtol=1e-3, atol=1e-4)
        return
    assert answer.dtype == torch.uint8
    for k in range(3):
        clear = (expected[:, k] - 0.5).abs() > 1e-3
        assert torch.equal((answer >> k & 1)[clear].bool(), (expected[:, k] >= 0.5)[clear])
    assert (answer & (answer - 1)).any()  # some pixel has two classes
