"""Every number of a claim follows from the pairs.csv of the report, by scipy, numpy and statsmodels alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint
from statsmodels.stats.weightstats import ttost_paired

from analysis.report.ablation.files import write_report
from analysis.report.ablation.overview import verdict_row
from analysis.wording import number, p_number
from search_spaces import AblationSpec
from tests.analysis.made_evidence import TEXT, spec_of
from tests.analysis.report_cases import findings_of

MARGIN = 0.05
SPEC = TEXT.replace(
    "pairs: 10",
    """  third: {regularization.dropout: 0.1}
contrasts:
  - [treatment, control]
  - [third, treatment]
  - {name: treatment beside the others, weights: {treatment: 1, control: -0.5, third: -0.5}}
pairs: 10""",
)
SHIFT = {"control": 0.0, "treatment": -0.06, "third": -0.05}


def score(design: str, arm: str, pair: int) -> float:
    level = np.random.default_rng(pair).normal(1.0, 0.2)
    return float(level + SHIFT[arm] + np.random.default_rng([pair, len(arm)]).exponential(0.05))


@pytest.fixture(scope="module")
def spec() -> AblationSpec:
    return spec_of(SPEC)


@pytest.fixture(scope="module")
def folder(spec: AblationSpec, tmp_path_factory: pytest.TempPathFactory) -> Path:
    to = tmp_path_factory.mktemp("report")
    write_report(findings_of(spec, score), to, png=False)
    return to


@pytest.fixture(scope="module")
def values(folder: Path) -> pd.DataFrame:
    """Return the primary metric by pair (rows) and arm (columns)."""
    return pd.read_csv(folder / "pairs.csv").pivot_table(index="pair", columns="arm", values="test/nll")


@pytest.fixture(scope="module")
def report(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "report.json").read_text(encoding="utf-8"))


def ends(interval: dict[str, float]) -> list[float]:
    return [interval["low"], interval["high"]]


def deltas(values: pd.DataFrame, claim: dict[str, Any]) -> np.ndarray:
    coefficients = claim["contrast"]["coefficients"]
    return np.asarray(sum(weight * values[arm] for arm, weight in coefficients.items()))


@pytest.mark.parametrize("index", [0, 1, 2])
def test_the_numbers_of_a_claim(values: pd.DataFrame, report: dict[str, Any], index: int) -> None:
    claim = report["claims"][index]
    found, x = claim["comparison"], deltas(values, claim)
    t = stats.ttest_1samp(x, 0.0)
    flips = stats.permutation_test((x,), np.mean, permutation_type="samples", n_resamples=np.inf)
    assert found["n"] == claim["pairs"] == len(x) == 10
    assert found["deltas"] == pytest.approx(x)
    assert found["delta"] == pytest.approx(x.mean())
    assert found["sd"] == pytest.approx(x.std(ddof=1))
    assert found["d_z"] == pytest.approx(x.mean() / x.std(ddof=1))
    assert found["skewness"] == pytest.approx(stats.skew(x))
    assert ends(found["interval"]) == pytest.approx(list(t.confidence_interval(0.95)))
    assert claim["interval"] == found["interval"]
    assert ends(found["interval90"]) == pytest.approx(list(t.confidence_interval(0.90)))
    assert found["p_t"] == claim["p_raw"] == pytest.approx(t.pvalue)
    assert found["p_permutation"] == pytest.approx(flips.pvalue)
    assert (found["wins"], found["losses"]) == ((x < 0).sum(), (x > 0).sum())
    assert ends(found["p_win"]) == pytest.approx(list(proportion_confint((x < 0).sum(), len(x), method="wilson")))
    left_out = [np.delete(x, pair).mean() for pair in range(len(x))]
    assert (found["leave_one_out"]["low"], found["leave_one_out"]["high"]) == pytest.approx(
        (min(left_out), max(left_out))
    )


def test_holm_over_the_declared_contrasts(values: pd.DataFrame, report: dict[str, Any]) -> None:
    raw = [stats.ttest_1samp(deltas(values, claim), 0.0).pvalue for claim in report["claims"]]
    assert [claim["p"] for claim in report["claims"]] == pytest.approx(list(multipletests(raw, method="holm")[1]))
    assert {claim["family"] for claim in report["claims"]} == {3}


def test_two_arms_have_the_paired_tests_of_scipy_and_statsmodels(values: pd.DataFrame, report: dict[str, Any]) -> None:
    claim = report["claims"][0]
    found = claim["comparison"]
    assert found["p_t"] == pytest.approx(stats.ttest_rel(values["treatment"], values["control"]).pvalue)
    assert found["rho"] == pytest.approx(stats.pearsonr(values["treatment"], values["control"]).statistic)
    variances = values["treatment"].var() + values["control"].var()
    assert found["efficiency"] == pytest.approx((values["treatment"] - values["control"]).var() / variances)
    tost = ttost_paired(values["treatment"].to_numpy(), values["control"].to_numpy(), -MARGIN, MARGIN)[0]
    low, high = ends(found["interval90"])
    assert (tost <= 0.05) == (low > -MARGIN and high < MARGIN)


def test_mean_and_sd_of_each_arm(values: pd.DataFrame, report: dict[str, Any]) -> None:
    for arm in report["arms"]:
        assert arm["mean"] == pytest.approx(values[arm["arm"]].mean())
        assert arm["sd"] == pytest.approx(values[arm["arm"]].std(ddof=1))


def test_the_sentences_and_the_table_have_these_numbers(values: pd.DataFrame, spec: AblationSpec) -> None:
    findings = findings_of(spec, score)
    raw = [stats.ttest_1samp(deltas(values, {"contrast": vars(one.contrast)}), 0.0) for one in findings.claims]
    holm = multipletests([one.pvalue for one in raw], method="holm")[1]
    for claim, sentence, t, adjusted in zip(findings.claims, findings.sentences, raw, holm, strict=True):
        low, high = t.confidence_interval(0.95)
        x = deltas(values, {"contrast": vars(claim.contrast)})
        assert number(abs(x.mean())) in sentence
        both = f"[{number(low)}, {number(high)}]", f"[{number(-high)}, {number(-low)}]"
        assert any(one in sentence for one in both)
        row = verdict_row(claim)
        assert p_number(t.pvalue) == row[5]
        assert p_number(adjusted) == row[7]
        if claim.verdict.value in ("BETTER", "WORSE"):
            assert p_number(t.pvalue) in sentence
            assert f"{p_number(adjusted)} after Holm over 3 claims" in sentence
