"""The code of the arms of an ablation: commits and patches, and their files in worktrees of git."""

import hashlib
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from search_spaces import Arm, Recipe, UsageError, resolve
from search_spaces.errors import Problem
from search_spaces.specs.command_task import CommandTask
from sweeps.changes import ArmCode
from sweeps.driver.git import GitError, git
from sweeps.preflight.command import prepare_command

_DIGITS = 12  # of a commit in the name of a folder


@dataclass(frozen=True)
class PreparedArms:
    """The arms of an ablation of a command, ready to run.

    Attributes:
        code: Arm -> its code, for the arms that do not run the files as they are.
        folders: Arm -> folder in which its command runs, for the same arms.
        prepared: Digests of the files as they are, as `prepare_command` returns them; empty if no arm runs them.
    """

    code: Mapping[str, ArmCode]
    folders: Mapping[str, str]
    prepared: Mapping[str, Any]


def prepare_arms(
    arms: Mapping[str, Arm],
    command: CommandTask,
    recipe: Recipe,
    recorded: Mapping[str, ArmCode],
    root: Path,
    say: Callable[[str], None],
) -> PreparedArms:
    """Check the command of each arm, and make the worktrees of those that name a revision or a patch.

    Args:
        arms: Trained arms; empty for a sweep.
        command: The command.
        recipe: Base recipe.
        recorded: Code of the arms whose runs are trained already: they keep it.
        root: Folder for the worktrees.
        say: Prints a line for the user.

    Raises:
        UsageError: A revision, a patch or a command cannot be used; has every problem.
    """
    elsewhere = {name: arm for name, arm in arms.items() if arm.code is not None}
    prepared = {} if arms and len(elsewhere) == len(arms) else prepare_command(command, recipe)
    if not elsewhere:
        return PreparedArms({}, {}, prepared)
    inside = _place()
    problems: list[Problem] = []
    code: dict[str, ArmCode] = {}
    folders: dict[str, str] = {}
    for name, arm in elsewhere.items():
        try:
            code[name] = recorded.get(name) or _found(name, arm)
            _say_moved(name, arm, code[name], say)
            folder = _worktree(name, code[name], root) / inside
            folders[name] = str(folder)
            problems += _missing(name, arm, code[name], command, recipe, folder)
        except UsageError as error:
            problems += [
                one if isinstance(one, Problem) else Problem("", f"arms.{name}", one) for one in error.problems
            ]
    if problems:
        raise UsageError(*problems)
    return PreparedArms(code, folders, prepared)


def _place() -> str:
    """Return the current folder, relative to the top of its repository.

    Raises:
        UsageError: It is in no repository.
    """
    try:
        return git("rev-parse", "--show-prefix").rstrip("\n")
    except GitError as error:
        here = os.getcwd()
        raise UsageError(f"arms: rev and patch need a git repository, found none at {here} ({error})") from error


# --- which code ---------------------------------------------------------------------------------------------------


def _found(name: str, arm: Arm) -> ArmCode:
    """Return the code that an arm names now.

    Raises:
        UsageError: There is no such revision or file.
    """
    rev, file = arm.code or ("", "")
    try:
        commit = git("rev-parse", "--verify", "--end-of-options", f"{rev}^{{commit}}").strip()
    except GitError as error:
        field = f"arms.{name}.{'rev' if arm.rev else 'patch'}"
        raise UsageError(Problem("", field, f"must be a revision that git knows, found {rev} ({error})")) from error
    return ArmCode(rev, commit, file, _read_patch(name, file) if file else "")


def _read_patch(name: str, file: str) -> str:
    try:
        return Path(file).read_bytes().decode()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8"
        rule = f"must be a file with a diff, found {file} in {os.getcwd()} ({reason})"
        raise UsageError(Problem("", f"arms.{name}.patch", rule)) from error


def _say_moved(name: str, arm: Arm, code: ArmCode, say: Callable[[str], None]) -> None:
    """Say that an arm keeps its code, if what it names is another one by now."""
    try:
        now = _found(name, arm)
    except UsageError:  # the branch or the file is gone, which changes nothing
        return
    if now.commit != code.commit:
        say(f"arm {name!r}: {code.rev} is {now.commit[:_DIGITS]} by now; its runs keep {code.commit[:_DIGITS]}")
    if now.patch != code.patch:
        say(f"arm {name!r}: {code.patch_file} has changed; its runs keep the recorded one")


# --- its files ----------------------------------------------------------------------------------------------------


def _worktree(name: str, code: ArmCode, root: Path) -> Path:
    """Return the folder with the files of a commit and a patch; it is made unless it is there.

    Raises:
        UsageError: It cannot be made.
    """
    patched = f"-{hashlib.sha256(code.patch.encode()).hexdigest()[:8]}" if code.patch_file else ""
    folder = root / f"{code.commit[:_DIGITS]}{patched}"
    complete = folder.with_name(f"{folder.name}.complete")  # a driver may be killed while git writes the files
    try:
        if complete.exists() and folder.is_dir():
            git("checkout-index", "--all", "--force", folder=folder)  # runs may have changed files of the commit
            return folder
        shutil.rmtree(folder, ignore_errors=True)
        root.mkdir(parents=True, exist_ok=True)
        git("worktree", "prune")
        git("worktree", "add", "--detach", "--force", str(folder), code.commit)
    except (GitError, OSError) as error:
        what = f"cannot write the files of {code.commit[:_DIGITS]} to {folder} ({error})"
        raise UsageError(Problem("", f"arms.{name}", what)) from error
    if code.patch_file:
        _apply(name, code, folder)
    complete.touch()
    return folder


def _apply(name: str, code: ArmCode, folder: Path) -> None:
    try:
        git("apply", "--index", "-", folder=folder, text=code.patch)
    except GitError as error:
        what = f"must apply to {code.rev} ({code.commit[:_DIGITS]}), and {code.patch_file} does not ({error})"
        raise UsageError(Problem("", f"arms.{name}.patch", what)) from error


def _missing(
    name: str, arm: Arm, code: ArmCode, command: CommandTask, recipe: Recipe, folder: Path
) -> Iterator[Problem]:
    """Yield what the command of an arm needs but its folder does not have."""
    where = f"arms.{name}"
    rev = f"{code.rev} ({code.commit[:_DIGITS]})"
    if not folder.is_dir():
        yield Problem("", where, f"{rev} has no folder {os.path.relpath(os.getcwd(), _top())}")
        return
    own = resolve(recipe, arm.settings)
    texts = [*command.command, *(one for one in own.args.values() if isinstance(one, str))]
    lost = [one for one in dict.fromkeys(texts) if _is_relative_file(one) and not (folder / one).exists()]
    if lost:
        what = f"{rev} has no {', '.join(lost)}, which the command names; commit it, or write its absolute path"
        yield Problem("", where, what)
        return
    try:
        prepare_command(command, own, folder)
    except UsageError as error:
        for one in error.problems:
            text = f"{one.field}: {one.message}" if isinstance(one, Problem) else one
            yield Problem("", where, f"in {rev}, {text}")


def _top() -> str:
    return git("rev-parse", "--show-toplevel").rstrip("\n")


def _is_relative_file(text: str) -> bool:
    try:
        return (
            not os.path.isabs(text) and ".." not in Path(text).parts and text not in ("", ".") and Path(text).exists()
        )
    except (OSError, ValueError):  # a word may be no path at all
        return False
