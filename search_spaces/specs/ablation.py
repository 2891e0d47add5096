"""One parsed ablation file: a question, the arms that are compared, and how results are judged."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Literal, Self

from pydantic import Field, PlainValidator, model_validator

from search_spaces.errors import Problem, UsageError
from search_spaces.metric_names import read_from
from search_spaces.recipe.fields import resolve
from search_spaces.recipe.hash import recipe_hash
from search_spaces.recipe.part import Count, Part
from search_spaces.recipe.recipe import Recipe
from search_spaces.recipe.reported import final_metrics, needs_classes, unreported, wrong_goal
from search_spaces.search.distributions import Value
from search_spaces.search.field_checks import validate_search
from search_spaces.specs.ablation_parts import WORKTREE, Arm, ArmMetric, ArmName, Metrics, Retune, Settings, TaskGroup
from search_spaces.specs.command_task import validate_command
from search_spaces.specs.contrasts import Declared, contrast_of, validate_contrasts
from search_spaces.specs.factorial import FACTOR_LIMITS, Contrast, FactorialDesign, factorial_arms
from search_spaces.specs.space import SpaceSpec
from search_spaces.specs.space_parts import AnyDistribution
from search_spaces.values import show

MATCHED, RETUNED, TUNING = "matched", "retuned", "tuning"


def _check_looks(looks: object) -> Literal["none", "e_process"] | tuple[int, ...]:
    if looks == "none":
        return "none"
    if looks == "e_process":
        return "e_process"
    if isinstance(looks, tuple) and all(isinstance(pairs, int) and not isinstance(pairs, bool) for pairs in looks):
        return looks
    raise ValueError(f"must be none, e_process or a list of numbers of pairs, found {show(looks)}")


_Looks = Annotated[Literal["none", "e_process"] | tuple[int, ...], PlainValidator(_check_looks)]


class AblationSpec(Part):
    """The definition of an ablation.

    Attributes:
        question: Question that the ablation answers.
        space: Task, base recipe, ranges of the nuisance fields and resources. It also has the name, the seed, and
            `metrics.selection` as its metric.
        arms: Variants, the control first. An ablation has either `arms` or `factors`.
        factors: Settings of each factor when it is on.
        arrangement: Factorial design that combines factors into arms.
        contrasts: Comparisons that claims are about: `(treatment, control)`, or a weighted combination of arms. By
            default, each treatment with the control, or the effect of each factor.
        pairs: Number of seeds per arm; with `looks`, the maximum.
        metrics: Metrics that are compared.
        design: `matched` changes nothing but the arm; `retuned` compares each arm at its own best point.
        retune: Tuning of the arms for the `retuned` design.
        nuisance: Fields that vary between pairs but not within one, so that the result holds beyond one recipe.
        looks: `none` tests once, after all pairs. A list of numbers of pairs allows to stop at each of them, and
            `e_process` after any pair.
        looks_taken: Numbers of pairs at which results had been seen when pairs were added. The program sets it.
        group: The ablation of several tasks that this one is a part of. The program sets it.

    Raises:
        UsageError: The parts do not fit each other; there is one problem for each.
    """

    question: Annotated[str, Field(min_length=1, max_length=500)]
    space: SpaceSpec
    arms: Mapping[ArmName, Arm] = {}
    factors: Mapping[ArmName, Settings] = {}
    arrangement: FactorialDesign = "factorial"
    contrasts: tuple[Declared, ...] = ()
    pairs: Annotated[int, Field(ge=1, le=10_000)] = 10
    metrics: Metrics
    design: Literal["matched", "retuned", "both"] = "matched"
    retune: Retune | None = None
    nuisance: tuple[str, ...] = ()
    looks: _Looks = "none"
    looks_taken: tuple[Count, ...] = ()
    group: TaskGroup | None = None

    @property
    def name(self) -> str:
        """Name of the ablation."""
        return self.space.name

    @property
    def task_label(self) -> str | None:
        """Name of the task in the ablation of several tasks that this one is a part of; None without one."""
        if self.group is None or self.name not in self.group.members:
            return None
        return self.name.removeprefix(f"{self.group.name}.")

    @property
    def all_arms(self) -> Mapping[str, Arm]:
        """Every arm, the control first, including those that combine factors."""
        if self.arms:
            return self.arms
        combined = factorial_arms(tuple(self.factors), self.arrangement)
        return {
            name: Arm(
                settings={
                    key: value for factor in self.factors if factor in on for key, value in self.factors[factor].items()
                }
            )
            for name, on in combined.arms.items()
        }

    @property
    def treatments(self) -> tuple[Contrast, ...]:
        """The comparisons that claims are about: the declared ones, or each treatment with the control."""
        if self.contrasts:
            return tuple(map(contrast_of, self.contrasts))
        if self.factors:
            return tuple(one for one in self.factor_contrasts if one.kind == "treatment")
        control, *treatments = self.arms
        return tuple(Contrast(name, {control: -1.0, name: 1.0}) for name in treatments)

    @property
    def factor_contrasts(self) -> tuple[Contrast, ...]:
        """The effects and interactions that the arrangement of the factors estimates."""
        return factorial_arms(tuple(self.factors), self.arrangement).contrasts if self.factors else ()

    @property
    def interactions(self) -> tuple[Contrast, ...]:
        """The interactions of factors, which are exploratory."""
        return tuple(one for one in self.factor_contrasts if one.kind == "interaction")

    @property
    def designs(self) -> tuple[str, ...]:
        """`matched`, `retuned` or both, in this order."""
        return (MATCHED, RETUNED) if self.design == "both" else (self.design,)

    def recipe(self, arm: str, point: Mapping[str, Value] = {}) -> Recipe:
        """Return the recipe of an arm, with the nuisance or tuned fields of a point."""
        return resolve(self.space.recipe, {**self.all_arms[arm].settings, **point})

    def arm_metrics(self) -> tuple[ArmMetric, ...]:
        """Return the primary metric of each arm, under the name that its training reports."""
        primary = self.metrics.primary
        return tuple(
            ArmMetric(name, self.recipe(name), read_from(primary, arm.weights)) for name, arm in self.all_arms.items()
        )

    def trained_as(self) -> Mapping[str, str]:
        """Return, for each arm, the arm whose training it evaluates.

        An arm that differs from an earlier one only in `weights` is another evaluation of the same training, which is
        free and perfectly paired. Two arms that are equal in everything are trained twice.
        """
        owners: dict[str, str] = {}
        reads: dict[str, set[str]] = {}
        digests: dict[tuple[object, ...], str] = {}
        for name, arm in self.all_arms.items():
            owner = digests.setdefault((recipe_hash(self.recipe(name)), arm.seeds, arm.code), name)
            if arm.weights in reads.get(owner, ()):
                owner = name
            reads.setdefault(owner, set()).add(arm.weights)
            owners[name] = owner
        return owners

    @model_validator(mode="after")
    def _fits(self) -> Self:
        problems = tuple(_validate(self))
        if problems:
            raise UsageError(*problems)
        return self


def _validate(spec: AblationSpec) -> Sequence[Problem]:
    number = _validate_number(spec)
    arms = {} if number and not spec.arms else _arm_problems(spec)
    valid = [name for name, found in arms.items() if not found]  # the others have no recipe to check ranges with
    combined = () if spec.arms else tuple(problem for found in arms.values() for problem in found)
    return [
        *number,
        *(_section_problems(spec) or combined),
        *(validate_contrasts(spec.contrasts, list(arms)) if arms else ()),
        *_validate_code(spec),
        *_validate_primary(spec, valid),
        *_validate_looks(spec),
        *_validate_design(spec),
        *_validate_retune(spec, list(arms), valid),
        *_validate_nuisance(spec, valid),
    ]


def _validate_number(spec: AblationSpec) -> Sequence[Problem]:
    """Return the problem of the number of arms or factors."""
    if bool(spec.arms) == bool(spec.factors):
        found = "both" if spec.arms else "neither"
        return [Problem("", "arms", f"an ablation must have either arms or factors, found {found}")]
    if spec.arms and len(spec.arms) < 2:
        return [Problem("", "arms", f"must have at least 2 arms, the control first, found {len(spec.arms)}")]
    low, high = FACTOR_LIMITS[spec.arrangement]
    if spec.factors and not low <= len(spec.factors) <= high:
        message = f"{spec.arrangement} needs {low} to {high} factors, found {len(spec.factors)}"
        return [Problem("", "factors", f"{message}; fractional allows 5 to 8, one_at_a_time and add_one up to 20")]
    return []


def _validate_primary(spec: AblationSpec, valid: Sequence[str]) -> list[Problem]:
    """Return the problems of the primary metric if the task is a built-in one, which is known to report some only."""
    known, primary = spec.space.metrics_of_task, spec.metrics.primary
    if known is None:
        return []
    if message := wrong_goal(primary, spec.metrics.goal, known):
        return [Problem("", "metrics.goal", message)]
    problems = []
    for arm in valid:
        reported = final_metrics(spec.recipe(arm), known)
        if message := unreported(primary, reported, "at the end"):
            return [Problem("", "metrics.primary", message)]
        weights = spec.all_arms[arm].weights
        if message := unreported(read_from(primary, weights), reported, "at the end"):
            problems.append(Problem("", f"arms.{arm}.weights", message))
    return problems


def _section_problems(spec: AblationSpec) -> list[Problem]:
    """Return the problems of the settings of each arm and factor, as they are in the file."""
    sections = {f"arms.{name}": arm.settings for name, arm in spec.arms.items()}
    sections |= {f"factors.{name}": settings for name, settings in spec.factors.items()}
    return [
        problem for path, settings in sections.items() for problem in _validate_settings(spec.space, settings, path)
    ]


def _arm_problems(spec: AblationSpec) -> Mapping[str, list[Problem]]:
    """Return the problems of each arm; factors may be valid one by one but not together."""
    return {name: _validate_settings(spec.space, arm.settings, f"arms.{name}") for name, arm in spec.all_arms.items()}


def _validate_settings(space: SpaceSpec, settings: Mapping[str, Value], path: str) -> list[Problem]:
    try:
        recipe = resolve(space.recipe, settings)
    except UsageError as error:
        found = (problem if isinstance(problem, Problem) else Problem("", "", problem) for problem in error.problems)
        return [Problem("", f"{path}.{problem.field}", problem.message) for problem in found]
    if recipe.budget.unit != space.recipe.budget.unit:
        rule = f"all arms need one unit, but the recipe has a budget in {space.recipe.budget.unit}s"
        return [Problem("", f"{path}.budget.{recipe.budget.unit}s", f"{rule}; set budget.{space.recipe.budget.unit}s")]
    if space.command is not None:
        problems = validate_command(space.command, recipe)
        return [Problem("", path, f"{one.field.removeprefix('recipe.')}: {one.message}") for one in problems]
    known = space.metrics_of_task
    found_fields = needs_classes(recipe, settings.keys(), known) if known else ()
    return [Problem("", path, f"{field}: {why}") for field, why in found_fields if field in settings]


def _validate_code(spec: AblationSpec) -> Iterator[Problem]:
    """Yield the problems of arms that name other code."""
    for name, arm in spec.arms.items():
        if arm.code is None:
            continue
        field = f"arms.{name}.{'rev' if arm.rev else 'patch'}"
        if spec.space.command is None:
            rule = "needs a task that is a command, since only a command can run files of another revision"
            yield Problem("", field, f"{rule}; found {spec.space.task_name}")
        elif arm.rev == WORKTREE:
            yield Problem("", field, "must be a commit if there is a patch, found WORKTREE; leave rev out for HEAD")


def _validate_looks(spec: AblationSpec) -> list[Problem]:
    if not isinstance(spec.looks, tuple):
        return []
    looks = spec.looks
    if len(looks) < 2 or list(looks) != sorted(set(looks)) or looks[0] < 3 or looks[-1] != spec.pairs:
        rule = "at least two increasing numbers of pairs, the first at least 3, the last equal to pairs"
        return [Problem("", "looks", f"must be {rule} ({spec.pairs}), found {show(looks)}")]
    return []


def _validate_design(spec: AblationSpec) -> list[Problem]:
    if spec.retune is None and spec.design != "matched":
        return [Problem("", "design", f"{spec.design} needs a retune section: {{runs: 12, over: [optimizer.lr]}}")]
    if spec.retune is not None and spec.design == "matched":
        return [Problem("", "design", "matched needs no retune section; write design: both, or remove retune")]
    return []


def _validate_retune(spec: AblationSpec, arms: Sequence[str], valid: Sequence[str]) -> list[Problem]:
    """Return the problems of the metric that selects points and of the ranges of the re-tuned design.

    Args:
        spec: The ablation.
        arms: Names of the arms, empty if they are unknown.
        valid: Names of the arms with a valid recipe.
    """
    if spec.retune is None or spec.design == "matched":
        return []
    problems = [*_validate_selection(spec.metrics)]
    problems += [
        Problem("", f"retune.ranges.{arm}", f"unknown arm; valid: {', '.join(arms)}")
        for arm in spec.retune.ranges
        if arms and arm not in arms
    ]
    for arm in valid:
        own = spec.retune.ranges.get(arm, {})
        missing = [field for field in spec.retune.over if field not in own and field not in _plain(spec)]
        problems += [
            Problem("", f"retune.over.{field}", f"has no range for {arm} in search{_conditional(spec, field)}")
            for field in missing
        ]
        if not missing:
            found = validate_search(spec.recipe(arm), tuning_ranges(spec, arm))
            problems += [Problem("", f"retune.ranges.{arm}.{problem.field[7:]}", problem.message) for problem in found]
    return problems


def _validate_selection(metrics: Metrics) -> Iterator[Problem]:
    """Yield the problem of a metric that must not select points. Only a command may name such a metric."""
    if metrics.selection.startswith(("test/", "train/")):
        rule = "must name a metric that is neither on test nor on train if arms are re-tuned"
        yield Problem("", "metrics.select", f"{rule}, found {metrics.selection}; write one such as val/loss")


def _validate_nuisance(spec: AblationSpec, valid: Sequence[str]) -> list[Problem]:
    """Return the problems of the nuisance fields; `valid` has the names of the arms with a valid recipe."""
    problems = []
    for field in spec.nuisance:
        set_by = [name for name in valid if field in spec.all_arms[name].settings]
        if field not in _plain(spec):
            problems.append(Problem("", "nuisance", f"{field} has no range in search{_conditional(spec, field)}"))
        elif set_by:
            problems.append(
                Problem("", "nuisance", f"{field} must not vary between pairs, since the arm {set_by[0]} sets it")
            )
        else:
            for arm in valid:
                ranges = {field: spec.space.search[field]}
                found = validate_search(spec.recipe(arm), ranges)
                problems += [Problem("", "nuisance", f"{problem.message} (arm {arm})") for problem in found]
    return problems


def _plain(spec: AblationSpec) -> set[str]:
    """Return the fields that have a range without conditions; only these can vary in an ablation."""
    return spec.space.search.keys() - spec.space.when.keys()


def _conditional(spec: AblationSpec, field: str) -> str:
    return " without a when:" if field in spec.space.when else ""


def tuning_ranges(spec: AblationSpec, arm: str) -> Mapping[str, AnyDistribution]:
    """Return the range of each tuned field of one arm."""
    if spec.retune is None:
        return {}
    own = spec.retune.ranges.get(arm, {})
    return {field: own[field] if field in own else spec.space.search[field] for field in spec.retune.over}
