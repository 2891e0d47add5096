"""Initial weights by the names of a recipe."""

from __future__ import annotations

from torch import Tensor, nn

from search_spaces.recipe.model import Init

_LAYERS = (nn.Linear, nn.Conv1d, nn.Conv2d)
_GATES = {nn.GRU: 3, nn.LSTM: 4}


def initialise(model: nn.Module, init: Init) -> None:
    """Draw the weights of linear, convolutional and recurrent layers anew and set their biases to 0.

    Embeddings, positions and norms keep what they have; so does everything under ``default``. In a recurrent layer
    ``identity`` and ``orthogonal`` are meant for the recurrent matrices; what enters it is drawn as by ``xavier``.
    """
    if init == "default":
        return
    for module in model.modules():
        if isinstance(module, _LAYERS):
            _fill(module.weight, init)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.GRU | nn.LSTM):
            _recurrent(module, init)


def _recurrent(module: nn.GRU | nn.LSTM, init: Init) -> None:
    """Fill the matrix of every gate by itself: stacked they would not be orthogonal, nor an identity."""
    for name, parameter in module.named_parameters():
        if name.startswith("bias"):
            nn.init.zeros_(parameter)
            continue
        entering = name.startswith("weight_ih")
        for gate in parameter.data.chunk(_GATES[type(module)]):
            _fill(gate, "xavier" if entering and init in ("identity", "orthogonal") else init)


def _fill(weight: Tensor, init: Init) -> None:
    match init:
        case "he":
            nn.init.kaiming_normal_(weight, nonlinearity="relu")
        case "xavier":
            nn.init.xavier_normal_(weight)
        case "orthogonal":
            nn.init.orthogonal_(weight)
        case "identity" if weight.ndim == 2:
            nn.init.eye_(weight)
        case "identity":
            nn.init.dirac_(weight)
        case "default":
            pass
