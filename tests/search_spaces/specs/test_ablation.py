"""Ablation files: their meaning, their errors, and that the canonical form gives the same spec."""

from __future__ import annotations

from pathlib import Path

import pytest

from search_spaces import (
    AblationSpec,
    LogUniform,
    Overrides,
    SpecError,
    UsageError,
    diff_specs,
    dump_ablation,
    load_ablation,
    lookup,
    parse_ablation,
    tuning_ranges,
)

VALID = """
kind: ablation
question: Does it help?
space: finetune
recipe: {budget: {epochs: 3}}
arms:
  everything: {optimizer.decay: all}
  matrices: {optimizer.decay: matrices, says: Sparing the biases}
pairs: 4
metrics: {primary: test/nll, goal: minimize, margin: 0.005}
"""


def parse(text: str = VALID, *changes: tuple[str, str]) -> AblationSpec:
    for before, after in changes:
        assert before in text
        text = text.replace(before, after)
    return parse_ablation(text, "f.yaml", "mine")


def lines(*changes: tuple[str, str]) -> list[str]:
    with pytest.raises(SpecError) as caught:
        parse(VALID, *changes)
    return str(caught.value).splitlines()


def test_a_file_is_read() -> None:
    spec = parse()
    assert (spec.name, spec.pairs, spec.design, list(spec.arms)) == ("mine", 4, "matched", ["everything", "matrices"])
    assert spec.space.task == "mnist1d_transfer"
    assert spec.space.recipe.budget.epochs == 3
    assert spec.space.recipe.optimizer.lr == 1e-3  # from the space
    assert spec.space.search == {}  # nothing is tuned, so nothing of the space's search is left
    assert spec.space.metric.name == "val/nll"  # the driver never looks at test
    assert lookup(spec.recipe("everything"), "optimizer.decay") == "all"
    assert [one.simple for one in spec.treatments] == [("everything", "matrices")]
    assert spec.arms["matrices"].says == "Sparing the biases"


def test_the_canonical_form_comes_back() -> None:
    retune = "retune: {runs: 3, over: [optimizer.lr], ranges: {matrices: {optimizer.lr: {loguniform: [1e-4, 1e-2]}}}}"
    for text in (VALID, f"{VALID}{retune}\nlooks: [3, 4]\nnuisance: [schedule.warmup]\n"):
        spec = parse(text)
        dumped = dump_ablation(spec)
        again = parse_ablation(dumped, "dump", "mine")
        assert again == spec
        assert dump_ablation(again) == dumped
        assert "space:" not in dumped


def test_a_section_may_be_written_as_a_section() -> None:
    spec = parse(VALID, ("{optimizer.decay: all}", "{optimizer: {kind: sgd, lr: 0.1}, budget.epochs: 5}"))
    recipe = spec.recipe("everything")
    assert (recipe.optimizer.kind, recipe.optimizer.lr, recipe.budget.epochs) == ("sgd", 0.1, 5)


def test_a_retuned_design_has_ranges_for_every_arm() -> None:
    own = "retune: {runs: 3, over: [optimizer.lr], ranges: {matrices: {optimizer.lr: {loguniform: [1e-4, 1e-2]}}}}"
    spec = parse(f"{VALID}{own}\n")
    assert spec.design == "both"
    assert spec.designs == ("matched", "retuned")
    assert tuning_ranges(spec, "matrices") == {"optimizer.lr": LogUniform(1e-4, 1e-2)}
    assert tuning_ranges(spec, "everything") == {"optimizer.lr": LogUniform(1e-5, 1e-1)}


def test_arms_that_differ_by_the_weights_they_read_share_a_training() -> None:
    spec = parse(
        VALID,
        ("{optimizer.decay: all}", "{averaging.kind: ema}"),
        ("{optimizer.decay: matrices, says: Sparing the biases}", "{averaging.kind: ema, weights: ema}"),
    )
    assert spec.trained_as() == {"everything": "everything", "matrices": "everything"}


def test_arms_that_are_the_same_are_trained_twice() -> None:
    spec = parse(VALID, ("{optimizer.decay: all}", "{}"), ("{optimizer.decay: matrices,", "{"))
    assert spec.trained_as() == {"everything": "everything", "matrices": "matrices"}


def test_every_problem_is_reported_with_its_line() -> None:
    found = lines(
        ("{budget: {epochs: 3}}", "{budget: {epochs: 0}}"),
        ("pairs: 4", "pears: 4"),
        ("test/nll", "tests/nll"),
        ("says: Sparing the biases", "weights: 3"),
    )
    assert found == [
        "f.yaml:9: pears: unknown name; did you mean pairs? valid: " + found[0].partition("valid: ")[2],
        "f.yaml:5: recipe.budget.epochs: must be at least 1, found 0",
        "f.yaml:8: arms.matrices.weights: must be a text, found 3",
        "f.yaml:10: metrics.primary: must be test/name or val/name, such as test/nll, found 'tests/nll'",
    ]


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ("kind: ablation", "kind: sweep", "must be kind: ablation, found 'sweep'; run it with: sweeps run f.yaml"),
        ("space: finetune", "space: finetun", "no file and no shipped space 'finetun'; did you mean finetune?"),
        (
            "  matrices: {optimizer.decay: matrices, says: Sparing the biases}\n",
            "",
            "at least 2 arms, the control first",
        ),
        (
            "{optimizer.decay: all}",
            "{optimizer.deca: all}",
            "f.yaml:7: arms.everything.optimizer.deca: unknown field of",
        ),
        ("{optimizer.decay: all}", "{optimizer.decay: some}", "must be all, matrices or none, found 'some'"),
        ("{optimizer.decay: all}", "3", "f.yaml:7: arms.everything: must be {field: value}, found 3"),
        ("arms:", "arms: [1]\nrms:", "f.yaml:6: arms: must be a section of `name: {field: value}` lines"),
        ("goal: minimize", "goal: less", "metrics.goal: must be 'maximize' or 'minimize'"),
        ("margin: 0.005", "margin: 0", "metrics.margin: must be greater than 0, found 0"),
        ("pairs: 4", "pairs: 4\ndesign: retuned", "design: retuned needs a retune section"),
        ("pairs: 4", "pairs: 4\nlooks: [2, 4]", "looks: must be at least two increasing numbers of pairs, the first"),
        ("pairs: 4", "pairs: 4\nlooks: sometimes", "looks: must be none, e_process or a list of"),
        ("pairs: 4", "pairs: 4\nnuisance: [optimizer.eps]", "nuisance: optimizer.eps has no range in search"),
        (
            "pairs: 4",
            "pairs: 4\nretune: {runs: 3, over: [optimizer.eps]}",
            "retune.over.optimizer.eps: has no range for",
        ),
        ("pairs: 4", "pairs: 4\nretune: {runs: 3, over: [optimizer.lr], ranges: {m: {}}}", "unknown arm; valid:"),
        ("pairs: 4", "pairs: 4\nfactors: {a: {optimizer.lr: 0.1}}", "either arms or factors, found both"),
        ("test/nll", "test", "must be split/name"),
        ("test/nll", "test/nll@ema", "use the `weights` of each arm to select weights"),
    ],
)
def test_an_invalid_file_is_rejected(before: str, after: str, words: str) -> None:
    found = "\n".join(lines((before, after)))
    assert words.replace("'", "") in found.replace("'", "")
    assert "Traceback" not in found


def test_factors_in_the_place_of_arms() -> None:
    text = VALID[: VALID.index("arms:")] + (
        "factors:\n  drop: {regularization.dropout: 0.2}\n  smooth: {regularization.label_smoothing: 0.1}\n"
        "pairs: 4\nmetrics: {primary: test/nll, goal: minimize}\n"
    )
    spec = parse(text)
    assert list(spec.all_arms) == ["none", "drop", "smooth", "drop + smooth"] or len(spec.all_arms) == 4
    both = spec.recipe("drop + smooth").regularization
    assert (both.dropout, both.label_smoothing) == (0.2, 0.1)
    assert [one.kind for one in spec.factor_contrasts] == ["treatment", "treatment", "interaction"]
    with pytest.raises(SpecError, match="fractional needs 5 to 8 factors, found 2"):
        parse(text + "arrangement: fractional\n")


def test_options_of_the_command(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(VALID, encoding="utf-8")
    spec = load_ablation(str(file), tmp_path, Overrides(("budget.epochs=2",), pairs=7, seed=5, name="other"))
    assert (spec.name, spec.pairs, spec.space.sampler.seed) == ("other", 7, 5)
    assert spec.space.recipe.budget.epochs == 2
    assert diff_specs(load_ablation("mine", tmp_path), spec) != ()
    with pytest.raises(UsageError, match="no file and no shipped ablation 'mein'; did you mean mine"):
        load_ablation("mein", tmp_path)
    with pytest.raises(SpecError, match="--pairs 0: pairs: must be at least 1, found 0"):
        load_ablation("mine", tmp_path, Overrides(pairs=0))


def test_what_varies_in_an_ablation_has_no_condition() -> None:
    search = "search:\n  regularization.dropout: {uniform: [0, 0.5], when: {budget.batch_size: 64}}\n"
    for more, path in (
        ("nuisance: [regularization.dropout]\n", "nuisance: regularization.dropout"),
        ("retune: {runs: 3, over: [regularization.dropout]}\n", "retune.over.regularization.dropout: has no range for"),
    ):
        with pytest.raises(SpecError, match=rf"{path}.* in search without a when:"):
            parse_ablation(VALID + search + more, "f.yaml", "mine")


@pytest.mark.parametrize("metrics", ["{primary: test/f1, goal: maximize}", "{select: val/f1, goal: minimize}"])
def test_a_metric_that_the_task_does_not_report_is_named_where_it_is_written(metrics: str) -> None:
    old = next(line for line in VALID.splitlines() if line.startswith("metrics:"))
    field = "metrics.select" if "select" in metrics else "metrics.primary"
    text = VALID.replace(old, f"metrics: {metrics}")
    with pytest.raises(SpecError) as raised:
        parse_ablation(text, "a.yaml", "mine")
    line = text.splitlines().index(f"metrics: {metrics}") + 1
    rule = "the task does not report val/f1 in every epoch"
    assert str(raised.value).startswith(f"a.yaml:{line}: {field}: {rule}; did you mean val/nll? valid: val/nll")


def test_problems_of_the_space_of_arms_and_of_ranges_are_reported_together() -> None:
    retune = "retune: {runs: 3, over: [optimizer.eps, optimizer.lr], ranges: {matrixes: {}}}"
    found = lines(
        ("{budget: {epochs: 3}}", "{budget: {epochs: 0}}"),
        ("{optimizer.decay: all}", "{optimizer.deca: all}"),
        ("pairs: 4", f"pairs: 4\nlooks: [2, 4]\nnuisance: [optimizer.beta1]\n{retune}"),
        ("test/nll", "tests/nll"),
    )
    words = [
        "f.yaml:5: recipe.budget.epochs: must be at least 1, found 0",
        "metrics.primary: must be test/name or val/name, such as test/nll, found 'tests/nll'",
        "f.yaml:7: arms.everything.optimizer.deca: unknown field of",
        "f.yaml:10: looks: must be at least two increasing numbers",
        "f.yaml:12: retune.ranges.matrixes: unknown arm; valid: everything, matrices",
        "f.yaml:12: retune.over.optimizer.eps: has no range for matrices in search",
        "f.yaml:11: nuisance: optimizer.beta1 has no range in search",
    ]
    assert len(found) == len(words)
    assert all(word in "\n".join(found) for word in words)


@pytest.mark.parametrize(
    ("before", "after", "only"),
    [
        ("arms:", "arms: 3\nrms:", ["rms: unknown name", "arms: must be a section"]),
        ("{optimizer.decay: all}", "3", ["arms.everything: must be {field: value}"]),
        ("{budget: {epochs: 3}}", "{optimizer: {kind: adam_w}}", ["recipe.optimizer.kind: unknown kind"]),
        ("pairs: 4", "pairs: 0\nlooks: [3, 4]", ["pairs: must be at least 1"]),
        (
            "pairs: 4",
            "search: {optimizer.eps: {uniform: [1, 0]}}\nretune: {runs: 2, over: [optimizer.eps]}",
            ["search.optimizer.eps: "],
        ),
        (
            "pairs: 4",
            "retune: {runs: 2, over: [optimizer.eps], ranges: {matrices: {optimizer.eps: {uniform: [1, 0]}}}}",
            ["retune.ranges.matrices.optimizer.eps: "],
        ),
        (
            "pairs: 4",
            "retune: {runs: 2, over: [optimizer.lr], ranges: {everything: {optimizer.lr: 1}, matrices: "
            "{optimizer.lr: {uniform: [1, 0]}}}}",
            ["retune.ranges.everything.optimizer.lr: ", "retune.ranges.matrices.optimizer.lr: "],
        ),
        ("goal: minimize", "goal: less", ["metrics.goal: must be"]),
        ("space: finetune", "space: finetun\ndesign: retuned", ["no shipped space", "design: retuned needs"]),
    ],
)
def test_nothing_that_follows_from_another_problem_is_reported(before: str, after: str, only: list[str]) -> None:
    found = lines((before, after))
    assert len(found) == len(only), found
    assert all(words in line for words, line in zip(only, found, strict=True))
