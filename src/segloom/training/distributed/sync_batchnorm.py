"""Batch normalisation over the batch of all processes, on GPUs and on a CPU.

On GPUs torch's SyncBatchNorm, put in place by timm, whose normalisation layers carry an activation
that torch's own conversion drops. torch has none for a CPU; ours computes the same statistics and
gradients with two sums over the processes.
Paper: Zhang et al., "Context Encoding for Semantic Segmentation", CVPR 2018, section 3.

Axes: B batch, C channels.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from segloom.training.distributed.group import is_distributed, sum_over_processes

__all__ = ["ProcessBatchNorm", "synchronize_batchnorm"]


class ProcessBatchNorm(_BatchNorm):
    """Stand in for a batch norm on a CPU, with its keys and its very parameters and statistics.

    Args:
        norm: The layer; its children (timm's ``drop`` and ``act``) follow the normalisation, as in
            timm.
    """

    def __init__(self, norm: _BatchNorm) -> None:
        super().__init__(0, norm.eps, norm.momentum, affine=False, track_running_stats=False)
        self.num_features, self.affine = norm.num_features, norm.affine
        self.track_running_stats = norm.track_running_stats
        self._parameters, self._buffers = norm._parameters, norm._buffers
        for name, child in norm.named_children():
            self.add_module(name, child)
        self.training = norm.training

    def forward(self, x: Tensor) -> Tensor:
        """Normalise ``(B, C, ...)``; in evaluation, or alone, as any batch norm does."""
        sees_others = self.training and is_distributed()
        normalized = self._normalize(x) if sees_others else super().forward(x)
        for part in self.children():
            normalized = part(normalized)
        return normalized

    def _normalize(self, x: Tensor) -> Tensor:
        axes = [0, *range(2, x.ndim)]
        shape = [1, -1] + [1] * (x.ndim - 2)
        values = x.to(torch.promote_types(x.dtype, torch.float32))
        number = values.new_tensor([x.numel() / x.shape[1]])
        # Images differ in size, and so may the shares of the processes.
        sums = _Sum.apply(torch.cat([values.sum(axes), number]))
        number = sums[-1].detach()
        mean = sums[:-1] / number  # (C,)
        centered = values - mean.view(shape)
        variance = _Sum.apply(centered.square().sum(axes)) / number  # (C,)
        if self.track_running_stats:
            self._track(mean.detach(), variance.detach() * number / (number - 1).clamp(min=1))
        normalized = centered * (variance + self.eps).rsqrt().view(shape)
        if self.weight is not None:
            normalized = normalized * self.weight.view(shape)
        if self.bias is not None:
            normalized = normalized + self.bias.view(shape)
        result: Tensor = normalized.to(x.dtype)
        return result

    @torch.no_grad()
    def _track(self, mean: Tensor, variance: Tensor) -> None:
        means, variances, count = self.running_mean, self.running_var, self.num_batches_tracked
        if means is None or variances is None or count is None:
            return
        count += 1
        # None: the plain mean of all batches, as in torch.
        share = 1 / float(count) if self.momentum is None else self.momentum
        means.lerp_(mean, share)
        variances.lerp_(variance, share)

    def _check_input_dim(self, input: Tensor) -> None:  # noqa: A002 - torch's name
        """Take any dimension: the layer that this one stands for was built for its own."""


class _Sum(torch.autograd.Function):
    """The sum over the processes; every process's loss depends on it, so gradients add up too."""

    @staticmethod
    def forward(ctx: object, values: Tensor) -> Tensor:
        return sum_over_processes(values.clone())

    @staticmethod
    def backward(ctx: object, *gradients: Tensor) -> Tensor:
        return sum_over_processes(gradients[0].clone())


def synchronize_batchnorm(model: nn.Module, *, on_gpu: bool) -> None:
    """Let the batch norms below a module see the batches of all processes.

    Names, parameters and running statistics stay, so the state dict is that of the ordinary
    network.

    Args:
        model: Changed in place.
        on_gpu: Where it will train.
    """
    if on_gpu:
        from timm.layers import convert_sync_batchnorm

        convert_sync_batchnorm(model)
        return
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, _BatchNorm) and not isinstance(child, ProcessBatchNorm):
                parent.add_module(name, ProcessBatchNorm(child))
