"""The plan of a sweep: the baseline, the starts, then what the sampler proposes."""

from __future__ import annotations

from collections.abc import Mapping

from search_spaces import Distribution, Recipe, SpaceSpec, Value, resolve
from search_spaces.search.point_checks import start_settings
from search_spaces.search.sequences import Grid, RandomSequence, SobolSequence
from sweeps.plan.plan import Begun, PlannedRun
from sweeps.study.sampler import Proposer
from sweeps.study.snapshot import RunSnapshot


class SearchPlan:
    """Run 0 is the base recipe, the baseline that the sweep must beat; then come the starts, and the sampler's choice.

    Args:
        spec: The space.
    """

    def __init__(self, spec: SpaceSpec) -> None:
        self._spec = spec
        self._parameters = spec.parameters
        sampler, parameters = spec.sampler, self._parameters
        self._proposer = Proposer(sampler, spec.metric.goal, parameters) if sampler.kind in ("tpe", "gp") else None
        self._sequence: RandomSequence | SobolSequence | Grid
        if sampler.kind == "grid":
            self._sequence = Grid(parameters)
        elif sampler.kind == "qmc":
            self._sequence = SobolSequence(parameters, sampler.seed)
        else:
            startup = 0 if self._proposer is None else sampler.startup
            self._sequence = RandomSequence(parameters, sampler.seed, startup)

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
        """The fields in which a run differs from the base recipe."""
        spec = self._spec
        index = number - 1 - len(spec.starts)  # neither the baseline nor a start takes a point of a sequence
        if number == 0:
            return {}
        if index < 0:
            return start_settings(self._parameters, spec.starts[number - 1])
        if self._proposer is None or index < spec.sampler.startup:
            return self._parameters.settings(self._sequence.point(index))
        return self._parameters.settings(self._proposer.propose(number))

    def learn(self, view: RunSnapshot) -> None:
        if self._proposer is not None:
            self._proposer.learn(view)


def searched_values(recipe: Recipe, spec: SpaceSpec) -> dict[str, Value]:
    """The parameters that are active in a recipe, by the names that the dashboard has them by."""
    return spec.parameters.read(recipe)


def searched_fields(recipe: Recipe, spec: SpaceSpec) -> dict[str, Value]:
    """The same by the fields of the recipe, of which each has one value whatever its parameter is called."""
    parameters = spec.parameters
    fields = {parameter.name: parameter.field for parameter in parameters.every}
    return {fields[name]: value for name, value in parameters.read(recipe).items()}
