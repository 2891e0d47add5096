"""Recompute the running statistics of norm layers, which depend on the weights, for weights that were not trained."""

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import distributed, nn
from torch.nn.modules.batchnorm import _BatchNorm, _NormBase
from torch.nn.modules.instancenorm import _InstanceNorm

from trainers.compute.batches import trained_norms
from trainers.optim.layer_groups import training_mode
from trainers.seeding import global_stream
from trainers.task import Examples


@torch.no_grad()
def recompute_statistics(model: nn.Module, train: Examples, batch_size: int, frozen: Sequence[str] = ()) -> None:
    """Recompute the running mean and variance of BatchNorm and InstanceNorm layers as the means over all batches.

    They are those of ``torch.optim.swa_utils.update_bn``, which leaves out InstanceNorm. Layers that keep their
    statistics in training, because of their momentum or of a mode that the model gives them, keep them here, too. A
    model without statistics is not run. Dropout is active, as in training, and draws from its own random stream. The
    mode of the model is restored.

    Args:
        model: Model with the weights to evaluate.
        train: Examples of ``train``.
        batch_size: Number of examples per batch.
        frozen: ``groups.frozen`` of the recipe: parts that keep their statistics, because their weights are the same.
    """
    was_training = model.training
    training_mode(model, frozen)
    layers = [layer for layer in trained_norms(model, frozen, _NormBase) if layer.training and _is_updated(layer)]
    try:
        if layers:
            with _cumulative(layers), global_stream(torch.initial_seed(), "statistics"):
                for batch in train.in_order(batch_size, at_least_two=True):
                    model(batch.inputs)
    finally:
        model.train(was_training)


def _is_updated(layer: _NormBase) -> bool:
    """Return whether training updates the statistics of a layer."""
    if layer.momentum is None:  # the mean over all batches for BatchNorm; torch never updates InstanceNorm
        return layer.track_running_stats and isinstance(layer, _BatchNorm)
    return layer.track_running_stats and layer.momentum != 0


@contextmanager
def _cumulative(layers: list[_NormBase]) -> Iterator[None]:
    """Let layers start new statistics inside the block and average them over all batches.

    A layer that the block does not run keeps its statistics.
    """
    before = [(copy.deepcopy(layer.state_dict()), layer.momentum, _process_group(layer)) for layer in layers]
    hooks = [layer.register_forward_pre_hook(_Count()) for layer in layers if isinstance(layer, _InstanceNorm)]
    try:
        for layer in layers:
            layer.reset_running_stats()
            layer.momentum = None  # the plain mean
            if isinstance(layer, nn.SyncBatchNorm):
                # This process has all batches. Other processes may not run the model, and must not be waited for.
                layer.process_group = distributed.GroupMember.NON_GROUP_MEMBER
        yield
    finally:
        for hook in hooks:
            hook.remove()
        for layer, (state, momentum, group) in zip(layers, before, strict=True):
            if layer.get_buffer("num_batches_tracked") == 0:
                layer.load_state_dict(state)
            layer.momentum = momentum
            if isinstance(layer, nn.SyncBatchNorm):
                layer.process_group = group


def _process_group(layer: _NormBase) -> object:
    return getattr(layer, "process_group", None)


class _Count:
    """Counts a batch before an InstanceNorm layer averages it, which does not count batches and knows no plain mean."""

    def __init__(self) -> None:
        self._batches = 0  # read from the buffer of the layer, the CPU would wait for the GPU

    def __call__(self, layer: _InstanceNorm, _: object) -> None:
        layer.get_buffer("num_batches_tracked").add_(1)
        self._batches += 1
        layer.momentum = 1 / self._batches
