"""One parsed space file: a task, a base recipe, and which recipe fields vary over which distributions."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Self

from pydantic import AfterValidator, BeforeValidator, Field, InstanceOf, PlainValidator, model_validator
from pydantic.types import Strict

from search_spaces.errors import Problem, UsageError, suggest
from search_spaces.recipe.fields import flatten
from search_spaces.recipe.part import Part, Positive
from search_spaces.recipe.recipe import Recipe
from search_spaces.recipe.reported import TaskMetrics, epoch_metrics, needs_classes, unreported, wrong_goal
from search_spaces.search.constraints import Constraint
from search_spaces.search.distributions import (
    RandInt,
    Value,
)
from search_spaces.search.field_checks import validate_search
from search_spaces.search.parameters import Alternative, Parameters
from search_spaces.search.point_checks import validate_points
from search_spaces.search.sequences import Grid
from search_spaces.specs.builtin_tasks import BUILTIN_TASKS, BuiltinTask
from search_spaces.specs.command_task import CommandTask, validate_command
from search_spaces.specs.resources import Resources
from search_spaces.specs.space_parts import (
    SAMPLERS,
    AnyDistribution,
    Asha,
    EarlyStopping,
    Metric,
    RecipeValue,
    Repeats,
    Sampler,
)
from search_spaces.specs.task_reference import read_reference, task_text
from search_spaces.values import show

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_TASK = re.compile(r"[A-Za-z_]\w*|[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*", re.ASCII)


def _check_name(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise ValueError(f"must be 1 to 64 letters, digits, dots, dashes and underscores, found {show(name)}")
    return name


def _read_task(written: object) -> str | CommandTask:
    if isinstance(written, CommandTask):
        return written
    task = task_text(written)
    if not isinstance(task, str):
        raise ValueError(f"must be a text, found {show(task)}")
    name = read_reference(task)[0]
    if not _TASK.fullmatch(name):
        raise ValueError(f"must be a built-in name or package.module:Name, found {show(task)}")
    if ":" not in name and name not in BUILTIN_TASKS:
        raise ValueError(
            f"unknown task {show(name)}; {suggest(name, BUILTIN_TASKS)}, or your own as package.module:Name"
        )
    return task


_UNSELECTABLE: Mapping[str, str] = {"test": "is for ablation reports", "train": "rewards overfitting"}


def _read_constraint(text: object) -> object:
    try:
        return text if isinstance(text, Constraint) else Constraint(text)  # type: ignore[arg-type]  # it checks the type
    except UsageError as error:
        raise ValueError(str(error)) from None


_Constraint = Annotated[InstanceOf[Constraint], BeforeValidator(_read_constraint)]


class SpaceSpec(Part):
    """The definition of a sweep.

    Attributes:
        name: Name of the sweep; by default, the stem of the file name.
        task: Name of a built-in task, or `package.module:Name`. With arguments, a section such as
            `{images: {root: FOLDER}}`, which is stored as the text `images?root=FOLDER`. Or a command.
        metric: Metric that is optimized.
        recipe: Recipe of the baseline, run 0, and the values of all fields that are not searched.
        search: Dotted field of the recipe -> distribution, without those of `one_of`.
        one_of: Section -> alternatives. A file writes them under `search`.
        when: Field of `search` -> values of other fields under which it varies. Otherwise it has the value of the
            recipe.
        constraints: Conditions that every proposed point satisfies.
        starts: Values of searched fields for the runs after the baseline, before the sampler proposes points.
        sampler: Sampler that proposes points.
        early_stopping: Rule that stops runs before the end of their budget.
        runs: Number of runs, including run 0.
        resources: Resources of one run.
        checkpoint_every_s: Minimum seconds of training between two checkpoints, also within an epoch.
        time_limit_s: Maximum seconds of one run on its workers; a longer run fails. By default, there is no limit.
        repeats: Repetition of the best recipes once the sweep is complete, which gives its verdict; none by default.

    Raises:
        UsageError: The search does not fit the recipe or the sampler; there is one problem for each field.
    """

    name: Annotated[str, AfterValidator(_check_name)]
    task: Annotated[str | CommandTask, PlainValidator(_read_task)]
    metric: Metric
    recipe: Recipe = Recipe()
    search: Mapping[str, AnyDistribution] = {}
    one_of: Mapping[str, tuple[InstanceOf[Alternative], ...]] = {}
    when: Mapping[str, Mapping[str, tuple[RecipeValue, ...]]] = {}
    constraints: Annotated[tuple[_Constraint, ...], Strict(False)] = ()
    starts: Annotated[tuple[Mapping[str, RecipeValue], ...], Strict(False)] = ()
    sampler: Sampler = Sampler()
    early_stopping: EarlyStopping = Asha()
    runs: Annotated[int, Field(ge=1, le=10**6)]
    resources: Resources = Resources()
    checkpoint_every_s: Positive = 10.0
    time_limit_s: Positive | None = None
    repeats: Repeats | None = None

    @property
    def parameters(self) -> Parameters:
        """The parameters of the search, with their names in samplers."""
        return Parameters(self.recipe, self.search, self.one_of, self.when, self.constraints)

    def fixed_at(self, recipe: Recipe) -> SpaceSpec:
        """Return the space without a search: one run of a recipe, such as the best one."""
        nothing: dict[str, object] = {
            "search": {},
            "one_of": {},
            "when": {},
            "constraints": (),
            "starts": (),
            "repeats": None,
        }
        return self.model_copy(update={**nothing, "recipe": recipe, "runs": 1})

    def fields_of(self, recipe: Recipe) -> dict[str, Value]:
        """Return the values of a recipe to show, by dotted field; of a command, its arguments and its budget."""
        values = flatten(recipe)
        if self.command is None:
            return values
        budget = f"budget.{recipe.budget.unit}s"
        return {name: value for name, value in values.items() if name == budget or name.startswith("args.")}

    @property
    def command(self) -> CommandTask | None:
        """The task if it is a command; otherwise None."""
        return self.task if isinstance(self.task, CommandTask) else None

    @property
    def task_name(self) -> str:
        """The task in a few words: its reference, or the script of a command."""
        return self.task.title if isinstance(self.task, CommandTask) else self.task

    @property
    def builtin(self) -> BuiltinTask | None:
        """The task if it is a built-in one; otherwise None."""
        return None if isinstance(self.task, CommandTask) else BUILTIN_TASKS.get(read_reference(self.task)[0])

    @property
    def metrics_of_task(self) -> TaskMetrics | None:
        """The metrics of a built-in task; None if they are not known without loading the task."""
        return None if self.builtin is None or self.builtin.reports else self.builtin.metrics

    @property
    def own_code(self) -> bool:
        """Whether the task is code of the user."""
        return isinstance(self.task, CommandTask) or ":" in self.task

    @model_validator(mode="after")
    def _search_fits(self) -> Self:
        search = validate_search(self.recipe, self.search, self.one_of, self.when)
        problems = (
            *validate_task(self),
            *(search or validate_metric(self)),
            *(
                search
                or validate_points(self.parameters, self.starts, drawn=not self.sampler.traits.exhaustive)
                or validate_sampler(self)
            ),
        )
        if problems:
            raise UsageError(*dict.fromkeys(problems))
        return self


def validate_task(spec: SpaceSpec) -> tuple[Problem, ...]:
    """Return the problems of the recipe and the metric with this kind of task."""
    found = list(_validate_unit(spec))
    if spec.command is not None:
        return (*found, *validate_command(spec.command, spec.recipe))
    if spec.recipe.args:
        found.append(Problem("", "recipe.args", "only a command has args; use custom"))
    if spec.metrics_of_task is not None:
        for field, why in needs_classes(spec.recipe, spec.search.keys(), spec.metrics_of_task):
            section = "search" if field in spec.search else "recipe"
            found.append(Problem("", f"{section}.{field}", why))
    return tuple(found)


def _validate_unit(spec: SpaceSpec) -> Iterator[Problem]:
    """Yield the problems of what is searched or reported in another unit than that of the budget."""
    budget = spec.recipe.budget
    other = "budget.epochs" if budget.unit == "step" else "budget.steps"
    if other in spec.search:
        rule = f"the runs of a sweep need one unit, but the recipe has budget.{budget.unit}s {budget.length}"
        yield Problem("", f"search.{other}", f"{rule}; search budget.{budget.unit}s, or change the recipe")
    if spec.command is not None and budget.report_every is not None:
        rule = "a command decides itself when it reports"
        yield Problem("", "recipe.budget.report_every", f"{rule}, found {budget.report_every}; remove it")


def _validate_selection(spec: SpaceSpec) -> Iterator[Problem]:
    """Yield the problem of a metric by which no run must be selected."""
    split, _, metric = spec.metric.name.partition("/")
    if spec.runs > 1 and split in _UNSELECTABLE:
        message = (
            f"must not select on {split}/*, which {_UNSELECTABLE[split]}, found {spec.metric.name}; use val/{metric}"
        )
        yield Problem("", "metric.name", message + (", which a command may get by rename" if split == "train" else ""))


def validate_metric(spec: SpaceSpec) -> tuple[Problem, ...]:
    """Return the problem of a metric that must not select, or that a built-in task does not report in some run."""
    if problems := tuple(_validate_selection(spec)):
        return problems
    builtin = spec.builtin
    if builtin is None:
        return ()
    if message := wrong_goal(spec.metric.name, spec.metric.goal, builtin.metrics):
        return (Problem("", "metric.goal", message),)
    recipes = [spec.parameters.with_kinds(kinds) for kinds in spec.parameters.scenarios()]
    for recipe in (spec.recipe, *recipes):
        message = unreported(spec.metric.name, builtin.reports or epoch_metrics(recipe, builtin.metrics))
        if message:
            return (Problem("", "metric.name", message),)
    return ()


def validate_sampler(spec: SpaceSpec) -> tuple[Problem, ...]:
    """Return the problems that keep the sampler from proposing all runs of a space."""
    parameters = spec.parameters
    traits = spec.sampler.traits
    if parameters.conditional and not traits.conditional:
        *kinds, last = (kind for kind in SAMPLERS if SAMPLERS[kind].conditional)
        rule = f"{spec.sampler.kind} needs the same fields in every run"
        advice = f"with one_of or when, use {', '.join(kinds)} or {last}"
        return (Problem("", "sampler.kind", f"{rule}; {advice}"),)
    if not traits.exhaustive:
        return tuple(_validate_integers(spec))
    try:
        most = 1 + len(spec.starts) + Grid(parameters).size
    except UsageError as error:
        problems = (one if isinstance(one, Problem) else Problem("", "search", one) for one in error.problems)
        return tuple(_written(problem) for problem in problems)
    if spec.runs > most:
        what = "the grid, the starts and the baseline" if spec.starts else "the grid and the baseline"
        return (Problem("", "runs", f"must be at most {most} ({what}), found {spec.runs}"),)
    return ()


def _validate_integers(spec: SpaceSpec) -> Iterator[Problem]:
    most = spec.sampler.traits.most_integers
    for field, distribution in spec.search.items():
        if most is not None and isinstance(distribution, RandInt) and distribution.size > most:
            rule = f"{spec.sampler.kind} needs at most {most:,} whole numbers in a range, found {distribution.size:,}"
            yield Problem("", f"search.{field}", f"{rule}; narrow it, or use uniform or another sampler")


def _written(problem: Problem) -> Problem:
    """Return a problem of a parameter under its section, since a file has no line optimizer[sgd].lr."""
    section, bracket, name = problem.field.partition("[")
    if not bracket:
        return problem
    return Problem("", section, f"{name.replace(']', '')}: {problem.message}")
