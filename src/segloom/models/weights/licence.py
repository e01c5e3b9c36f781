"""Licences of pretrained encoder weights: what timm states, and which of them are permissive."""

from __future__ import annotations

from segloom.errors import ConfigError
from segloom.models.weights.hub import encoder_weight_names, timm_weights_name

__all__ = ["PERMISSIVE", "require_permissive", "weights_licence"]

PERMISSIVE = ("apache-2.0", "bsd-3-clause", "cc-by-4.0", "mit")
"""Licences, as timm writes them, that allow commercial use under no further conditions than naming
the authors; the licences of single companies (Apple's, Meta's DINOv3) are not among them."""


def weights_licence(encoder_name: str, weights: str = "imagenet") -> str | None:
    """Look up what timm states for hub weights; nothing is downloaded.

    Args:
        encoder_name: As in `create_model`; SMP states no licences for its own encoders.
        weights: Hub name of the weights.

    Returns:
        The licence as timm writes it, or None where none is stated.
    """
    import timm

    if not encoder_name.startswith("tu-") or weights not in encoder_weight_names(encoder_name):
        return None
    settings = timm.get_pretrained_cfg(timm_weights_name(encoder_name, weights))
    stated: str | None = settings.license if settings else None
    return None if stated == "unknown" else stated


def require_permissive(encoder_name: str, weights: str | None) -> None:
    """Refuse hub weights whose licence is not permissive, before anything is downloaded.

    Weights from files and from installed packages are the user's own and pass, and so do names
    that no hub has, which loading refuses by itself.

    Args:
        encoder_name: As in `create_model`.
        weights: As ``encoder_weights`` there.

    Raises:
        ConfigError: The licence is another, or none is stated.
    """
    if weights is None or weights not in encoder_weight_names(encoder_name):
        return
    licence = weights_licence(encoder_name, weights)
    if licence in PERMISSIVE:
        return
    found = f"under {licence}, which is not permissive" if licence else "of no stated licence"
    raise ConfigError(
        f"the {weights} weights of {encoder_name} are {found}; take another encoder "
        "(`segloom list encoders --license permissive`), or set model.license to any."
    )
