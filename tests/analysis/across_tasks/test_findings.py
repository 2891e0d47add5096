"""Ablations of several tasks: effects on a common scale, both populations, verdicts, and what their sentences say."""

from io import StringIO
from math import log

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from scipy import stats

from analysis.ablation.findings import ablation_findings
from analysis.across_tasks.findings import AcrossFindings, across_findings
from analysis.across_tasks.scales import Scale, scale_of
from analysis.across_tasks.sentences import population_sentence, verdict_sentence
from analysis.report.ablation.across_sections import across_sections
from analysis.report.ablation.across_tables import across_pairs_csv, tasks_csv
from analysis.statistics.paired import Verdict
from analysis.wording import between
from search_spaces import Metrics, parse_ablation
from search_spaces.specs.ablation_parts import TaskGroup
from tests.analysis.made_evidence import TEXT, Score, evidence_of

TWO = "  treatment: {regularization.label_smoothing: 0.1, says: Smoothing the labels}\n"
THREE = TEXT.replace(TWO, f"{TWO}  third: {{regularization.dropout: 0.1}}\n")


def group_of(*scores: Score | None, pairs: int = 4, text: str = TEXT) -> AcrossFindings:
    """Return the findings over one task for each score; None for a task that has no stored ablation."""
    group = TaskGroup(name="many", tasks=tuple(f"task{place}" for place in range(len(scores))))
    found = []
    for name, score in zip(group.members, scores, strict=True):
        spec = parse_ablation(text, "f.yaml", name).model_copy(update={"group": group, "pairs": pairs})
        if score is not None:
            found.append(ablation_findings(evidence_of(spec, score)))
    return across_findings(found)


def shifted(ratio: float, level: float, seed: int, spread: float = 0.01) -> Score:
    """Return scores around a level, where the treatment multiplies the loss by about this ratio."""

    def score(design: str, arm: str, pair: int) -> float:
        rng = np.random.default_rng([seed, pair])
        base, noise = level * (1 + 0.1 * rng.normal()), np.exp(spread * rng.normal())
        return float(base * {"control": 1.0, "treatment": ratio * noise, "third": 1.01 * noise**2}[arm])

    return score


@pytest.fixture(scope="module")
def three() -> AcrossFindings:
    return group_of(shifted(0.9, 1.0, 1), shifted(0.85, 0.2, 2), shifted(0.95, 2.0, 3, 0.03), text=THREE)


def test_every_number_follows_from_pairs_csv(three: AcrossFindings) -> None:
    frame = pd.read_csv(StringIO(across_pairs_csv(three)))
    wide = np.log(frame.pivot(index=["task", "pair"], columns="arm", values="test/nll"))
    ps = []
    for claim in three.claims:
        deltas = wide[claim.contrast.name] - wide["control"]
        samples = [deltas[task].to_numpy() for task in three.group.tasks]
        means = np.array([one.mean() for one in samples])
        variances = np.array([one.var(ddof=1) / len(one) for one in samples])
        se = np.sqrt(variances.sum()) / 3
        df = variances.sum() ** 2 / (variances**2 / (len(samples[0]) - 1)).sum()
        half = stats.t.ppf(0.975, df) * se
        assert claim.these is not None
        assert_allclose(claim.these.interval, [means.mean() - half, means.mean() + half])
        ps.append(2 * stats.t.sf(abs(means.mean()) / se, df))
        assert_allclose(claim.these.p, ps[-1])
        assert claim.like_these is not None
        oracle = stats.ttest_1samp(means, 0.0).confidence_interval(0.95)  # these means vary more than their pairs
        if means.std(ddof=1) / np.sqrt(3) > se:
            assert_allclose(claim.like_these.interval, oracle)
        assert claim.middle is not None
        assert_allclose(claim.middle[0], stats.trim_mean(np.concatenate(samples), 0.25))
        for one, sample in zip(claim.tasks, samples, strict=True):
            assert_allclose(one.interval, stats.ttest_1samp(sample, 0.0).confidence_interval(0.95))
    low, high = sorted(ps)
    adjusted = sorted(claim.p for claim in three.claims if claim.p is not None)
    assert_allclose(adjusted, [min(1.0, 2 * low), max(2 * low, high)])
    effects = pd.read_csv(StringIO(tasks_csv(three)))
    assert len(effects) == 2 * 3 * 4
    assert set(effects["scale"]) == {"log ratio"}


def test_the_verdict_rests_on_these_tasks_and_both_populations_are_named(three: AcrossFindings) -> None:
    claim = three.claims[0]
    assert claim.verdict is Verdict.BETTER
    assert claim.these is not None
    sentence = verdict_sentence(three, claim)
    assert sentence.startswith("Smoothing the labels: over these 3 tasks, log test NLL is lower by 0.1")
    assert "lower on 3 of 3 tasks; p" in sentence
    assert "after Holm over 2 contrasts" in sentence
    assert sentence.endswith("at these recipes, on these test sets.")
    wider = population_sentence(three, claim)
    assert wider.startswith("For tasks like these: a mean difference of -0.1")
    assert "3 tasks stand for all others: 2 degrees of freedom" in wider


def test_the_margin_is_compared_with_the_mean_change_in_units_of_the_metric(three: AcrossFindings) -> None:
    frame = pd.read_csv(StringIO(across_pairs_csv(three)))
    wide = frame.pivot(index=["task", "pair"], columns="arm", values="test/nll")
    means = (wide["treatment"] - wide["control"]).groupby("task").mean()
    change = three.claims[0].change
    assert change is not None
    assert_allclose(change.value, means.mean())
    assert (
        "; the mean change of test NLL, -0.0969 nats [-0.149, -0.045], may be less than the margin 0.05 nats, "
        in verdict_sentence(three, three.claims[0])
    )


def test_every_section_has_content(three: AcrossFindings) -> None:
    made = across_sections(three)
    assert [part.number for part in made] == list(range(len(made)))
    assert [part.title for part in made if not part.blocks] == ["Compute"]  # made evidence has no record of it


def test_a_task_without_two_pairs_leaves_no_result() -> None:
    found = group_of(shifted(0.9, 1.0, 1), None, shifted(0.9, 1.0, 2), pairs=3)
    (claim,) = found.claims
    assert (claim.verdict, claim.these, claim.like_these) == (Verdict.INCONCLUSIVE, None, None)
    assert claim.waiting == ("task1",)
    assert "these have fewer than 2 complete pairs: task1" in verdict_sentence(found, claim)
    assert population_sentence(found, claim) == ""
    assert not found.complete


def test_two_tasks_say_nothing_about_others() -> None:
    found = group_of(shifted(0.9, 1.0, 1), shifted(0.9, 2.0, 2))
    (claim,) = found.claims
    assert claim.these is not None
    assert claim.like_these is None
    assert population_sentence(found, claim) == "For tasks like these: no statement, which needs at least 3 tasks."


def test_opposite_effects_are_inconclusive_and_small_ones_equivalent() -> None:
    apart = group_of(shifted(0.9, 1.0, 1, 0.02), shifted(1.1, 1.0, 2, 0.02), shifted(1.0, 1.0, 3, 0.02))
    assert apart.claims[0].verdict in (Verdict.INCONCLUSIVE, Verdict.EQUIVALENT)
    same = group_of(*(shifted(1.0, 1.0, seed, 0.005) for seed in (1, 2, 3)))
    assert same.claims[0].verdict in (Verdict.EQUIVALENT, Verdict.NEGLIGIBLE)
    assert "within the margin" in verdict_sentence(same, same.claims[0])
    decides = same.claims[0].change
    assert decides is not None
    assert decides.interval90 is not None
    assert f"{between(decides.interval90)} at 90 %" in verdict_sentence(same, same.claims[0])


def test_arms_that_are_the_same_everywhere_are_identical() -> None:
    found = group_of(*(lambda design, arm, pair, at=at: at + 0.1 * pair for at in (1.0, 2.0, 3.0)))
    assert found.claims[0].verdict is Verdict.IDENTICAL
    assert "exactly 0 on all of these 3 tasks" in verdict_sentence(found, found.claims[0])


def test_one_task_with_unequal_failures_confounds_all() -> None:
    def failing(design: str, arm: str, pair: int) -> float | None:
        return None if (arm, pair) == ("treatment", 0) else shifted(0.9, 1.0, 9)(design, arm, pair)

    found = group_of(shifted(0.9, 1.0, 1), failing, shifted(0.9, 1.0, 3))
    assert found.claims[0].verdict is Verdict.UNSTABLE
    assert "on task1 the verdict is CONFOUNDED BY INSTABILITY" in verdict_sentence(found, found.claims[0])
    assert len(found.claims[0].tasks[1].effects) == 3


@pytest.mark.parametrize(("tasks", "ranked"), [(4, False), (5, True)])
def test_arms_are_ranked_from_five_tasks_on(tasks: int, ranked: bool) -> None:
    scores = [shifted(0.9, 1.0, seed) for seed in range(tasks)]
    found = group_of(*scores, pairs=2, text=THREE)
    assert bool(found.rankings) == ranked
    if ranked:
        assert_allclose(found.rankings[0].result.ranks[1], 1.0)
        assert found.rankings[0].arms == ("control", "treatment", "third")


def test_tasks_on_the_same_data_are_a_caveat(three: AcrossFindings) -> None:
    assert any("task0 and task1 and task2 use the same data (digits)" in line for line in three.caveats)


def _metrics(primary: str, goal: str, margin: float | None = None) -> Metrics:
    return Metrics.model_validate({"primary": primary, "goal": goal, "margin": margin})


@pytest.mark.parametrize(
    ("metrics", "values", "scale"),
    [
        (_metrics("test/nll", "minimize"), [0.2, 1.0, float("nan")], Scale.LOG),
        (_metrics("test/accuracy", "maximize"), [0.2, 0.9], Scale.LOGIT),
        (_metrics("test/accuracy", "maximize", 0.01), [0.2, 1.0], Scale.MARGINS),
        (_metrics("test/loss", "minimize", 0.1), [0.2, -1.0], Scale.MARGINS),
        (_metrics("test/return", "maximize"), [10.0, -5.0], Scale.AS_MEASURED),
    ],
)
def test_the_scale_follows_from_the_metric(metrics: Metrics, values: list[float], scale: Scale) -> None:
    assert scale_of(metrics, values)[0] is scale


def test_effects_on_a_scale() -> None:
    values = np.array([0.2, 0.6])
    assert_allclose(Scale.LOG.transform(values, None), [log(0.2), log(0.6)])
    assert_allclose(Scale.LOGIT.transform(values, None), [log(0.2 / 0.8), log(0.6 / 0.4)])
    assert_allclose(Scale.MARGINS.transform(values, 0.1), [2.0, 6.0])
    assert_allclose(Scale.AS_MEASURED.transform(values, None), values)
