"""Load an ablation of several tasks as one ablation for each of them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePath

from search_spaces.errors import Problem, SpecError, UsageError
from search_spaces.files.ablation_loader import TASKS, Overrides, assemble_ablation, with_options
from search_spaces.files.lookup import locate, read_nodes, read_text
from search_spaces.files.nodes import Items, Leaf, Node, Section, drop, find, plain, put
from search_spaces.files.space_loader import problems_of
from search_spaces.seeds import derive_seed
from search_spaces.specs.ablation import AblationSpec
from search_spaces.values import show

_SEEDS = 2**32
_ONE_TASK = ("space", "task", "extends")  # names that say what the task is


def load_ablations(name_or_path: str, library: Path, overrides: Overrides) -> tuple[AblationSpec, ...]:
    """Read an ablation, or one for each of its `tasks`, named `NAME.TASK`.

    Each task is a space. The parts of the ablation file are merged with every space, and each task has a seed of its
    own, so that tasks with the same data do not share their splits.

    Args:
        name_or_path: Path of a file, or name of a shipped ablation.
        library: Folder of the shipped ablations.
        overrides: Values of command-line options; they count for every task.

    Raises:
        UsageError: There is no such ablation.
        SpecError: The file is invalid; it has every problem.
    """
    path = locate(name_or_path, library, "ablation")
    root, source = with_options(read_nodes(read_text(path), str(path)), overrides), str(path)
    name = overrides.name or path.stem
    if TASKS not in root.entries:
        return (assemble_ablation(root, source, name, overrides.settings),)
    tasks, problems = _tasks(root)
    if problems:
        raise SpecError(*problems)
    specs: list[AblationSpec] = []
    failed: dict[str, Sequence[Problem]] = {}
    for task, node in tasks.items():
        try:
            one = _of_task(root, name, tasks, task, node)
            specs.append(assemble_ablation(one, source, f"{name}.{task}", overrides.settings))
        except UsageError as error:
            failed[task] = tuple(problems_of(error))
    if failed:
        raise SpecError(*dict.fromkeys(_joined(failed, len(tasks))))
    return tuple(specs)


def _tasks(root: Section) -> tuple[Mapping[str, Node], Sequence[Problem]]:
    """Return the node of each task by the name of its space, and the problems of the list."""
    written, key = root.entries[TASKS], str(root.keys[TASKS])
    problems = [
        Problem(str(root.keys[name]), name, f"an ablation with {TASKS} must not have it; {TASKS} has the spaces")
        for name in _ONE_TASK
        if name in root.entries
    ]
    if "looks" in root.entries and plain(root.entries["looks"]) != "none":
        rule = "must be none with several tasks, since the interval over tasks does not allow for looks"
        problems.append(
            Problem(str(root.keys["looks"]), "looks", f"{rule}, found {show(plain(root.entries['looks']))}")
        )
    items = written.items if isinstance(written, Items) else ()
    if len(items) < 2:
        rule = "must be a list of at least 2 spaces, by name or path"
        return {}, [*problems, Problem(key, TASKS, f"{rule}, found {show(plain(written))}; one task is `space: NAME`")]
    tasks: dict[str, Node] = {}
    for item in items:
        task = PurePath(str(plain(item))).stem
        if task in tasks:
            rule = f"must be spaces whose names differ, found {show(task)} twice"
            problems.append(Problem(str(item.mark), TASKS, f"{rule}; leave one out, or rename its file"))
        tasks[task] = item
    return tasks, problems


def _of_task(root: Section, name: str, tasks: Mapping[str, Node], task: str, node: Node) -> Section:
    """Return the nodes of the ablation of one task."""
    mark = node.mark
    group = Section(mark, {"name": Leaf(mark, name), TASKS: Items(mark, [Leaf(mark, one) for one in tasks])})
    one = put(put(drop(root, [TASKS]), "space", node, mark), "group", group, mark)
    seed = plain(root.entries["seed"]) if "seed" in root.entries else 0
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < _SEEDS:
        return one  # invalid; the ablation of the task says why
    return put(one, "seed", Leaf(find(root, ["seed"]), derive_seed(seed, "task", task) % _SEEDS), mark)


def _joined(failed: Mapping[str, Sequence[Problem]], tasks: int) -> Iterator[Problem]:
    """Yield the problems of all tasks; one that only some tasks have names its task."""
    for task, problems in failed.items():
        for one in problems:
            shared = len(failed) == tasks and all(one in others for others in failed.values())
            field = TASKS if one.field == "space" else one.field
            yield replace(one, field=field, message=one.message if shared else f"{one.message} (task {task})")
