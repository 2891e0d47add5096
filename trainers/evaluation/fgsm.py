"""The fast gradient sign method: perturb inputs in the direction that increases the loss of a model."""

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, nn
from torch.nn import functional

from search_spaces.errors import UsageError
from search_spaces.recipe.recipe import Signals
from trainers.evaluation.evaluate import MAX_BATCH
from trainers.nested import Inputs, describe_inputs
from trainers.task import Split


def check_fgsm(signals: Signals, inputs: Inputs) -> None:
    """Check that the inputs can be perturbed.

    Raises:
        UsageError: The inputs are integers, such as word ids.
    """
    if signals.fgsm and not (isinstance(inputs, Tensor) and inputs.is_floating_point()):
        raise UsageError(f"signals.fgsm needs float inputs, found inputs {describe_inputs(inputs)}; set it to []")


def gradient_signs(model: nn.Module, split: Split, batch_size: int = MAX_BATCH) -> Tensor:
    """Return the sign of the gradient of every example's cross entropy with respect to its input.

    The model runs in eval mode and in the precision of the weights; its mode is restored and the gradients of its
    parameters are unchanged. An attack of size epsilon adds epsilon times the result to the inputs.

    Source: Goodfellow et al., "Explaining and Harnessing Adversarial Examples", ICLR 2015.

    Args:
        model: Model that maps inputs ``(n, ...)`` to logits ``(n, classes)``.
        split: Float inputs ``(n, ...)`` and targets ``(n,)``, on the model's device.
        batch_size: Number of examples per pass.

    Returns:
        Values -1, 0 or 1, in the shape and type of the inputs.
    """
    was_training = model.training
    model.eval()
    batches = zip(torch.split(split.inputs, batch_size), torch.split(split.targets, batch_size), strict=True)
    try:
        with torch.enable_grad(), _kernels(model):
            return torch.cat([_signs(model, *batch) for batch in batches])
    finally:
        model.train(was_training)


def _kernels(model: nn.Module) -> AbstractContextManager[None]:
    # cuDNN's recurrent layers have no backward pass in eval mode; torch's own layers do.
    if any(isinstance(module, nn.RNNBase) for module in model.modules()):
        return torch.backends.cudnn.flags(enabled=False)
    return nullcontext()


def _signs(model: nn.Module, inputs: Tensor, targets: Tensor) -> Tensor:
    inputs = inputs.detach().clone().requires_grad_(True)
    # The mean would have the same signs, but its smaller numbers may underflow to 0.
    loss = functional.cross_entropy(model(inputs), targets, reduction="sum")
    (gradient,) = torch.autograd.grad(loss, inputs)
    return gradient.sign()
