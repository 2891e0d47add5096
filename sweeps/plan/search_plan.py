"""The plan of a sweep: the baseline, the starts, and then the points that the sampler proposes."""

from collections.abc import Mapping

from search_spaces import Distribution, Recipe, SpaceSpec, Value, resolve
from search_spaces.search.point_checks import start_settings
from sweeps.plan.plan import Begun, PlannedRun
from sweeps.study.sampler import build_sampler
from sweeps.study.snapshot import RunSnapshot


class SearchPlan:
    """Plans the runs of a sweep. Run 0 is the base recipe: the baseline that the sweep must beat.

    Args:
        spec: The space.
    """

    def __init__(self, spec: SpaceSpec) -> None:
        self._spec = spec
        self._parameters = spec.parameters
        self._sampler = build_sampler(spec)

    @property
    def parameters(self) -> Mapping[str, Distribution]:
        return self._parameters.distributions

    @property
    def total(self) -> int:
        return self._spec.runs

    @property
    def available(self) -> int:
        return self._spec.runs

    def propose(self, number: int) -> PlannedRun:
        return PlannedRun(number, resolve(self._spec.recipe, self._settings(number)))

    def values(self, run: Begun) -> Mapping[str, Value]:
        return self._parameters.read(run.recipe)

    def _settings(self, number: int) -> Mapping[str, Value]:
        """Return the fields in which a run differs from the base recipe."""
        if number == 0:
            return {}
        if number <= len(self._spec.starts):
            return start_settings(self._parameters, self._spec.starts[number - 1])
        return self._parameters.settings(self._sampler.propose(number))

    def learn(self, view: RunSnapshot) -> None:
        self._sampler.learn(view)


def searched_values(recipe: Recipe, spec: SpaceSpec) -> dict[str, Value]:
    """Return the values of a recipe's active parameters, by the names that the dashboard shows."""
    return spec.parameters.read(recipe)


def searched_fields(recipe: Recipe, spec: SpaceSpec) -> dict[str, Value]:
    """Return the values of a recipe's active parameters, by the fields of the recipe that they set."""
    parameters = spec.parameters
    fields = {parameter.name: parameter.field for parameter in parameters.every}
    return {fields[name]: value for name, value in parameters.read(recipe).items()}
