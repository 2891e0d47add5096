from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from search_spaces import (
    SGD,
    AdamW,
    Asha,
    Budget,
    Choice,
    Constant,
    Distribution,
    LogUniform,
    Metric,
    Normal,
    NoStopping,
    QUniform,
    RandInt,
    Recipe,
    Regularization,
    Resources,
    Sampler,
    SpaceSpec,
    SpecError,
    Uniform,
    UsageError,
    dump_space,
    load_space,
    parse_space,
    shipped_spaces,
)
from search_spaces.recipe.schedules import Cosine, Linear

VALID = """\
kind: sweep
task: digits
metric: {name: val/accuracy, goal: maximize}
recipe:
  optimizer: {kind: adamw, lr: 1e-3}
  schedule: {kind: cosine, warmup: 0.1}
search:
  optimizer.lr: {loguniform: [1e-5, 1e-1]}
  optimizer.betas.1: {choice: [0.95, 0.999]}
runs: 8
"""
NAMES = (
    "kind, extends, task, metric, recipe, search, constraints, starts, sampler, early_stopping, runs, resources,"
    " checkpoint_every_s"
)


def problems(text: str) -> list[str]:
    with pytest.raises(SpecError) as raised:
        parse_space(text, "f.yaml", "mine")
    return [str(problem) for problem in raised.value.problems]


def changed(old: str, new: str) -> str:
    assert old in VALID
    return VALID.replace(old, new)


def test_a_valid_space() -> None:
    spec = parse_space(VALID, "f.yaml", "mine")
    assert spec == SpaceSpec(
        name="mine",
        task="digits",
        metric=Metric(name="val/accuracy", goal="maximize"),
        recipe=Recipe(optimizer=AdamW(lr=1e-3), schedule=Cosine(warmup=0.1)),
        search={"optimizer.lr": LogUniform(1e-5, 0.1), "optimizer.betas.1": Choice([0.95, 0.999])},
        runs=8,
    )


def test_the_finetune_space() -> None:
    assert load_space("finetune") == SpaceSpec(
        name="finetune",
        task="mnist1d_transfer",
        metric=Metric(name="val/accuracy", goal="maximize"),
        recipe=Recipe(
            optimizer=AdamW(lr=1e-3, betas=(0.9, 0.999), weight_decay=0.01, decay="matrices"),
            schedule=Cosine(warmup=0.1),
            regularization=Regularization(dropout=0.1, label_smoothing=0.0, clip_norm=1.0),
            budget=Budget(epochs=27, batch_size=64),
        ),
        search={
            "optimizer.lr": LogUniform(1e-5, 1e-1),
            "optimizer.weight_decay": LogUniform(1e-4, 1),
            "optimizer.betas.1": Choice([0.95, 0.98, 0.999]),
            "schedule.warmup": Uniform(0.0, 0.3),
            "regularization.dropout": Uniform(0.0, 0.5),
        },
        sampler=Sampler(kind="tpe", seed=0),
        early_stopping=Asha(grace_epochs=1, reduction_factor=3),
        runs=32,
        resources=Resources(cpu=1, gpu=0),
    )


def test_shipped_spaces_load_and_round_trip() -> None:
    shipped = "finetune finetune_text lora mnist1d_cnn mnist1d_logistic mnist1d_mlp optimizers pretrain_lm rl rnn"
    assert shipped_spaces() == (*shipped.split(), "scratch", "vision_scratch", "vit")
    for name in shipped_spaces():
        spec = load_space(name)
        assert parse_space(dump_space(spec), "dump", name) == spec
    assert isinstance(load_space("vision_scratch").recipe.optimizer, SGD)
    assert load_space("scratch").task == "mnist1d"


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        (
            "kind: sweep",
            "kind: ablation\narms: {a: {}, b: {}}",
            "f.yaml:1: kind: must be kind: sweep, found 'ablation'; run it with: sweeps ablate f.yaml",
        ),
        ("kind: sweep", "kind: sweeps", "f.yaml:1: kind: must be kind: sweep, found 'sweeps'"),
        ("task: digits", "tasc: digits", "f.yaml:2: tasc: unknown name; did you mean task? valid: " + NAMES),
        ("task: digits", "task: 3", "f.yaml:2: task: must be a text, found 3"),
        ("task: digits", "task: a b", "f.yaml:2: task: must be a built-in name or package.module:Name, found 'a b'"),
        ("name: val/accuracy, ", "", "f.yaml:3: metric.name: is required but missing"),
        (", goal: maximize", "", "f.yaml:3: metric.goal: is required but missing"),
        ("maximize", "max", "f.yaml:3: metric.goal: must be maximize or minimize, found 'max'"),
        ("val/", "test/", "f.yaml:3: metric.name: must not select on test/*, which is for ablation"),
        ("lr: 1e-3", "lr: 0", "f.yaml:5: recipe.optimizer.lr: must be greater than 0, found 0"),
        ("lr: 1e-3", "lr: '1'", "f.yaml:5: recipe.optimizer.lr: must be a number, found '1'"),
        ("lr: 1e-3", "lr: yes", "f.yaml:5: recipe.optimizer.lr: must be a number, found 'yes'"),
        ("lr: 1e-3", "betas: [0.9]", "f.yaml:5: recipe.optimizer.betas.1: is required but missing"),
        ("lr: 1e-3", "betas: [1, 2, 3]", "f.yaml:5: recipe.optimizer.betas: must have 2 items, found [1, 2, 3]"),
        ("lr: 1e-3", "betas: 1", "f.yaml:5: recipe.optimizer.betas: must be a list, found 1"),
        ("lr: 1e-3", "lrr: 1", "f.yaml:5: recipe.optimizer.lrr: unknown name; did you mean lr? valid: kind, lr"),
        ("kind: adamw, ", "", "f.yaml:5: recipe.optimizer: needs a kind: adamw or adam or sgd"),
        ("kind: adamw", "kind: adamww", "f.yaml:5: recipe.optimizer.kind: unknown kind 'adamww'; did you mean adamw?"),
        ("kind: adamw", "kind: [1]", "f.yaml:5: recipe.optimizer.kind: unknown kind [1]"),
        ("{kind: adamw, lr: 1e-3}", "adamw", "f.yaml:5: recipe.optimizer: must be a section of `name: value` lines"),
        ("warmup: 0.1", "warmup: 1", "f.yaml:6: recipe.schedule.warmup: must be less than 1, found 1"),
        (
            "warmup: 0.1",
            "warmup: 0.1, warmup_steps: 3",
            "f.yaml:6: recipe.schedule: must not have both warmup and warmup_steps",
        ),
        ("optimizer.lr:", "optimizer.lrr:", "f.yaml:8: search.optimizer.lrr: unknown field of adamw; did you mean lr?"),
        ("optimizer.lr:", "optimizer.momentum:", "f.yaml:8: search.optimizer.momentum: momentum belongs to sgd"),
        ("optimizer.betas.1", "optimizer.betas.5", "f.yaml:9: search.optimizer.betas.5: optimizer.betas has the items"),
        ("loguniform", "loguniforn", "f.yaml:8: search.optimizer.lr: unknown distribution 'loguniforn'; did you mean"),
        ("[1e-5, 1e-1]", "[1e-5]", "f.yaml:8: search.optimizer.lr: must be written loguniform: [low, high]"),
        ("[1e-5, 1e-1]", "[1, 0.1]", "f.yaml:8: search.optimizer.lr: low must be less than high, found [1.0, 0.1]"),
        ("{loguniform: [1e-5, 1e-1]}", "3", "f.yaml:8: search.optimizer.lr: must be one distribution, such as"),
        ("{loguniform: [1e-5, 1e-1]}", "", "f.yaml:8: search.optimizer.lr: must be one distribution, such as"),
        ("[1e-5, 1e-1]}", "[1e-5, 1e-1], normal: [0, 1]}", "f.yaml:8: search.optimizer.lr: must be one distribution"),
        ("loguniform: [1e-5", "uniform: [0", "f.yaml:8: search.optimizer.lr: the value 0.0 of uniform must be greater"),
        ("[0.95, 0.999]", "[0.95, 1.0]", "f.yaml:9: search.optimizer.betas.1: the value 1.0 of choice must be less"),
        ("runs: 8", "runs: 0", "f.yaml:10: runs: must be at least 1, found 0"),
        ("runs: 8", "runs: 8.0", "f.yaml:10: runs: must be a whole number, found 8.0"),
        ("runs: 8", "runs: 8\nrunz: 3", "f.yaml:11: runz: unknown name; did you mean runs?"),
        ("runs: 8", "runs: 8\nname: x", "f.yaml:11: name: unknown name"),
        ("runs: 8", "runs: 8\na.b: x", "f.yaml:11: a.b: unknown name"),
        ("runs: 8", "runs: 8\nsampler: {kind: tpee}", "f.yaml:11: sampler.kind: must be tpe, random, qmc, gp or grid"),
        ("runs: 8", "runs: 8\nsampler:\n  seed: -1", "f.yaml:12: sampler.seed: must be at least 0, found -1"),
        ("runs: 8", "runs: 8\nearly_stopping: {kind: a}", "f.yaml:11: early_stopping.kind: unknown kind 'a'"),
        (
            "runs: 8",
            "runs: 8\nearly_stopping: {kind: none, grace_epochs: 1}",
            "f.yaml:11: early_stopping.grace_epochs: unknown name; valid: kind",
        ),
        ("runs: 8", "runs: 8\nresources: {gpus: 1}", "f.yaml:11: resources.gpus: unknown name; did you mean gpu?"),
        (
            "runs: 8",
            "runs: 8\nresources: {cpu: 1, processes: 2}",
            "f.yaml:11: resources: each process needs at least one CPU, found cpu 1 and processes 2;",
        ),
        (
            "runs: 8",
            "runs: 8\nresources: {gpu: 2, processes: 4}",
            "f.yaml:11: resources: each process needs its own GPU, found gpu 2 and processes 4; remove",
        ),
        ("runs: 8", "runs: 8\nresources: {gpu: -1}", "f.yaml:11: resources.gpu: must be at least 0, found -1"),
        (
            "runs: 8",
            "runs: 8\nresources: {processes: 0}",
            "f.yaml:11: resources.processes: must be at least 1, found 0",
        ),
        ("runs: 8", "runs: 8\nsampler: {kind: grid}", "f.yaml:8: search.optimizer.lr: a grid needs finitely many"),
    ],
)
def test_one_mistake_is_one_line(old: str, new: str, line: str) -> None:
    [found] = problems(changed(old, new))
    assert found.startswith(line)


def test_a_misspelt_name_is_not_missing_too() -> None:
    [found] = problems(changed("goal: maximize", "gaol: maximize"))
    assert found.startswith("f.yaml:3: metric.gaol: unknown name; did you mean goal?")


def test_a_grid_with_too_many_runs() -> None:
    text = changed("loguniform: [1e-5, 1e-1]", "choice: [0.1, 0.2]").replace(
        "runs: 8", "sampler: {kind: grid}\nruns: 6"
    )
    assert problems(text) == ["f.yaml:11: runs: must be at most 5 (the grid and the baseline), found 6"]


def test_weight_decay_of_adam_points_to_adamw() -> None:
    [found] = problems(changed("kind: adamw, lr: 1e-3", "kind: adam,\n    weight_decay: 0.1"))
    assert found.startswith("f.yaml:6: recipe.optimizer.weight_decay: adam has no weight decay")
    assert found.endswith("use kind: adamw")


SIX_MISTAKES = """\
kind: sweep
task: digits
metric: {name: test/accuracy, goal: maximize}
recipe:
  optimizer:
    kind: adamw
    lr: -1
    betas: [0.9, 1.5]
search:
  optimizer.lrr: {loguniform: [1e-5, 1e-1]}
  schedule.warmup: {unifrom: [0, 0.3]}
runs: many
"""


def test_six_mistakes_are_six_lines_in_order() -> None:
    lines = problems(SIX_MISTAKES)
    assert [line.split(": ")[:2] for line in lines] == [
        ["f.yaml:3", "metric.name"],
        ["f.yaml:7", "recipe.optimizer.lr"],
        ["f.yaml:8", "recipe.optimizer.betas.1"],
        ["f.yaml:10", "search.optimizer.lrr"],
        ["f.yaml:11", "search.schedule.warmup"],
        ["f.yaml:12", "runs"],
    ]


def test_a_search_is_not_judged_by_a_section_that_is_broken() -> None:
    text = changed("kind: adamw", "kind: sdg").replace("optimizer.betas.1: {choice", "optimizer.momentum: {choice")
    [found] = problems(text)
    assert "did you mean sgd?" in found


def test_a_custom_name_with_a_dot() -> None:
    [found] = problems(changed("search:", "  custom: {a.b: 1}\nsearch:"))
    assert found.startswith("f.yaml:7: recipe.custom.a.b: must be a name of letters, digits and underscores")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", "f.yaml:1: must be a section of `name: value` lines, found an empty file"),
        ("# nothing\n", "f.yaml:1: must be a section of `name: value` lines, found an empty file"),
        ("- 1", "f.yaml:1: must be a section of `name: value` lines, found [1]"),
        ("hello", "f.yaml:1: must be a section of `name: value` lines, found 'hello'"),
        ("{", "f.yaml:1: not valid YAML"),
    ],
)
def test_a_text_that_is_no_section(text: str, line: str) -> None:
    [found] = problems(text)
    assert found.startswith(line)


def test_sections_of_the_wrong_type() -> None:
    lines = problems("kind: sweep\nmetric:\nsearch: 3\nrecipe: 4\n")
    assert lines == [
        "f.yaml:1: task: is required but missing",
        "f.yaml:1: runs: is required but missing",
        "f.yaml:2: metric: must be a section of `name: value` lines, found null",
        "f.yaml:3: search: must be a section of `field: {distribution: arguments}` lines, found 3",
        "f.yaml:4: recipe: must be a section of `name: value` lines, found 4",
    ]


def test_a_name_that_cannot_be_one() -> None:
    with pytest.raises(SpecError, match="name: must be 1 to 64 letters"):
        parse_space(VALID, "f.yaml", "my space")


# --- files -----------------------------------------------------------------------------------------------------


def test_an_unknown_space_suggests_the_nearest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("finetun", "finetune.yaml", "no/such.yaml", "", "x" * 5000, "a\0b"):
        with pytest.raises(UsageError, match="valid: finetune, finetune_text, lora, mnist1d_cnn"):
            load_space(name)
    with pytest.raises(UsageError, match=r"did you mean finetune\?"):
        load_space("finetun")


def test_an_existing_file_wins_and_a_directory_does_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "scratch").mkdir()
    assert load_space("scratch").task == "mnist1d"
    (tmp_path / "finetune").write_text(VALID)
    assert load_space("finetune").task == "digits"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"kind: sweep\ntask: \xff\xfe", ":2: a file must be UTF-8 text"),
        (b"#" * 300_000, ": a file must have at most 256 KiB"),
        (b"\x00\x01", ":1: not valid YAML"),
    ],
)
def test_files_that_are_no_text(tmp_path: Path, data: bytes, message: str) -> None:
    path = tmp_path / "bad.yaml"
    path.write_bytes(data)
    with pytest.raises(SpecError) as raised:
        load_space(str(path))
    assert str(raised.value).startswith(f"{path}{message}")


def test_a_byte_order_mark_is_no_part_of_the_text(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + VALID.encode())
    assert load_space(str(path)).name == "mine"


def test_a_file_that_cannot_be_read() -> None:
    # Permissions would not bind root, as whom CI runs; page 0 of a process can be read by nobody.
    with pytest.raises(SpecError, match="/proc/self/mem: cannot be read: Input/output error"):
        load_space("/proc/self/mem")


# --- extends ---------------------------------------------------------------------------------------------------

Write = Callable[..., str]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(**files: str) -> str:
        for name, text in files.items():
            (tmp_path / f"{name}.yaml").write_text(text)
        return str(tmp_path / f"{next(iter(files))}.yaml")

    return write


def test_extends_merges_sections(write: Write) -> None:
    path = write(mine="extends: finetune\nruns: 4\nrecipe:\n  budget: {epochs: 9}\nsampler: {seed: 5}\n")
    base, mine = load_space("finetune"), load_space(path)
    assert mine.name == "mine"
    assert (mine.runs, mine.recipe.budget.epochs, mine.sampler.seed) == (4, 9, 5)
    assert mine.recipe.budget.batch_size == 64
    assert (mine.recipe.optimizer, mine.search, mine.task) == (base.recipe.optimizer, base.search, base.task)


def test_extends_replaces_and_removes_searched_fields(write: Write) -> None:
    path = write(
        mine="extends: base.yaml\nsearch:\n  optimizer.lr: {uniform: [0.1, 0.2]}\n  optimizer.betas.1: null\n",
        base=VALID,
    )
    assert load_space(path).search == {"optimizer.lr": Uniform(0.1, 0.2)}


def test_another_kind_replaces_the_section_whole(write: Write) -> None:
    text = "extends: base.yaml\nrecipe: {optimizer: {kind: sgd}, schedule: {kind: linear}}\n"
    text += "search: {optimizer.betas.1: null}\n"
    recipe = load_space(write(mine=text, base=VALID)).recipe
    assert (recipe.optimizer, recipe.schedule) == (SGD(), Linear())


def test_the_same_kind_merges(write: Write) -> None:
    text = "extends: base.yaml\nrecipe: {optimizer: {kind: adamw, eps: 1e-6}, schedule: {min_factor: 0.1}}\n"
    recipe = load_space(write(mine=text, base=VALID)).recipe
    assert (recipe.optimizer, recipe.schedule) == (AdamW(lr=1e-3, eps=1e-6), Cosine(warmup=0.1, min_factor=0.1))


def test_problems_of_a_chain_name_their_own_files(write: Write, tmp_path: Path) -> None:
    path = write(mine="extends: base.yaml\nruns: 0\n", base=changed("lr: 1e-3", "lr: 0"))
    with pytest.raises(SpecError) as raised:
        load_space(path)
    assert str(raised.value).splitlines() == [
        f"{tmp_path}/mine.yaml:2: runs: must be at least 1, found 0",
        f"{tmp_path}/base.yaml:5: recipe.optimizer.lr: must be greater than 0, found 0",
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("extends: finetun", "mine.yaml:1: extends: no file and no shipped space 'finetun'; did you mean finetune?"),
        ("extends: 3", "mine.yaml:1: extends: must be a shipped space or a path, found 3"),
        ("extends: [a]", "mine.yaml:1: extends: must be a shipped space or a path, found ['a']"),
        ("extends: {}", "mine.yaml:1: extends: must be a shipped space or a path, found a section"),
        ("runs: 1\nextends:", "mine.yaml:2: extends: must be a shipped space or a path, found null"),
        ("extends: mine.yaml", "mine.yaml:1: extends: must not extend itself, found mine.yaml -> mine.yaml"),
        ("extends: finetune\nsearch: {optimizer.lrr: null}", "mine.yaml:2: search.optimizer.lrr: must be one distr"),
    ],
)
def test_extending_a_missing_space(write: Write, text: str, message: str) -> None:
    with pytest.raises(SpecError) as raised:
        load_space(write(mine=text))
    assert message in str(raised.value)


def test_a_circle_of_files(write: Write) -> None:
    path = write(a="extends: b.yaml", b="extends: c.yaml", c="extends: a.yaml")
    with pytest.raises(SpecError, match=r"must not extend itself, found a\.yaml -> b\.yaml -> c\.yaml -> a\.yaml"):
        load_space(path)


def test_a_chain_that_is_too_long(write: Write) -> None:
    files = {f"s{number}": f"extends: s{number + 1}.yaml" for number in range(20)}
    with pytest.raises(SpecError, match="must be a chain of at most 8 files, found more"):
        load_space(write(**files, s20=VALID))


# --- options ---------------------------------------------------------------------------------------------------


def test_settings_fix_fields_and_leave_the_search() -> None:
    spec = load_space("finetune", ["budget.epochs=9", "optimizer.betas.1=0.9", "regularization.clip_norm=null"])
    assert spec.recipe.budget.epochs == 9
    assert spec.recipe.optimizer == AdamW(lr=1e-3, betas=(0.9, 0.9))
    assert spec.recipe.regularization.clip_norm is None
    assert spec.search.keys() == load_space("finetune").search.keys() - {"optimizer.betas.1"}


def test_a_whole_tuple_fixes_its_items() -> None:
    spec = load_space("finetune", ["optimizer.betas=[0.8, 0.9]"])
    assert spec.recipe.optimizer == AdamW(lr=1e-3, betas=(0.8, 0.9))
    assert "optimizer.betas.1" not in spec.search


def test_the_later_of_two_settings_counts() -> None:
    assert load_space("finetune", ["budget.epochs=9", "budget.epochs=3"]).recipe.budget.epochs == 3


def test_settings_that_are_valid_only_together() -> None:
    spec = load_space("finetune", ["schedule.warmup=0", "schedule.warmup_steps=10"])
    assert spec.recipe.schedule == Cosine(warmup_steps=10)


def test_runs_and_seed() -> None:
    spec = load_space("finetune", runs=3, seed=4)
    assert (spec.runs, spec.sampler) == (3, Sampler(kind="tpe", seed=4))


def test_runs_may_fix_the_file(write: Write) -> None:
    assert load_space(write(mine=VALID.replace("runs: 8\n", "")), runs=3).runs == 3


@pytest.mark.parametrize(
    ("setting", "line"),
    [
        ("budget.epochs", "--set budget.epochs: must be field=value, such as budget.epochs=9"),
        ("budget.epochs=", "--set budget.epochs=: budget: must have epochs or steps, found neither"),
        ("budget.epochs=9.0", "--set budget.epochs=9.0: budget.epochs: must be a whole number, found 9.0"),
        ("budget.epochs={a: 1}", "--set budget.epochs={a: 1}: budget.epochs: must be a number, a text"),
        ("budget.epochs=[[1]]", "--set budget.epochs=[[1]]: budget.epochs: must be a number, a text"),
        ("budget.epochs=[", "--set budget.epochs=[: budget.epochs: not valid YAML"),
        ("budget.epochs=*a", "--set budget.epochs=*a: budget.epochs: aliases"),
        (
            "budget.epoch=9",
            "--set budget.epoch=9: budget.epoch: unknown field of a recipe; did you mean budget.epochs?",
        ),
        ("=9", "--set =9: unknown field of a recipe"),
        ("custom.a=9", "--set custom.a=9: custom.a: recipe.custom has no such name"),
        ("optimizer.kind=sgdd", "--set optimizer.kind=sgdd: optimizer.kind: unknown kind 'sgdd'; did you mean sgd?"),
        ("optimizer.betas=[0.9]", "--set optimizer.betas=[0.9]: optimizer.betas.1: is required but missing"),
        (
            "schedule.warmup_steps=9",
            "--set schedule.warmup_steps=9: schedule: must not have both warmup and warmup_steps",
        ),
    ],
)
def test_a_setting_that_cannot_be_used(setting: str, line: str) -> None:
    with pytest.raises(SpecError) as raised:
        load_space("finetune", [setting])
    assert str(raised.value).splitlines()[-1].startswith(line)


def test_problems_of_the_file_and_of_options_come_together(write: Write) -> None:
    path = write(mine=changed("task: digits", "task: a b"))
    with pytest.raises(SpecError) as raised:
        load_space(path, ["budget.epochs=0", "optimizer.lrr=1"], runs=0, seed=-1)
    fields = [line.split(": ")[:2] for line in str(raised.value).splitlines()]
    assert [f"{path}:2", "task"] == fields[0]
    assert sorted(fields[1:]) == [
        ["--runs 0", "runs"],
        ["--seed -1", "sampler.seed"],
        ["--set budget.epochs=0", "budget.epochs"],
        ["--set optimizer.lrr=1", "optimizer.lrr"],
    ]


def test_another_kind_on_the_command_line_shows_what_its_search_lacks() -> None:
    with pytest.raises(
        SpecError, match=r"search\.optimizer\.betas\.1: betas\.1 belongs to adamw and adam and .*, but kind is sgd"
    ):
        load_space("finetune", ["optimizer.kind=sgd"])


# --- whatever the bytes ----------------------------------------------------------------------------------------


def lines_of(load: Callable[[], object]) -> list[str]:
    """Return the problems; anything but a usage error fails the test."""
    try:
        load()
    except UsageError as error:
        return [str(problem) for problem in error.problems]
    return []


def one_line_each(lines: list[str]) -> bool:
    return all(len(line.splitlines()) == 1 for line in lines)


def parsed(text: str) -> list[str]:
    return lines_of(lambda: parse_space(text, "f.yaml", "mine"))


WORDS = "kind recipe search extends optimizer adamw optimizer.lr uniform << &a *a !!str --- ... .inf 1e-3 null true é ²"
TOKENS = st.sampled_from([*"{}[],:#&*!|>'\"%@`-? \n\t~", "\n  ", "\u2028", *WORDS.split()])


@given(text=st.one_of(st.text(max_size=200), st.lists(TOKENS, max_size=40).map("".join)))
@example(text="? a\n? b\n")
@example(text="- ? - ? -")
@example(text="recipe: {optimizer: {betas: {²: 1}}}")
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_arbitrary_text(text: str) -> None:
    assert one_line_each(parsed(text))


FULL = VALID + "sampler: {kind: qmc, seed: 3}\nearly_stopping: {kind: none}\nresources: {cpu: 1, gpu: 0.5}\n"


@given(data=st.data())
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_mutated_files(data: st.DataObject) -> None:
    text = FULL
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(text)))
        length = data.draw(st.integers(0, 12))
        text = text[:start] + data.draw(st.one_of(TOKENS, st.text(max_size=3))) + text[start + length :]
    assert one_line_each(parsed(text))


NODES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@given(path=st.sampled_from(["task", "metric", "recipe", "search", "sampler", "runs", "extends", "kind"]), node=NODES)
@settings(max_examples=200, deadline=None)
def test_any_value_in_any_place(path: str, node: object) -> None:
    text = f"{VALID}\n".replace(f"{path}:", f"x{path}:") + f"{path}: {json.dumps(node)}\n"
    assert one_line_each(parsed(text))


@given(texts=st.lists(st.text(max_size=30) | st.sampled_from(["optimizer.betas.1=2", "a=b=c", "a.b.c=1"]), max_size=3))
@example(texts=["a\x1eb=1"])
@settings(max_examples=100, deadline=None)
def test_arbitrary_settings(texts: list[str]) -> None:
    assert one_line_each(lines_of(lambda: load_space("finetune", texts)))


# --- round trips -----------------------------------------------------------------------------------------------

numbers = st.floats(1e-9, 1e9)
pairs = st.tuples(numbers, numbers).filter(lambda pair: pair[0] != pair[1]).map(sorted)
custom = st.dictionaries(
    st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,9}", fullmatch=True),
    st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=10),
    max_size=3,
)
lr_distributions: st.SearchStrategy[Distribution] = st.one_of(
    pairs.map(lambda pair: LogUniform(*pair)),
    pairs.map(lambda pair: Uniform(*pair)),
    st.integers(1, 9).map(lambda steps: QUniform(0.1, (1 + steps) / 10, 0.1)),
    st.integers(1, 9).map(lambda high: RandInt(1, high)),
    st.lists(numbers, min_size=1, max_size=4, unique=True).map(Choice),
    numbers.map(lambda sd: Normal(5 * sd, sd)),
    numbers.map(Constant),
)


@given(lr=numbers, custom=custom, distribution=lr_distributions, stop=st.sampled_from([Asha(), NoStopping()]))
@settings(max_examples=100, deadline=None)
def test_dump_and_parse_round_trip(
    lr: float, custom: dict[str, bool | int | float | str], distribution: Distribution, stop: Asha | NoStopping
) -> None:
    spec = SpaceSpec(
        name="mine",
        task="package.module:Task",
        metric=Metric(name="val/nll", goal="minimize"),
        recipe=Recipe(optimizer=AdamW(lr=lr), custom=custom),
        search={"optimizer.lr": distribution},
        early_stopping=stop,
        runs=3,
    )
    text = dump_space(spec)
    again = parse_space(text, "dump", "mine")
    assert again == spec
    assert all(type(again.recipe.custom[name]) is type(value) for name, value in custom.items())
    assert dump_space(again) == text
    assert text.isascii()
