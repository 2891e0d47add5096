import re
from pathlib import Path

import pytest

from search_spaces.specs.builtin_tasks import BUILTIN_TASKS

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("name", BUILTIN_TASKS)
def test_the_target_of_a_task_is_defined_in_its_file(name: str) -> None:
    module, _, attribute = BUILTIN_TASKS[name].target.partition(":")
    text = (ROOT / "trainers" / "tasks" / f"{module}.py").read_text(encoding="utf-8")
    assert re.search(rf"^(class|def) {attribute}\b", text, re.MULTILINE)
