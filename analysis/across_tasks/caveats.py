"""The limits of what an ablation of several tasks shows; each sentence follows from its tasks or their runs."""

from collections.abc import Mapping

from analysis.ablation.findings import AblationFindings
from analysis.statistics.comparison import NORMAL_PAIRS
from search_spaces import RETUNED
from search_spaces.specs.ablation_parts import TaskGroup
from search_spaces.values import counted

_FEW_TASKS = 5


def across_caveats(group: TaskGroup, tasks: Mapping[str, AblationFindings]) -> tuple[str, ...]:
    """Return the caveats, the most general first."""
    specs = {task: found.spec for task, found in tasks.items()}
    lines = [
        "The tasks were chosen and not drawn at random: 'tasks like these' are those for which this choice is typical, "
        "which no number of this report can check."
    ]
    if len(group.tasks) < _FEW_TASKS:
        lines.append(
            f"With {counted(len(group.tasks), 'task')} the variation between tasks is estimated from "
            f"{counted(len(group.tasks) - 1, 'degree')} of freedom."
        )
    data: dict[str, list[str]] = {}
    for task, spec in specs.items():
        data.setdefault(spec.space.task_name, []).append(task)
    lines += [
        f"{' and '.join(same)} use the same data ({name}): they are less different than tasks on other data, and "
        "share a test set."
        for name, same in data.items()
        if len(same) > 1
    ]
    few = {task: found.pairs for task, found in tasks.items() if 0 < found.pairs <= NORMAL_PAIRS}
    if few:
        words = ", ".join(f"{task} {counted(pairs, 'pair')}" for task, pairs in few.items())
        lines.append(f"Few pairs ({words}): the intervals assume normal effects on each of these tasks.")
    if specs and all(RETUNED not in spec.designs for spec in specs.values()):
        lines.append(
            "No arm was re-tuned on any task: the recipe of a space that was tuned for the control favours it."
        )
    lines.append("Each task has caveats of its own, which are in its report.")
    return tuple(lines)
