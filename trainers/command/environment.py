"""The inputs of a run as environment variables, for programs that read no arguments."""

import json
import os
import re
import sys
from collections import defaultdict
from collections.abc import Collection, Mapping
from pathlib import Path

from search_spaces.command.inputs import SETTINGS, RunInputs
from search_spaces.command.options import OptionStyle, as_text
from search_spaces.errors import Problem

_ALL = "SWEEPS_ARGS"
ARGUMENT_PREFIX = "SWEEPS_ARG_"
_RESUME = "SWEEPS_RESUME"
_SETTINGS = {name: f"SWEEPS_{name.upper()}" for name in SETTINGS}


def variable(argument: str) -> str:
    """Return the name of the variable of an argument: `SWEEPS_ARG_WEIGHT_DECAY` of `weight-decay`."""
    return ARGUMENT_PREFIX + re.sub(r"[^A-Z0-9]", "_", argument.lstrip("-").upper(), flags=re.ASCII)


def variable_problems(arguments: Collection[str], where: str) -> tuple[Problem, ...]:
    """Return a problem for each variable that two or more arguments would share.

    Args:
        arguments: Names of all arguments.
        where: Name of the file, for messages.
    """
    sharing: dict[str, list[str]] = defaultdict(list)
    for name in arguments:
        sharing[variable(name)].append(name)
    rule = "arguments must have environment variables of their own"
    return tuple(
        Problem(where, f"args.{names[-1]}", f"{rule}, found {name} for {' and '.join(names)}; rename one")
        for name, names in sharing.items()
        if len(names) > 1
    )


def inherited_environment() -> dict[str, str]:
    """Return the variables of this process as a program gets them; its `PATH` is where programs are looked for.

    Without an activated environment, `python` and the programs beside it, such as `torchrun`, are those of the
    environment that runs this.
    """
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}  # a pipe would get the metrics kilobytes late
    if not any(name in environment for name in ("VIRTUAL_ENV", "CONDA_PREFIX")):
        environment["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), environment.get("PATH", os.defpath)])
    return environment


def run_environment(inherited: Mapping[str, str], inputs: RunInputs) -> dict[str, str]:
    """Return the environment variables of the program.

    Args:
        inherited: Variables of this process. Those of another run, such as one that started this sweep, are replaced.
        inputs: Inputs of the run. A null argument and a setting without a value have no variable.
    """
    own = (_ALL, _RESUME, *_SETTINGS.values())
    kept = {name: text for name, text in inherited.items() if name not in own and not name.startswith(ARGUMENT_PREFIX)}
    settings = {_SETTINGS[name]: text for name, text in inputs.settings().items()}
    args = {variable(name): as_text(one, OptionStyle()) for name, one in inputs.args.items() if one is not None}
    return {**kept, _ALL: json.dumps(inputs.args), **args, **settings, _RESUME: str(int(inputs.resume))}
