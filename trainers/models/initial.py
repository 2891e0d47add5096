"""Initialise weights by the method that a recipe names."""

from torch import Tensor, nn

from search_spaces.recipe.model import Init

_LAYERS = (nn.Linear, nn.Conv1d, nn.Conv2d)
_GATES = {nn.GRU: 3, nn.LSTM: 4}


def initialise(model: nn.Module, init: Init) -> None:
    """Initialise the weights of linear, convolutional and recurrent layers again and set their biases to 0.

    Embeddings, positions and norms are unchanged, as is every layer with ``default``. In a recurrent layer,
    ``identity`` and ``orthogonal`` apply to the recurrent matrices only; its input matrices use ``xavier``.
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
    """Initialise the matrix of every gate separately; stacked, they would not be orthogonal or an identity."""
    for name, parameter in module.named_parameters():
        if name.startswith("bias"):
            nn.init.zeros_(parameter)
            continue
        is_input = name.startswith("weight_ih")
        for gate in parameter.data.chunk(_GATES[type(module)]):
            _fill(gate, "xavier" if is_input and init in ("identity", "orthogonal") else init)


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
