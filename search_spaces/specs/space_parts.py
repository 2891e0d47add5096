"""The parts of a space beside its recipe: metric, sampler, early stopping, repeats, and values of a file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, NamedTuple

from pydantic import AfterValidator, Field, InstanceOf, PlainValidator

from search_spaces.errors import UsageError
from search_spaces.metric_names import check_metric_name
from search_spaces.recipe.part import Count, Part, Steps
from search_spaces.recipe.recipe import REPORTS, Budget
from search_spaces.recipe.reported import Goal
from search_spaces.search.distributions import Choice, Constant, LogUniform, Normal, QUniform, RandInt, Uniform, Value
from search_spaces.values import checked_value


class Metric(Part):
    """The metric that a sweep optimizes.

    Attributes:
        name: Name, as `split/name`. The split is `val`, or another that a custom task reports. It may be `test` or
            `train` only in a space of a single run, which selects nothing.
        goal: Whether a larger or a smaller value is better; never guessed from the name.
    """

    name: Annotated[str, AfterValidator(check_metric_name)]
    goal: Goal


class SamplerTraits(NamedTuple):
    """Properties of a kind of sampler.

    Attributes:
        adaptive: Whether proposals depend on earlier results. The first `startup` points are then random.
        exhaustive: Whether every point of a finite search is proposed once.
        conditional: Whether fields that only some runs have can be proposed.
        most_integers: Largest number of values of a `randint`; None for no limit.
    """

    adaptive: bool = False
    exhaustive: bool = False
    conditional: bool = True
    most_integers: int | None = None


SamplerKind = Literal["tpe", "random", "qmc", "gp", "grid"]
SAMPLERS: Mapping[str, SamplerTraits] = {
    "tpe": SamplerTraits(adaptive=True),
    "random": SamplerTraits(),
    "qmc": SamplerTraits(),
    # The Gaussian process of Optuna holds every value of an integer range in memory.
    "gp": SamplerTraits(adaptive=True, conditional=False, most_integers=1_000_000),
    "grid": SamplerTraits(exhaustive=True),
}
"""Every kind of sampler; `sweeps.study.sampler` implements them."""


class Sampler(Part):
    """The sampler, which proposes the points of a sweep.

    Attributes:
        kind: Tree-structured Parzen estimator (`tpe`), independent random points, a scrambled Sobol sequence (`qmc`), a
            Gaussian process (`gp`), or every point of the grid.
        seed: Seed of the sampler.
        startup: Number of random points before `tpe` or `gp` proposes points from results.
    """

    kind: SamplerKind = "tpe"
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    startup: Steps = 10

    @property
    def traits(self) -> SamplerTraits:
        """The properties of this kind."""
        return SAMPLERS[self.kind]


class Asha(Part):
    """Stop a run at a rung when it is not among the top 1/reduction_factor there.

    Source: Li et al., "A System for Massively Parallel Hyperparameter Tuning", MLSys 2020.

    Attributes:
        grace_epochs: Number of epochs of the first rung.
        grace_steps: Number of steps of the first rung, if the budget counts steps; by default, a 27th of them, in whole
            multiples of `budget.report_every`. Between two reports, a run is compared at the later one.
        reduction_factor: Ratio of the numbers of epochs of two successive rungs.
    """

    kind: Literal["asha"] = "asha"
    grace_epochs: Count = 1
    grace_steps: Count | None = None
    reduction_factor: Annotated[int, Field(ge=2, le=10**6)] = 3

    def first_rung(self, budget: Budget) -> int:
        """Return the number of epochs or steps of the first rung."""
        if budget.steps is None:
            return self.grace_epochs
        every = budget.report_every or 1
        return self.grace_steps or every * max(1, budget.steps // REPORTS // every)


class NoStopping(Part):
    """No early stopping: every run trains for its whole budget."""

    kind: Literal["none"] = "none"


EarlyStopping = Annotated[Asha | NoStopping, Field(discriminator="kind")]


class Repeats(Part):
    """Repetition of the best recipes of a finished sweep, and of its baseline, on seeds that it has not used.

    Attributes:
        top: Maximum number of recipes.
        seeds: Number of seeds of each.
    """

    top: Annotated[int, Field(ge=1, le=100)] = 3
    seeds: Annotated[int, Field(ge=2, le=10_000)] = 3


AnyDistribution = (
    InstanceOf[LogUniform]
    | InstanceOf[Uniform]
    | InstanceOf[QUniform]
    | InstanceOf[RandInt]
    | InstanceOf[Choice]
    | InstanceOf[Normal]
    | InstanceOf[Constant]
)


def _check_value(value: object) -> Value:
    try:
        return checked_value(value)
    except UsageError as error:
        raise ValueError(str(error)) from None


RecipeValue = Annotated[Value, PlainValidator(_check_value)]
