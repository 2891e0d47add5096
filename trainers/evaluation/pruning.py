"""A model without its smallest weights: how much of it is needed at all?"""

from __future__ import annotations

import copy

import torch
from torch import nn

from trainers.optim.param_groups import split_parameters


def pruned_copy(model: nn.Module, fraction: float) -> nn.Module:
    """Return a copy in which the weights of the smallest magnitude are zero, chosen from all matrices together.

    Matrices are what weight decay shrinks under ``decay: matrices``: no biases, norms or embeddings. Frozen ones are
    pruned like the others. The choice is that of ``torch.nn.utils.prune.global_unstructured`` with ``L1Unstructured``.

    Source: Han et al., "Learning both Weights and Connections for Efficient Neural Networks", NeurIPS 2015.

    Args:
        model: Left as it is.
        fraction: Share of the matrices' weights, in ``(0, 1)``; rounded to a whole number of weights.
    """
    # What decays is asked of what is trained; here a frozen matrix counts too.
    sparse = copy.deepcopy(model).requires_grad_(True)
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
