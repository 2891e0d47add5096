"""Ablation files with several tasks."""

from pathlib import Path

import pytest

from search_spaces import Overrides, SpecError, dump_ablation, load_ablation, load_ablations, parse_ablation

TEXT = """kind: ablation
question: Does it help?
tasks: {tasks}
recipe:
  budget: {{epochs: 2}}
arms:
  plain: {{}}
  smoothed: {{regularization.label_smoothing: 0.1}}
pairs: 3
metrics: {{primary: {primary}, goal: minimize, margin: 0.02}}
{more}
"""


def _file(folder: Path, tasks: str, primary: str = "test/nll", more: str = "") -> str:
    path = folder / "many.yaml"
    path.write_text(TEXT.format(tasks=tasks, primary=primary, more=more))
    return str(path)


def _problems(folder: Path, tasks: str, primary: str = "test/nll", more: str = "") -> list[str]:
    with pytest.raises(SpecError) as found:
        load_ablations(_file(folder, tasks, primary, more), folder, Overrides())
    return [str(problem).removeprefix(f"{folder}/") for problem in found.value.problems]


def test_each_task_is_an_ablation_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text("extends: mnist1d_mlp\nrecipe: {optimizer: {lr: 1e-2}}\n")
    options = Overrides(("budget.batch_size=32",), pairs=4, name="wide")
    one, two = load_ablations(_file(tmp_path, "[vision_scratch, own.yaml]"), tmp_path, options)
    assert (one.name, two.name) == ("wide.vision_scratch", "wide.own")
    assert (one.task_label, two.task_label) == ("vision_scratch", "own")
    assert one.group == two.group
    assert one.group is not None
    assert one.group.members == ("wide.vision_scratch", "wide.own")
    assert (one.space.task_name, two.space.task_name) == ("digits", "mnist1d")
    assert [spec.space.recipe.budget.length for spec in (one, two)] == [2, 2]
    assert [spec.space.recipe.budget.batch_size for spec in (one, two)] == [32, 32]
    assert [spec.pairs for spec in (one, two)] == [4, 4]
    assert one.space.sampler.seed != two.space.sampler.seed
    for spec in (one, two):
        assert parse_ablation(dump_ablation(spec), "stored", spec.name) == spec


def test_an_ablation_under_another_name_is_no_part_of_the_group(tmp_path: Path) -> None:
    one, _ = load_ablations(_file(tmp_path, "[vision_scratch, finetune]"), tmp_path, Overrides())
    alone = parse_ablation(dump_ablation(one), "copy", "alone")
    assert (alone.task_label, one.task_label) == (None, "vision_scratch")


def test_seeds_depend_on_the_task_and_not_on_its_place(tmp_path: Path) -> None:
    there = load_ablations(_file(tmp_path, "[vision_scratch, finetune]"), tmp_path, Overrides())
    back = load_ablations(_file(tmp_path, "[finetune, vision_scratch]"), tmp_path, Overrides())
    other = load_ablations(_file(tmp_path, "[finetune, vision_scratch]"), tmp_path, Overrides(seed=1))
    seeds = [{spec.name: spec.space.sampler.seed for spec in specs} for specs in (there, back, other)]
    assert seeds[0] == seeds[1]
    assert not set(seeds[0].values()) & set(seeds[2].values())


def test_a_file_without_tasks_is_one_ablation(tmp_path: Path) -> None:
    path = Path(_file(tmp_path, "x"))
    path.write_text(path.read_text().replace("tasks: x", "space: finetune"))
    (found,) = load_ablations(str(path), tmp_path, Overrides())
    assert found == load_ablation(str(path), tmp_path)
    assert found.group is None


def test_one_ablation_is_not_read_from_several_tasks(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="tasks: several tasks are one ablation each; `sweeps ablate` runs them"):
        load_ablation(_file(tmp_path, "[finetune, vision_scratch]"), tmp_path)


@pytest.mark.parametrize("tasks", ["[finetune]", "finetune", "[]"])
def test_one_task_is_a_space(tmp_path: Path, tasks: str) -> None:
    (found,) = _problems(tmp_path, tasks)
    assert found.startswith("many.yaml:3: tasks: must be a list of at least 2 spaces, by name or path, found ")
    assert found.endswith("; one task is `space: NAME`")


def test_unknown_task(tmp_path: Path) -> None:
    (found,) = _problems(tmp_path, "[finetune, vision_scrach]")
    assert "tasks: no file and no shipped space 'vision_scrach'; did you mean vision_scratch?" in found


def test_the_same_task_twice(tmp_path: Path) -> None:
    assert _problems(tmp_path, "[finetune, vision_scratch, finetune]") == [
        "many.yaml:3: tasks: must be spaces whose names differ, found 'finetune' twice; leave one out, or rename its "
        "file"
    ]


def test_a_problem_of_one_task_names_it(tmp_path: Path) -> None:
    found = _problems(tmp_path, "[finetune, rl]")
    assert all(one.endswith("(task rl)") for one in found)
    assert any("metrics.primary: the task does not report" in one for one in found)


def test_a_problem_of_all_tasks_is_reported_once(tmp_path: Path) -> None:
    found = _problems(tmp_path, "[finetune, vision_scratch]", "test/nlll")
    assert len(found) == len(set(found)) == 2  # it is unknown on test at the end, and on val in every epoch
    assert all("metrics.primary: the task does not report" in one and "(task" not in one for one in found)


@pytest.mark.parametrize("more", ["space: finetune", "task: digits"])
def test_tasks_replace_the_space(tmp_path: Path, more: str) -> None:
    name = more.partition(":")[0]
    (found,) = _problems(tmp_path, "[finetune, vision_scratch]", more=more)
    assert found == f"many.yaml:11: {name}: an ablation with tasks must not have it; tasks has the spaces"


def test_looks_are_for_one_task(tmp_path: Path) -> None:
    (found,) = _problems(tmp_path, "[finetune, vision_scratch]", more="looks: e_process")
    assert found.startswith("many.yaml:11: looks: must be none with several tasks")
