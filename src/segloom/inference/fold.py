"""Folding batch normalisation into the convolution before it.

At inference a batch norm is a fixed scale and shift per channel, which the weights and the bias of
the convolution can take over (B. Jacob et al., "Quantization and Training of Neural Networks for
Efficient Integer-Arithmetic-Only Inference", CVPR 2018, section 3.2). The pairs are found by
watching one pass through the network, not by the names of its parts: a pair is folded only if the
result of the convolution went into the batch norm and nowhere else, and each of the two ran once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, TypeGuard

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

from segloom.models.model import SegmentationModel

__all__ = ["fold_batch_norms"]

CONVOLUTIONS = (torch.conv2d, torch.conv_transpose2d)
NORMALIZATIONS = (torch.nn.functional.batch_norm, torch.batch_norm)


def fold_batch_norms(model: SegmentationModel) -> int:
    """Fold in place what can be folded; the network must be in evaluation mode.

    Logits stay equal up to rounding, a few 1e-6 of their size.

    Returns:
        The number of batch norms that are gone.
    """
    watch = _watch_one_pass(model)
    owners = _owners(model)
    replaced: dict[nn.Module, nn.Module] = {}
    for convolution_weight, norm_mean in watch.pairs():
        convolution, norm = owners.get(convolution_weight), owners.get(norm_mean)
        rest = _rest(norm)
        if norm is None or rest is None or not _can_absorb(convolution):
            continue
        _absorb(convolution, norm)
        replaced[norm] = rest
    for name, module in list(model.named_modules(remove_duplicate=False)):
        if module in replaced:
            model.set_submodule(name, replaced[module])
    return len(replaced)


class _Watch(TorchFunctionMode):
    """Records which results of convolutions go where.

    Tensors are held until the end, so that an ``id`` stands for one tensor only.
    """

    def __init__(self) -> None:
        super().__init__()
        self.held: list[object] = []
        self.uses: Counter[int] = Counter()
        self.runs: Counter[int] = Counter()
        self.made_by: dict[int, int] = {}
        self.normalized: list[tuple[int, int]] = []

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        tensors = _tensors((args, kwargs))
        result = func(*args, **kwargs)
        self.held += [tensors, result]
        is_question = result is not None and not _tensors(result)  # size, dim, device, ...
        if not is_question:
            self.uses.update({id(tensor) for tensor in tensors})
        if func in CONVOLUTIONS:
            weight = id(kwargs.get("weight", args[1] if len(args) > 1 else None))
            self.runs[weight] += 1
            self.made_by[id(result)] = weight
        elif func in NORMALIZATIONS:
            mean = id(kwargs.get("running_mean", args[1] if len(args) > 1 else None))
            self.runs[mean] += 1
            self.normalized.append((id(args[0] if args else kwargs["input"]), mean))
        return result

    def pairs(self) -> Iterator[tuple[int, int]]:
        """Yield the ids of a convolution's weight and a batch norm's mean that belong together."""
        for value, mean in self.normalized:
            weight = self.made_by.get(value)
            if weight is None or self.uses[value] != 1:
                continue
            if self.runs[weight] == 1 and self.runs[mean] == 1:
                yield weight, mean


def _tensors(value: object) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(value) if isinstance(leaf, Tensor)]


def _watch_one_pass(model: SegmentationModel) -> _Watch:
    parameter = next(model.parameters())
    image = torch.zeros(1, model.input_channels, 64, 64).to(parameter)
    watch = _Watch()
    with torch.no_grad(), watch:
        model(image)
    return watch


def _owners(model: nn.Module) -> dict[int, nn.Module]:
    """Map the id of a convolution's weight or a batch norm's mean to the one module that has it."""
    owners: dict[int, nn.Module] = {}
    shared: set[int] = set()
    for module in model.modules():
        tensor = getattr(module, "running_mean", getattr(module, "weight", None))
        if isinstance(tensor, Tensor):
            shared.update({id(tensor)} & owners.keys())
            owners[id(tensor)] = module
    return {key: module for key, module in owners.items() if key not in shared}


def _rest(norm: nn.Module | None) -> nn.Module | None:
    """Return what remains of a batch norm without the normalisation, or None if unknown.

    timm's batch norms carry a dropout and an activation as children ``drop`` and ``act``.
    """
    if type(norm) in (nn.BatchNorm2d, nn.SyncBatchNorm):
        return nn.Identity()
    children = dict(norm.named_children()) if isinstance(norm, nn.BatchNorm2d) else {}
    if set(children) == {"drop", "act"}:
        return nn.Sequential(children["drop"], children["act"])
    return None


def _can_absorb(convolution: nn.Module | None) -> TypeGuard[nn.Conv2d | nn.ConvTranspose2d]:
    if isinstance(convolution, nn.ConvTranspose2d):
        # In groups the output channels do not lie along one axis of the transposed weight.
        return convolution.groups == 1
    return isinstance(convolution, nn.Conv2d)


# A batch norm is Any here: its statistics, optional to a type checker, were seen at work.
def _absorb(convolution: nn.Conv2d | nn.ConvTranspose2d, norm: Any) -> None:
    convolution.weight, convolution.bias = fuse_conv_bn_weights(
        convolution.weight,
        convolution.bias,
        norm.running_mean,
        norm.running_var,
        norm.eps,
        norm.weight,
        norm.bias,
        transpose=isinstance(convolution, nn.ConvTranspose2d),
    )
