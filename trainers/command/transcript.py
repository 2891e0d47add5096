"""The lines around the output of a command: what was started, and how it ended. Imports nothing heavy."""

import shlex
import signal
from collections.abc import Mapping, Sequence
from typing import Final

from trainers.command.environment import ARGUMENT_PREFIX
from trainers.command.secrets import without_secrets
from trainers.user_code import exit_cause

PROMPT: Final = "$ "  # before the command, as in a shell
_DEVICES = "CUDA_VISIBLE_DEVICES"


def opening(words: Sequence[str], environment: Mapping[str, str], reads_environment: bool) -> str:
    """Return the line before the output: the command, as a shell takes it.

    Variables come before it: the visible devices if there are any, and the arguments of a program that reads them from
    its environment.
    What looks like a secret is left out of the variables.

    Args:
        words: Program and arguments.
        environment: Environment variables of the program.
        reads_environment: Whether the program reads its arguments from them.
    """
    named = {
        name: value
        for name, value in environment.items()
        if (name == _DEVICES and value) or (reads_environment and name.startswith(ARGUMENT_PREFIX))
    }
    variables = [f"{name}={shlex.quote(value)}" for name, value in sorted(without_secrets(named).items())]
    return PROMPT + _one_line(" ".join([*variables, shlex.join(words)]))


def stopped(code: int, seconds: float) -> str:
    """Return the line after the output of a program that was stopped.

    Args:
        code: Its exit code, or minus the number of the signal that ended it.
        seconds: Time since it got SIGTERM.
    """
    if code == -signal.SIGKILL:
        return f"killed by SIGKILL, {seconds:.1f} s after SIGTERM"
    after = f"stopped by SIGTERM after {seconds:.1f} s"
    return after if code == -signal.SIGTERM else f"{after}: {exit_cause(code)}"


def _one_line(text: str) -> str:
    """Return a text whose line breaks are written as a shell reads them in $'...'; other texts stay as they are."""
    return text.replace("\n", "'$'\\n''").replace("\r", "'$'\\r''")
