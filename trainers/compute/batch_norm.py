"""Recompute the running statistics of BatchNorm, which depend on the weights, for weights that were not trained."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, distributed, nn
from torch.nn.modules.batchnorm import _BatchNorm

from trainers.compute.batches import split_batches, trained_batch_norms
from trainers.optim.layer_groups import training_mode
from trainers.seeding import global_stream


@torch.no_grad()
def recompute_statistics(model: nn.Module, inputs: Tensor, batch_size: int, frozen: Sequence[str] = ()) -> None:
    """Recompute the running mean and variance of the BatchNorm layers as the means over all batches.

    They are those of ``torch.optim.swa_utils.update_bn``. A model without BatchNorm is not run. Dropout is active, as
    in training, and draws from its own random stream. The mode of the model is restored.

    Args:
        model: Model with the weights to evaluate.
        inputs: Inputs of ``train``, ``(n, ...)``.
        batch_size: Number of examples per batch.
        frozen: ``groups.frozen`` of the recipe: parts that keep their statistics, because their weights are the same.
    """
    layers = [layer for layer in trained_batch_norms(model, frozen) if layer.track_running_stats]
    if not layers:
        return
    was_training = model.training
    training_mode(model, frozen)
    try:
        with _cumulative(layers), global_stream(torch.initial_seed(), "statistics"):
            for batch in split_batches(inputs, batch_size, at_least_two=True):
                model(batch)
    finally:
        model.train(was_training)


@contextmanager
def _cumulative(layers: list[_BatchNorm]) -> Iterator[None]:
    """Let BatchNorm layers start new statistics inside the block and average them over all batches."""
    before = [(layer, layer.momentum, getattr(layer, "process_group", None)) for layer in layers]
    try:
        for layer in layers:
            layer.reset_running_stats()
            layer.momentum = None  # the plain mean
            if isinstance(layer, nn.SyncBatchNorm):
                # This process has all batches. Other processes may not run the model, and must not be waited for.
                layer.process_group = distributed.GroupMember.NON_GROUP_MEMBER
        yield
    finally:
        for layer, momentum, group in before:
            layer.momentum = momentum
            if isinstance(layer, nn.SyncBatchNorm):
                layer.process_group = group
