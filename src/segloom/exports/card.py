"""The card of an export and its preview, beside the model's file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from segloom.exports.gate import Findings, ScoreCheck, SizeCheck
from segloom.exports.pictures import Images
from segloom.files import write_text
from segloom.images.form import as_rgb
from segloom.labels.painting import legend_of, paint, tint
from segloom.labels.pictures import montage, write_image
from segloom.runtime.description import Description
from segloom.runtime.model import load_described

__all__ = ["write_card"]


def write_card(folder: Path, description: Description, findings: Findings, images: Images) -> None:
    """Write ``README.md`` and ``preview.png``.

    Args:
        folder: With the model's file.
        description: What it is.
        findings: How it compared.
        images: The first of them is shown.
    """
    pixels = images[0].pixels
    labels = load_described(folder, description).label_map(pixels)
    image = pixels[..., : description.image_channels]
    image = description.pixels.picture(image) if description.pixels else as_rgb(image)
    image = np.ascontiguousarray(image)
    panels = [
        ("image", image),
        ("prediction", paint(labels, description.labels)),
        ("overlay", tint(image, labels, description.labels)),
    ]
    preview = montage(panels, legend=legend_of(description.labels)[:-1])
    write_image(folder / "preview.png", preview)
    write_text(folder / "README.md", _card(description, findings))


def _card(description: Description, findings: Findings) -> str:
    shape = f"uint8 (batch, height, width, {description.num_channels}), any size"
    channels = description.channel_names
    kind = description.space.label_type
    rows = {
        "File": f"`{description.file}` ({description.format}, {description.precision})",
        "Input": f"`image`: {shape}, 0 to 255: {', '.join(channels)}",
        "Output": f"`labels`: {kind} (batch, height, width); `logits`: float32 (batch, classes, "
        "height, width)" + "; `probabilities`: likewise" * description.has_probabilities,
        "Inside": "normalisation, padding, cropping and the choice of the class",
        "Weights": f"sha256 {description.weights_sha256}",
        "Made by": f"segloom {description.segloom_version}",
    }
    lines = [f"# {description.network}", "", "![preview](preview.png)", "", "| | |", "|---|---|"]
    lines += [f"| {key} | {value} |" for key, value in rows.items()]
    lines += ["", "## Use", "", "```python", "from segloom.runtime import load", ""]
    lines += ['model = load("this folder")', "labels = model.label_map(image)", "```", ""]
    lines += ["## Classes", "", "| id | class | colour |", "|---|---|---|"]
    pairs = zip(description.labels.classes, description.labels.palette, strict=True)
    lines += [
        f"| {number} | {name} | {red}, {green}, {blue} |"
        for number, (name, (red, green, blue)) in enumerate(pairs)
    ]
    return "\n".join([*lines, "", *_comparison(findings), ""])


def _comparison(findings: Findings) -> list[str]:
    """Describe what was compared before the file was put here."""
    lines = [
        "## Compared with the network",
        "",
        f"On images of {findings.source}, run by {findings.device}.",
    ]
    if findings.calibration:
        lines += [f"The ranges of values are those of images of {findings.calibration}."]
    if findings.floating and findings.floating.layers:
        lines += ["", "In floating point stay, since they lose too much in 8 bits:", ""]
        lines += [f"- {layer}" for layer in findings.floating.layers]
    is_reduced = bool(findings.reduced_sizes)
    lines += [*["", "In fp32, before its precision was reduced:"] * is_reduced]
    lines += _table(findings.sizes)
    if is_reduced:
        lines += ["", "As it is:", *_table(findings.reduced_sizes)]
    if findings.silent_enhancements:
        names = ", ".join(findings.silent_enhancements)
        lines += [
            "",
            f"Without an effect so far, therefore compared once more with other weights: {names}.",
            *_table(findings.disturbed_sizes),
        ]
    return [*lines, *_score_lines(findings.scores)]


def _table(checks: Sequence[SizeCheck]) -> list[str]:
    return [
        "",
        "| batch x height x width | largest difference of a logit | equal labels |",
        "|---|---|---|",
        *map(_row, checks),
    ]


def _score_lines(scores: ScoreCheck) -> list[str]:
    lines = ["", f"Over {scores.images} images {100 * scores.agreement:.4f} % equal labels."]
    if scores.network is None or scores.exported is None:
        return [*lines, "Nobody labelled them, so there is no score."]
    lines += [
        f"mIoU {100 * scores.network:.2f} % by the network and {100 * scores.exported:.2f} % by "
        "the file.",
        "",
        "| class | IoU of the network | IoU of the file |",
        "|---|---|---|",
    ]
    pairs = scores.per_class.items()
    return [*lines, *(f"| {name} | {100 * a:.2f} % | {100 * b:.2f} % |" for name, (a, b) in pairs)]


def _row(check: SizeCheck) -> str:
    return f"| {check.size} | {check.error:.1e} | {100 * check.agreement:.4f} % |"
