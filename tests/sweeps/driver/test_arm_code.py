"""The arms of an ablation by revision and patch: which code, its files, and a line for each mistake."""

from __future__ import annotations

from pathlib import Path

import pytest

from search_spaces import Arm, Recipe, UsageError
from search_spaces.recipe.recipe import Budget
from search_spaces.specs.command_task import CommandTask
from sweeps.changes import ArmCode
from sweeps.driver.arm_code import PreparedArms, prepare_arms
from tests.repository import commit, git

COMMAND = CommandTask(command=("sh", "train.sh", "${args}"))
RECIPE = Recipe(args={"lr": 0.1}, budget=Budget(epochs=1))
PATCH = "--- a/sub/train.sh\n+++ b/sub/train.sh\n@@ -1 +1 @@\n-echo two\n+echo patched\n"


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, str]:
    """Return the two commits of a repository, whose folder `sub` is the current one and has uncommitted changes."""
    git(tmp_path, "init", "--quiet", "--initial-branch", "main")
    (tmp_path / "sub").mkdir()
    hashes = []
    for word in ("one", "two"):
        (tmp_path / "sub/train.sh").write_text(f"echo {word}\n")
        hashes.append(commit(tmp_path, word))
    (tmp_path / "sub/train.sh").write_text("echo now\n")
    (tmp_path / "sub/my.diff").write_text(PATCH)
    monkeypatch.chdir(tmp_path / "sub")
    return hashes[0], hashes[1]


@pytest.fixture
def said() -> list[str]:
    return []


def prepare(
    said: list[str],
    arms: dict[str, Arm],
    recorded: dict[str, ArmCode] | None = None,
    command: CommandTask = COMMAND,
) -> PreparedArms:
    return prepare_arms(arms, command, RECIPE, recorded or {}, Path("runs/code").absolute(), said.append)


def script(prepared: PreparedArms, arm: str) -> str:
    return Path(prepared.folders[arm], "train.sh").read_text()


def test_each_arm_has_the_files_of_its_revision(repository: tuple[str, str], said: list[str]) -> None:
    first, second = repository
    arms = {
        "now": Arm(),
        "as it is": Arm(rev="WORKTREE"),
        "old": Arm(rev="HEAD~1"),
        "new": Arm(rev="main"),
        "same": Arm(rev=second[:10]),
        "patched": Arm(patch="my.diff"),
    }
    found = prepare(said, arms)
    assert found.code["old"] == ArmCode("HEAD~1", first)
    assert found.code["patched"] == ArmCode("HEAD", second, "my.diff", PATCH)
    assert str(found.code["patched"]) == f"commit {second[:12]} (HEAD) with my.diff"
    assert [script(found, arm) for arm in ("old", "new", "patched")] == ["echo one\n", "echo two\n", "echo patched\n"]
    assert found.folders["same"] == found.folders["new"]  # once per commit
    assert found.folders.keys() == {"old", "new", "same", "patched"}
    assert list(found.prepared["sources"]) == ["train.sh"]
    assert Path("train.sh").read_text() == "echo now\n"
    assert not said


def test_files_that_are_used_by_no_arm_are_not_compared(repository: tuple[str, str], said: list[str]) -> None:
    assert repository
    assert prepare(said, {"old": Arm(rev="HEAD~1"), "new": Arm(rev="HEAD")}).prepared == {}


def test_a_recorded_commit_and_patch_are_kept(repository: tuple[str, str], said: list[str]) -> None:
    first, second = repository
    recorded = {
        "old": ArmCode("main", first),
        "patched": ArmCode("HEAD", second, "my.diff", PATCH.replace("patched", "recorded")),
        "gone": ArmCode("deleted", first, "deleted.diff"),
    }
    arms = {"old": Arm(rev="main"), "patched": Arm(patch="my.diff"), "gone": Arm(rev="deleted", patch="deleted.diff")}
    found = prepare(said, {**arms, "gone": Arm(rev="deleted")}, {**recorded, "gone": ArmCode("deleted", first)})
    assert dict(found.code)["old"] == recorded["old"]
    assert [script(found, arm) for arm in ("old", "patched", "gone")] == ["echo one\n", "echo recorded\n", "echo one\n"]
    assert said == [
        f"arm 'old': main is {second[:12]} by now; its runs keep {first[:12]}",
        "arm 'patched': my.diff has changed; its runs keep the recorded one",
    ]


def test_files_of_a_worktree_are_restored_and_made_again(repository: tuple[str, str], said: list[str]) -> None:
    assert repository
    arms = {"old": Arm(rev="HEAD~1")}
    folder = Path(prepare(said, arms).folders["old"])
    (folder / "train.sh").write_text("changed by a run\n")
    assert script(prepare(said, arms), "old") == "echo one\n"
    Path(f"{folder.parent}.complete").unlink()  # as after the death of a driver
    (folder / "train.sh").unlink()
    assert script(prepare(said, arms), "old") == "echo one\n"


@pytest.mark.parametrize(
    ("arm", "line"),
    [
        (Arm(rev="mian"), "arms.x.rev: must be a revision that git knows, found mian"),
        (Arm(rev="-q"), "arms.x.rev: must be a revision that git knows, found -q"),
        (Arm(patch="no.diff"), "arms.x.patch: must be a file with a diff, found no.diff in "),
        (Arm(rev="HEAD~1", patch="my.diff"), "arms.x.patch: must apply to HEAD~1 ("),
        (Arm(patch="train.sh"), "arms.x.patch: must apply to HEAD ("),
    ],
)
def test_what_cannot_be_used_is_one_line(repository: tuple[str, str], said: list[str], arm: Arm, line: str) -> None:
    assert repository
    with pytest.raises(UsageError) as error:
        prepare(said, {"now": Arm(), "x": arm})
    assert str(error.value).startswith(line)
    assert len(str(error.value).splitlines()) == 1


def test_a_file_that_the_commit_lacks_is_named(repository: tuple[str, str], said: list[str]) -> None:
    Path("data.csv").touch()
    command = CommandTask(command=("sh", "train.sh", "data.csv", "${args}"))
    with pytest.raises(UsageError, match=rf"arms.x: HEAD \({repository[1][:12]}\) has no data.csv, which the command"):
        prepare(said, {"now": Arm(), "x": Arm(rev="HEAD")}, command=command)


def test_the_config_file_of_a_commit_has_every_argument(repository: tuple[str, str], said: list[str]) -> None:
    Path("base.yaml").write_text("momentum: 0.9\n")
    commit(Path.cwd(), "a config")
    Path("base.yaml").write_text("momentum: 0.9\nlr: 1\n")
    command = CommandTask(command=("sh", "train.sh", "${config}"), config="base.yaml")
    with pytest.raises(UsageError, match=r"arms.x: in HEAD \(.*lr"):
        prepare(said, {"now": Arm(), "x": Arm(rev="HEAD")}, command=command)


def test_a_folder_without_a_repository(tmp_path: Path, said: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    monkeypatch.chdir(tmp_path)
    Path("train.sh").touch()
    with pytest.raises(UsageError, match="arms: rev and patch need a git repository, found none at"):
        prepare(said, {"now": Arm(), "x": Arm(rev="HEAD")})
