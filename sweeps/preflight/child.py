"""The child process that loads torch and the user's task, so that the driver does not.

It handles one request: prepare the task, check it, scan its learning rates, or time its epochs. An answer is a line
of JSON, written as soon as it is known; the last line is `"done"`, so that code that ends the process is noticed.
Output of the task itself goes to the standard error.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from search_spaces import Recipe, SpaceSpec, UsageError, derive_seed
from search_spaces.recipe.model import Model
from search_spaces.specs.ablation_parts import ArmMetric
from search_spaces.specs.command_task import CommandTask
from sweeps import exit_codes
from sweeps.console.output import forgive_streams
from sweeps.import_paths import add_import_paths, check_names, import_paths
from sweeps.preflight.sources import user_sources
from trainers.compute.cards import prepare_cuda, use_share
from trainers.storage.cache import cache_directory
from trainers.user_code import as_script, describe, exit_cause

if TYPE_CHECKING:
    from trainers.factory import EpochTrainer

What = Literal["prepare", "check", "lr_find", "timing"]
_LAST_LINES = 30
_OF_A_COMMAND = (
    "the learning rate range test trains step by step, which a command does not allow; search its argument, such as "
    "args.lr: {loguniform: [1e-5, 1e-1]}"
)
_DONE = "done"
_ALL = 10**9  # steps: the rest of the epoch


class Child:
    """A child process that handles one request about a space; it starts at once.

    Args:
        what: Kind of the request.
        spec: Space with the task, the base recipe, and the resources of a run.
        modules: Names of modules of the user's code whose digests are wanted, even if they are not imported.
        arms: What each arm of an ablation reports.
    """

    def __init__(
        self, what: What, spec: SpaceSpec, modules: Iterable[str] = (), arms: Iterable[ArmMetric] = ()
    ) -> None:
        seed = spec.sampler.seed
        request = {
            "what": what,
            "task": spec.task,
            "recipe": spec.recipe.model_dump(mode="json"),
            "seed": derive_seed("sweep", seed, 0) if what == "prepare" else derive_seed("inspect", seed),
            "processes": spec.resources.processes,
            "threads": max(1, int(spec.resources.cpu)),
            "gpu": spec.resources.gpu,
            "import_paths": [*import_paths(), *sys.path],
            "modules": list(modules),
            "metric": [spec.metric.name, spec.metric.goal],
            "searched": list(spec.search),
            "arms": [[arm.name, arm.recipe.model_dump(mode="json"), arm.metric] for arm in arms],
        }
        self._task = spec.task
        self._error: UsageError | None = None
        self._answer: dict[str, Any] = {}
        self._noise = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115  until `stop`
        self._process = subprocess.Popen(  # noqa: S603  this interpreter and this file
            [sys.executable, "-P", "-m", "sweeps.preflight.child", json.dumps(request)],  # -P: not from here
            stdout=subprocess.PIPE,
            stderr=self._noise,
            encoding="utf-8",
            start_new_session=True,  # Ctrl-C is for the driver, which then stops the child
        )

    def answers(self) -> Iterator[dict[str, Any]]:
        """Yield the answers as they arrive.

        Raises:
            UsageError: The task cannot be trained; the child's lines say why. It is raised again by a second call.
        """
        if self._error is not None:
            raise self._error
        try:
            yield from self._lines()
        except UsageError as error:
            self._error = error
            raise

    def _lines(self) -> Iterator[dict[str, Any]]:
        if self._process.stdout is None:
            raise RuntimeError("the child has no pipe")
        for line in self._process.stdout:
            answer = json.loads(line)
            if answer == _DONE:
                return
            if "usage" in answer:
                raise UsageError(*answer["usage"])
            yield answer
        cause = exit_cause(self._process.wait())
        self._noise.seek(0)  # afterwards, because the child writes at the same position of the file
        lines = self._noise.read().strip().splitlines()[-_LAST_LINES:]
        raise UsageError("\n".join([f"task {self._task}: cannot be trained: its process ended, {cause}", *lines]))

    def wait(self) -> dict[str, Any]:
        """Return the last answer when the child is done; a second call returns it again.

        Raises:
            UsageError: As for `answers`.
        """
        for answer in self.answers():
            self._answer = answer
        return self._answer

    def stop(self) -> None:
        """Kill the child if it still runs."""
        self._process.kill()
        self._process.wait()
        self._noise.close()
        if self._process.stdout is not None:
            self._process.stdout.close()


def ask(what: What, spec: SpaceSpec) -> Iterator[dict[str, Any]]:
    """Return the answers of a child, which starts with the first one and is stopped when the generator is closed.

    Raises:
        UsageError: The task is a command, which cannot be asked, or a package of the user hides one of ours; or, with
            the first answer, the task cannot be trained: the child's lines say why.
    """
    if spec.command is not None:
        raise UsageError(f"{spec.task_name}: {_OF_A_COMMAND}")
    check_names(spec)
    return _answers(what, spec)


def _answers(what: What, spec: SpaceSpec) -> Iterator[dict[str, Any]]:
    child = Child(what, spec)
    try:
        yield from child.answers()
    finally:
        child.stop()


def needs_preparation(spec: SpaceSpec) -> bool:
    """Return whether a task must be prepared before its workers start.

    A built-in task with its own model is prepared once per machine. Any other task or model is prepared each time, and
    so is training with several processes. A command prepares itself.
    """
    if isinstance(spec.task, CommandTask):
        return False
    custom = any(mark in spec.task for mark in ":?") or spec.recipe.model != Model()
    return custom or spec.resources.processes > 1 or not _prepared_mark(spec.task).exists()


def _prepared_mark(task: str) -> Path:
    return cache_directory() / f"prepared-{task}-{version('sweeps')}"


def main() -> int:
    """Handle the request in the first argument; this runs in the child."""
    request = json.loads(sys.argv[1])
    with os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1) as out:
        os.dup2(2, 1)
        prepare_cuda(request["gpu"])
        forgive_streams()  # a task may print what this stream cannot encode
        add_import_paths(request["import_paths"])
        try:
            with as_script(request["task"]):
                for answer in _answer(request):
                    out.write(json.dumps(answer) + "\n")
        except UsageError as error:
            out.write(json.dumps({"usage": [str(problem) for problem in error.problems]}) + "\n")
            return exit_codes.USAGE
        except Exception:
            raise
        except BaseException as error:  # noqa: BLE001  of the task, also an interrupt: Ctrl-C is for the driver
            reason = f"task {request['task']}: cannot be trained: {describe(error)}"
            out.write(json.dumps({"usage": [reason]}) + "\n")
            return exit_codes.USAGE
        out.write(json.dumps(_DONE) + "\n")
    return exit_codes.DONE


def _answer(request: dict[str, Any]) -> Iterator[dict[str, Any]]:
    from trainers.sanity.checks import check_task
    from trainers.sanity.lr_finder import find_lr
    from trainers.sanity.probe import probe_recipe, use_threads
    from trainers.task_checks import prepare
    from trainers.task_lookup import load_task

    name, recipe, seed = request["task"], Recipe.model_validate(request["recipe"]), request["seed"]
    if request["what"] == "prepare":
        data = prepare(name, recipe, seed, request["processes"])
        _check_reported(request, recipe, test="test" in data)
        yield {"data": data, "sources": user_sources(name, request["modules"])}
        if not any(mark in name for mark in ":?"):
            _prepared_mark(name).touch()
        return
    use_share(request["gpu"], recipe.precision.device)
    use_threads(request["threads"])
    if request["what"] == "timing":
        prepare(name, recipe, seed)
        yield _timing(request, recipe)
        return
    recipe = probe_recipe(recipe, request["processes"])
    task = load_task(name)
    prepare(name, recipe, seed)
    if request["what"] == "lr_find":
        yield asdict(find_lr(task, recipe, seed, name=name))
    else:
        yield from map(asdict, check_task(task, recipe, seed))


def _check_reported(request: dict[str, Any], recipe: Recipe, test: bool) -> None:
    """Check that the task reports what the sweep optimizes, and what the arms of an ablation compare."""
    from trainers.task_checks import check_arms, check_metric

    metric, goal = request["metric"]
    arms = [ArmMetric(name, Recipe.model_validate(arm), primary) for name, arm, primary in request["arms"]]
    if arms:
        check_arms(request["task"], arms, goal, test)
    check_metric(request["task"], recipe, metric, goal, request["searched"])


def _timing(request: dict[str, Any], recipe: Recipe) -> dict[str, Any]:
    """Return the seconds of an epoch or step, from the second report if there is one, and the bytes of a checkpoint."""
    from trainers.factory import open_training
    from trainers.storage.checkpoints import save_final
    from trainers.storage.local import LocalFolder

    training = open_training(request["task"], recipe, request["seed"], request["processes"])
    try:
        seconds = _unit_seconds(training)
        if not training.finished:
            seconds = _unit_seconds(training)
        state, size = training.state_dict(), 0
        if state is not None:
            with tempfile.TemporaryDirectory() as folder:
                save_final(LocalFolder(Path(folder)), state)
                size = sum(path.stat().st_size for path in Path(folder).iterdir())
    finally:
        training.close()
    return {"seconds": seconds, "bytes": size}


def _unit_seconds(training: EpochTrainer) -> float:
    """Return the seconds of an epoch, or of a step with its share of the report."""
    before = training.epoch
    while (report := training.advance(_ALL)) is None:
        pass
    return report.seconds / (report.epoch - before)


if __name__ == "__main__":
    sys.exit(main())
