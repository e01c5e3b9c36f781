"""Checkpoints of the released SFNet and FENet programs: what they hold, and our names for it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from typing import TypedDict

from torch import Tensor

from segloom.errors import CheckpointError

__all__ = ["inspect_reference_state", "rename_reference_key", "rename_reference_state"]

BACKBONE = (
    (r"^layer0\.0\.", "encoder.model.conv1."),
    (r"^layer0\.1\.", "encoder.model.bn1."),
    (r"^(layer[1-4]\.)", r"encoder.model.\1"),
)
SFNET = (
    (r"^head\.ppm\.stages\.", "decoder.context.branches."),
    (r"^head\.ppm\.bottleneck\.", "decoder.context.fuse."),
    (r"^head\.ppm\.down\.", "decoder.context.reduce."),
    (r"^head\.fpn_in\.", "decoder.laterals."),
    (r"^head\.fpn_out\.(\d)\.0\.", r"decoder.smooth.\1."),
    (r"^head\.fpn_out_align\.", "decoder.joins."),
    (r"^head\.flow_align_module\.", "decoder.align."),
    (r"^head\.conv_last\.0\.", "decoder.fuse."),
    (r"^head\.conv_last\.1\.", "segmentation_head.0."),
    # The program counts its heads from the finest map, ours begin at the first that is joined.
    (r"^head\.dsn\.0\.", "enhancements.deep_supervision.heads.2."),
    (r"^head\.dsn\.1\.", "enhancements.deep_supervision.heads.1."),
    (r"^head\.dsn\.2\.", "enhancements.deep_supervision.heads.0."),
    (r"\.down_h\.", ".reduce_high."),
    (r"\.down_l\.", ".reduce_low."),
    (r"\.flow_make\.", ".flow."),
    (r"\.flow_gate\.0\.", ".gate."),
)
LITE = ((r"^head\.fpn_in\.0\.", "decoder.fine."), (r"^head\.fpn_in\.1\.", "decoder.middle."))
"""Its third lateral is never run."""
FENET = (
    (r"^fpn_fe\.conv_reduction\.3\.features\.", "decoder.context.branches."),
    (r"^fpn_fe\.conv_reduction\.3\.fusion\.", "decoder.context.fuse."),
    (r"^fpn_fe\.conv_reduction\.", "decoder.laterals."),
    (r"^fpn_fe\.de\.(\d)\.0\.", r"decoder.details.\1."),
    (r"^fpn_fe\.se\.(\d)\.0\.", r"decoder.structures.\1."),
    (r"^conv_last\.([01])\.", r"decoder.fuse.\1."),
    (r"^conv_last\.3\.", "segmentation_head.0."),
    (r"^dsn\.", "enhancements.deep_supervision.heads."),
    (r"^.*\bside_output\.(\d)\.0\.", r"enhancements.edge_supervision.side.\1."),
    (r"^(?!decoder).*\bfuse\.(weight|bias)$", r"enhancements.edge_supervision.fuse.\1"),
    (r"\._high_pass_filter\.", ".filter."),
    (r"\.conv_bn_relu\.", ".merge."),
    (r"\.res\.conv1\.", ".residual.0."),
    (r"\.res\.bn1\.", ".residual.1."),
    (r"\.res\.conv2\.", ".residual.3."),
    (r"\.res\.bn2\.", ".residual.4."),
    (r"\.bn_relu\.0\.", ".norm."),
    (r"\.fusion\.", ".fuse."),
)
NAMES = {
    "sfnet": (*BACKBONE, *SFNET),
    "sfnetlite": (*BACKBONE, *LITE, *SFNET),
    "fenet": (*BACKBONE, *FENET),
}


def rename_reference_key(key: str, architecture: str) -> str:
    """Translate a name of the released program, without ``module.``, into ours."""
    for pattern, ours in NAMES[architecture]:
        key = re.sub(pattern, ours, key)
    return key


def rename_reference_state(
    tensors: Mapping[str, Tensor], architecture: str, *, keep_auxiliary: bool = True
) -> dict[str, Tensor]:
    """Translate a whole state dict, without the tensors that no pass ever reads.

    Args:
        tensors: Names of the released program, without ``module.``.
        architecture: ``sfnet``, ``sfnetlite`` or ``fenet``.
        keep_auxiliary: Keep the training heads, which no prediction needs.
    """
    unused = ("head.fpn_in.2.", "head.dsn.") if architecture == "sfnetlite" else ()
    renamed = {
        rename_reference_key(key, architecture): value
        for key, value in tensors.items()
        if not key.startswith(unused)
    }
    return {
        key: value
        for key, value in renamed.items()
        if keep_auxiliary or not key.startswith("enhancements.")
    }


MARKS = {"fpn_fe.": "fenet", "head.flow_align_module.": "sfnetlite", "head.fpn_out.": "sfnet"}
"""Beginning of a name that only one of the networks has."""
ENCODERS = {
    (False, 2, 2, 2, 2): "tu-resnet18s",
    (True, 3, 4, 6, 3): "tu-resnet50s",
    (True, 3, 4, 23, 3): "tu-resnet101s",
}
"""Whether its blocks are bottlenecks, and how many there are in the four stages."""
FUSE = {"fenet": "conv_last.0.weight", "sfnet": "head.conv_last.0.0.weight"}
HEAD = {"fenet": "conv_last.3.weight", "sfnet": "head.conv_last.1.weight"}


class ReferenceFacts(TypedDict):
    """Arguments of `create_model` for a network of the released programs."""

    architecture: str
    encoder_name: str
    in_channels: int
    classes: int
    options: dict[str, object]


def inspect_reference_state(tensors: Mapping[str, Tensor], file: str) -> ReferenceFacts | None:
    """Return which network of the released programs a state dict is.

    FENet's dense connections have no tensors, so they cannot be told.

    Args:
        tensors: Names of the released program, without ``module.``.
        file: Where it comes from, for the messages.

    Returns:
        ``architecture``, ``encoder_name``, ``in_channels``, ``classes`` and ``options``; None if
        it is another program's.

    Raises:
        CheckpointError: It is one of these networks on another encoder, or incomplete.
    """
    found = (name for mark, name in MARKS.items() if any(k.startswith(mark) for k in tensors))
    architecture = next(found, None)
    if architecture is None:
        return None
    layers = _layers(tensors)
    if layers not in ENCODERS:
        raise CheckpointError(
            f"{file} is a {architecture} on another encoder than a deep-stem ResNet-18, 50 or 101; "
            "only these can be converted."
        )
    family = "fenet" if architecture == "fenet" else "sfnet"
    for name in ("layer0.0.0.weight", FUSE[family], HEAD[family]):
        if name not in tensors:
            raise CheckpointError(f"{file} is incomplete: it lacks {name}.")
    return {
        "architecture": architecture,
        "encoder_name": ENCODERS[layers],
        "in_channels": tensors["layer0.0.0.weight"].shape[1],
        "classes": tensors[HEAD[family]].shape[0],
        "options": {
            "pyramid_channels": tensors[FUSE[family]].shape[0],
            **_variant(architecture, tensors),
        },
    }


def _layers(tensors: Mapping[str, Tensor]) -> tuple[bool, int, int, int, int]:
    """Return the key of `ENCODERS` that the names of blocks spell."""
    pattern = re.compile(r"layer([1-4])\.\d+\.conv1\.weight$")
    stages = Counter(match[1] for name in tensors if (match := pattern.match(name)))
    has_bottlenecks = "layer1.0.conv3.weight" in tensors
    return has_bottlenecks, stages["1"], stages["2"], stages["3"], stages["4"]


def _variant(architecture: str, tensors: Mapping[str, Tensor]) -> dict[str, object]:
    """Return the options that name a form of the network by the parts that it has."""
    options: dict[str, object] = {}
    if any(".ppm.down." in name for name in tensors):
        options["context"] = "sum"
    if architecture == "sfnet" and not any(".fpn_out_align." in name for name in tensors):
        options["align"] = False
    return options
