"""Ablations to report on: one of every design, and one whose texts are all attacks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from analysis.ablation.findings import AblationFindings, ablation_findings
from search_spaces import AblationSpec
from tests.analysis.made_evidence import Score, evidence_of, seeded, spec_of

BASE = """
kind: ablation
question: Does it help?
task: digits
recipe: {budget: {epochs: 3}}
search: {optimizer.lr: {loguniform: [1e-4, 1e-1]}, regularization.dropout: {uniform: [0, 0.5]}}
"""
METRICS = "metrics: {primary: test/nll, goal: minimize, margin: 0.05}\n"
RETUNED = f"""{BASE}
arms:
  control: {{}}
  treatment: {{regularization.label_smoothing: 0.1}}
pairs: 4
design: both
retune: {{runs: 4, over: [optimizer.lr, regularization.dropout]}}
{METRICS}"""
FACTORIAL = f"""{BASE}
factors:
  dropout: {{regularization.dropout: 0.3}}
  smoothing: {{regularization.label_smoothing: 0.1}}
arrangement: factorial
pairs: 5
{METRICS}"""
LOOKS = f"""{BASE}
arms:
  control: {{}}
  treatment: {{regularization.label_smoothing: 0.1}}
pairs: 5
looks: [3, 5]
{METRICS}"""
ATTACKS = (
    '=cmd()|"/C calc"!A0',
    "</script><script>window.__pwned=1;alert(1)</script>",
    "[x](javascript:window.__pwned=1)",
    '"><img src=x onerror=window.__pwned=1>',
    '<a href="javascript:alert(1)">a</a>',
    "<b>%{x}</b> | `tick` $x$ &lt;",
)
HOSTILE = f"""
kind: ablation
question: '</script><script>window.__pwned=1;alert(1)</script> [x](javascript:alert(1)) | ![i](http://x.invalid/a.png)'
task: digits
recipe: {{budget: {{epochs: 2}}}}
arms:
  '{ATTACKS[0]}': {{}}
  '{ATTACKS[1]}': {{optimizer.lr: 0.003}}
  '{ATTACKS[2]}': {{optimizer.lr: 0.0003}}
  '{ATTACKS[3]}': {{optimizer.kind: sgd, optimizer.lr: 1e30}}
  '{ATTACKS[4]}': {{regularization.dropout: 0.2, says: '<b>Bold</b> **words** & ![i](http://x.invalid/a.png)'}}
  '{ATTACKS[5]}': {{regularization.dropout: 0.3}}
pairs: 3
{METRICS}"""


def findings_of(spec: AblationSpec, score: Score) -> AblationFindings:
    """Return the findings of synthetic runs that have real recipes."""
    evidence = evidence_of(spec, score)
    runs = [
        replace(run, recipe=spec.recipe(run.arm), error=None if run.epoch == 3 else ATTACKS[1]) for run in evidence.runs
    ]
    return ablation_findings(replace(evidence, runs=runs))


def hostile() -> AblationFindings:
    def score(design: str, arm: str, pair: int) -> float | None:
        return None if arm == ATTACKS[3] else seeded(-0.2)(design, "control" if arm == ATTACKS[0] else arm, pair)

    return findings_of(spec_of(HOSTILE), score)


def factorial() -> AblationFindings:
    def score(design: str, arm: str, pair: int) -> float:
        effect = -0.3 * ("smoothing" in arm) - 0.2 * ("dropout" in arm) + 0.1 * ("dropout + smoothing" in arm)
        base = seeded(0.0)(design, "control", pair)
        return (base or 0.0) + effect + 0.001 * len(arm) * (pair % 3)

    return findings_of(spec_of(FACTORIAL), score)


CASES: dict[str, Callable[[], AblationFindings]] = {
    "plain": lambda: findings_of(spec_of(), seeded(-0.2)),
    "retuned": lambda: findings_of(spec_of(RETUNED), seeded(-0.02)),
    "factorial": factorial,
    "looks": lambda: findings_of(spec_of(LOOKS), seeded(0.0, spread=0.1)),
    "identical": lambda: findings_of(spec_of(), seeded(0.0, spread=0.0)),
    "hostile": hostile,
    "nothing yet": lambda: findings_of(spec_of(pairs=3), lambda *_: None),
}
