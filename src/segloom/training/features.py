"""The maps of a frozen encoder, computed once for each image and kept in memory.

An image is known by its pixels as the encoder gets them, so that what is kept is always what would
be computed; images that change at random would never be met again, and are refused. Of the maps
only those are kept that the rest of the network looks at.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hashlib import blake2b
from math import inf

import torch
from torch import Tensor, nn
from torch.utils._pytree import TreeSpec, tree_flatten, tree_unflatten

from segloom.config.run import RunConfig
from segloom.data import SegmentationDataset
from segloom.errors import ConfigError
from segloom.models import SegmentationModel
from segloom.training.from_data import training_device

__all__ = [
    "bytes_per_pixel",
    "cache_features",
    "check_cacheable",
    "check_memory",
    "memory_for_maps",
]

MEMORY_SHARE = 0.5
"""Of the memory, that kept maps may take."""


def check_cacheable(config: RunConfig, model: SegmentationModel) -> None:
    """Refuse what would make the kept maps wrong or useless.

    Args:
        config: Its sections ``data``, ``model`` and ``train``.
        model: The network, before training.

    Raises:
        ConfigError: The encoder learns, or the images change at random.
    """
    if not _never_learns(config, model):
        raise ConfigError(
            "train.cache_features keeps the maps of an encoder that never learns; take "
            "model.architecture linear without freeze=false, or set train.frozen_epochs "
            f"{config.train.epochs}, as many as train.epochs, on an encoder without feature "
            "pyramid; no model.lora; or leave it out."
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


def _never_learns(config: RunConfig, model: SegmentationModel) -> bool:
    if config.model.lora is not None:
        return False
    if model.is_encoder_frozen:
        return not any(parameter.requires_grad for parameter in model.encoder.parameters())
    # Layers that are new, as those of a feature pyramid, learn in frozen epochs too.
    return config.train.frozen_epochs >= config.train.epochs and not hasattr(model.encoder, "fresh")


def check_memory(
    config: RunConfig, model: SegmentationModel, training: SegmentationDataset
) -> None:
    """Refuse to keep maps that would not fit into half of the memory.

    Args:
        config: Its sections ``data`` and ``train``.
        model: The network, before training.
        training: The images, taken to be about as large as the first one.

    Raises:
        ConfigError: They would not fit.
    """
    height, width = training[0]["image"].shape[-2:]
    views = len(training) * (2 if config.data.augment.flip > 0 else 1)
    size = 1 if config.train.precision == "fp32" else 0.5
    needed = views * height * width * bytes_per_pixel(model) * size / 1e9
    there = memory_for_maps(config) / 1e9
    if needed > there:
        raise ConfigError(
            f"train.cache_features would keep about {needed:.1f} GB of feature maps of {views} "
            f"views of training images, more than half of the memory ({there:.1f} GB); take "
            "model.architecture linear, which looks at one map alone, smaller images or "
            "data.augment.flip 0, or leave it out."
        )


def memory_for_maps(config: RunConfig) -> float:
    """Return the bytes that kept maps may take: half of the memory where the training runs."""
    return MEMORY_SHARE * training_device(config)[1]


def bytes_per_pixel(model: SegmentationModel) -> float:
    """Return what the kept maps of an image take in fp32, in bytes per pixel.

    Args:
        model: The network; its encoder is not changed yet.
    """
    maps, used = _probe(model)
    kept = sum(map_.numel() for map_, is_used in zip(maps, used, strict=True) if is_used)
    return kept * 4 / (2 * model.multiple) ** 2


def cache_features(model: SegmentationModel, limit: float = inf) -> None:
    """Let the encoder of a network return kept maps for images that it has seen.

    Images run one by one, so that a map does not depend on the batch that it was computed in; but
    where images differ in size, an image is another one in every size that batches pad it to. Maps
    that nothing looks at are zeros. State dicts are as before.

    Args:
        model: Its encoder does not learn, see `check_cacheable`.
        limit: Bytes that may be kept; what is beyond them is computed each time.
    """
    encoder = model.encoder
    run: Callable[[Tensor], object] = encoder.forward
    _, used = _probe(model)
    kept: dict[bytes, tuple[list[Tensor], TreeSpec]] = {}
    left = limit

    def maps_of(image: Tensor) -> tuple[list[Tensor], TreeSpec]:
        nonlocal left
        key = blake2b(image.contiguous().cpu().numpy().tobytes(), digest_size=16)
        name = key.digest() + repr(tuple(image.shape)).encode()
        if name in kept:
            return kept[name]
        with torch.no_grad():
            maps, layout = tree_flatten(run(image))
        # A single zero, shown at the size of the map, takes no memory.
        pairs = zip(maps, used, strict=True)
        found = [m if is_used else m.new_zeros(()).expand_as(m) for m, is_used in pairs]
        size = sum(m.nbytes for m, is_used in zip(found, used, strict=True) if is_used)
        if size <= left:
            left -= size
            kept[name] = found, layout
        return found, layout

    def forward(image: Tensor) -> object:
        if encoder.training:  # before the first epoch freezes it
            return run(image)
        found = [maps_of(image[number : number + 1]) for number in range(len(image))]
        columns = zip(*(maps for maps, _ in found), strict=True)
        leaves = [
            torch.cat(maps) if is_used else maps[0].expand(len(found), *maps[0].shape[1:])
            for maps, is_used in zip(columns, used, strict=True)
        ]
        return tree_unflatten(leaves, found[0][1])

    encoder.forward = forward


def _probe(model: SegmentationModel) -> tuple[list[Tensor], list[bool]]:
    """Return the encoder's maps of a small image, and which of them change a result.

    A map counts if a gradient reaches it; what is left must make no difference when it is not a
    number, for a part may look at a map without a gradient.
    """
    was_training = model.training
    model.eval()
    maps: list[Tensor] = []

    def watch(_: nn.Module, __: object, output: object) -> object:
        found, layout = tree_flatten(output)
        maps.extend(map_.detach().requires_grad_() for map_ in found)
        return tree_unflatten(maps, layout)

    with torch.enable_grad():
        results = _results(model, watch)
        total = torch.stack([result.sum() for result in results]).sum()
    gradients = torch.autograd.grad(total, maps, allow_unused=True)
    used = [gradient is not None for gradient in gradients]

    def spoil(_: nn.Module, __: object, output: object) -> object:
        found, layout = tree_flatten(output)
        pairs = zip(found, used, strict=True)
        return tree_unflatten([m if is_used else m * torch.nan for m, is_used in pairs], layout)

    with torch.no_grad():
        spoiled = _results(model, spoil)
    model.train(was_training)
    same = all(torch.equal(*pair) for pair in zip(results, spoiled, strict=True))
    return [map_.detach() for map_ in maps], used if same else [True] * len(used)


def _results(
    model: SegmentationModel, hook: Callable[[nn.Module, object, object], object]
) -> Sequence[Tensor]:
    """Compute all that training learns from, with a hook on the encoder's maps."""
    side = 2 * model.multiple
    image = torch.rand(
        1, model.input_channels, side, side, generator=torch.Generator().manual_seed(0)
    )
    handle = model.encoder.register_forward_hook(hook)
    try:
        prediction = model.run(image)
    finally:
        handle.remove()
    target = torch.zeros(1, side, side, dtype=torch.int64)
    auxiliary = [map_ for maps in model.auxiliary_logits(prediction).values() for map_ in maps]
    losses = model.auxiliary_losses(prediction, target).values()
    return [prediction.logits, *auxiliary, *losses]
