"""The parts of an ablation file: arms, metrics and the tuning of the re-tuned design."""

from collections.abc import Mapping
from typing import Annotated, Literal, NamedTuple

from pydantic import AfterValidator, BeforeValidator, Field

from search_spaces.metric_names import RAW, check_metric_name, metric_of, split_weights
from search_spaces.recipe.part import Part, Positive
from search_spaces.recipe.recipe import Recipe
from search_spaces.specs.space_parts import AnyDistribution, RecipeValue
from search_spaces.values import show

WORKTREE = "WORKTREE"
"""The `rev` of an arm that runs the files as they are."""
_MAX_NAME = 60


def _check_arm_name(name: str) -> str:
    if not 1 <= len(name) <= _MAX_NAME or not name.isprintable() or name != name.strip():
        raise ValueError(f"a name must have 1 to {_MAX_NAME} printable characters, found {show(name)}")
    return name


def _check_metric(name: str) -> str:
    weights = split_weights(check_metric_name(name))[1]
    if not name.startswith(("test/", "val/")) or weights != RAW:
        hint = "; use the `weights` of each arm to select weights" if weights != RAW else ""
        raise ValueError(f"must be test/name or val/name, such as test/nll, found {show(name)}{hint}")
    return name


def _as_recorded(name: object) -> object:
    return metric_of(name) if isinstance(name, str) else name


ArmName = Annotated[str, AfterValidator(_check_arm_name)]
_MetricName = Annotated[str, AfterValidator(_check_metric)]
_ReportedName = Annotated[str, BeforeValidator(_as_recorded), AfterValidator(check_metric_name)]
Settings = Mapping[str, RecipeValue]


class Arm(Part):
    """One variant of the recipe, or of the code of a command.

    Attributes:
        settings: Recipe fields that differ from the base recipe. A new `kind` resets its section to the defaults.
        weights: Evaluation of the trained model that is compared: `raw` for the weights of the last step, or another
            that the training reports after an `@`: `ema`, `swa`, `best`, `temperature`, `pruned50`, ...
        says: Change that the arm makes to the control, which introduces the sentence about both: "Leaving biases out of
            weight decay".
        seeds: `paired` shares the random streams of the pair; `own` draws others, to measure the noise that pairing
            removes.
        rev: Revision of git whose files the command of the arm runs: a branch, a tag, a hash, `HEAD~3`. `WORKTREE`, the
            default, stands for the files as they are.
        patch: File with a diff that is applied to the files of `rev`, by default of `HEAD`.
    """

    settings: Settings = Field(default_factory=dict)
    weights: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_.+-]*$", max_length=40)] = "raw"
    says: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    seeds: Literal["paired", "own"] = "paired"
    rev: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    patch: Annotated[str, Field(min_length=1)] | None = None

    @property
    def code(self) -> tuple[str, str] | None:
        """The revision and the file of the patch, empty if there is none; None for the files as they are."""
        if self.patch is None and self.rev in (None, WORKTREE):
            return None
        return self.rev or "HEAD", self.patch or ""


class Metrics(Part):
    """The metrics of an ablation, declared before training.

    Attributes:
        primary: Metric that verdicts are about.
        goal: Whether a larger or a smaller value is better; never guessed from the name.
        margin: Smallest difference that matters, in units of the metric; without it, no arm is reported as equivalent.
        secondary: Further metrics, shown with their intervals as exploration.
        select: Metric on `val` that selects the best point of a re-tuned arm; by default, `primary` on `val`.
    """

    primary: _MetricName = "test/nll"
    goal: Literal["maximize", "minimize"]
    margin: Positive | None = None
    secondary: tuple[_MetricName, ...] = ("test/accuracy", "test/nll", "test/brier", "test/ece")
    select: Annotated[str, Field(pattern=r"^val/[A-Za-z_][\w.-]*$")] | None = None

    @property
    def selection(self) -> str:
        """The metric on `val` that selects points, since `test` must not be used for selection."""
        return self.select or f"val/{self.primary.partition('/')[2]}"

    @property
    def others(self) -> tuple[str, ...]:
        """The secondary metrics without the primary one."""
        return tuple(name for name in self.secondary if name != self.primary)


class ArmMetric(NamedTuple):
    """What one arm of an ablation reports.

    Attributes:
        name: Name of the arm.
        recipe: Recipe of the arm.
        metric: Primary metric under the name that its training reports, with the weights of the arm.
    """

    name: str
    recipe: Recipe
    metric: str


class CommandMetrics(Metrics):
    """The metrics of an ablation of a command, which may have any split, and may be named as the program prints them.

    Attributes:
        primary: Metric that verdicts are about.
        secondary: Further metrics, shown with their intervals as exploration; by default, none.
        select: Metric that selects the best point of a re-tuned arm; by default, `primary`.
    """

    primary: _ReportedName
    secondary: tuple[_ReportedName, ...] = ()
    select: _ReportedName | None = None

    @property
    def selection(self) -> str:
        """The metric that selects points."""
        return self.select or self.primary


class Retune(Part):
    """The re-tuned design: every arm is tuned with the same number of runs before it is compared.

    Attributes:
        runs: Number of tuning runs per arm: its own recipe, and then the points of one quasi-random sequence.
        over: Fields that are tuned.
        ranges: Arm -> field -> range, where it differs from the `search` of the space. A point of the sequence has
            the same relative position in the range of each arm.
    """

    runs: Annotated[int, Field(ge=2, le=10_000)]
    over: Annotated[tuple[str, ...], Field(min_length=1)]
    ranges: Mapping[str, Mapping[str, AnyDistribution]] = {}


class TaskGroup(Part):
    """The ablation of several tasks, of which one ablation is a part.

    Attributes:
        name: Name of the ablation of all tasks.
        tasks: Names of its tasks, in the order of the file.
    """

    name: str
    tasks: Annotated[tuple[str, ...], Field(min_length=2)]

    @property
    def members(self) -> tuple[str, ...]:
        """Names of the ablations, one for each task."""
        return tuple(f"{self.name}.{task}" for task in self.tasks)
