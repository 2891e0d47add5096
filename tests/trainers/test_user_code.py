import re
import sys

import pytest
import torch

from search_spaces.errors import RunError, UsageError
from trainers.task_lookup import load_target
from trainers.user_code import as_script, describe, exit_cause, import_user_module, text_of

SCRIPT = """
import argparse

parser = argparse.ArgumentParser()
parser.add_argument("--alpha", type=float, default=0.5{required})
args = parser.parse_args()


def train(config, seed, state=None):
    yield {{"val/x": args.alpha}}
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "argv", ["sweeps", "run", "script.yaml", "--local"])
    return tmp_path


def test_a_module_that_parses_arguments_gets_none(folder):
    (folder / "script_defaults.py").write_text(SCRIPT.format(required=""))
    assert import_user_module("script_defaults").args.alpha == 0.5
    assert next(load_target("script_defaults:train")({}, 0)) == {"val/x": 0.5}
    assert sys.argv == ["sweeps", "run", "script.yaml", "--local"]


def test_a_module_that_ends_the_process_is_one_line(folder):
    (folder / "script_required.py").write_text(SCRIPT.format(required=", required=True"))
    with pytest.raises(
        UsageError, match=r"cannot import script_required: SystemExit: 2 \(.*script_required.py:6\); move"
    ) as caught:
        load_target("script_required:train")
    assert "\n" not in str(caught.value)


def test_a_script_sees_its_own_file():
    before = sys.argv
    with as_script("package.module:train"):
        assert sys.argv == ["package/module.py"]
    assert sys.argv is before


def test_the_line_of_an_exception_is_in_the_users_file():
    with pytest.raises(SystemExit) as caught:
        sys.exit("diverged, giving up")
    assert describe(caught.value).startswith("SystemExit: diverged, giving up (")
    assert describe(KeyboardInterrupt()) == "KeyboardInterrupt"


def test_the_line_of_an_exception_of_a_library_is_the_users():
    with pytest.raises(RuntimeError) as caught:
        torch.nn.Linear(2, 2)(torch.zeros(3, 3))  # raised within torch
    assert re.search(r" \(.*test_user_code\.py:\d+\)$", describe(caught.value))


def test_an_error_of_this_project_has_its_text_alone():
    with pytest.raises(RunError) as caught:
        raise RunError("item 3 of the dataset failed")
    assert describe(caught.value) == "item 3 of the dataset failed"


def test_the_cause_of_an_exit():
    assert [exit_cause(code) for code in (3, -9)] == ["exit code 3", "killed by SIGKILL"]


class WordlessError(RuntimeError):
    def __str__(self) -> str:
        raise ValueError("no text")


def test_an_exception_whose_text_fails_has_none():
    assert text_of(WordlessError()) == ""
    assert describe(WordlessError()) == "WordlessError"
    assert text_of(RuntimeError("a text")) == "a text"


def test_generator_exit_at_import_is_one_line(folder):
    (folder / "script_closes.py").write_text("raise GeneratorExit('closed')\n")
    with pytest.raises(UsageError, match="cannot import script_closes: GeneratorExit: closed"):
        load_target("script_closes:train")
