"""What some optimizers want besides `step`: train and eval modes, and gradients of gradients."""

from __future__ import annotations

import warnings
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor


@runtime_checkable
class _WrapsOptimizer(Protocol):
    """A lookahead."""

    optimizer: torch.optim.Optimizer


@runtime_checkable
class _HasModes(Protocol):
    """A schedule-free optimizer."""

    def train(self) -> None: ...
    def eval(self) -> None: ...


@runtime_checkable
class _EstimatesCurvature(Protocol):
    """Sophia."""

    @property
    def estimates_curvature(self) -> bool: ...


def _inner(optimizer: torch.optim.Optimizer) -> torch.optim.Optimizer:
    return optimizer.optimizer if isinstance(optimizer, _WrapsOptimizer) else optimizer


def backward(loss: Tensor, optimizer: torch.optim.Optimizer) -> None:
    """Add the gradient of ``loss`` to the parameters' ``grad``, in the form that the coming step needs.

    Sophia differentiates it once more in some steps; then it carries its graph.
    """
    inner = _inner(optimizer)
    if not (isinstance(inner, _EstimatesCurvature) and inner.estimates_curvature):
        loss.backward()  # type: ignore[no-untyped-call]  # torch has not typed it
        return
    with warnings.catch_warnings():
        # It warns of a cycle of references, which zero_grad() after the step breaks.
        warnings.filterwarnings("ignore", message=r"Using backward\(\) with create_graph=True")
        loss.backward(create_graph=True)  # type: ignore[no-untyped-call]  # torch has not typed it


def train_mode(optimizer: torch.optim.Optimizer) -> None:
    """Put the weights where gradients are taken; for a schedule-free optimizer, after `eval_mode`."""
    inner = _inner(optimizer)
    if isinstance(inner, _HasModes):
        inner.train()


def eval_mode(optimizer: torch.optim.Optimizer) -> None:
    """Put the weights where they are evaluated: a schedule-free optimizer has an average for it.

    A checkpoint can be taken in either mode; the optimizer's state says which one it was.
    """
    inner = _inner(optimizer)
    if isinstance(inner, _HasModes):
        inner.eval()
