"""SIGKILL, of workers and of drivers."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import spaces
from kills import LOCAL_START_S, RAY_START_S, Trial, one
from snapshot import snapshot
from stage import Stage, fault
from verdicts import Rule


@fault("worker", "SIGKILL of a training process, at random moments of one sweep with Ray", 20, 2)
def worker(stage: Stage) -> None:
    space, rule = spaces.real(runs=32 if stage.count > 5 else 16)
    trial = stage.sweep(space, ray=True)
    process = trial.command.start()
    while stage.injected < stage.count and trial.kill_worker(process):
        stage.injected += 1
    stage.code(trial.finish(process, timeout=3600), 0, trial)
    stage.whole(trial, rule, again=3)
    tries = one(trial.url, "SELECT sum(attempts) - count(*) FROM run")
    # A worker that is killed between two runs costs no run an attempt.
    stage.check("a death costs its run one attempt", [] if tries <= stage.injected else [f"{tries}"], f"{tries} more")


@fault("driver", "SIGKILL of the driver, at random moments of one sweep, some drivers with Ray", 100, 4)
def driver(stage: Stage) -> None:
    # Each driver makes about 2 s of progress: the sweep must take longer than all of them.
    space, rule = spaces.real(*((48, 81, 1) if stage.count > 20 else (32, 27, 2)))
    trial = stage.sweep(space)
    local = trial.command.arguments
    runners = {
        "without Ray": (local, LOCAL_START_S),
        "with Ray": ([word for word in local if word != "--local"], RAY_START_S),
    }
    lives: Counter[str] = Counter()
    while stage.injected < stage.count:
        due = int((stage.injected + 1) * stage.ray_share) > int(stage.injected * stage.ray_share)
        runner = "with Ray" if due else "without Ray"
        trial.command.arguments, trial.start_up_s = runners[runner]
        if not trial.kill_driver():
            stage.check("no driver ends before its kill", [f"{runner}: {trial.tail()}"])
            break
        lives[runner] += 1
        stage.injected += 1
        if (
            due and lives[runner] % 2 == 1
        ):  # every other time; otherwise the next driver meets the processes that are left
            stage.no_process_left(what="a SIGKILL of a driver of Ray")
    trial.command.arguments = local
    stage.code(trial.finish(timeout=3600), 0, trial)
    deaths = (f"{count} {what}" for what, count in sorted((lives + trial.deaths).items()))
    stage.check("every kill hit the one sweep", note=", ".join(deaths))
    stage.whole(trial, rule, again=3)


_ABLATION = """
kind: ablation
question: Does a third of the learning rate do?
task: digits
recipe: {{optimizer: {{kind: adamw, lr: 3.0e-3}}, budget: {{epochs: {epochs}, batch_size: 16}}}}
arms:
  full: {{}}
  third: {{optimizer.lr: 1.0e-3}}
pairs: {pairs}
design: both
retune:
  runs: 4
  over: [optimizer.lr]
  ranges:
    full: {{optimizer.lr: {{loguniform: [1.0e-3, 1.0e-2]}}}}
    third: {{optimizer.lr: {{loguniform: [3.0e-4, 3.0e-3]}}}}
metrics: {{primary: test/nll, goal: minimize}}
"""


@fault("ablation", "SIGKILL of the driver, at random moments of one ablation, matched and retuned", 20, 2)
def ablation(stage: Stage) -> None:
    pairs, epochs = (8, 12) if stage.count > 5 else (4, 6)
    (stage.folder / "asked.yaml").write_text(_ABLATION.format(pairs=pairs, epochs=epochs))
    killed, calm = (
        stage.trial(
            ["ablate", "asked.yaml", "--local", "--storage", f"sqlite:///{folder}/s.db", "--to", str(folder)],
            f"sqlite:///{folder}/s.db",
        )
        for folder in (stage.folder / "killed", stage.folder / "calm")
    )
    killed.late_s = 1.0
    while stage.injected < stage.count and killed.kill_driver():
        stage.injected += 1
    stage.code(killed.finish(), 0, killed)
    stage.code(calm.finish(), 0, calm, "the same ablation without a kill")
    runs = one(calm.url, "SELECT count(*) FROM run")
    stage.whole(killed, Rule(int(runs), epochs, (), 1, "val/nll"), "asked", again=2)
    one_table, other = _numbers(killed), _numbers(calm)
    stage.check(
        "every recorded number equals that of the ablation without a kill",
        [
            f"{key}: {one_table.get(key)} and {other.get(key)}"
            for key in one_table.keys() | other.keys()
            if one_table.get(key) != other.get(key)
        ],
        f"{len(one_table)} numbers",
    )
    for name in ("pairs.csv", "ablation.yaml"):
        texts = [(stage.folder / side / name).read_text() for side in ("killed", "calm")]
        stage.check(
            f"{name} of the report is the same, byte for byte",
            [] if texts[0] == texts[1] else ["it differs"],
            f"{len(texts[0])} bytes",
        )
    verdicts = [_verdicts(stage.folder / side / "report.json") for side in ("killed", "calm")]
    stage.check("the report is the same", [] if verdicts[0] == verdicts[1] else [str(verdicts)[:300]])


def _numbers(trial: Trial) -> dict[tuple, object]:
    """Return every recorded number by arm, pair, design and seed of its run."""
    rows = snapshot(trial.url)
    names = ("number", "arm", "pair", "design", "seed", "recipe", "state", "epoch")
    runs = {row["id"]: tuple(row[name] for name in names) for row in rows["run"].values()}
    numbers = {
        (runs[key[0]], *key[1:]): row["value"] for key, row in rows["epoch_metric"].items() if "second" not in key[2]
    }
    predictions = {(runs[key[0]], *key[1:]): (row["predicted"], row["nll"]) for key, row in rows["prediction"].items()}
    return {**numbers, **predictions}


def _verdicts(path: Path) -> object:
    """Return a report without times and durations, which differ between two trainings."""

    def timeless(value: object) -> object:
        if isinstance(value, dict):
            return {name: timeless(part) for name, part in value.items() if not _about_time(name)}
        return [timeless(part) for part in value] if isinstance(value, list) else value

    return timeless(json.loads(path.read_text()))


def _about_time(name: str) -> bool:
    return any(
        word in name
        for word in ("second", "time", "created", "started", "finished", "provenance", "storage", "attempts")
    )
