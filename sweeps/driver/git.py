"""Calls git."""

import os
import subprocess
from pathlib import Path

_ANSWER_S = 5.0


class GitError(Exception):
    """A git command failed; the text is the last line of its message."""


def git(*arguments: str, folder: Path | None = None, text: str = "", limit_s: float | None = None) -> str:
    """Return the output of a git command.

    Args:
        arguments: Arguments of git.
        folder: Folder in which it runs; None for the current one.
        text: Text for its standard input.
        limit_s: Most seconds that it may take.

    Raises:
        GitError: It failed, or git is not installed.
    """
    try:
        done = subprocess.run(  # noqa: S603  not through a shell
            ["git", "-c", f"core.hooksPath={os.devnull}", *arguments],  # noqa: S607  git from the user's PATH
            cwd=folder,
            input=text,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=limit_s,
            check=True,
        )
    except subprocess.CalledProcessError as error:
        lines = error.stderr.strip().splitlines()
        raise GitError(lines[-1] if lines else f"git ended with exit code {error.returncode}") from error
    except (OSError, subprocess.SubprocessError) as error:
        raise GitError(f"git cannot be started: {error}") from error
    return done.stdout


def git_output(*arguments: str) -> str | None:
    """Return the output of a git command that is fast; None outside a repository or without git."""
    try:
        return git(*arguments, limit_s=_ANSWER_S)
    except GitError:
        return None
