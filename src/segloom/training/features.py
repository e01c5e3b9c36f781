"""The maps of a frozen encoder, computed once for each image and kept in memory.

An image is known by its pixels as the encoder gets them, so that what is kept is always what would
be computed; images that change at random would never be met again, and are refused.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import blake2b

import torch
from torch import Tensor
from torch.utils._pytree import tree_flatten, tree_unflatten

from segloom.config.run import RunConfig
from segloom.errors import ConfigError
from segloom.models import SegmentationModel

__all__ = ["cache_features", "check_cacheable"]


def check_cacheable(config: RunConfig, model: SegmentationModel) -> None:
    """Refuse what would make the kept maps wrong or useless.

    Args:
        config: Its sections ``data`` and ``train``.
        model: The network, before training.

    Raises:
        ConfigError: The encoder learns, or the images change at random.
    """
    if not model.is_encoder_frozen or any(p.requires_grad for p in model.encoder.parameters()):
        raise ConfigError(
            "train.cache_features keeps the maps of an encoder that never learns; take "
            "model.architecture linear, without freeze=false and without model.lora, or leave it "
            "out."
        )
    augment = config.data.augment
    changes = {
        "data.augment.scale 1 1": augment.scale != (1.0, 1.0),
        "data.augment.rotate 0": augment.rotate > 0,
        "data.augment.jitter 0": augment.jitter > 0,
        "data.augment.blur 0": augment.blur > 0,
        "no data.crop": config.data.crop is not None,
    }
    wanted = [fix for fix, is_random in changes.items() if is_random]
    if wanted:
        raise ConfigError(
            "train.cache_features needs images that come again as they were; set "
            f"{', '.join(wanted)} (a flip may stay: both views are kept), or leave it out."
        )


def cache_features(model: SegmentationModel) -> None:
    """Let the encoder of a network return kept maps for images that it has seen.

    Images run one by one, so that a map does not depend on the batch that it was computed in. State
    dicts are as before.

    Args:
        model: Its encoder is frozen, see `check_cacheable`.
    """
    run: Callable[[Tensor], object] = model.encoder.forward
    kept: dict[bytes, object] = {}

    def forward(image: Tensor) -> object:
        found = []
        for number in range(len(image)):
            one = image[number : number + 1]
            key = blake2b(one.contiguous().cpu().numpy().tobytes(), digest_size=16)
            name = key.digest() + repr(tuple(one.shape)).encode()
            if name not in kept:
                with torch.no_grad():
                    kept[name] = run(one)
            found.append(tree_flatten(kept[name]))
        leaves = [torch.cat(maps) for maps in zip(*(maps for maps, _ in found), strict=True)]
        return tree_unflatten(leaves, found[0][1])

    model.encoder.forward = forward
