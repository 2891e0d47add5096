"""The base class of the optimizers, with facts about each kind for lint, `recommend` and checks."""

from collections.abc import Mapping
from typing import ClassVar, Literal, NamedTuple

from search_spaces.recipe.part import Part


class TypicalRates(NamedTuple):
    """Range of peak learning rates at which an optimizer is typically used.

    Attributes:
        low: Lower end for training from scratch.
        high: Upper end.
        gentle: Lower end for fine-tuning and for small batches.
        source: Publication that supports the range.
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
        TYPICAL_RATES: Typical peak learning rates; `typical_rates` converts them where hyperparameters matter.
        OTHER_RATES: Kind whose typical rates apply, for each other field that is a learning rate.
        ENTRYWISE: Whether each entry of the gradient is divided by its own size, or replaced by its sign.
        BOUNDED_STEP: Whether the size of a step is bounded for any gradient.
        BUILT_IN_WARMUP: Whether the first steps are small without a warmup of the schedule.
        SECOND_ORDER: Whether the gradient itself is differentiated.
        EVALUATES_AVERAGE: Whether the weights for evaluation are an average, and not those that are trained.
        LR_SCALING: How the learning rate scales with the batch size.
    """

    TYPICAL_RATES: ClassVar[TypicalRates]
    OTHER_RATES: ClassVar[Mapping[str, str]] = {}
    ENTRYWISE: ClassVar[bool] = False
    BOUNDED_STEP: ClassVar[bool] = False
    BUILT_IN_WARMUP: ClassVar[bool] = False
    SECOND_ORDER: ClassVar[bool] = False
    EVALUATES_AVERAGE: ClassVar[bool] = False
    LR_SCALING: ClassVar[Literal["linear", "sqrt"]] = "sqrt"

    def typical_rates(self) -> TypicalRates:
        """Return the typical values of `lr` with these hyperparameters."""
        return self.TYPICAL_RATES
