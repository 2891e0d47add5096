"""Contrasts that an ablation file declares: their meaning, their errors, and that they come back from the dump."""

from __future__ import annotations

import pytest

from search_spaces import AblationSpec, SpecError, dump_ablation, parse_ablation

TEXT = """
kind: ablation
question: Does it help?
space: finetune
arms:
  plain: {}
  a: {regularization.dropout: 0.1}
  "b, too": {regularization.dropout: 0.2}
contrasts: CONTRASTS
pairs: 4
metrics: {primary: test/nll, goal: minimize}
"""


def parse(contrasts: str, text: str = TEXT) -> AblationSpec:
    return parse_ablation(text.replace("CONTRASTS", contrasts), "f.yaml", "mine")


def problems(contrasts: str) -> list[str]:
    with pytest.raises(SpecError) as caught:
        parse(contrasts)
    return str(caught.value).splitlines()


def test_the_first_arm_is_the_treatment_and_the_second_the_control() -> None:
    spec = parse('[[a, plain], ["b, too", a]]')
    assert [one.simple for one in spec.treatments] == [("plain", "a"), ("a", "b, too")]
    assert [one.name for one in spec.treatments] == ["a vs plain", "b, too vs a"]
    assert spec.treatments[1].coefficients == {"b, too": 1.0, "a": -1.0}


def test_a_weighted_combination_has_a_name() -> None:
    [one] = parse('[{name: any dropout, weights: {a: 0.5, "b, too": 0.5, plain: -1}}]').treatments
    assert (one.name, one.simple) == ("any dropout", None)
    assert one.coefficients == {"a": 0.5, "b, too": 0.5, "plain": -1.0}


def test_without_contrasts_each_treatment_is_compared_with_the_control() -> None:
    assert [one.simple for one in parse("[]").treatments] == [("plain", "a"), ("plain", "b, too")]


def test_contrasts_come_back_from_the_dump() -> None:
    spec = parse(
        '[["b, too", a], {name: "x: y", weights: {a: 1, plain: -1}}]'.replace("{a: 1, plain", '{"b, too": 1, plain')
    )
    again = parse_ablation(dump_ablation(spec), "dump", "mine")
    assert again == spec
    assert again.treatments == spec.treatments


def test_contrasts_between_combinations_of_factors_leave_the_interactions() -> None:
    before, _, after = TEXT.partition("arms:")
    factors = "factors:\n  drop: {regularization.dropout: 0.2}\n  smooth: {regularization.label_smoothing: 0.1}\n"
    text = f"{before}{factors}{after[after.index('contrasts') :]}"
    spec = parse("[[drop + smooth, smooth]]", text)
    assert [one.name for one in spec.treatments] == ["drop + smooth vs smooth"]
    assert [one.name for one in spec.interactions] == ["drop x smooth"]


@pytest.mark.parametrize(
    ("contrasts", "words"),
    [
        ("[[a, plan]]", "f.yaml:9: contrasts.0: unknown arm 'plan'; did you mean plain? valid: plain, a, b, too"),
        ("[[a, a]]", "contrasts.0: compares 'a' with itself; name two different arms"),
        ("[[a, plain], [a, plain]]", "contrasts.1: is the same comparison as contrasts.0; remove one of them"),
        ("[[a, plain], [plain, a]]", "contrasts.1: is the same comparison as contrasts.0; remove one of them"),
        (
            "[[a, plain], {name: x, weights: {a: -2, plain: 2}}]",
            "contrasts.1: is the same comparison as contrasts.0; remove one of them",
        ),
        (
            '[{name: x, weights: {a: 1, plain: -1}}, {name: x, weights: {a: 1, "b, too": -1}}]',
            "contrasts.1: has the name of another contrast, 'x'; choose another",
        ),
        ("[{name: x, weights: {a: 1, plain: 1}}]", "weights: the weights of a contrast must sum to 0, found 2"),
        ("[{name: x, weights: {a: 0, plain: 0}}]", "weights: a contrast needs at least 2 arms with a weight other"),
        ("[{weights: {a: 1, plain: -1}}]", "name: is required but missing"),
        ("[[a]]", "must be [treatment, control] or {name: NAME, weights: {arm: weight}}, found ['a']"),
        ("[3]", "must be [treatment, control] or {name: NAME, weights: {arm: weight}}, found 3"),
        ("a", "contrasts: must be a list, found 'a'"),
    ],
)
def test_an_invalid_contrast_is_one_line(contrasts: str, words: str) -> None:
    [line] = problems(contrasts)
    assert words in line
