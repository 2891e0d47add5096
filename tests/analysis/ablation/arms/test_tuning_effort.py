"""How much tuning a re-tuned verdict took, at tunings with known answers."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
from statsmodels.stats.proportion import proportion_confint

from analysis.ablation.arms.tuning import Try, tunings
from analysis.ablation.arms.tuning_effort import fields_needed, shared_points, tuning_efforts
from analysis.statistics.best_of_n import lead
from search_spaces import Choice, LogUniform, Uniform, Value
from sweeps.run_state import RunState
from tests.analysis.made_evidence import TEXT, evidence_of, seeded, spec_of

TWO = TEXT.replace("[1e-4, 1e-1]}}", "[1e-4, 1e-1]}, regularization.dropout: {uniform: [0, 0.5]}}")
RETUNED = f"{TWO}design: both\nretune: {{runs: 6, over: [optimizer.lr, regularization.dropout]}}\n"
RANGES = {"a": Uniform(0.0, 1.0), "b": LogUniform(1e-4, 1.0), "c": Choice(["x", "y"])}
OWN = {"a": 0.5, "b": 1e-2, "c": "x"}


def tries(*found: tuple[Mapping[str, Value], float | None]) -> list[Try]:
    state = RunState.COMPLETE
    return [Try(index, {**OWN, **changes}, value, state) for index, (changes, value) in enumerate(found)]


def scored(control: list[float | None], treatment: list[float | None]):  # type: ignore[no-untyped-def]
    def score(design: str, arm: str, pair: int) -> float | None:
        if design != "tuning":
            return seeded(-0.2)(design, arm, pair)
        return (control if arm == "control" else treatment)[pair]

    spec = spec_of(RETUNED)
    return spec, tuning_efforts(spec, tunings(evidence_of(spec, score)))


def test_every_re_tuned_comparison_of_two_arms_has_its_effort() -> None:
    control, treatment = [0.5, 0.4, 0.6, 0.7, 0.5, 0.55], [0.6, 0.3, 0.7, 0.8, 0.6, 0.5]
    spec, [one] = scored(control, treatment)
    assert one.contrast == spec.treatments[0]
    assert one.lead.tries == lead(control, treatment, "minimize", np.random.default_rng(0)).tries
    assert (one.shared.points, one.shared.better) == (6, 2.0)
    assert one.shared.share == pytest.approx(proportion_confint(2, 6, method="wilson"))
    assert one.fields.keys() == {"control", "treatment"}
    assert one.fields["treatment"].best == 0.3


def test_a_matched_ablation_and_an_arm_without_a_score_have_none() -> None:
    spec = spec_of()
    assert tuning_efforts(spec, tunings(evidence_of(spec, seeded(0.0)))) == ()
    assert scored([0.5] * 6, [None] * 6)[1] == ()


def test_a_run_without_a_score_is_worse_and_two_without_do_not_count() -> None:
    same = [{}] * 4
    a = tries(*zip(same, [0.5, None, None, 0.3], strict=True))
    b = tries(*zip(same, [None, 0.9, None, 0.3], strict=True))
    found = shared_points(a, b, "minimize")
    assert (found.points, found.better) == (3, 1.5)
    assert found.share == pytest.approx(proportion_confint(1.5, 3, method="wilson"))


def test_points_of_the_same_index_are_shared_and_recipes_only_if_they_are_equal() -> None:
    a, b = tries(({}, 0.5), ({"a": 0.1}, 0.5)), tries(({"a": 0.2}, 0.1), ({"a": 0.1}, 0.9))
    found = shared_points(a, b, "maximize")
    assert (found.points, found.better, found.equal) == (1, 1.0, True)
    nothing = shared_points(a[:1], b[:1], "maximize")
    assert (nothing.points, nothing.share) == (0, None)


def test_arms_with_ranges_of_their_own_share_places() -> None:
    a, b = tries(({}, 0.5), ({"a": 0.1}, 0.5)), tries(({}, 0.6), ({"a": 0.9}, 0.9))
    found = shared_points(a, b, "maximize")
    assert (found.points, found.better, found.equal) == (2, 2.0, False)
    own = RETUNED.replace("dropout]}", "dropout], ranges: {treatment: {optimizer.lr: {loguniform: [1e-3, 1e-1]}}}}")
    spec = spec_of(own)
    [one] = tuning_efforts(spec, tunings(evidence_of(spec, seeded(-0.2))))
    assert (one.shared.points, one.shared.equal) == (6, False)


@pytest.mark.parametrize(
    ("found", "fields", "one_field", "tried"),
    [
        ([({}, 0.5), ({"a": 0.1, "b": 1e-4}, 0.45)], (), 0.5, 1),  # the recipe is within the margin
        ([({}, 0.9), ({"a": 0.1}, 0.5), ({"a": 0.1, "b": 1e-4}, 0.45)], ("a",), 0.5, 2),
        ([({}, 0.9), ({"a": 0.1}, 0.7), ({"a": 0.1, "b": 1e-4}, 0.45)], ("a", "b"), 0.7, 3),
        ([({}, 0.9), ({"c": "y"}, 0.5), ({"a": 0.1}, 0.9)], ("c",), 0.5, 2),
        ([({}, 0.9), ({"a": 0.6, "b": 3e-2, "c": "y"}, 0.5)], ("c",), 0.5, 2),  # a and b are near the recipe
        ([({}, None), ({"a": 0.1, "c": "y"}, 0.5)], ("a", "c"), None, 1),
    ],
)
def test_fields_that_had_to_change(
    found: list[tuple[Mapping[str, Value], float | None]], fields: tuple[str, ...], one_field: float | None, tried: int
) -> None:
    one = fields_needed(tries(*found), RANGES, 0.1, "minimize")
    assert (one.fields, one.one_field, one.tried) == (fields, one_field, tried)
    mirrored = tries(*((changes, None if value is None else -value) for changes, value in found))
    assert fields_needed(mirrored, RANGES, 0.1, "maximize").fields == fields


def test_a_margin_of_another_metric_says_nothing_about_the_tuning() -> None:
    spec, _ = scored([0.5] * 6, [0.4] * 6)
    other = spec.model_copy(update={"metrics": spec.metrics.model_copy(update={"select": "val/loss"})})
    none = spec.model_copy(update={"metrics": spec.metrics.model_copy(update={"margin": None})})
    tuned = tunings(evidence_of(spec, seeded(-0.2)))
    for changed in (other, none):
        [one] = tuning_efforts(changed, tuned)
        assert one.fields == {}
