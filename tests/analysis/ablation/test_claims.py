"""Verdicts and sentences for pairs with known effects."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests

from analysis.ablation.caveats import caveats
from analysis.ablation.claims import Claim, claims, settled
from analysis.ablation.evidence import Evidence
from analysis.ablation.sentences import verdict_sentence, wider_scope
from analysis.statistics.paired import Verdict
from analysis.wording import number
from search_spaces import AblationSpec
from tests.analysis.made_evidence import TEXT, Score, evidence_of, seeded, spec_of

FORBIDDEN = re.compile(r"no effect|trend|proves|marginally|significant", re.IGNORECASE)


def claim_of(score: Score, text: str = TEXT, **changes: object) -> tuple[AblationSpec, Claim]:
    spec = spec_of(text, **changes)
    [claim] = claims(evidence_of(spec, score))
    return spec, claim


@pytest.mark.parametrize(
    ("effect", "spread", "verdict", "words"),
    [
        (-0.2, 0.01, Verdict.BETTER, "Smoothing the labels: test NLL is lower by 0.2"),
        (0.2, 0.01, Verdict.WORSE, "Smoothing the labels: test NLL is higher by 0."),
        (0.0, 0.005, Verdict.EQUIVALENT, "] is within the margin ±0.05 nats"),
        (-0.03, 0.002, Verdict.NEGLIGIBLE, "real, but its 90 % interval ["),
        (-0.05, 0.4, Verdict.INCONCLUSIVE, "more pairs would detect the margin 0.05 nats with power .8 in a t-test"),
    ],
)
def test_verdicts(effect: float, spread: float, verdict: Verdict, words: str) -> None:
    spec, claim = claim_of(seeded(effect, spread))
    assert claim.verdict is verdict
    sentence = verdict_sentence(spec, claim)
    assert words in sentence
    if verdict in (Verdict.EQUIVALENT, Verdict.NEGLIGIBLE):
        assert claim.comparison is not None
        low, high = stats.ttest_1samp(claim.comparison.deltas, 0.0).confidence_interval(0.90)
        assert f"its 90 % interval [{number(low)}, {number(high)}] is within the margin" in sentence
    assert not FORBIDDEN.search(sentence)
    assert (claim.pairs, claim.started, claim.failed) == (10, 10, {"control": 0, "treatment": 0})


def test_the_verdict_depends_on_the_goal() -> None:
    _, claim = claim_of(seeded(0.2), TEXT.replace("goal: minimize", "goal: maximize"))
    assert claim.verdict is Verdict.BETTER


def test_a_sentence_has_effect_interval_pairs_p_margin_and_scope() -> None:
    spec, claim = claim_of(seeded(-0.2))
    assert re.fullmatch(
        r"Smoothing the labels: test NLL is lower by 0\.\d+ nats \[0\.\d+, 0\.\d+\] "
        r"with 'treatment' than with 'control' "
        r"\(lower in 10 of 10 pairs; p < \.001 by t, \.002 by sign flips\), beyond the margin 0\.05 nats, "
        r"at this recipe, on this test set\.",
        verdict_sentence(spec, claim),
    )
    assert "200 examples, 10 pairs" in (wider_scope(claim) or "")


def test_the_pairs_of_a_sentence_are_those_on_the_side_of_the_mean() -> None:
    """One large difference may turn the mean against most pairs."""
    deltas = (0.01, 0.02, 0.01, 0.03, 0.012, -0.5, 0.01, 0.02, 0.01, 0.03)
    spec, claim = claim_of(lambda design, arm, pair: 1.0 + (deltas[pair] if arm == "treatment" else 0.0))
    unstable = replace(claim, verdict=Verdict.UNSTABLE)
    assert "lower in 1 of 10 pairs" in verdict_sentence(spec, unstable)


def test_identical_arms() -> None:
    spec, claim = claim_of(seeded(0.0, 0.0))
    assert claim.verdict is Verdict.IDENTICAL
    assert "is the setting used at all?" in verdict_sentence(spec, claim)


def test_a_diverged_run_is_never_ignored() -> None:
    good = seeded(-0.2)
    spec, claim = claim_of(
        lambda design, arm, pair: None if arm == "treatment" and pair < 3 else good(design, arm, pair)
    )
    assert claim.verdict is Verdict.UNSTABLE
    assert (claim.pairs, claim.failed) == (7, {"control": 0, "treatment": 3})
    sentence = verdict_sentence(spec, claim)
    assert "'control' in 0, 'treatment' in 3 of 10 pairs" in sentence
    assert "In the complete pairs, test NLL is lower by" in sentence
    assert claim.worst_rank is not None
    assert (claim.worst_rank.wins, claim.worst_rank.losses) == (7, 3)


def test_equal_numbers_of_failures_are_no_instability() -> None:
    good = seeded(-0.2)
    _, claim = claim_of(lambda design, arm, pair: None if pair < 2 else good(design, arm, pair))
    assert (claim.verdict, claim.pairs) == (Verdict.BETTER, 8)


def test_an_arm_that_never_finishes() -> None:
    good = seeded(0.0)
    spec, claim = claim_of(lambda design, arm, pair: None if arm == "treatment" else good(design, arm, pair))
    assert (claim.verdict, claim.pairs, claim.comparison) == (Verdict.UNSTABLE, 0, None)
    assert "'treatment' in 10 of 10 pairs" in verdict_sentence(spec, claim)


def test_runs_that_should_share_a_split_and_do_not() -> None:
    spec = spec_of()
    marks = {3: {"split": "another", "order": "matched 1", "weights": "matched 1"}}
    evidence = evidence_of(spec, seeded(-0.2), marks)
    [claim] = claims(evidence)
    assert claim.verdict is Verdict.NOT_COMPARABLE
    assert "runs in 1 of 10 pairs (first: 1) do not have the same split" in verdict_sentence(spec, claim)


def test_a_pair_on_two_models_of_gpus_is_not_comparable() -> None:
    shared = {"split": "matched 1", "order": "matched 1", "weights": "matched 1"}
    marks = {2: shared | {"device": "NVIDIA A100", "cuda": "1"}, 3: shared | {"device": "NVIDIA H100", "cuda": "2"}}
    spec = spec_of()
    [claim] = claims(evidence_of(spec, seeded(-0.2), marks))
    assert claim.verdict is Verdict.NOT_COMPARABLE
    assert "(first: 1) do not have the same model of GPU" in verdict_sentence(spec, claim)


def test_different_models_may_start_from_different_weights() -> None:
    spec = spec_of(TEXT.replace("regularization.label_smoothing: 0.1", "model.width: 32"))
    marks = {
        number: {"split": f"matched {number // 2}", "order": f"matched {number // 2}", "weights": str(number)}
        for number in range(20)
    }
    [claim] = claims(evidence_of(spec, seeded(-0.2), marks))
    assert claim.verdict is Verdict.BETTER


def test_an_arm_with_its_own_seeds_shares_nothing() -> None:
    spec = spec_of(TEXT.replace("says: Smoothing", "seeds: own, says: Smoothing"))
    marks = {number: {"split": "x", "order": "x", "weights": "x"} for number in range(1, 20, 2)}
    evidence = evidence_of(spec, seeded(-0.2), marks)
    [claim] = claims(evidence)
    assert claim.mismatches == ()
    assert any("its pairs are not matched" in line for line in caveats(evidence, [claim]))


def test_holm_over_the_arms() -> None:
    text = TEXT.replace("pairs: 10", "  third: {regularization.dropout: 0.1}\npairs: 10")
    spec = spec_of(text)
    found = claims(evidence_of(spec, seeded(-0.02, 0.03)))
    raw = [claim.comparison.p_t for claim in found if claim.comparison]
    assert sorted(claim.p or 0 for claim in found) == pytest.approx(
        [min(1, 2 * min(raw)), max(*raw, min(1, 2 * min(raw)))]
    )


# --- declared contrasts ---------------------------------------------------------------------------------------------

CONTRASTS = TEXT.replace(
    "pairs: 10",
    """  third: {regularization.dropout: 0.1}
contrasts:
  - [third, treatment]
  - {name: treatment beside the others, weights: {treatment: 1, control: -0.5, third: -0.5}}
pairs: 10""",
)
LEVELS = {"control": 0.0, "treatment": -0.2, "third": -0.1}


def shifted(design: str, arm: str, pair: int) -> float:
    noise = np.random.default_rng([pair, len(arm)]).normal()
    return float(np.random.default_rng(pair).normal() + LEVELS[arm] + 0.01 * noise)


def test_claims_are_about_the_declared_contrasts() -> None:
    spec = spec_of(CONTRASTS)
    evidence = evidence_of(spec, shifted)
    found = claims(evidence)
    assert [claim.verdict for claim in found] == [Verdict.WORSE, Verdict.BETTER]
    third, treatment, control = (
        evidence.values("matched", arm, "test/nll", 10) for arm in ("third", "treatment", "control")
    )
    expected = [third - treatment, treatment - (control + third) / 2]
    for claim, deltas in zip(found, expected, strict=True):
        assert claim.comparison is not None
        assert claim.comparison.deltas == pytest.approx(deltas)
        assert claim.p_raw == pytest.approx(stats.ttest_1samp(deltas, 0).pvalue)
    raw = [claim.p_raw or 0.0 for claim in found]
    assert [claim.p for claim in found] == pytest.approx(multipletests(raw, method="holm")[1])
    first, second = (verdict_sentence(spec, claim) for claim in found)
    assert first.startswith("Test NLL is higher by ")
    assert "with 'third' than with 'treatment'" in first
    assert second.startswith("treatment beside the others: the weighted difference in test NLL is -0.1")
    assert "after Holm over 2 claims" in second


def test_looks_follow_the_declared_contrasts() -> None:
    spec = spec_of(CONTRASTS.replace("pairs: 10", "pairs: 20\nlooks: [5, 10, 20]"))

    def unclear(design: str, arm: str, pair: int) -> float:
        return shifted(design, arm, pair) + (np.random.default_rng([9, pair]).normal() if arm == "control" else 0.0)

    assert settled(spec, evidence_of(spec, shifted).finals, 5)
    assert not settled(spec, evidence_of(spec, unclear).finals, 5)
    one = spec_of(CONTRASTS.replace("pairs: 10", "pairs: 20\nlooks: [5, 10, 20]"))
    assert settled(one.model_copy(update={"contrasts": one.contrasts[:1]}), evidence_of(one, unclear).finals, 5)


# --- the shape of the differences -------------------------------------------------------------------------------


def with_deltas(deltas: Sequence[float]) -> tuple[AblationSpec, Claim, str]:
    spec = spec_of(TEXT.replace("pairs: 10", f"pairs: {len(deltas)}").replace(", margin: 0.05", ""))
    evidence = evidence_of(spec, lambda _, arm, pair: 1.0 + (deltas[pair] if arm == "treatment" else 0.0))
    [claim] = claims(evidence)
    return spec, claim, "\n".join(caveats(evidence, [claim]))


def test_a_verdict_needs_both_tests() -> None:
    deltas = [0.01, 0.01, 0.01, 0.01, 0.01, 0.01, 0.01, -0.01]  # accuracies of 100 examples differ by one example
    spec, claim, lines = with_deltas(deltas)
    assert claim.comparison is not None
    flips = stats.permutation_test((deltas,), np.mean, permutation_type="samples", n_resamples=np.inf)
    assert (
        claim.comparison.p_t
        == pytest.approx(stats.ttest_rel(deltas, np.zeros(8)).pvalue)
        == pytest.approx(0.02, abs=0.001)
    )
    assert claim.comparison.p_permutation == pytest.approx(flips.pvalue) == pytest.approx(18 / 256)
    assert claim.verdict is Verdict.INCONCLUSIVE
    assert "inconclusive, because the t-test (p = " in verdict_sentence(spec, claim)
    assert "so neither decides" in lines


def test_skewed_differences_have_a_caveat() -> None:
    deltas = [0.1, 0.1, 0.12, 0.11, 0.1, 0.13, 0.1, 0.9]
    _, claim, lines = with_deltas(deltas)
    assert claim.comparison is not None
    assert claim.comparison.skewness == pytest.approx(stats.skew(deltas))
    assert "are skewed (+2.2" in lines
    assert "are skewed" not in with_deltas(deltas[1:])[2]  # 7 pairs


def test_a_verdict_of_few_pairs_rests_on_normality() -> None:
    spec, claim, _ = with_deltas([0.2, 0.21, 0.19, 0.2, 0.22, 0.2])
    assert claim.verdict is Verdict.WORSE
    assert "with 6 pairs, this rests on the normality of the differences" in verdict_sentence(spec, claim)


# --- looks ------------------------------------------------------------------------------------------------------


def test_planned_looks_are_judged_at_their_own_level() -> None:
    _, claim = claim_of(seeded(-0.2), TEXT.replace("pairs: 10", "pairs: 20\nlooks: [5, 10, 20]"))
    assert claim.verdict is Verdict.BETTER
    assert claim.decision is not None
    assert (claim.decision.stopped_at, claim.pairs) == (5, 5)  # pairs after the look that stopped do not count
    assert claim.comparison is not None
    assert claim.comparison.alpha == pytest.approx(0.0194)


def test_the_e_process() -> None:
    _, claim = claim_of(seeded(-0.2), TEXT.replace("pairs: 10", "pairs: 10\nlooks: e_process"))
    assert claim.verdict is Verdict.BETTER
    assert claim.decision is not None
    assert claim.decision.history[-1].e > 20
    assert claim.interval is not None
    assert claim.interval.high < 0


def test_looks_end_an_ablation_when_every_arm_is_decided() -> None:
    spec = spec_of(TEXT.replace("pairs: 10", "pairs: 20\nlooks: [5, 10, 20]"))
    clear, unclear = (evidence_of(spec, seeded(effect, spread)) for effect, spread in ((-0.2, 0.01), (-0.1, 0.4)))
    assert settled(spec, clear.finals, 5)
    assert not settled(spec, unclear.finals, 5)
    assert not settled(spec_of(), clear.finals, 5)  # without looks there is no early end
    arms = spec_of(TEXT.replace("pairs: 10", "  third: {regularization.dropout: 0.1}\npairs: 20\nlooks: [5, 10, 20]"))

    def third_unclear(design: str, arm: str, pair: int) -> float:
        return seeded(-0.1, 0.4)(design, arm, pair) if arm == "third" else seeded(-0.2)(design, arm, pair) or 0.0

    assert not settled(arms, evidence_of(arms, third_unclear).finals, 5)


# --- designs ----------------------------------------------------------------------------------------------------

RETUNED = f"{TEXT}retune: {{runs: 3, over: [optimizer.lr]}}\n"


def test_designs_that_disagree_depend_on_tuning() -> None:
    def score(design: str, arm: str, pair: int) -> float:
        return seeded(-0.2 if design == "matched" else 0.2)(design, arm, pair) or 0.0

    spec = spec_of(RETUNED)
    matched, retuned = claims(evidence_of(spec, score))
    assert (matched.design, matched.verdict) == ("matched", Verdict.TUNING_DEPENDENT)
    assert (retuned.design, retuned.verdict) == ("retuned", Verdict.WORSE)
    assert "if each arm is tuned, the difference has the opposite sign" in verdict_sentence(spec, matched)
    assert "each arm at the best of 3 tries" in verdict_sentence(spec, retuned)


def test_a_factorial_finds_the_true_effects() -> None:
    text = TEXT[: TEXT.index("arms:")] + (
        "factors:\n  drop: {regularization.dropout: 0.2}\n  smooth: {regularization.label_smoothing: 0.1}\n"
        "pairs: 10\nmetrics: {primary: test/nll, goal: minimize, margin: 0.01}\n"
    )

    def score(design: str, arm: str, pair: int) -> float:
        rng = np.random.default_rng([pair, len(arm)])
        level = np.random.default_rng(pair).normal()
        return float(level - 0.3 * ("drop" in arm) + 0.1 * ("smooth" in arm) + 0.01 * rng.normal())

    spec = spec_of(text)
    evidence: Evidence = evidence_of(spec, score)
    drop, smooth = claims(evidence)
    assert (drop.contrast.name, drop.verdict, smooth.verdict) == ("drop", Verdict.BETTER, Verdict.WORSE)
    assert drop.comparison is not None
    assert drop.comparison.delta == pytest.approx(-0.3, abs=0.02)
    assert verdict_sentence(spec, drop).startswith("Turning drop on: test NLL is lower by 0.3")


def test_caveats_follow_from_the_design() -> None:
    def lines(text: str) -> str:
        evidence = evidence_of(spec_of(text), seeded(-0.2))
        return "\n".join(caveats(evidence, claims(evidence)))

    assert "No arm was re-tuned" in lines(TEXT)
    assert "No arm was re-tuned" not in lines(RETUNED)
    assert "With 4 pairs, a verdict rests on the t-test, which assumes normal differences" in lines(
        TEXT.replace("pairs: 10", "pairs: 4")
    )
    assert "reaches .05 only if all differences have one sign" in lines(TEXT.replace("pairs: 10", "pairs: 6"))
    assert "normal differences" not in lines(TEXT.replace("pairs: 10", "pairs: 7"))
    assert "Looks were planned at 3, 10 pairs" in lines(TEXT.replace("pairs: 10", "pairs: 10\nlooks: [3, 10]"))
    assert "The arms differ in their budget by design" in lines(
        TEXT.replace("label_smoothing: 0.1", "dropout: 0.1, budget.epochs: 5")
    )
    shared = TEXT.replace("control: {}", "control: {averaging.kind: ema}").replace(
        "{regularization.label_smoothing: 0.1,", "{averaging.kind: ema, weights: ema,"
    )
    spec = spec_of(shared)
    assert any(
        "another evaluation of the same training" in line for line in caveats(evidence_of(spec, seeded(0.0)), [])
    )
    added = evidence_of(spec_of(looks="e_process", looks_taken=(5,)), seeded(-0.2))
    assert any("Pairs were added after the result at 5" in line for line in caveats(added, []))
