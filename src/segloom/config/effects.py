"""Options that another option leaves without effect.

They are no errors: a recipe that sets the exponent of its schedule may be run with another
schedule. But who sets one by hand should hear that nothing comes of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from segloom.config.base import Section

if TYPE_CHECKING:
    from segloom.config.data import DataConfig
    from segloom.config.evaluation import InferenceConfig
    from segloom.config.run import RunConfig
    from segloom.config.training import LossConfig, OptimConfig

__all__ = ["idle_inference_options", "idle_options"]

UNWEIGHTED = frozenset({"dice", "jaccard", "log_dice", "log_jaccard", "lovasz", "tversky"})
"""Losses of whole regions, which class weights do not act on."""


def idle_options(config: RunConfig) -> list[str]:
    """Describe options of a training that are set but have no effect, a sentence each.

    Only options that differ from their default count.
    """
    return [
        *_loss(config.loss),
        *_optim(config.optim),
        *_stages(config),
        *_cache(config.data),
        *idle_inference_options(config.eval.inference, "eval.inference"),
    ]


def idle_inference_options(config: InferenceConfig, section: str) -> list[str]:
    """Describe options of an inference that are set but have no effect, a sentence each.

    Args:
        config: The options.
        section: Dotted name of their section, for the sentences.
    """
    found: list[str] = []
    if config.window is None:
        found += _set(config, section, ("overlap", "blend"), f"without {section}.window")
    if len(config.scales) == 1 and not config.flip:
        reason = f"with one of {section}.scales and without {section}.flip"
        found += _set(config, section, ("average",), reason)
    return found


def _set(section: Section, place: str, names: tuple[str, ...], reason: str) -> Iterator[str]:
    """Describe those of some options that differ from their default."""
    for name in names:
        value, default = getattr(section, name), type(section).model_fields[name].get_default()
        if value != default:
            yield f"{place}.{name} is {value} but has no effect {reason}."


def _loss(loss: LossConfig) -> Iterator[str]:
    used = {name.partition(":")[0] for name, weight in loss.terms.items() if weight}
    if loss.class_weights == "none":
        yield from _set(loss, "loss", ("class_weight_power",), "with loss.class_weights none")
    elif used <= UNWEIGHTED:
        reason = f"with loss.terms {', '.join(sorted(used))}"
        yield from _set(loss, "loss", ("class_weights", "class_weight_power"), reason)
    if "cross_entropy" not in used:
        yield from _set(loss, "loss", ("label_smoothing",), "without the loss cross_entropy")


def _optim(optim: OptimConfig) -> Iterator[str]:
    if optim.name == "adamw":
        yield from _set(optim, "optim", ("momentum",), "with optim.name adamw")
    if optim.schedule != "poly":
        reason = f"with optim.schedule {optim.schedule}"
        yield from _set(optim, "optim", ("power", "poly_by"), reason)


def _stages(config: RunConfig) -> Iterator[str]:
    """Describe options of the data that every stage sets anew."""
    stages = config.train.stages
    if not stages:
        return
    reason = "because every one of train.stages sets its own"
    for name in ("crop", "batch_size"):
        if all(getattr(stage, name) is not None for stage in stages):
            yield from _set(config.data, "data", (name,), reason)
    if all(stage.scale is not None for stage in stages):
        yield from _set(config.data.augment, "data.augment", ("scale",), reason)


def _cache(data: DataConfig) -> Iterator[str]:
    if not data.cache:
        yield from _set(data, "data", ("cache_dir",), "without data.cache")
