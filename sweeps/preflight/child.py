"""The child process behind `check`, `lr-find` and `run --dry-run`.

It loads torch and the user's task, which the driver does not.
It answers in lines of JSON, one as soon as there is something to say. What the task itself prints goes to the standard
error, so that it cannot be taken for an answer.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

from search_spaces import Recipe, SpaceSpec, UsageError, derive_seed

What = Literal["check", "lr_find", "timing"]
USAGE_EXIT = 2
_LAST_LINES = 30


def answers(what: What, spec: SpaceSpec) -> Iterator[dict[str, Any]]:
    """Start the child and yield its answers; end it when they are not wanted any more.

    Args:
        what: The question.
        spec: Its task, its base recipe, and what a run of it occupies.

    Raises:
        UsageError: The task cannot be trained; the child's lines say why.
    """
    request = {
        "what": what,
        "task": spec.task,
        "recipe": spec.recipe.model_dump(mode="json"),
        "seed": derive_seed("inspect", spec.sampler.seed),
        "processes": spec.resources.processes,
        "threads": max(1, int(spec.resources.cpu)),
        "import_paths": sys.path,
    }
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as noise:
        child = subprocess.Popen(  # noqa: S603  this interpreter and this file
            [sys.executable, "-m", "sweeps.preflight.child", json.dumps(request)],
            stdout=subprocess.PIPE,
            stderr=noise,
            encoding="utf-8",
            start_new_session=True,  # Ctrl-C is for the driver, which then ends it
        )
        try:
            yield from _conversation(child)
            if child.wait() != 0:
                noise.seek(0)
                lines = noise.read().strip().splitlines()[-_LAST_LINES:]
                raise UsageError(f"task {spec.task}: cannot be trained:\n" + "\n".join(lines))
        finally:
            child.kill()
            child.wait()


def _conversation(child: subprocess.Popen[str]) -> Iterator[dict[str, Any]]:
    if child.stdout is None:
        raise RuntimeError("the child has no pipe")
    with child.stdout:
        for line in child.stdout:
            answer: dict[str, Any] = json.loads(line)
            if "usage" in answer:
                raise UsageError(*answer["usage"])
            yield answer


def main() -> int:
    """The child: answer what the argument asks."""
    request = json.loads(sys.argv[1])
    with os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1) as out:
        os.dup2(2, 1)
        sys.path.extend(path for path in request["import_paths"] if path not in sys.path)
        try:
            for answer in _answer(request):
                out.write(json.dumps(answer) + "\n")
        except UsageError as error:
            out.write(json.dumps({"usage": [str(problem) for problem in error.problems]}) + "\n")
            return USAGE_EXIT
    return 0


def _answer(request: dict[str, Any]) -> Iterator[dict[str, Any]]:
    from trainers.sanity.checks import check_task
    from trainers.sanity.lr_finder import find_lr
    from trainers.sanity.probe import probe_recipe, use_threads
    from trainers.task_checks import prepare
    from trainers.task_lookup import load_task

    use_threads(request["threads"])
    if request["what"] == "timing":
        yield _timing(request)
        return
    recipe = probe_recipe(Recipe.model_validate(request["recipe"]), request["processes"])
    task, seed = load_task(request["task"]), request["seed"]
    prepare(request["task"], recipe, seed)
    if request["what"] == "lr_find":
        yield asdict(find_lr(task, recipe, seed, name=request["task"]))
    else:
        yield from map(asdict, check_task(task, recipe, seed))


def _timing(request: dict[str, Any]) -> dict[str, Any]:
    """Seconds of an epoch, the second one where there is one, and bytes of a checkpoint; by the run's own training."""
    from trainers.factory import open_training
    from trainers.storage.checkpoints import save_final
    from trainers.storage.local import LocalFolder
    from trainers.task_checks import prepare

    recipe = Recipe.model_validate(request["recipe"])
    prepare(request["task"], recipe, request["seed"])
    training = open_training(request["task"], recipe, request["seed"], request["processes"])
    try:
        seconds = training.run_epoch().seconds
        if not training.finished:
            seconds = training.run_epoch().seconds
        state, size = training.state_dict(), 0
        if state is not None:
            with tempfile.TemporaryDirectory() as folder:
                save_final(LocalFolder(Path(folder)), state)
                size = sum(path.stat().st_size for path in Path(folder).iterdir())
    finally:
        training.close()
    return {"seconds": seconds, "bytes": size}


if __name__ == "__main__":
    sys.exit(main())
