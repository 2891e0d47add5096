"""Train and eval modes and second-order gradients, which some optimizers need besides `step`."""

import warnings
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor


@runtime_checkable
class _WrapsOptimizer(Protocol):
    """Lookahead around another optimizer."""

    optimizer: torch.optim.Optimizer


@runtime_checkable
class _HasModes(Protocol):
    """Schedule-free optimizer."""

    def train(self) -> None: ...
    def eval(self) -> None: ...


@runtime_checkable
class _EstimatesCurvature(Protocol):
    """Second-order optimizer (Sophia)."""

    @property
    def estimates_curvature(self) -> bool: ...


def _inner(optimizer: torch.optim.Optimizer) -> torch.optim.Optimizer:
    return optimizer.optimizer if isinstance(optimizer, _WrapsOptimizer) else optimizer


def backward(loss: Tensor, optimizer: torch.optim.Optimizer) -> None:
    """Add the gradient of ``loss`` to the parameters' ``grad``.

    The gradient has a graph in those steps in which Sophia differentiates it again.
    """
    inner = _inner(optimizer)
    if not (isinstance(inner, _EstimatesCurvature) and inner.estimates_curvature):
        loss.backward()  # type: ignore[no-untyped-call]  # untyped in torch
        return
    with warnings.catch_warnings():
        # torch warns about a reference cycle, which zero_grad() after the step breaks.
        warnings.filterwarnings("ignore", message=r"Using backward\(\) with create_graph=True")
        loss.backward(create_graph=True)  # type: ignore[no-untyped-call]  # untyped in torch


def train_mode(optimizer: torch.optim.Optimizer) -> None:
    """Switch a schedule-free optimizer to the weights for training; other optimizers are unchanged."""
    inner = _inner(optimizer)
    if isinstance(inner, _HasModes):
        inner.train()


def eval_mode(optimizer: torch.optim.Optimizer) -> None:
    """Switch a schedule-free optimizer to its averaged weights for evaluation; other optimizers are unchanged.

    A checkpoint can be saved in either mode; the state of the optimizer contains the mode.
    """
    inner = _inner(optimizer)
    if isinstance(inner, _HasModes):
        inner.eval()
