"""One parsed space file: a task, a base recipe, and which recipe fields vary over which distributions."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, InstanceOf, model_validator

from search_spaces.distributions import (
    Choice,
    Constant,
    Distribution,
    LogUniform,
    Normal,
    QUniform,
    RandInt,
    Uniform,
    Value,
)
from search_spaces.errors import Problem, UsageError
from search_spaces.parts import Count, NonNegative, Part, Positive, Steps
from search_spaces.points import grid_points
from search_spaces.recipe import Recipe
from search_spaces.resolve import resolve, unknown_field
from search_spaces.task_reference import read_reference, task_text
from search_spaces.values import show

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


class Sampler(Part):
    """How the points of a sweep are chosen.

    Attributes:
        kind: Tree-structured Parzen estimator, independent random draws, a scrambled Sobol sequence, a
            Gaussian process, or every point of the grid.
        seed: Seed of the sampler.
        startup: Random points before `tpe` or `gp` has learnt enough to propose its own.
    """

    kind: Literal["tpe", "random", "qmc", "gp", "grid"] = "tpe"
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    startup: Steps = 10


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


class Resources(Part):
    """What one run occupies.

    Attributes:
        cpu: Processor cores.
        gpu: Graphics cards; a fraction shares one.
        processes: Processes that train it together, each on a card of its own or all on CPUs; as many as cards when
            left out. A user's own training loop that drives several cards itself writes 1.
    """

    cpu: Positive = 1.0
    gpu: NonNegative = 0.0
    processes: Count = 1

    @model_validator(mode="before")
    @classmethod
    def _one_process_per_card(cls, written: object) -> object:
        if not isinstance(written, Mapping) or "processes" in written:
            return written
        gpu = written.get("gpu")
        cards = int(gpu) if isinstance(gpu, int | float) and gpu > 1 and gpu % 1 == 0 else 1
        return {**written, "processes": cards}

    @model_validator(mode="after")
    def _one_device_each(self) -> Self:
        if self.gpu > 1 and self.gpu % 1:
            raise ValueError(f"gpu is a share of one card or a whole number of cards, found {self.gpu:g}")
        if self.processes == 1:
            return self
        if self.gpu and self.gpu != self.processes:
            raise ValueError(
                f"each process trains on a card of its own, found gpu {self.gpu:g} and processes {self.processes};"
                " leave processes out"
            )
        if not self.gpu and self.cpu < self.processes:
            raise ValueError(
                f"each process trains on a CPU of its own at least, found cpu {self.cpu:g} and processes"
                f" {self.processes}; raise cpu"
            )
        return self


AnyDistribution = (
    InstanceOf[LogUniform]
    | InstanceOf[Uniform]
    | InstanceOf[QUniform]
    | InstanceOf[RandInt]
    | InstanceOf[Choice]
    | InstanceOf[Normal]
    | InstanceOf[Constant]
)


class SpaceSpec(Part):
    """A space: everything that a sweep needs to know before it starts.

    Attributes:
        name: The stem of the file's name.
        task: Name of a built-in task, or `package.module:Name`; with arguments, a section such as
            `{images: {root: FOLDER}}`, kept as the text `images?root=FOLDER`.
        metric: What is optimized.
        recipe: The baseline, which is run 0, and the values of all fields that are not searched.
        search: Distribution of each searched field, by its dotted path in the recipe.
        sampler: How points are chosen.
        early_stopping: When runs end before their budget.
        runs: How many runs there are, run 0 included.
        resources: What one run occupies.
        checkpoint_every_s: Seconds of training between two checkpoints, at least.

    Raises:
        UsageError: When the search does not fit the recipe or the sampler, with one problem for each field.
    """

    name: Annotated[str, AfterValidator(_check_name)]
    task: Annotated[str, BeforeValidator(task_text), AfterValidator(_check_task)]
    metric: Metric
    recipe: Recipe = Recipe()
    search: Mapping[str, AnyDistribution] = {}
    sampler: Sampler = Sampler()
    early_stopping: EarlyStopping = Asha()
    runs: Annotated[int, Field(ge=1, le=10**6)]
    resources: Resources = Resources()
    checkpoint_every_s: Positive = 10.0

    @model_validator(mode="after")
    def _search_fits(self) -> Self:
        problems = search_problems(self.recipe, self.search) or grid_problems(self)
        if problems:
            raise UsageError(*problems)
        return self


def search_problems(recipe: Recipe, search: Mapping[str, Distribution]) -> tuple[Problem, ...]:
    """Return one problem for each searched field that the recipe lacks, or whose values it refuses."""
    problems = {field: _field_problem(recipe, field, search) for field in search}
    if not any(problems.values()):
        problems |= _corner_problems(recipe, search)
    return tuple(Problem("", f"search.{field}", text) for field, text in problems.items() if text)


def _field_problem(recipe: Recipe, field: str, search: Mapping[str, Distribution]) -> str | None:
    unknown = unknown_field(recipe, field)
    if unknown:
        return unknown
    if field.endswith(".kind"):
        return "a kind is not searched: its fields would change with it; write one space per kind"
    if any(field.startswith(f"{other}.") for other in search):
        return f"{field.rpartition('.')[0]} is searched as a whole, too; leave one of them out"
    for value in search[field].edges():
        refusal = _refusal(recipe, {field: value})
        if refusal:
            return f"the value {show(value)} of {search[field].name} {refusal.message}{_whole(refusal)}"
    return None


def _whole(refusal: Problem) -> str:
    return "; use randint or choice" if "whole number" in refusal.message else ""


def _corner_problems(recipe: Recipe, search: Mapping[str, Distribution]) -> dict[str, str | None]:
    """Find fields that are lawful one by one and not together, such as warmup and warmup_steps."""
    for end in (0, -1):
        corner: dict[str, Value] = {field: search[field].edges()[end] for field in search}
        refusal = _refusal(recipe, corner)
        if refusal:
            field = next((name for name in search if name.startswith(refusal.field)), next(iter(search)))
            return {field: f"with the other searched fields: {refusal.message}"}
    return {}


def _refusal(recipe: Recipe, values: Mapping[str, Value]) -> Problem | None:
    try:
        resolve(recipe, values)
    except UsageError as error:
        problem = error.problems[0]
        return problem if isinstance(problem, Problem) else Problem("", "", problem)
    return None


def grid_problems(spec: SpaceSpec) -> tuple[Problem, ...]:
    """Return what keeps a grid sampler from filling the runs of a space."""
    if spec.sampler.kind != "grid":
        return ()
    try:
        most = 1 + grid_points(spec.search)
    except UsageError as error:
        return tuple(problem for problem in error.problems if isinstance(problem, Problem))
    if spec.runs > most:
        return (Problem("", "runs", f"the grid and the baseline are {most} runs, found {spec.runs}; write {most}"),)
    return ()
