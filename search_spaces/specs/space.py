"""One parsed space file: a task, a base recipe, and which recipe fields vary over which distributions."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Literal, NamedTuple, Self

from pydantic import AfterValidator, BeforeValidator, Field, InstanceOf, PlainValidator, model_validator
from pydantic.types import Strict

from search_spaces.errors import Problem, UsageError
from search_spaces.recipe.part import Count, Part, Positive, Steps
from search_spaces.recipe.recipe import Recipe
from search_spaces.search.constraints import Constraint
from search_spaces.search.distributions import (
    Choice,
    Constant,
    LogUniform,
    Normal,
    QUniform,
    RandInt,
    Uniform,
    Value,
)
from search_spaces.search.field_checks import validate_search
from search_spaces.search.parameters import Alternative, Parameters
from search_spaces.search.point_checks import validate_points
from search_spaces.search.sequences import Grid
from search_spaces.specs.resources import Resources
from search_spaces.specs.task_reference import read_reference, task_text
from search_spaces.values import checked_value, show

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_TASK = re.compile(r"[A-Za-z_]\w*|[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*", re.ASCII)
_METRIC = re.compile(r"([A-Za-z_]\w*)/([A-Za-z_][\w.@+-]*)", re.ASCII)


def _check_name(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise ValueError(f"must be 1 to 64 letters, digits, dots, dashes and underscores, found {show(name)}")
    return name


def _check_task(task: str) -> str:
    if not _TASK.fullmatch(read_reference(task)[0]):
        raise ValueError(f"must be a built-in name or package.module:Name, found {show(task)}")
    return task


def _check_metric(name: str) -> str:
    match = _METRIC.fullmatch(name)
    if not match:
        raise ValueError(f"must be split/name, such as val/accuracy, found {show(name)}")
    if match[1] == "test":
        raise ValueError(f"sweeps select on val/*; test/* is for ablation reports; found {name}")
    if match[1] == "train":
        raise ValueError(f"sweeps select on val/*; train/* rewards overfitting; found {name}")
    return name


class Metric(Part):
    """What a sweep selects by.

    Attributes:
        name: `split/name`. The split is `val`, or one that the user's own task reports.
        goal: Whether more or less of it is better; never guessed from the name.
    """

    name: Annotated[str, AfterValidator(_check_metric)]
    goal: Literal["maximize", "minimize"]


class SamplerTraits(NamedTuple):
    """Properties of a kind of sampler.

    Attributes:
        adaptive: Whether proposals depend on earlier results. The first `startup` points are then random.
        exhaustive: Whether every point of a finite search is proposed once.
        conditional: Whether fields that only some runs have can be proposed.
    """

    adaptive: bool = False
    exhaustive: bool = False
    conditional: bool = True


SamplerKind = Literal["tpe", "random", "qmc", "gp", "grid"]
SAMPLERS: Mapping[str, SamplerTraits] = {
    "tpe": SamplerTraits(adaptive=True),
    "random": SamplerTraits(),
    "qmc": SamplerTraits(),
    "gp": SamplerTraits(adaptive=True, conditional=False),
    "grid": SamplerTraits(exhaustive=True),
}
"""Every kind of sampler; `sweeps.study.sampler` implements them."""


class Sampler(Part):
    """How the points of a sweep are chosen.

    Attributes:
        kind: Tree-structured Parzen estimator, independent random draws, a scrambled Sobol sequence, a
            Gaussian process, or every point of the grid.
        seed: Seed of the sampler.
        startup: Random points before `tpe` or `gp` has learnt enough to propose its own.
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
        grace_epochs: Epochs of the first rung.
        reduction_factor: Ratio of the epochs of two neighbouring rungs.
    """

    kind: Literal["asha"] = "asha"
    grace_epochs: Count = 1
    reduction_factor: Annotated[int, Field(ge=2, le=10**6)] = 3


class NoStopping(Part):
    """Every run trains its whole budget."""

    kind: Literal["none"] = "none"


EarlyStopping = Annotated[Asha | NoStopping, Field(discriminator="kind")]


AnyDistribution = (
    InstanceOf[LogUniform]
    | InstanceOf[Uniform]
    | InstanceOf[QUniform]
    | InstanceOf[RandInt]
    | InstanceOf[Choice]
    | InstanceOf[Normal]
    | InstanceOf[Constant]
)


def _read_constraint(text: object) -> object:
    try:
        return text if isinstance(text, Constraint) else Constraint(text)  # type: ignore[arg-type]  # it checks
    except UsageError as error:
        raise ValueError(str(error)) from None


def _check_value(value: object) -> Value:
    try:
        return checked_value(value)
    except UsageError as error:
        raise ValueError(str(error)) from None


_Constraint = Annotated[InstanceOf[Constraint], BeforeValidator(_read_constraint)]
_Value = Annotated[Value, PlainValidator(_check_value)]


class SpaceSpec(Part):
    """A space: everything that a sweep needs to know before it starts.

    Attributes:
        name: The stem of the file's name.
        task: Name of a built-in task, or `package.module:Name`; with arguments, a section such as
            `{images: {root: FOLDER}}`, kept as the text `images?root=FOLDER`.
        metric: What is optimized.
        recipe: The baseline, which is run 0, and the values of all fields that are not searched.
        search: Distribution of each plain searched field, by its dotted path in the recipe.
        one_of: Alternatives of sections, by their names; written under `search`, too.
        when: Conditions of fields in `search`: values of other fields under which they vary at all. A field that is
            not active keeps the recipe's value.
        constraints: What every proposed point satisfies.
        starts: Values of searched fields that the runs after the baseline take, before the sampler chooses.
        sampler: How points are chosen.
        early_stopping: When runs end before their budget.
        runs: How many runs there are, run 0 included.
        resources: What one run occupies.
        checkpoint_every_s: Seconds of training between two checkpoints, at least.
        time_limit_s: Seconds that one run may take on its workers; one that takes longer has failed. None: any time.

    Raises:
        UsageError: When the search does not fit the recipe or the sampler, with one problem for each field.
    """

    name: Annotated[str, AfterValidator(_check_name)]
    task: Annotated[str, BeforeValidator(task_text), AfterValidator(_check_task)]
    metric: Metric
    recipe: Recipe = Recipe()
    search: Mapping[str, AnyDistribution] = {}
    one_of: Mapping[str, tuple[InstanceOf[Alternative], ...]] = {}
    when: Mapping[str, Mapping[str, tuple[_Value, ...]]] = {}
    constraints: Annotated[tuple[_Constraint, ...], Strict(False)] = ()
    starts: Annotated[tuple[Mapping[str, _Value], ...], Strict(False)] = ()
    sampler: Sampler = Sampler()
    early_stopping: EarlyStopping = Asha()
    runs: Annotated[int, Field(ge=1, le=10**6)]
    resources: Resources = Resources()
    checkpoint_every_s: Positive = 10.0
    time_limit_s: Positive | None = None

    @property
    def parameters(self) -> Parameters:
        """What varies, flat, with the name that samplers know each range by."""
        return Parameters(self.recipe, self.search, self.one_of, self.when, self.constraints)

    def fixed_at(self, recipe: Recipe) -> SpaceSpec:
        """Return the space with nothing left to search: one run of a recipe, such as the best one's."""
        nothing: dict[str, object] = {"search": {}, "one_of": {}, "when": {}, "constraints": (), "starts": ()}
        return self.model_copy(update={**nothing, "recipe": recipe, "runs": 1})

    @model_validator(mode="after")
    def _search_fits(self) -> Self:
        problems = (
            validate_search(self.recipe, self.search, self.one_of, self.when)
            or validate_points(self.parameters, self.starts, drawn=not self.sampler.traits.exhaustive)
            or validate_sampler(self)
        )
        if problems:
            raise UsageError(*problems)
        return self


def validate_sampler(spec: SpaceSpec) -> tuple[Problem, ...]:
    """Return what keeps a sampler from filling the runs of a space."""
    parameters = spec.parameters
    traits = spec.sampler.traits
    if parameters.conditional and not traits.conditional:
        *kinds, last = (kind for kind in SAMPLERS if SAMPLERS[kind].conditional)
        rule = f"{spec.sampler.kind} needs the same fields in every run"
        advice = f"with one_of or when, use {', '.join(kinds)} or {last}"
        return (Problem("", "sampler.kind", f"{rule}; {advice}"),)
    if not traits.exhaustive:
        return ()
    try:
        most = 1 + len(spec.starts) + Grid(parameters).size
    except UsageError as error:
        problems = (one if isinstance(one, Problem) else Problem("", "search", one) for one in error.problems)
        return tuple(_written(problem) for problem in problems)
    if spec.runs > most:
        what = "the grid, the starts and the baseline" if spec.starts else "the grid and the baseline"
        return (Problem("", "runs", f"{what} are {most} runs, found {spec.runs}; write {most}"),)
    return ()


def _written(problem: Problem) -> Problem:
    """Return a problem of a parameter under its section: optimizer[sgd].lr is no line of a file."""
    section, bracket, name = problem.field.partition("[")
    if not bracket:
        return problem
    return Problem("", section, f"{name.replace(']', '')}: {problem.message}")


Goal = Literal["maximize", "minimize"]
