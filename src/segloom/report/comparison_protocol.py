"""The protocol of a comparison as the page states it: pairs of a word and a phrase."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

from segloom.report.comparison_result import ComparedGroup, ComparisonResult
from segloom.report.published import our_facts

__all__ = ["environment", "protocols"]

SHOWN = {
    "Classes": "classes",
    "Image size": "image size",
    "Training crop": "crop",
    "Encoder weights": "weights",
    "Batch": "batch",
    "Length": "training",
    "Optimiser": "optimiser",
    "Inference": "inference",
    "Sampling": "sampling",
}
"""Word of the page to a fact of `our_facts`."""


def protocols(comparison: ComparisonResult) -> list[dict[str, object]]:
    """Say how each recipe trained and tested: pairs of a word and a phrase, and every option."""
    import yaml

    dump = partial(
        yaml.safe_dump, sort_keys=False, allow_unicode=True, default_flow_style=None, width=100
    )
    return [
        {
            "name": name,
            "facts": list(_facts(comparison, name, protocol)),
            "options": dump(protocol) if "train" in protocol else "",
        }
        for name, protocol in comparison.conditions.get("protocols", {}).items()
    ]


def _facts(
    comparison: ComparisonResult, name: str, protocol: dict[str, Any]
) -> Iterator[tuple[str, str]]:
    groups = [group for group in comparison.groups if group.recipe == name]
    data, loss, train = (protocol.get(part) or {} for part in ("data", "loss", "train"))
    yield "Data", str(data.get("name", name))
    if groups:
        yield from _measured(protocol, groups)
    if loss.get("terms"):
        terms = ", ".join(f"{term} {weight:g}" for term, weight in loss["terms"].items())
        yield "Loss", f"{terms}; class weights {loss.get('class_weights', 'none')}"
    if train.get("precision"):
        average = f", moving average {train['ema']}" if train.get("ema") else ""
        yield "Arithmetic", f"{train['precision']}{average}"


def _measured(
    protocol: dict[str, Any], groups: Sequence[ComparedGroup]
) -> Iterator[tuple[str, str]]:
    own = our_facts(protocol, groups[0])
    images = next((group.num_images for group in groups if group.num_images), None)
    yield "Measured on", f"{own.get('split', '')} split" + (f", {images} images" if images else "")
    yield from ((word, own[key]) for word, key in SHOWN.items() if key in own)


def environment(conditions: dict[str, Any]) -> list[tuple[str, str]]:
    """Describe what is common to all recipes: seeds, void, machine, versions."""
    versions = conditions.get("versions") or {}
    facts = [
        ("Seeds", ", ".join(str(seed) for seed in conditions.get("seeds") or ())),
        ("Void pixels", conditions.get("policy")),
        ("Processor", conditions.get("processor")),
        ("Accelerators", ", ".join(conditions.get("accelerators") or ()) or "none"),
        ("Plan", _plan_words(conditions)),
        ("Versions", ", ".join(f"{name} {value}" for name, value in versions.items() if value)),
    ]
    return [(word, str(phrase)) for word, phrase in facts if phrase]


def _plan_words(conditions: dict[str, Any]) -> str:
    """Describe by what plan it was decided, and how often its test scores were looked at."""
    if not conditions.get("plan"):
        return ""
    looks = conditions.get("looks") or 1
    return (
        f"hash {conditions['plan']}, primary score mIoU; its test scores were looked at "
        f"{looks} time{'s' * (looks > 1)}"
    )
