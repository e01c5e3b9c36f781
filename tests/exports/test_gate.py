"""The gate lets through what answers as the network does, and names what parts from it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from support.exports import Photographs

from segloom.errors import ExportRefusedError, SegloomError
from segloom.exports.gate import GateLimits, compare_scores, compare_sizes, network_logits
from segloom.inference import InferenceGraph
from segloom.models import SegmentationModel
from segloom.types import LabelSet

Change = Callable[[NDArray[np.float32]], NDArray[np.float32]]


class Altered:
    """A session that answers as the network does, but for a change of its logits."""

    device, metadata = "numpy", {}

    def __init__(self, graph: InferenceGraph, change: Change = lambda logits: logits) -> None:
        self.graph, self.change = graph, change

    def logits(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        return self.change(network_logits(self.graph, images))

    def labels(self, images: NDArray[np.uint8]) -> NDArray[Any]:
        return self.graph.label_logits(torch.from_numpy(self.logits(images))).numpy()


@pytest.fixture(scope="module")
def graph(model: SegmentationModel) -> InferenceGraph:
    return InferenceGraph(model).eval()


def test_equal_answers_pass_at_every_size(graph: InferenceGraph) -> None:
    checks = compare_sizes(graph, Altered(graph), Photographs(), GateLimits())
    assert [check.size for check in checks] == [
        *("1 x 1 x 1", "1 x 33 x 65", "1 x 131 x 197", "2 x 96 x 64", "1 x 70 x 90"),
    ]
    assert {(check.error, check.agreement) for check in checks} == {(0.0, 1.0)}


def largest_moved(share: float) -> Change:
    """Move one logit of every image by a share of the largest."""

    def change(logits: NDArray[np.float32]) -> NDArray[np.float32]:
        moved = logits.copy()
        moved[:, 0, 0, 0] += share * np.abs(logits).max()
        return moved

    return change


def test_the_error_is_a_share_of_the_largest_logit(graph: InferenceGraph) -> None:
    checks = compare_sizes(graph, Altered(graph, largest_moved(5e-5)), Photographs(), GateLimits())
    assert [check.error for check in checks] == pytest.approx([5e-5] * 5, rel=0.05)
    with pytest.raises(ExportRefusedError, match=r"at 1 x 1 x 1 pixels .* by 0.0002 of the large"):
        compare_sizes(graph, Altered(graph, largest_moved(2e-4)), Photographs(), GateLimits())


def test_what_is_wrong_at_one_size_alone_is_refused_with_that_size(graph: InferenceGraph) -> None:
    def change(logits: NDArray[np.float32]) -> NDArray[np.float32]:
        return logits + 0.01 if logits.shape[-2:] == (131, 197) else logits

    with pytest.raises(ExportRefusedError, match="at 1 x 131 x 197 pixels"):
        compare_sizes(graph, Altered(graph, change), Photographs(), GateLimits())


def test_a_file_that_does_not_run_at_a_size_is_refused_with_that_size(
    graph: InferenceGraph,
) -> None:
    def change(logits: NDArray[np.float32]) -> NDArray[np.float32]:
        if logits.shape[-2:] == (33, 65):
            raise SegloomError("OpenVINO cannot run images of 1 x 33 x 65 x 3 (shapes).")
        return logits

    with pytest.raises(ExportRefusedError, match=r"at 1 x 33 x 65 pixels .* does not run: OpenV"):
        compare_sizes(graph, Altered(graph, change), Photographs(), GateLimits())


def test_a_logit_that_is_no_number_is_refused(graph: InferenceGraph) -> None:
    with pytest.raises(ExportRefusedError, match="differ from the network's by nan"):
        compare_sizes(graph, Altered(graph, lambda x: x * np.nan), Photographs(), GateLimits())


def test_another_shape_or_type_is_refused(graph: InferenceGraph) -> None:
    with pytest.raises(ExportRefusedError, match=r"gives float32 of shape \(1, 4, 1, 1\)"):
        compare_sizes(graph, Altered(graph, lambda x: x[:, :4]), Photographs(), GateLimits())
    with pytest.raises(ExportRefusedError, match="gives float64 of shape"):
        compare_sizes(graph, Altered(graph, lambda x: x.astype("f8")), Photographs(), GateLimits())


def test_labels_count_even_where_logits_hardly_differ(graph: InferenceGraph) -> None:
    class Shifted(Altered):
        def labels(self, images: NDArray[np.uint8]) -> NDArray[Any]:
            labels = super().labels(images)
            labels[:, 0, 0] = (labels[:, 0, 0] + 1) % 5
            return labels

    with pytest.raises(ExportRefusedError, match=r"only 0.0000 % of the .* labels"):
        compare_sizes(graph, Shifted(graph), Photographs(), GateLimits())


def test_scores_are_those_of_the_label_maps(graph: InferenceGraph, labels: LabelSet) -> None:
    seen: list[tuple[int, int]] = []
    check = compare_scores(
        graph,
        Altered(graph),
        Photographs(7),
        labels,
        GateLimits(),
        max_images=3,
        on_progress=lambda done, total: seen.append((done, total)),
    )
    assert seen == [(1, 3), (2, 3), (3, 3)]
    assert (check.images, check.agreement) == (3, 1.0)
    assert check.network == check.exported
    assert check.network is not None
    assert set(check.per_class) == set(labels.classes)
    ious = [pair[0] for pair in check.per_class.values()]
    assert check.network == pytest.approx(sum(ious) / 5)


def test_a_lower_score_is_refused_with_both_figures(
    graph: InferenceGraph, labels: LabelSet
) -> None:
    class Truthful(Photographs):
        """Ground truth is what the network says."""

        def __getitem__(self, index: int) -> Any:
            example = super().__getitem__(index)
            logits = torch.from_numpy(network_logits(graph, example.pixels[None]))
            return type(example)(example.name, example.pixels, logits[0].argmax(0).byte().numpy())

    def change(logits: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.roll(logits, 1, axis=3)

    with pytest.raises(ExportRefusedError, match=r"over 2 images only \d\d\.\d{4} % of"):
        compare_scores(
            graph, Altered(graph, change), Truthful(), labels, GateLimits(), max_images=0
        )
    lax = GateLimits(agreement=0)
    with pytest.raises(ExportRefusedError, match=r"mIoU is \d\d.\d\d %, but the network's 100.00"):
        compare_scores(graph, Altered(graph, change), Truthful(), labels, lax, max_images=0)
