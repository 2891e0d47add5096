"""One parsed ablation file: a question, the arms that answer it, and how the answer will be judged."""

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, PlainValidator, model_validator

from search_spaces.errors import Problem, UsageError
from search_spaces.recipe.fields import resolve
from search_spaces.recipe.hash import recipe_hash
from search_spaces.recipe.part import Count, Part, Positive
from search_spaces.recipe.recipe import Recipe
from search_spaces.search.distributions import Value
from search_spaces.search.field_checks import validate_search
from search_spaces.specs.factorial import FACTOR_LIMITS, Contrast, FactorialDesign, factorial_arms
from search_spaces.specs.space import AnyDistribution, SpaceSpec
from search_spaces.values import checked_value, show

MATCHED, RETUNED, TUNING = "matched", "retuned", "tuning"
_METRIC = re.compile(r"(test|val)/([A-Za-z_][\w.-]*)", re.ASCII)
_LONGEST_NAME = 60


def _check_arm_name(name: str) -> str:
    if not 1 <= len(name) <= _LONGEST_NAME or not name.isprintable() or name != name.strip():
        raise ValueError(f"a name has 1 to {_LONGEST_NAME} printable characters, found {show(name)}")
    return name


def _check_metric(name: str) -> str:
    if not _METRIC.fullmatch(name):
        hint = "; which weights are read is said by each arm's `weights`" if "@" in name else ""
        raise ValueError(f"must be test/name or val/name, such as test/nll, found {show(name)}{hint}")
    return name


def _check_value(value: object) -> Value:
    try:
        return checked_value(value)
    except UsageError as error:
        raise ValueError(str(error)) from None


def _check_looks(looks: object) -> Literal["none", "e_process"] | tuple[int, ...]:
    if looks == "none":
        return "none"
    if looks == "e_process":
        return "e_process"
    if isinstance(looks, tuple) and all(isinstance(pairs, int) and not isinstance(pairs, bool) for pairs in looks):
        return looks
    raise ValueError(f"must be none, e_process or a list of numbers of pairs, found {show(looks)}")


_Looks = Annotated[Literal["none", "e_process"] | tuple[int, ...], PlainValidator(_check_looks)]
_Name = Annotated[str, AfterValidator(_check_arm_name)]
_MetricName = Annotated[str, AfterValidator(_check_metric)]
_Settings = Mapping[str, Annotated[Value, PlainValidator(_check_value)]]


class Arm(Part):
    """One variant.

    Attributes:
        settings: Recipe fields that differ from the base recipe. A new `kind` brings its section's defaults.
        weights: Which evaluation of the trained model is read: `raw`, the last step's weights, or another that the
            training reports after an `@`: `ema`, `swa`, `best`, `temperature`, `pruned50`, ...
        says: What the arm does, as the subject of a sentence: "Leaving biases out of weight decay".
        seeds: Whether the arm shares the random streams of its pair, or draws its `own`: a measure of the noise
            that pairing takes away.
    """

    settings: _Settings = Field(default_factory=dict)
    weights: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_.+-]*$", max_length=40)] = "raw"
    says: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    seeds: Literal["paired", "own"] = "paired"


class Metrics(Part):
    """What decides, declared before anything is trained.

    Attributes:
        primary: The one metric that verdicts are about.
        goal: Whether more or less of it is better; never guessed from the name.
        margin: The smallest difference that matters, in units of the metric; without one nothing is equivalent.
        secondary: Shown with their intervals, as exploration.
        select: Metric on `val` that a re-tuned arm's best point is chosen by; None is the twin of `primary`.
    """

    primary: _MetricName = "test/nll"
    goal: Literal["maximize", "minimize"]
    margin: Positive | None = None
    secondary: tuple[_MetricName, ...] = ("test/accuracy", "test/nll", "test/brier", "test/ece")
    select: Annotated[str, Field(pattern=r"^val/[A-Za-z_][\w.-]*$")] | None = None

    @property
    def selection(self) -> str:
        """The metric on `val` that stands for `primary` while nothing may look at `test`."""
        return self.select or f"val/{self.primary.partition('/')[2]}"

    @property
    def others(self) -> tuple[str, ...]:
        """`secondary` without the primary one."""
        return tuple(name for name in self.secondary if name != self.primary)


class Retune(Part):
    """The re-tuned design: every arm gets the same number of tries before it is compared.

    Attributes:
        runs: Tries of each arm: its own recipe, and then the points of one quasi-random sequence.
        over: Fields that are tuned.
        ranges: Ranges for single arms, by arm and field; all others are those of the space's `search`. The same
            point of the sequence lies at the same share of each arm's range.
    """

    runs: Annotated[int, Field(ge=2, le=10_000)]
    over: Annotated[tuple[str, ...], Field(min_length=1)]
    ranges: Mapping[str, Mapping[str, AnyDistribution]] = {}


class AblationSpec(Part):
    """An ablation: everything that it needs to know before it starts.

    Attributes:
        question: In words.
        space: Task, base recipe, ranges of the nuisance fields and resources. It also carries the name and the seed,
            and `metrics.selection` as its metric.
        arms: The variants, the control first; or else `factors`.
        factors: Settings of each factor when it is on.
        arrangement: How factors are combined into arms.
        pairs: Seeds per arm, at most, where looks may end it sooner.
        metrics: What decides.
        design: `matched` changes nothing but the arm; `retuned` compares each arm at its own best point.
        retune: How arms are tuned, for that.
        nuisance: Fields that differ from pair to pair and are the same within one, so that the answer holds beyond
            one recipe.
        looks: `none` tests once, at `pairs`; numbers of pairs at which the test may end it; or `e_process`, which may
            end it after any pair.
        looks_taken: Numbers of pairs at which the result had been seen when pairs were added; kept by the machine.

    Raises:
        UsageError: With one problem for each part that does not fit the others.
    """

    question: Annotated[str, Field(min_length=1, max_length=500)]
    space: SpaceSpec
    arms: Mapping[_Name, Arm] = {}
    factors: Mapping[_Name, _Settings] = {}
    arrangement: FactorialDesign = "factorial"
    pairs: Annotated[int, Field(ge=1, le=10_000)] = 10
    metrics: Metrics
    design: Literal["matched", "retuned", "both"] = "matched"
    retune: Retune | None = None
    nuisance: tuple[str, ...] = ()
    looks: _Looks = "none"
    looks_taken: tuple[Count, ...] = ()

    @property
    def name(self) -> str:
        """Of the ablation."""
        return self.space.name

    @property
    def all_arms(self) -> Mapping[str, Arm]:
        """Every arm, the control first, those that combine factors spelled out."""
        if self.arms:
            return self.arms
        arranged = factorial_arms(tuple(self.factors), self.arrangement)
        return {
            name: Arm(
                settings={
                    key: value for factor in self.factors if factor in on for key, value in self.factors[factor].items()
                }
            )
            for name, on in arranged.arms.items()
        }

    @property
    def contrasts(self) -> tuple[Contrast, ...]:
        """What is compared: each arm with the control, or what an arrangement of factors asks."""
        if not self.arms:
            return factorial_arms(tuple(self.factors), self.arrangement).contrasts
        control, *treatments = self.arms
        return tuple(Contrast(name, {control: -1.0, name: 1.0}) for name in treatments)

    @property
    def designs(self) -> tuple[str, ...]:
        """`matched`, `retuned` or both, in this order."""
        return (MATCHED, RETUNED) if self.design == "both" else (self.design,)

    def recipe(self, arm: str, point: Mapping[str, Value] = {}) -> Recipe:
        """The recipe of an arm, with the nuisance or tuned fields of a point."""
        return resolve(self.space.recipe, {**self.all_arms[arm].settings, **point})

    def trained_as(self) -> Mapping[str, str]:
        """Arm -> the arm whose training it reads.

        An arm that differs from an earlier one only by the weights it reads is another evaluation of that training:
        free, and perfectly paired. Two arms that are the same in everything are trained twice.
        """
        owners: dict[str, str] = {}
        reads: dict[str, set[str]] = {}
        digests: dict[tuple[str, str], str] = {}
        for name, arm in self.all_arms.items():
            owner = digests.setdefault((recipe_hash(self.recipe(name)), arm.seeds), name)
            if arm.weights in reads.get(owner, ()):
                owner = name
            reads.setdefault(owner, set()).add(arm.weights)
            owners[name] = owner
        return owners

    @model_validator(mode="after")
    def _fits(self) -> Self:
        problems = tuple(_problems(self))
        if problems:
            raise UsageError(*problems)
        return self


def _problems(spec: AblationSpec) -> Sequence[Problem]:
    problems = [*_arm_problems(spec)]
    if problems:
        return problems  # the rest is about arms that can be read
    return [*_look_problems(spec), *_retune_problems(spec), *_nuisance_problems(spec)]


def _arm_problems(spec: AblationSpec) -> list[Problem]:
    if bool(spec.arms) == bool(spec.factors):
        found = "both" if spec.arms else "neither"
        return [Problem("", "arms", f"an ablation has either arms or factors, found {found}")]
    if spec.arms and len(spec.arms) < 2:
        return [Problem("", "arms", f"a comparison has at least 2 arms, the control first, found {len(spec.arms)}")]
    if spec.factors:
        low, high = FACTOR_LIMITS[spec.arrangement]
        if not low <= len(spec.factors) <= high:
            message = f"{spec.arrangement} takes {low} to {high} factors, found {len(spec.factors)}"
            return [Problem("", "factors", f"{message}; fractional takes 5 to 8, one_at_a_time and add_one up to 20")]
    section = "arms" if spec.arms else "factors"
    sources = {name: arm.settings for name, arm in spec.arms.items()} or spec.factors
    problems = []
    for name, settings in sources.items():
        problems += _settings_problems(spec.space.recipe, settings, f"{section}.{name}")
    return problems or _combined_problems(spec)


def _settings_problems(recipe: Recipe, settings: Mapping[str, Value], path: str) -> list[Problem]:
    try:
        resolve(recipe, settings)
    except UsageError as error:
        found = (problem if isinstance(problem, Problem) else Problem("", "", problem) for problem in error.problems)
        return [Problem("", f"{path}.{problem.field}", problem.message) for problem in found]
    return []


def _combined_problems(spec: AblationSpec) -> list[Problem]:
    """Factors that are lawful one by one and not together."""
    problems = []
    for name, arm in spec.all_arms.items():
        problems += _settings_problems(spec.space.recipe, arm.settings, f"arms.{name}")
    return problems


def _look_problems(spec: AblationSpec) -> list[Problem]:
    if not isinstance(spec.looks, tuple):
        return []
    looks = spec.looks
    if len(looks) < 2 or list(looks) != sorted(set(looks)) or looks[0] < 3 or looks[-1] != spec.pairs:
        law = "numbers of pairs from 3 on, rising, at least two, the last one equal to pairs"
        return [Problem("", "looks", f"must be {law} ({spec.pairs}), found {show(looks)}")]
    return []


def _retune_problems(spec: AblationSpec) -> list[Problem]:
    if spec.retune is None:
        if spec.design == "matched":
            return []
        return [Problem("", "design", f"{spec.design} needs a retune section: {{runs: 12, over: [optimizer.lr]}}")]
    if spec.design == "matched":
        return [Problem("", "design", "matched takes no retune section; write design: both, or leave retune out")]
    problems = [
        Problem("", f"retune.ranges.{arm}", f"there is no such arm; there are {', '.join(spec.all_arms)}")
        for arm in spec.retune.ranges
        if arm not in spec.all_arms
    ]
    for arm in spec.all_arms:
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


def _nuisance_problems(spec: AblationSpec) -> list[Problem]:
    problems = []
    for field in spec.nuisance:
        set_by = [name for name, arm in spec.all_arms.items() if field in arm.settings]
        if field not in _plain(spec):
            problems.append(Problem("", "nuisance", f"{field} has no range in search{_conditional(spec, field)}"))
        elif set_by:
            problems.append(
                Problem("", "nuisance", f"{field} is what the arm {set_by[0]} sets; it cannot vary by pair")
            )
        else:
            for arm in spec.all_arms:
                ranges = {field: spec.space.search[field]}
                found = validate_search(spec.recipe(arm), ranges)
                problems += [Problem("", "nuisance", f"{problem.message} (arm {arm})") for problem in found]
    return problems


def _plain(spec: AblationSpec) -> set[str]:
    """Fields with a range in every recipe, as those that vary in an ablation are."""
    return spec.space.search.keys() - spec.space.when.keys()


def _conditional(spec: AblationSpec, field: str) -> str:
    return " without a when:" if field in spec.space.when else ""


def tuning_ranges(spec: AblationSpec, arm: str) -> Mapping[str, AnyDistribution]:
    """The range of each tuned field of one arm."""
    if spec.retune is None:
        return {}
    own = spec.retune.ranges.get(arm, {})
    return {field: own[field] if field in own else spec.space.search[field] for field in spec.retune.over}
