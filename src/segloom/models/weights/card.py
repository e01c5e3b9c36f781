"""The model card: what a saved network is, how to open it, and what it scored."""

from __future__ import annotations

import json
from collections.abc import Mapping

from segloom.models.architectures import find_architecture
from segloom.models.model import SegmentationModel
from segloom.text import markdown_cell
from segloom.types import LabelSet

__all__ = ["model_card"]


def model_card(
    model: SegmentationModel, labels: LabelSet | None, metrics: Mapping[str, object]
) -> str:
    """Write the card as Markdown with the front matter that model hubs read.

    Args:
        model: The network.
        labels: Its classes, where known.
        metrics: Scores by name; numbers are shown as they are.
    """
    spec = model.spec
    names = [name for part in spec["enhancements"] for name in part]
    title = " + ".join([find_architecture(spec["architecture"]).class_name, *names])
    mean, std = model.normalization
    rows = {
        "Architecture": spec["architecture"],
        "Encoder": spec["encoder_name"],
        "Enhancements": json.dumps(spec["enhancements"]) if names else "none",
        "Parameters": f"{sum(p.numel() for p in model.parameters()):,}",
        "Input": f"{spec['in_channels']} channels, pixels of 0 to 1, "
        f"mean {_numbers(mean)}, standard deviation {_numbers(std)}",
        "Output": _output(model),
        "Paper": find_architecture(spec["architecture"]).paper,
    }
    lines = ["---", "library_name: segloom", "pipeline_tag: image-segmentation"]
    lines += ["tags:", *(f"- {tag}" for tag in ("semantic-segmentation", "pytorch", *names))]
    lines += ["---", f"# {markdown_cell(title)} on {markdown_cell(spec['encoder_name'])}", ""]
    lines += [*_table(rows), ""]
    lines += [
        "## Use",
        "",
        "```python",
        "from segloom.models.weights.checkpoint import from_pretrained",
        "",
    ]
    lines += ['model = from_pretrained("<this folder or repository>")']
    lines += [
        "logits = model(model.normalize(images))  # images: uint8 (B, C, H, W), RGB",
        "```",
        "",
    ]
    if not names:
        lines += ["It also opens with `segmentation_models_pytorch.from_pretrained`.", ""]
    if labels is not None:
        lines += [*_classes(labels), ""]
    if metrics:
        lines += ["## Scores", "", *_table(metrics), ""]
    return "\n".join(lines)


def _classes(labels: LabelSet) -> list[str]:
    pairs = zip(labels.classes, labels.palette, strict=True)
    rows = [
        _row(str(number), name, f"{red}, {green}, {blue}")
        for number, (name, (red, green, blue)) in enumerate(pairs)
    ]
    return ["## Classes", "", "| id | class | colour |", "|---|---|---|", *rows]


def _output(model: SegmentationModel) -> str:
    words = model.space.channel_words
    return f"logits of {model.shape.num_classes} classes{words} at the size of the input"


def _table(rows: Mapping[str, object]) -> list[str]:
    return ["| | |", "|---|---|", *(_row(key, value) for key, value in rows.items())]


def _row(*columns: object) -> str:
    return f"| {' | '.join(markdown_cell(column) for column in columns)} |"


def _numbers(values: tuple[float, ...]) -> str:
    return " ".join(f"{value:.4g}" for value in values)
