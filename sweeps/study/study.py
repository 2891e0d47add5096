"""The Optuna studies of a sweep.

A sweep has two studies with the same trials. One is in memory and feeds the sampler; it is rebuilt from our tables, so
a crash cannot leave a half-sampled trial behind. The other is in the database, for the dashboard and other readers of
Optuna studies; it is a copy that may lag behind by a second and is completed by the next command.
In both, the number of a trial is the number of its run.
"""

import warnings
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

import optuna
from optuna.samplers import BaseSampler
from optuna.storages import BaseStorage, RDBStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from search_spaces import Constant, Distribution, SpaceSpec, UsageError, Value
from search_spaces.recipe.reported import Goal
from search_spaces.search.distributions import contains
from search_spaces.search.parameters import Parameter, Parameters
from sweeps.run_state import RunState
from sweeps.store.database import engine_options
from sweeps.study.distributions import from_optuna, optuna_distribution, suggest_value, to_optuna
from sweeps.study.snapshot import RunSnapshot, attributes, shown_value

optuna.logging.set_verbosity(optuna.logging.WARNING)

# An interrupted run waits for its next driver; RUNNING means that a driver is active.
_TRIAL_STATES = {
    RunState.RUNNING: TrialState.RUNNING,
    RunState.INTERRUPTED: TrialState.WAITING,
    RunState.COMPLETE: TrialState.COMPLETE,
    RunState.STOPPED: TrialState.PRUNED,
    RunState.DIVERGED: TrialState.PRUNED,
    RunState.FAILED: TrialState.FAIL,
}
_NO_FACTS: Mapping[str, Any] = MappingProxyType({})


class Study:
    """The trials of one sweep in one Optuna storage.

    Args:
        storage: Optuna storage.
        name: Name of the sweep.
        goal: ``maximize`` or ``minimize``.
        search: Searched field -> distribution.

    Raises:
        UsageError: The storage has a study of this name with the other direction.
    """

    def __init__(self, storage: BaseStorage, name: str, goal: Goal, search: Mapping[str, Distribution]) -> None:
        self._storage = storage
        self._search = search
        self._distributions = {
            path: converted for path, one in search.items() if (converted := optuna_distribution(one)) is not None
        }
        self.optuna = optuna.create_study(storage=storage, study_name=name, direction=goal, load_if_exists=True)
        if self.optuna.direction != StudyDirection[goal.upper()]:
            raise UsageError(
                f"the Optuna study {name!r} exists with goal {self.optuna.direction.name.lower()}, this sweep has "
                f"{goal}: choose another --name or another --storage"
            )
        self._study_id = storage.get_study_id_from_name(name)
        self.trial_ids: dict[int, int] = {}
        self._settled: set[int] = set()
        self._asked: list[optuna.Trial] = []
        self.reread()

    def reread(self) -> None:
        """Read from the storage which trials it has; a write that failed may have been stored in part."""
        trials = self._storage.get_all_trials(self._study_id, deepcopy=False)
        self.trial_ids = {trial.number: trial._trial_id for trial in trials}
        self._settled = {trial.number for trial in trials if trial.state.is_finished()}

    def ask(self, sampler: BaseSampler, parameters: Parameters) -> dict[str, Value]:
        """Let the sampler choose the values of a point: alternatives first, then the parameters active with them.

        Until `forget_asked`, samplers treat the point as that of a running trial.
        """
        self.optuna.sampler = sampler
        trial = self.optuna.ask()
        self._asked.append(trial)
        return parameters.walk(lambda one: self._suggested(trial, one))

    def forget_asked(self) -> None:
        """Fail the trials of all points that `ask` returned.

        `sync` creates the trial of a run from the run itself, so a sampler has the same data whether or not its driver
        was restarted.
        """
        while self._asked:
            self.optuna.tell(self._asked.pop(), state=TrialState.FAIL)

    def _suggested(self, trial: optuna.Trial, parameter: Parameter) -> Value:
        name, distribution = parameter.name, parameter.distribution
        if isinstance(distribution, Constant):
            return distribution.value
        return from_optuna(distribution, suggest_value(trial, name, self._distributions[name]))

    def sync(self, views: Iterable[RunSnapshot]) -> None:
        """Bring the trials of these runs up to date. A repeated call, also after a crash, changes nothing.

        Args:
            views: Snapshots of runs; those without a trial must have consecutive numbers.
        """
        for view in sorted(views, key=lambda view: view.number):
            if view.number in self._settled:
                continue
            if view.number not in self.trial_ids:
                self._create(view)
            else:
                self._update(view, self.trial_ids[view.number])
            if view.state.finished:
                self._settled.add(view.number)

    def _create(self, view: RunSnapshot) -> None:
        if view.number != len(self.trial_ids):
            raise ValueError(f"trials must be created in order: expected {len(self.trial_ids)}, found {view.number}")
        trial = FrozenTrial(
            number=view.number,
            trial_id=-1,
            state=_TRIAL_STATES[view.state],
            value=shown_value(view),
            datetime_start=None if view.state is RunState.INTERRUPTED else _local(view.started_at),
            datetime_complete=_local(view.finished_at) if view.state.finished else None,
            params={path: to_optuna(self._search[path], value) for path, value in self._known(view).items()},
            distributions={path: self._distributions[path] for path in self._known(view)},
            user_attrs=attributes(view),
            system_attrs={},
            intermediate_values=dict(view.curve),
        )
        self.trial_ids[view.number] = self._storage.create_new_trial(self._study_id, template_trial=trial)

    def _update(self, view: RunSnapshot, trial_id: int) -> None:
        trial = self._storage.get_trial(trial_id)
        for epoch, reported in view.curve.items():
            if epoch not in trial.intermediate_values:
                self._storage.set_trial_intermediate_value(trial_id, epoch, reported)
        for name, attribute in attributes(view).items():
            if trial.user_attrs.get(name) != attribute:
                self._storage.set_trial_user_attr(trial_id, name, attribute)
        state = _TRIAL_STATES[view.state]
        if state != trial.state:  # last: a reader that sees a finished trial sees all of it
            value = shown_value(view)
            self._storage.set_trial_state_values(trial_id, state, None if value is None else [value])

    def _known(self, view: RunSnapshot) -> dict[str, Value]:
        """Return the values that are in the range of their distribution; a baseline may have others."""
        return {
            path: value
            for path, value in view.values.items()
            if path in self._distributions and contains(self._search[path], value)
        }


def _local(moment: datetime | None) -> datetime:
    """Return a local time without a zone, as Optuna stores it; the current time for None."""
    return (moment or datetime.now(UTC)).astimezone().replace(tzinfo=None)


def open_study(
    url: str, spec: SpaceSpec, parameters: Mapping[str, Distribution], more_facts: Mapping[str, Any] = _NO_FACTS
) -> Study:
    """Open the study for the dashboard; its attributes describe the sweep.

    Args:
        url: URL of the database.
        spec: Space of the sweep.
        parameters: Parameter name -> distribution.
        more_facts: Additional attributes.

    Raises:
        UsageError: The study of this name is not of a sweep, or has the other direction.
    """
    storage = rdb_storage(url)
    _forget_if_empty(storage, spec.name)
    study = Study(storage, spec.name, spec.metric.goal, parameters)
    facts = {
        "task": spec.task_name,
        "metric": spec.metric.name,
        "sampler": spec.sampler.model_dump(mode="json"),
        "early_stopping": spec.early_stopping.model_dump(mode="json"),
        **more_facts,
    }
    known = study.optuna.user_attrs
    if study.trial_ids and "task" not in known:
        raise UsageError(
            f"the database holds an Optuna study {spec.name!r} that no sweep created: choose another --name"
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)  # without it: "Objective 0"
        study.optuna.set_metric_names([spec.metric.name])
    for name, fact in facts.items():
        if known.get(name) != fact:
            study.optuna.set_user_attr(name, fact)
    return study


def _forget_if_empty(storage: BaseStorage, name: str) -> None:
    """Delete a study without trials: the file of the sweep may have changed since, even its goal."""
    try:
        study_id = storage.get_study_id_from_name(name)
    except KeyError:
        return
    if storage.get_n_trials(study_id) == 0:
        storage.delete_study(study_id)


def rdb_storage(url: str) -> RDBStorage:
    """Return the Optuna storage in the database of the sweeps."""
    # Optuna passes the URL through str.format: a brace in a password would break it.
    return RDBStorage(url.replace("{", "{{").replace("}", "}}"), engine_kwargs=engine_options(url))
