"""A sweep whose code, data or packages have changed is refused before it is trained, or says so forever."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from analysis.export import export_sweep
from search_spaces import Choice, Recipe, SpaceSpec, UsageError
from search_spaces.specs.command_task import CommandTask
from sweeps.changes import CodeState, TrainedWith, recorded_changes, recorded_code
from sweeps.driver import preparation
from sweeps.driver.preparation import Continuation
from sweeps.driver.work import sweep_work
from sweeps.preflight.sources import user_sources
from sweeps.store.store import Store
from tests.command import Command, in_this_process
from tests.fakes import rows, space, take
from trainers.task_lookup import load_target

SPEC = space(runs=3)
OLD = {"sources": {"mine": "aa"}, "data": {"train": "1", "val": "2", "test": "3"}}
NEW = {"sources": {"mine": "bb"}, "data": {"train": "4", "val": "2", "test": "5"}}
VERSIONS = {"torch": "2.0", "numpy": "2.0", "sweeps": "0.1 (code aa)", "ray": "2"}


@pytest.fixture
def store(sqlite_url: str) -> Iterator[Store]:
    with Store(sqlite_url) as opened:
        yield opened


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def continuation(store: Store, said: list[str], monkeypatch: pytest.MonkeyPatch) -> Continuation:
    """Return the continuation of a sweep without a trained run."""
    monkeypatch.setattr(preparation, "versions", lambda: VERSIONS)
    return Continuation(sweep_work(SPEC), store, take(store, SPEC), 0, False, said.append)


def provenance(store: Store, name: str = SPEC.name) -> dict[str, Any]:
    row = store.sweep(name)
    assert row is not None
    return dict(row.provenance)


def test_what_the_first_run_is_trained_with_is_recorded(continuation: Continuation, store: Store) -> None:
    continuation.check(OLD)
    stored = provenance(store)
    assert stored["python"] == "3"
    packages = {name: VERSIONS[name] for name in ("torch", "numpy", "sweeps")}
    assert TrainedWith.recorded(stored) == TrainedWith(packages=packages, **OLD)
    continuation.check(NEW)  # nothing has been trained yet: this is what the sweep begins with
    assert TrainedWith.recorded(provenance(store)).sources == NEW["sources"]
    assert "changes" not in provenance(store)


def test_a_difference_is_refused_and_changes_nothing(continuation: Continuation, store: Store) -> None:
    continuation.check(OLD)
    before, later = provenance(store), replace(continuation, runs=2)
    later.check(OLD)
    later.check({})  # unknown is not different, and keeps what is recorded
    with pytest.raises(UsageError) as refused:
        later.check(NEW)
    assert str(refused.value).splitlines() == [
        "sweep 'toy': its 2 trained runs and the next ones would not be comparable:",
        "  module mine has changed",
        "  the train data has changed",
        "  the test data has changed",
        "restore the old state, keep both with --name OTHER, or continue with --accept-changes, which every report "
        "then states",
    ]
    assert provenance(store) == before


def test_an_accepted_difference_is_recorded_once(continuation: Continuation, store: Store, said: list[str]) -> None:
    continuation.check(OLD)
    later = replace(continuation, runs=2, accepted=True)
    later.check(NEW)
    texts = [change.text for change in recorded_changes(provenance(store))]
    assert texts == ["module mine has changed", "the train data has changed", "the test data has changed"]
    assert {change.runs for change in recorded_changes(provenance(store))} == {2}
    assert len(said) == 3
    later.check(NEW)
    replace(later, accepted=False).check(NEW)
    assert len(recorded_changes(provenance(store))) == 3
    replace(later, runs=4).check(OLD)
    assert len(recorded_changes(provenance(store))) == 6


def test_another_version_of_this_project_is_recorded_and_said(
    continuation: Continuation, store: Store, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    continuation.check(OLD)
    monkeypatch.setattr(preparation, "versions", lambda: VERSIONS | {"sweeps": "0.2 (code bb)"})
    replace(continuation, runs=1).check(OLD)
    assert len(said) == 1
    assert said[0].startswith("recorded as changed: package sweeps was 0.1 (code aa) and is 0.2 (code bb) (")
    assert len(recorded_changes(provenance(store))) == 1


@pytest.mark.parametrize("torch", ["2.0", "1.9"])
def test_a_sweep_of_the_last_release(continuation: Continuation, store: Store, torch: str) -> None:
    store.set_provenance(continuation.fence, {"packages": {"torch": torch, "sweeps": "0.1"}})
    later = replace(continuation, runs=1)
    if torch != VERSIONS["torch"]:
        with pytest.raises(UsageError, match=r"package torch was 1\.9 and is 2\.0"):
            later.check(NEW)
        return
    later.check(NEW)
    assert TrainedWith.recorded(provenance(store)).sources == NEW["sources"]
    assert recorded_changes(provenance(store)) == ()


def test_a_follow_up_is_compared_with_its_sweep(continuation: Continuation, store: Store) -> None:
    continuation.check(OLD)
    spec = SPEC.model_copy(update={"name": "toy-more"})
    follow_up = replace(continuation, work=sweep_work(spec, source="toy"), fence=take(store, spec))
    follow_up.check({**OLD, "data": {**OLD["data"], "train": "another seed", "val": "another seed"}})
    with pytest.raises(UsageError) as refused:
        follow_up.check(NEW)
    lines = str(refused.value).splitlines()
    assert lines[0] == "sweep 'toy-more' trains runs of sweep 'toy' again, but no longer with the same code or data:"
    assert lines[1:3] == ["  module mine has changed", "  the test data has changed"]
    assert "--accept-changes" in lines[3]
    replace(follow_up, accepted=True).check(NEW)
    first, _ = recorded_changes(provenance(store, "toy-more"))
    assert first.text == "module mine has changed since sweep 'toy'"
    replace(follow_up, runs=1).check(NEW)
    with pytest.raises(UsageError, match="--name OTHER"):
        replace(follow_up, runs=1).check(OLD)


def test_the_code_of_a_command_is_recorded_with_every_accepted_change(
    store: Store, continuation: Continuation, monkeypatch: pytest.MonkeyPatch, sqlite_url: str, tmp_path: Path
) -> None:
    task = CommandTask(command=("sh", "${args}"))
    spec = space(task=task, name="command", recipe=Recipe(args={"n": 1}), search={"args.n": Choice([1, 2])})
    of_command = replace(continuation, work=sweep_work(spec), fence=take(store, spec))
    diffs = iter(["of a refused start", "first", "second"])
    monkeypatch.setattr(preparation, "code_state", lambda at, runs: CodeState("aa", next(diffs), (), at, runs))
    of_command.check(OLD)
    of_command.check(OLD)
    replace(of_command, runs=1).check(OLD)
    replace(of_command, runs=2, accepted=True).check(NEW)
    code = recorded_code(provenance(store, "command"))
    assert [(one.diff, one.runs) for one in code] == [("first", 0), ("second", 2)]
    export_sweep(spec, sqlite_url, tmp_path / "out", code)
    assert "first" in (tmp_path / "out" / "changes.diff").read_text()
    assert "second" in (tmp_path / "out" / "changes-2.diff").read_text()
    continuation.check(OLD)
    assert recorded_code(provenance(store)) == ()


LOOP = """
from changing_helper import SIGN

def train(config, seed, state=None):
    for epoch in range(config["budget"]["epochs"]):
        yield {"val/acc": 0.5 + SIGN * 0.1 * epoch}
"""
SPACE = """
kind: sweep
task: changing_loop:train
metric: {name: val/acc, goal: maximize}
recipe: {budget: {epochs: 2}}
search: {optimizer.lr: {loguniform: [1e-4, 1e-2]}}
sampler: {kind: random}
early_stopping: {kind: none}
runs: 2
"""


@pytest.fixture
def sweeps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in ("changing_loop", "changing_helper"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    load_target.cache_clear()
    for name, text in (("loop.py", LOOP), ("helper.py", "SIGN = 1.0\n"), ("space.yaml", SPACE)):
        (tmp_path / f"changing_{name}").write_text(text)
    return in_this_process(monkeypatch, capsys, 160)


class ChildInThisProcess:
    """Answers what the child process does, without the seconds in which it loads torch."""

    def __init__(self, what: str, spec: SpaceSpec, modules: Iterable[str], arms: object) -> None:
        sources = user_sources(spec.task, {*modules, "changing_loop", "changing_helper"})
        theirs = {name: digest for name, digest in sources.items() if name.startswith("changing_")}  # not the tests
        self._answer = {"data": {}, "sources": theirs}

    def wait(self) -> dict[str, Any]:
        return self._answer

    def stop(self) -> None:
        pass


def test_a_changed_helper_of_the_task_ends_the_command(
    sweeps: Command, tmp_path: Path, sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ("run", "changing_space.yaml", "--name", "mine", "--local", "--storage", sqlite_url)
    with monkeypatch.context() as patch:
        patch.setattr(preparation, "Child", ChildInThisProcess)
        assert sweeps(*command).code == 0
    (tmp_path / "changing_helper.py").write_text("SIGN = -1.0\n")
    assert sweeps(*command).code == 0  # complete: nothing is trained
    stored = rows(sqlite_url, "SELECT spec_yaml, provenance FROM sweep")
    refused = sweeps(*command, "--runs", "3")
    assert refused.code == 2
    assert "runs left" not in refused.out
    assert refused.err.splitlines()[1:-1] == ["  module changing_helper has changed"]
    assert rows(sqlite_url, "SELECT spec_yaml, provenance FROM sweep") == stored
    assert rows(sqlite_url, "SELECT count(*) FROM run") == [(2,)]


def test_a_change_is_accepted_by_name_and_shown_from_then_on(
    sweeps: Command, tmp_path: Path, sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preparation, "Child", ChildInThisProcess)
    command = ("run", "changing_space.yaml", "--name", "mine", "--local", "--storage", sqlite_url)
    assert sweeps(*command).code == 0
    (tmp_path / "changing_helper.py").write_text("SIGN = -1.0\n")
    for follow_up, name in (("confirm", "ablation 'mine-confirm'"), ("extend", "sweep 'mine-more'")):
        more = ("--no-edge",) if follow_up == "extend" else ("--pairs", "2")
        refused = sweeps(follow_up, "mine", *more, "--local", "--storage", sqlite_url)
        assert refused.code == 2
        assert f"{name} trains runs of sweep 'mine' again" in refused.err
    accepted = sweeps(*command, "--runs", "3", "--accept-changes")
    assert accepted.code == 0
    text = "module changing_helper has changed"
    assert f"recorded as changed: {text}" in accepted.out
    for shown in ("status", "show"):
        assert f"changed: {text}" in sweeps(shown, "mine", "--storage", sqlite_url).out
    [change] = json.loads(sweeps("status", "mine", "--json", "--storage", sqlite_url).out)["changes"]
    assert (change["text"], change["runs"]) == (text, 2)
