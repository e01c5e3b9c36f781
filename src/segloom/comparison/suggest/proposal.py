"""Which enhancements a data set's labels suggest to try, with the evidence, and a plan for it.

The rules are what the methods were made for, set against what the labels hold. No study shows that
such rules predict a gain, here or elsewhere; a suggestion is a hypothesis, and the plan tests it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from segloom.comparison.suggest.profile import SMALL, LabelProfile
from segloom.config.comparison import NONE, ComparisonPlan
from segloom.config.run import RunConfig
from segloom.errors import ConfigError

__all__ = ["CAVEAT", "Suggestion", "suggest", "suggested_plan"]

CAVEAT = (
    "These are hypotheses: what a method was made for, beside what the labels hold. No study shows "
    "that such a profile predicts a gain; `segloom compare` on the plan tells whether there is one."
)

SMALL_CLASS = 0.3
"""From this share of its pixels in small objects on, a class consists of small objects."""
FINE_CONTOUR = 0.02
"""From this share of pixels at an outline on, outlines decide a good part of the score: a slip of
one pixel on either side is then 4 % of all pixels."""
LARGE = 0.3
"""From this share of pixels in objects larger than a quarter of the image on, context counts."""
RARE = 0.01
"""Below this share of the pixels a class is rare."""


@dataclass(frozen=True)
class Suggestion:
    """Something to try."""

    name: str
    """Enhancement as `segloom compare` takes it, or an option of the configuration."""
    evidence: str
    """What was measured on the labels."""
    basis: str
    """Why that speaks for it, and what is known of it."""
    is_enhancement: bool = True


def suggest(profile: LabelProfile, config: RunConfig) -> list[Suggestion]:
    """Apply the rules to a profile.

    Args:
        profile: Of the training labels.
        config: What would be trained; an enhancement that does not fit its network is left out.
    """
    found = [*_for_sizes(profile), *_for_outlines(profile), *_for_rare_classes(profile, config)]
    return [item for item in found if not item.is_enhancement or _fits(item.name, profile, config)]


def suggested_plan(name: str, config: RunConfig, suggestions: list[Suggestion]) -> ComparisonPlan:
    """Make the plan that tests the suggested enhancements beside a control, with three seeds.

    Raises:
        ConfigError: No enhancement is suggested.
    """
    names = [item.name for item in suggestions if item.is_enhancement]
    if not names:
        raise ConfigError(
            "these labels suggest no enhancement, so there is no plan to write; name some with "
            "`segloom compare RECIPE --enhancements none afma ...`."
        )
    model = config.model.model_copy(update={"enhancements": ()})
    return ComparisonPlan(
        enhancements=(NONE, *names, "control"),
        seeds=(0, 1, 2),
        recipes={name: config.model_copy(update={"model": model})},
    )


def _for_sizes(profile: LabelProfile) -> Iterator[Suggestion]:
    shares = dict(zip(profile.classes, profile.small_shares.tolist(), strict=True))
    small = [pair for pair in shares.items() if pair[1] >= SMALL_CLASS]
    if small:
        most = sorted(small, key=lambda pair: -pair[1])[:6]
        named = ", ".join(f"{name} {100 * share:.0f} %" for name, share in most)
        yield Suggestion(
            "afma",
            f"{100 * profile.small_objects:.0f} % of the objects are smaller than {SMALL} pixels; "
            f"share of the pixels in such objects: {named}.",
            "AFMA was made for small objects (Sang et al., TPAMI 2023). Look at the IoU of the "
            "smallest sizes, not at mIoU alone. Our own small study on CamVid, where the same rule "
            "speaks for it, found no gain (docs/measured.md).",
        )
    if profile.large_share >= LARGE:
        height, width = profile.image_size
        yield Suggestion(
            "dilation",
            f"{100 * profile.large_share:.0f} % of the pixels lie in objects of more than a "
            f"quarter of their image ({height} x {width} in the median).",
            "Large objects need a wide view; dilation widens that of the last two stages without "
            "further parameters (Li et al., ECCV 2020, variant D).",
        )


def _for_outlines(profile: LabelProfile) -> Iterator[Suggestion]:
    if profile.contour_share < FINE_CONTOUR:
        return
    evidence = f"{100 * profile.contour_share:.1f} % of the pixels touch another class."
    yield Suggestion(
        "edge_supervision",
        evidence,
        "A side output learns where classes meet (FENet's program, boundary branch). Look at bIoU "
        "and bF; the label maps must be exact at the outlines.",
    )
    yield Suggestion(
        "fem",
        evidence,
        "FEM gives the fusions of a pyramid the high frequencies of its maps (Liu et al., ChinaMM "
        "2022). One training on CamVid gained 2.6 points with FPN (docs/measured.md); one seed "
        "proves nothing.",
    )
    yield Suggestion(
        "fam",
        evidence,
        "FAM aligns the maps of a pyramid before it fuses them (Li et al., ECCV 2020).",
    )


def _for_rare_classes(profile: LabelProfile, config: RunConfig) -> Iterator[Suggestion]:
    shares = dict(zip(profile.classes, profile.shares.tolist(), strict=True))
    rare = {name: share for name, share in shares.items() if 0 < share < RARE}
    absent = [name for name, share in shares.items() if share == 0]
    if rare and config.loss.class_weights == "none":
        named = ", ".join(f"{name} {100 * share:.2g} %" for name, share in rare.items())
        yield Suggestion(
            "loss.class_weights log, loss.class_weight_power 0.5",
            f"rare classes: {named} of the pixels.",
            "mIoU counts every class alike, the loss every pixel; weights bring them nearer "
            "(Paszke et al., ENet, 2016, section 5.2), and the square root keeps thin classes "
            "from being predicted everywhere.",
            is_enhancement=False,
        )
    if absent:
        yield Suggestion(
            "data.classes",
            f"no pixel of {', '.join(absent)} was seen in {profile.num_images} images.",
            "A class without examples cannot be learnt; leave it out or add images.",
            is_enhancement=False,
        )


def _fits(name: str, profile: LabelProfile, config: RunConfig) -> bool:
    """Try whether the network of the configuration takes an enhancement."""
    import torch

    from segloom.models import create_model

    model = config.model
    try:
        with torch.device("meta"):
            create_model(
                model.architecture,
                encoder_name=model.encoder_name,
                in_channels=model.in_channels,
                classes=len(profile.classes),
                enhancements=name,
                **model.options,
            )
    except ConfigError:
        return False
    return True
