"""The base class of the optimizers, with the facts that lint, `recommend` and checks use."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from search_spaces.recipe.part import Part


@dataclass(frozen=True)
class TypicalRates:
    """Typical peak learning rates.

    Attributes:
        low: Lower end, for training from scratch.
        high: Upper end.
        gentle: Lower end for fine-tuning and for small batches.
        source: Publication that supports them.
    """

    low: float
    high: float
    gentle: float
    source: str


class OptimizerKind(Part):
    """Base class of the optimizers of a recipe. Class attributes in capitals are facts, not hyperparameters.

    Attributes:
        lr: Peak learning rate.
        weight_decay: Strength of the decoupled decay.
        decay: Which parameters are decayed.
        decay_embeddings: Whether embedding tables count as matrices.
        TYPICAL_RATES: Typical peak learning rates, in the units of `typical_rates`.
        ENTRYWISE: Whether each entry of the gradient is divided by its own size, or replaced by its sign.
        BOUNDED_STEP: Whether the size of a step is bounded for any gradient.
        SECOND_ORDER: Whether the gradient is differentiated once more.
        LR_SCALING: How the learning rate scales with the batch size.
    """

    TYPICAL_RATES: ClassVar[TypicalRates]
    ENTRYWISE: ClassVar[bool] = False
    BOUNDED_STEP: ClassVar[bool] = False
    SECOND_ORDER: ClassVar[bool] = False
    LR_SCALING: ClassVar[Literal["linear", "sqrt"]] = "sqrt"

    def typical_rates(self) -> TypicalRates:
        """Return the typical values of `lr` with these hyperparameters."""
        return self.TYPICAL_RATES
