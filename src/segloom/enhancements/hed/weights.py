"""Weights of HED from files in the wild, told apart by the names in them.

    caffe              conv1_1, score-dsn1, new-score-weighting     hed_pretrained_bsds.caffemodel
    xwjabc/hed         conv1_1, score_dsn1, score_final             hed_checkpoint.pt; our own files
    sniklaus/pytorch-hed   moduleVggOne.0, moduleScoreOne, ...      network-bsds500.pytorch
    ControlNet         block1.convs.0, block1.projection, norm      ControlNetHED.pth
    torchvision, SMP   features.0                                   VGG16, to start a training from

Each holds ``.weight`` and ``.bias``; ``_w``, ``/weights`` and the like are read too.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from torch import Tensor

from segloom.enhancements.hed.network import STAGES, Geometry, HedNetwork
from segloom.errors import CheckpointError
from segloom.weight_files import check_fit, read_state_dict

__all__ = ["load_hed", "rename_hed_tensors"]

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""What torchvision's VGG16 subtracts and divides by: RGB, in 0..1 pixel units."""

VGG_PLACES = (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)
"""Places of the convolutions among torchvision's ``features``."""
CONVOLUTIONS = [
    f"conv{stage}_{number}"
    for stage, channels in enumerate(STAGES, start=1)
    for number in range(1, len(channels))
]
WORDS = {"One": 1, "Two": 2, "Thr": 3, "Fou": 4, "Fiv": 5}
SPARE = re.compile(r"classifier|avgpool|upsample|weight_deconv|fc\d")
"""Names that HED has no place for: VGG16's classifier and fixed bilinear filters."""
PARAMETER = re.compile(r"(.+?)[._/](weights?|w|biases|bias|b)")


def load_hed(path: Path, geometry: Geometry = "caffe", *, for_training: bool = False) -> HedNetwork:
    """Build HED with the weights of a file, in evaluation mode, on the CPU.

    Args:
        path: A file of one of the kinds above: .safetensors, .pth and PyTorch's other endings,
            .npz, .caffemodel.
        geometry: How score maps lie on the image.
        for_training: Take a VGG16, which scores no edges yet.

    Raises:
        CheckpointError: The file cannot be read or does not fit.
    """
    network = HedNetwork(geometry)
    tensors = rename_hed_tensors(read_state_dict(path))
    own = network.state_dict()
    given = {name: _shaped(value, own.get(name)) for name, value in tensors.items()}
    is_start = not any(name.startswith("score_") for name in given)
    if is_start and not for_training:
        _refuse_vgg(given, path)
    needed = [n for n in own if n != "mean" and not (is_start and n.startswith("score_"))]
    check_fit(f"{path} does not fit HED", own, given, needed)
    network.load_state_dict({**own, **given})
    return network.eval()


def _refuse_vgg(names: Iterable[str], path: Path) -> None:
    if set(CONVOLUTIONS) <= {name.partition(".")[0] for name in names}:
        raise CheckpointError(
            f"{path} is a VGG16 that has not learnt edges yet; train it with "
            f"`segloom edges train --weights {path}` and give the file that this writes."
        )


def rename_hed_tensors(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Bring tensors of any of the kinds above to the names and the channel order of `HedNetwork`.

    What HED has no place for is left out; a name that is not known stays as it is.
    """
    named = {
        _rename(name): value.float() for name, value in tensors.items() if not SPARE.search(name)
    }
    first = named.get("conv1_1.weight")
    if first is None or first.ndim != 4:
        return named
    if "norm" in named:  # ControlNet's takes RGB, and fuses by the average, as a new network does
        named["mean"] = named.pop("norm").flatten().flip(0)
        named["conv1_1.weight"] = first.flip(1)
        named["score_final.weight"] = torch.full((1, len(STAGES), 1, 1), 1 / len(STAGES))
        named["score_final.bias"] = torch.zeros(1)
    elif any("features." in name for name in tensors):  # RGB in 0..1, divided by the deviation
        scale = 255 * torch.tensor(IMAGENET_STD).view(1, 3, 1, 1)
        named["conv1_1.weight"] = (first / scale).flip(1)
        named["mean"] = 255 * torch.tensor(IMAGENET_MEAN).flip(0)
    return named


def _rename(name: str) -> str:
    match = PARAMETER.fullmatch(name)
    if match is None:
        return name
    layer = _rename_layer(match[1].removeprefix("encoder."))
    return f"{layer}.{'weight' if match[2].startswith('w') else 'bias'}"


def _rename_layer(layer: str) -> str:
    if match := re.fullmatch(r"(?:module|net)Vgg(\w{3})\.(\d)", layer):
        return f"conv{WORDS.get(match[1])}_{int(match[2]) // 2 + 1}"
    if match := re.fullmatch(r"(?:module|net)Score(\w{3})", layer):
        return f"score_dsn{WORDS.get(match[1])}"
    if match := re.fullmatch(r"block(\d)\.convs\.(\d)", layer):
        return f"conv{match[1]}_{int(match[2]) + 1}"
    if match := re.fullmatch(r"block(\d)\.projection", layer):
        return f"score_dsn{match[1]}"
    if (match := re.fullmatch(r"features\.(\d+)", layer)) and int(match[1]) in VGG_PLACES:
        return CONVOLUTIONS[VGG_PLACES.index(int(match[1]))]
    if layer in ("new-score-weighting", "moduleCombine.0", "netCombine.0"):
        return "score_final"
    return re.sub(r"^score-dsn(\d)$", r"score_dsn\1", layer)


def _shaped(value: Tensor, own: Tensor | None) -> Tensor:
    """Drop axes of length 1 before those of ours: old caffe files have four for a bias."""
    while own is not None and value.ndim > own.ndim and value.shape[0] == 1:
        value = value[0]
    return value
