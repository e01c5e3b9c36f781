"""Reading weights of the DLSE program, which Keras made, into the published form of ``dlse``.

The arrays come as .npz, named ``<layer>/<variable>``; see `HOW_TO_SAVE`. Layers that Keras numbers
itself (conv2d, conv2d_7, ...) are taken in the order of their numbers, wherever these begin. The
program feeds BGR in 0..1 and edge maps in 0..255; the network made here takes RGB and the same
edge maps as pixels, by a turned stem and its normalisation.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from segloom.errors import CheckpointError
from segloom.models.build import create_model
from segloom.models.model import SegmentationModel
from segloom.models.weights.checkpoint import load_tensors

__all__ = ["HOW_TO_SAVE", "KERAS_SUFFIXES", "read_keras_dlse"]

KERAS_SUFFIXES = (".npz", ".h5", ".hdf5", ".keras")

HOW_TO_SAVE = (
    "numpy.savez('weights.npz', **{f'{layer.name}/{w.name.split(chr(47))[-1].split(chr(58))[0]}': "
    "w.numpy() for layer in model.layers for w in layer.weights})"
)
"""What to run beside the Keras model."""

UNITS = {2: 3, 3: 4, 4: 6, 5: 3}
VARIABLES = {
    "kernel": "weight",
    "bias": "bias",
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
    "depthwise_kernel": "0.weight",
    "pointwise_kernel": "1.weight",
}
"""Name of a variable in Keras, and ours."""


def read_keras_dlse(file: Path, *, gate: str = "sigmoid") -> SegmentationModel:
    """Build the published form of DLSE and fill it.

    Args:
        file: .npz with the arrays of all layers.
        gate: What the weights do not tell: sigmoid, softmax or scaled_softmax.

    Raises:
        CheckpointError: It is another kind of file, damaged, or of another network.
    """
    arrays = _read_arrays(file)
    layers = {name.partition("/")[0] for name in arrays}
    stem, head = (arrays.get(f"{name}/kernel") for name in ("conv1a", "Final_Output"))
    if stem is None or head is None or stem.ndim != 4 or head.ndim != 4:
        raise CheckpointError(
            f"{file} lacks the layers conv1a and Final_Output of DLSE; save the whole model with "
            f"`{HOW_TO_SAVE}`."
        )
    has_gates = any(re.fullmatch(r"dense(_\d+)?", layer) for layer in layers)
    in_channels = stem.shape[2]
    model = create_model(
        "dlse",
        encoder_name="resnet50",
        in_channels=in_channels,
        classes=head.shape[3],
        enhancements=[{"se": {"gate": gate}}] if has_gates else [],
        form="published",
    )
    tensors = _renamed(arrays, dict(_ours(layers)))
    order = [2, 1, 0, *range(3, in_channels)]
    tensors["encoder.conv1.weight"] = tensors["encoder.conv1.weight"][:, order].contiguous()
    load_tensors(model, _with_counts(model, tensors), str(file))
    std = [1.0] * 3 + [1 / 255] * (in_channels - 3)
    model.pixel_mean = torch.zeros(1, in_channels, 1, 1)
    model.pixel_std = torch.tensor(std).view(1, -1, 1, 1)
    return model


def _read_arrays(file: Path) -> dict[str, NDArray[np.generic]]:
    if file.suffix != ".npz":
        raise CheckpointError(
            f"{file} is a Keras file; save its weights as .npz with `{HOW_TO_SAVE}` and give that."
        )
    try:
        with np.load(file, allow_pickle=False) as content:
            return {name: content[name] for name in content.files}
    except (OSError, ValueError, BadZipFile) as error:
        raise CheckpointError(
            f"{file} is missing, damaged, or holds other things than arrays; save it again."
        ) from error


def _renamed(
    arrays: Mapping[str, NDArray[np.generic]], ours: Mapping[str, str]
) -> dict[str, Tensor]:
    """Bring arrays to our names and axes; ``ours`` maps the layers of Keras to our modules."""
    tensors = {}
    for name, array in arrays.items():
        layer, _, variable = name.partition("/")
        part, suffix = ours.get(layer, layer), VARIABLES.get(variable, variable)
        if suffix == "bias" and f"{layer}/pointwise_kernel" in arrays:
            suffix = "1.bias"
        tensors[f"{part}.{suffix}"] = _turned(array, variable)
    return tensors


def _ours(layers: set[str]) -> Iterator[tuple[str, str]]:
    """Yield the name of each layer of Keras and of our module."""
    yield from (("conv1a", "encoder.conv1"), ("bn_conv1", "encoder.bn1"))
    yield from (("before_output", "decoder.last"), ("Final_Output", "segmentation_head"))
    yield from ((f"up{step + 1}", f"decoder.up.{step}.0") for step in range(4))
    gates = []
    for stage, count in UNITS.items():
        for unit in range(count):
            part = f"encoder.stage{stage}.{unit}"
            for number, letter in enumerate("abc", start=1):
                branch = f"{stage}{'abcdef'[unit]}_branch2{letter}"
                yield f"res{branch}", f"{part}.conv{number}"
                yield f"bn{branch}", f"{part}.bn{number}"
                yield f"bn{branch}_new", f"{part}.bn{number}"
            if stage < 5:
                gates += [f"{part}.se.fc1", f"{part}.se.fc2"]
    pyramid = "decoder.aspp"
    numbered = {
        "conv2d": [f"encoder.stage{stage}.0.shortcut" for stage in UNITS]
        + [f"{pyramid}.convs.{branch}" for branch in range(1, 5)],
        "dense": gates,
        "batch_normalization": [f"{pyramid}.convs.0", f"{pyramid}.project.1"],
        "separable_conv2d": [f"{pyramid}.project.0", "decoder.skips.0", "decoder.skips.1"],
    }
    for kind, parts in numbered.items():
        found = [layer for layer in layers if re.fullmatch(rf"{kind}(_\d+)?", layer)]
        found.sort(key=lambda layer: int(layer.removeprefix(kind).lstrip("_") or 0))
        yield from zip(found, parts, strict=False)  # a rest is said by its name on loading


def _turned(array: NDArray[np.generic], variable: str) -> Tensor:
    """Put the axes of a kernel in torch's order: HWIO to OIHW, HWC1 to C1HW, IO to OI."""
    if array.ndim == 4:
        axes = (2, 3, 0, 1) if variable == "depthwise_kernel" else (3, 2, 0, 1)
        array = array.transpose(axes)
    elif array.ndim == 2:
        array = array.T
    return torch.from_numpy(np.ascontiguousarray(array, dtype=np.float32))


def _with_counts(model: SegmentationModel, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Add the batch norms' counters, which Keras has not."""
    counts = {k: v for k, v in model.state_dict().items() if k.endswith("num_batches_tracked")}
    return {**counts, **tensors}
