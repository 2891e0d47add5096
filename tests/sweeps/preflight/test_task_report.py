import csv
import io
import json
import math
import time
from dataclasses import asdict
from pathlib import Path

import pytest
from rich.console import Console

from search_spaces import Metric, Resources, UsageError, load_space
from search_spaces.files.space_loader import parse_space
from sweeps.console.output import open_console
from sweeps.console.terminal_plot import Canvas, log_plot
from sweeps.preflight import task_report
from sweeps.preflight.child import ask
from tests.fakes import space
from trainers.sanity.lr_curve import LrScan, Suggestion, rate_text

TASK = """
import torch
from trainers.tasks import Data, Split

print("a task may print what it likes: {")

class Line:
    classes = 2

    def data(self, seed):
        print("data")
        inputs = torch.randn(900, 5, generator=torch.Generator().manual_seed(0))
        every = Split(inputs, (inputs[:, 0] > 0).long())
        return Data(*(every.take(torch.arange(a, a + 300)) for a in (0, 300, 600)))

    def model(self, recipe):
        return torch.nn.Sequential(torch.nn.Linear(5, 16), torch.nn.ReLU(), torch.nn.Linear(16, 2))

class Cut(Line):
    def model(self, recipe):
        class Network(torch.nn.Module):
            def __init__(self):
                super().__init__()
                self.first, self.last = torch.nn.Linear(5, 16), torch.nn.Linear(16, 2)
            def forward(self, x):
                return self.last(self.first(x).detach())
        return Network()

class Broken(Line):
    def model(self, recipe):
        raise RuntimeError("no model today")

class Leaving(Line):
    def data(self, seed):
        raise SystemExit("no data today")

class Gone(Line):
    def data(self, seed):
        import os
        os._exit(0)

class Interrupting(Line):
    def model(self, recipe):
        raise KeyboardInterrupt

class Odd(BaseException):
    pass

class OddlyLeaving(Line):
    def model(self, recipe):
        raise Odd("no model today")

class Seeing(Line):
    def model(self, recipe):
        import os
        raise RuntimeError(f"it sees {os.environ['CUDA_VISIBLE_DEVICES']!r}")

class Late(Line):
    def model(self, recipe):
        class Network(torch.nn.Linear):
            def forward(self, x):
                if self.training:
                    raise RuntimeError("only in training")
                return super().forward(x)
        return Network(5, 2)
"""


@pytest.fixture
def own_tasks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "own_inspected.py").write_text(TASK)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def printed() -> tuple[Console, io.StringIO]:
    out = io.StringIO()
    return open_console(out, width=120), out


@pytest.mark.usefixtures("own_tasks")
def test_a_sound_task_passes() -> None:
    console, out = printed()
    assert task_report.check(space(task="own_inspected:Line"), console) == 0
    lines = out.getvalue().splitlines()
    assert lines[0] == "checking toy: own_inspected:Line, adamw"
    assert [line.split(":")[0] for line in lines if line.startswith("PASS")][:2] == [
        "PASS  overfit one batch",
        "PASS  initial loss",
    ]
    assert lines[-1].endswith("0 FAIL")


@pytest.mark.usefixtures("own_tasks")
def test_a_failure_is_exit_code_1_and_says_what_to_do() -> None:
    console, out = printed()
    assert task_report.check(space(task="own_inspected:Cut"), console) == 1
    text = out.getvalue()
    assert "FAIL  gradients: 2 of 4 parameters have no gradient" in text
    assert "-> they are not trained: look for detach()" in text


@pytest.mark.usefixtures("own_tasks")
@pytest.mark.parametrize(
    ("task", "words"),
    [
        ("own_inspected:Broken", "no model today"),
        ("own_inspected:Nothing", "has no Nothing"),
        ("own_inspected:Late", "only in training"),
        ("own_inspected:Leaving", r"data\(seed\) failed: SystemExit: no data today"),
        ("own_inspected:Gone", "cannot be trained: its process ended, exit code 0"),
        ("own_inspected:Interrupting", "cannot be trained: KeyboardInterrupt"),
        ("own_inspected:OddlyLeaving", "cannot be trained: Odd: no model today"),
        ("cartpole", "found a training loop"),
    ],
)
def test_a_task_that_cannot_be_trained_is_one_error(task: str, words: str) -> None:
    console, _ = printed()
    metric = Metric(name="val/return" if task == "cartpole" else "val/accuracy", goal="maximize")
    with pytest.raises(UsageError, match=words):
        task_report.check(space(task=task, metric=metric), console)


@pytest.mark.usefixtures("own_tasks")
@pytest.mark.parametrize(
    ("gpu", "words"), [(0.0, "it sees ''"), (1.0, r"^resources\.gpu: 1 of a GPU, but torch .* finds no CUDA device")]
)
def test_the_child_uses_the_gpus_of_a_run(monkeypatch: pytest.MonkeyPatch, gpu: float, words: str) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")  # no machine has it
    with pytest.raises(UsageError, match=words):
        next(ask("timing", space(task="own_inspected:Seeing", resources=Resources(gpu=gpu))))


@pytest.mark.usefixtures("own_tasks")
def test_the_child_ends_when_the_generator_is_closed() -> None:
    answers = ask("check", space(task="own_inspected:Line"))
    next(answers)
    answers.close()  # must neither raise nor wait for the remaining answers


def test_lr_find_prints_a_curve_and_a_line_to_paste(tmp_path: Path) -> None:
    console, out = printed()
    code, scan = task_report.lr_find(space(task="digits"), console, tmp_path / "new")
    assert code == 0
    assert isinstance(scan, LrScan)
    assert scan.suggestion is not None
    text = out.getvalue()
    line = scan.suggestion.search_line
    assert line in text
    head = "kind: sweep\ntask: digits\nmetric: {name: val/accuracy, goal: maximize}\nruns: 4\nsearch:\n  "
    assert parse_space(head + line, "x", "x").search
    assert text.startswith(
        "a range test of 200 steps, then 3 to 7 short trainings of 100 steps, 62% of a run each (--quick"
    )
    assert f"suggestion {rate_text(scan.suggestion.lr)}: that of the short trainings" in text
    assert text.count(": val loss ") == len([run for run in scan.runs if run.loss is not None])
    facts = json.loads((tmp_path / "new/lr_find.json").read_text())
    assert facts["suggestion"]["lr"] == scan.suggestion.lr
    assert facts["suggestion"]["origin"] == scan.suggestion.origin
    assert [one["lr"] for one in facts["short_trainings"]] == [run.lr for run in scan.runs]
    assert (facts["scan_steps"], facts["short_steps"]) == (200, 100)
    with (tmp_path / "new/lr_find.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [float(row["lr"]) for row in rows] == list(scan.lrs)
    assert [float(row["smoothed"]) for row in rows] == list(scan.smoothed)
    assert "digits" in text
    assert "1e-3" in text


def test_without_a_suggestion_the_exit_code_is_1(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lists = {"lrs": [1e-7, 1e-3, 10.0], "losses": [2.3, 2.3, math.nan], "smoothed": [2.3, 2.3, math.nan]}
    about = {"task": "x", "optimizer": "sgd", "recipe_lr": 0.1, "suggestion": None, "seconds": 1.0, "runs": []}
    plan = {"scan_steps": 200, "short_steps": 100, "run_steps": 1000}
    monkeypatch.setattr(task_report, "ask", lambda *_: iter([plan, lists | about]))
    console, out = printed()
    code, scan = task_report.lr_find(space(), console, tmp_path)
    assert (code, scan.suggestion) == (1, None)
    assert "no suggestion" in out.getvalue()


def test_short_trainings_that_learn_nothing_are_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lists = {"lrs": [1e-7, 1e-3, 10.0], "losses": [2.3, 2.0, 2.3], "smoothed": [2.3, 2.0, 2.3]}
    found = asdict(Suggestion(0.01, 1e-3, 0.1, 0.03, None))
    about = {"task": "x", "optimizer": "sgd", "recipe_lr": 0.1, "suggestion": found, "seconds": 1.0, "runs": []}
    plan = {"scan_steps": 200, "short_steps": 100, "run_steps": 1000}
    runs = [{"lr": 0.01, "loss": None}, {"lr": 0.003, "loss": 2.3}]
    answers = [plan, *(lists | about | {"runs": runs[:count]} for count in range(3))]
    monkeypatch.setattr(task_report, "ask", lambda *_: iter(answers))
    console, out = printed()
    code, scan = task_report.lr_find(space(), console, tmp_path)
    assert (code, scan.suggestion) == (0, Suggestion(0.01, 1e-3, 0.1, 0.03, None))
    text = out.getvalue()
    assert "short trainings, about 1 min 40 s to 3 min 54 s in all" in text
    assert "1e-2: diverged" in text or "0.01: diverged" in text
    assert "the short trainings learn nothing, so the suggestion is that of the range test" in text


def test_both_are_done_with_finetune_in_time(tmp_path: Path) -> None:
    began = time.monotonic()
    console, out = printed()
    assert task_report.check(load_space("finetune"), console) == 0
    assert task_report.lr_find(load_space("finetune"), console, tmp_path)[0] == 0
    assert time.monotonic() - began < 100
    assert "the weights are pretrained" in out.getvalue()


CANVAS = Canvas(width=41, height=10)


def test_size_ends_and_marks_of_a_plot() -> None:
    xs = [10.0 ** (i / 10 - 4) for i in range(41)]
    rows = log_plot(xs, [1.0 - i / 40 for i in range(41)], {1e-2: "|"}, CANVAS)
    assert len(rows) == 12
    assert rows[0].startswith("      1 ")
    assert rows[9].startswith("      0 ")
    assert rows[11].split() == ["1e-4", "1e-3", "1e-2", "1e-1", "1e0"]
    column = rows[11].index("1e-2")
    marked = [row for row in rows[:10] if len(row) > column and row[column] == "|"]
    assert len(marked) >= 8
    assert rows[10][8:].count("┴") == 5


def test_a_falling_line_falls() -> None:
    xs = [10.0 ** (i / 10 - 4) for i in range(41)]
    rows = log_plot(xs, [1.0 - i / 40 for i in range(41)], {}, Canvas(width=41, height=10, unicode=False))
    stars = [(row, column) for row, text in enumerate(rows[:10]) for column, c in enumerate(text[8:]) if c == "*"]
    assert stars[0] == (0, 0)
    assert stars[-1] == (9, 40)
    assert all(text.isascii() for text in rows)


@pytest.mark.parametrize("ys", [[2.0, 2.0, 2.0], [2.0, math.nan, 1.0], [2.0, 1.0, 1e9], [2.0, 1.0, math.inf]])
def test_plots_of_odd_curves(ys: list[float]) -> None:
    rows = log_plot([1e-3, 1e-2, 1e-1], ys, {1e-5: "|"}, CANVAS)
    assert len(rows) == 12
    assert any("⠀" < char <= "⣿" for char in "".join(rows))


def test_values_above_the_top_are_drawn_at_the_top() -> None:
    rows = log_plot([1e-3, 1e-2, 1e-1], [2.0, 1.0, 1e9], {}, CANVAS)
    assert float(rows[0].split()[0]) == pytest.approx(2.5)
