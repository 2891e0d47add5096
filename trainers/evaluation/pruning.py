"""Prune a model by setting its smallest weights to zero."""

import torch
from torch import nn

from trainers.compute.memory import copied_model
from trainers.optim.param_groups import split_parameters


def pruned_copy(model: nn.Module, fraction: float) -> nn.Module:
    """Return a copy in which the weights of the smallest magnitude, chosen globally from all matrices, are zero.

    Matrices are the weights that ``decay: matrices`` decays: no biases, norms or embeddings. Frozen matrices are pruned
    as well. The choice is that of ``torch.nn.utils.prune.global_unstructured`` with ``L1Unstructured``.

    Source: Han et al., "Learning both Weights and Connections for Efficient Neural Networks", NeurIPS 2015.

    Args:
        model: Model to copy; it is not changed.
        fraction: Fraction of the matrices' weights to prune, in ``(0, 1)``; rounded to a whole number of weights.
    """
    # split_parameters() lists trainable parameters only; here frozen matrices count too.
    sparse = copied_model(model).requires_grad_(True)
    parameters = dict(sparse.named_parameters())
    matrices = [parameters[name] for name in split_parameters(sparse, "matrices", decay_embeddings=False).decayed]
    if not matrices:
        return sparse
    with torch.no_grad():
        sizes = torch.cat([matrix.abs().flatten() for matrix in matrices])
        mask = torch.ones_like(sizes)
        mask[torch.topk(sizes, round(fraction * len(sizes)), largest=False).indices] = 0
        kept = torch.split(mask, [matrix.numel() for matrix in matrices])
        for matrix, part in zip(matrices, kept, strict=True):
            matrix.mul_(part.view_as(matrix))
    return sparse
