"""Names of the released SFNet and FENet programs, and ours for the same tensors."""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor

__all__ = ["rename_reference_key", "rename_reference_state"]

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
