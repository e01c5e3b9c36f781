"""The weighted sum of losses that a configuration asks for."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from torch import Tensor, nn

from segloom.config.model import parse_enhancement
from segloom.config.training import LossConfig
from segloom.errors import ConfigError, UnknownNameError
from segloom.losses.catalogue import FORMS, build_term, list_losses
from segloom.losses.void import mask_void
from segloom.types import Mode

__all__ = ["SegmentationLosses", "build_losses"]


class SegmentationLosses(nn.Module):
    """Several losses of the same logits, by name.

    Args:
        losses: By name; each takes logits that are zero at void pixels.
        weights: Of these losses and of the auxiliary ones, by name.
    """

    def __init__(self, losses: Mapping[str, nn.Module], weights: Mapping[str, float]) -> None:
        super().__init__()
        self.names = tuple(losses)
        self.losses = nn.ModuleDict({_key(name): loss for name, loss in losses.items()})
        self.weights = dict(weights)

    def forward(self, logits: Tensor, target: Tensor) -> dict[str, Tensor]:
        """Compute every loss, not weighted.

        Args:
            logits: Any float type, ``(B, K, H, W)``; the losses see float32.
            target: int64 ``(B, H, W)``, class ids (in mode multilabel, bits) and 255 for void.
        """
        logits = mask_void(logits, target)
        parts = zip(self.names, self.losses.values(), strict=True)
        return {name: loss(logits, target) for name, loss in parts}

    def total(self, values: Mapping[str, Tensor]) -> Tensor:
        """Add up named losses by their weights."""
        first, *rest = (self.weights[name] * value for name, value in values.items())
        return sum(rest, start=first)


def _key(name: str) -> str:
    """Name under which torch keeps a loss: its own, unless torch means something else by it."""
    is_taken = "." in name or hasattr(nn.ModuleDict(), name)
    return f"{name.replace('.', ' ')} " if is_taken else name


def build_losses(
    config: LossConfig,
    *,
    class_weights: Sequence[float] | None = None,
    auxiliary: Mapping[str, float] | None = None,
    known_enhancements: Collection[str] = (),
    mode: Mode = "multiclass",
) -> SegmentationLosses:
    """Build the losses that ``config.terms`` names.

    A term is a name of `list_losses`, with options if need be (``"focal:gamma=3"``), or the name
    of an attached enhancement, whose auxiliary loss it then weighs.

    Args:
        config: The section ``loss``.
        class_weights: One per class, for the losses that average over pixels.
        auxiliary: Default weight of each attached enhancement's loss, by name.
        known_enhancements: Names that exist but may not be attached, for a better message.
        mode: Of the network.

    Raises:
        UnknownNameError: A term is neither a loss nor an attached enhancement.
        ConfigError: A loss is named twice, does not fit the mode, or none is left.
    """
    weights = dict(auxiliary or {})
    losses: dict[str, nn.Module] = {}
    known = list_losses()
    for term, weight in config.terms.items():
        name, options = parse_enhancement(term)
        if name in losses:
            raise ConfigError(f"loss.terms names {name} twice; give it once, with one weight.")
        if name in weights and not options:
            weights[name] = weight
            continue
        if name not in known:
            raise _unknown(name, known_enhancements, [*known, *weights])
        if name == "cross_entropy":
            options = {"label_smoothing": config.label_smoothing, **options}
        losses[name] = build_term(name, class_weights, options, mode)
        weights[name] = weight
    if not losses:
        raise ConfigError(f"loss.terms names no loss of the labels; add {FORMS[mode].usual} 1.0.")
    return SegmentationLosses(losses, weights)


def _unknown(name: str, enhancements: Collection[str], known: Sequence[str]) -> ConfigError:
    """Return why a term can be weighed by no name."""
    if name in enhancements:
        return ConfigError(
            f"loss.terms weighs {name}, which is not attached; add --model.enhancements "
            f"{name}, or leave it out of loss.terms."
        )
    return UnknownNameError("loss", name, known)
