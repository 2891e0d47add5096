"""Every optimizer that a recipe can name, and two parts that work with any of them.

`Lookahead` wraps the optimizer; `ParameterGroups` says which parameters it trains.
"""

from collections.abc import Mapping
from typing import Annotated, get_args

from pydantic import Field, StringConstraints
from pydantic.types import Strict

from search_spaces.recipe.optimizer_kinds.adaptive import (
    Adafactor,
    Adagrad,
    Adam,
    AdamL2,
    AdamW,
    NAdam,
    RAdam,
    RMSprop,
    ScheduleFreeAdamW,
)
from search_spaces.recipe.optimizer_kinds.curvature import Muon, Shampoo, Sophia
from search_spaces.recipe.optimizer_kinds.layerwise import LAMB, LARS
from search_spaces.recipe.optimizer_kinds.momentum import SGD, Lion
from search_spaces.recipe.optimizer_kinds.optimizer_kind import OptimizerKind
from search_spaces.recipe.part import Betas, Decay, Part, Positive, Steps

__all__ = [
    "LAMB",
    "LARS",
    "OPTIMIZERS",
    "SGD",
    "Adafactor",
    "Adagrad",
    "Adam",
    "AdamL2",
    "AdamW",
    "Betas",
    "Decay",
    "Lion",
    "Lookahead",
    "Muon",
    "NAdam",
    "Optimizer",
    "ParameterGroups",
    "RAdam",
    "RMSprop",
    "ScheduleFreeAdamW",
    "Shampoo",
    "Sophia",
]

Optimizer = Annotated[
    AdamW
    | Adam
    | SGD
    | AdamL2
    | NAdam
    | RAdam
    | RMSprop
    | Adagrad
    | Adafactor
    | ScheduleFreeAdamW
    | Lion
    | LARS
    | LAMB
    | Sophia
    | Shampoo
    | Muon,
    Field(discriminator="kind"),
]

OPTIMIZERS: Mapping[str, type[OptimizerKind]] = {
    one.model_fields["kind"].default: one for one in get_args(get_args(Optimizer)[0])
}
"""Class of each kind of optimizer."""


class Lookahead(Part):
    """Slow weights around any optimizer: every `k` steps they move towards the fast weights, which then restart there.

    It is a separate section and not a kind of optimizer, so that `optimizer.lr` keeps its name.

    Source: Zhang et al., "Lookahead Optimizer: k steps forward, 1 step back", NeurIPS 2019: k 5, alpha 0.5.

    Attributes:
        k: Number of optimizer steps between two moves of the slow weights; 0 is off.
        alpha: Step size of the slow weights, as a fraction of the distance; 1 would be no lookahead.
    """

    k: Steps = 0
    alpha: Annotated[float, Field(gt=0, le=1)] = 0.5


_Prefix = Annotated[str, StringConstraints(min_length=1, max_length=200)]


class ParameterGroups(Part):
    """Learning rates by layer, and frozen parameters.

    A model is a sequence of blocks from its input to its head; `trainers/optim/layer_groups.py` defines a block.

    Source of the layer-wise decay: Howard and Ruder, "Universal Language Model Fine-tuning for Text
    Classification", ACL 2018; Clark et al., ELECTRA, ICLR 2020.

    Attributes:
        layer_decay: Learning rate of a block divided by that of the next block towards the head; with 1, all are equal.
        head_lr_scale: Learning rate of the head divided by `optimizer.lr`. For a backbone at 1e-5 and a head at 1e-3,
            use an lr of 1e-5 and a scale of 100.
        frozen: Names, or dotted prefixes of names, of parameters that are not trained: `backbone`, `encoder.layer.0`.
    """

    layer_decay: Annotated[float, Field(gt=0, le=1)] = 1.0
    head_lr_scale: Positive = 1.0
    frozen: Annotated[tuple[_Prefix, ...], Strict(False)] = ()
