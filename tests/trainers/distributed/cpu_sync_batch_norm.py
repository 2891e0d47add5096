"""Run torch's SyncBatchNorm on a CPU, for a test: its five CUDA kernels are written in Python, its GPU checks removed.

The communication between the processes is that of torch and of this project.

Imported by name in the processes of a test only, since it replaces functions of torch.
"""

from __future__ import annotations

import torch
from torch import Tensor, distributed, nn
from torch.nn.modules._functions import SyncBatchNorm
from torch.nn.parallel import DistributedDataParallel

from search_spaces.recipe.recipe import Recipe
from tests.trainers.distributed.rank_tasks import Normed as PlainNormed
from trainers.compute.rank import Rank


class Normed(PlainNormed):
    def model(self, recipe: Recipe) -> nn.Module:
        _replace_kernels()
        return super().model(recipe)


def _replace_kernels() -> None:
    torch.batch_norm_stats = _stats
    torch.batch_norm_gather_stats_with_counts = _gathered
    torch.batch_norm_elemt = _normalized
    torch.batch_norm_backward_reduce = _reduced
    torch.batch_norm_backward_elemt = _backward
    nn.SyncBatchNorm.forward = _forward  # torch's own asks for the device first
    DistributedDataParallel._passing_sync_batchnorm_handle = lambda self, module: None  # DDP asks once more
    original = Rank.with_sync_batch_norm
    Rank.with_sync_batch_norm = lambda self, model, device: original(self, model, torch.device("cuda"))


def _forward(self: nn.SyncBatchNorm, inputs: Tensor) -> Tensor:
    if not self.training or self.process_group == distributed.GroupMember.NON_GROUP_MEMBER:
        return nn.BatchNorm1d.forward(self, inputs)
    self.num_batches_tracked += 1
    group = distributed.group.WORLD
    statistics = (self.running_mean, self.running_var, self.eps, self.momentum)
    return SyncBatchNorm.apply(inputs, self.weight, self.bias, *statistics, group, group.size())


def _stats(inputs: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    return inputs.mean(0), (inputs.var(0, unbiased=False) + eps).rsqrt()


def _gathered(inputs, means, invstds, running_mean, running_var, momentum, eps, counts) -> tuple[Tensor, Tensor]:
    shares = (counts / counts.sum()).unsqueeze(1)
    mean = (shares * means).sum(0)
    variance = (shares * (invstds**-2 - eps + (means - mean) ** 2)).sum(0)
    total = counts.sum()
    running_mean.mul_(1 - momentum).add_(momentum * mean)
    running_var.mul_(1 - momentum).add_(momentum * variance * total / (total - 1))
    return mean, (variance + eps).rsqrt()


def _normalized(inputs, weight, bias, mean, invstd, eps) -> Tensor:
    return (inputs - mean) * invstd * weight + bias


def _reduced(gradient, inputs, mean, invstd, weight, *wanted: bool) -> tuple[Tensor, ...]:
    total, against = gradient.sum(0), (gradient * (inputs - mean)).sum(0)
    return total, against, against * invstd, total


def _backward(gradient, inputs, mean, invstd, weight, total, against, counts) -> Tensor:
    n = counts.sum()
    return (gradient - total / n - (inputs - mean) * invstd**2 * against / n) * invstd * weight
