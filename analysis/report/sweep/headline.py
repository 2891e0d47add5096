"""The results of a sweep in sentences: the best run found, and the verdicts of its confirmation on fresh seeds."""

from dataclasses import replace

from analysis.report.ablation.files import TONES as VERDICT_TONES
from analysis.report.ablation.overview import SYMBOLS
from analysis.report.page import Headline
from analysis.sweep.confirmation import Confirmation, ConfirmedRun
from analysis.sweep.findings import SweepFindings
from analysis.wording import number, part_of
from search_spaces.values import counted
from trainers.check import Outcome

TONES = {Outcome.PASS: "good", Outcome.WARN: "even", Outcome.FAIL: "bad"}
SIGNS = {Outcome.PASS: "✓", Outcome.WARN: "!", Outcome.FAIL: "✗"}


def question(findings: SweepFindings) -> str:
    """Return the question that the sweep answers."""
    spec = findings.spec
    most = "highest" if spec.metric.goal == "maximize" else "lowest"
    return f"Which recipe for {spec.task_name} has the {most} {spec.metric.name}?"


def headlines(findings: SweepFindings) -> tuple[Headline, ...]:
    """Return the verdicts of the confirmation, if there is one of the best run, and then the best run found.

    Only a confirmation gives a verdict: the scores of a sweep have selected its best run, from one seed each.
    """
    found, confirmation = _best_found(findings), findings.confirmation
    if confirmation is None:
        return (found,)
    if not confirmation.covers_best and findings.best and findings.best[0].run.number:
        what = f"{confirmation.name} compared other finalists, not the run that is best now."
        return (replace(found, wider=f"{what} {found.wider}".strip()),)
    if not confirmation.results:
        done = part_of(confirmation.runs, confirmation.planned, "run", "has", "have")
        seeds = counted(confirmation.pairs, "fresh seed")
        sentence = (
            f"{confirmation.name} compares the finalists with the baseline on {seeds} each: {done} finished."
            " There is no verdict before its end."
        )
        return (Headline("even", "…", "CONFIRMING", sentence), found)
    return (*(_confirmed(confirmation, one) for one in confirmation.results), found)


def _confirmed(confirmation: Confirmation, one: ConfirmedRun) -> Headline:
    of = f", adjusted for {len(confirmation.results)} finalists" if len(confirmation.results) > 1 else ""
    wider = f"From {confirmation.name}: {counted(confirmation.pairs, 'fresh seed')} for each recipe{of}."
    if confirmation.others:
        wider += f" It was the first; further confirmations of this sweep: {', '.join(confirmation.others)}."
    return Headline(VERDICT_TONES[one.verdict], SYMBOLS[one.verdict], one.verdict.value, one.sentence, wider)


def _best_found(findings: SweepFindings) -> Headline:
    """Return the best complete run and its observed gain over the baseline; never a verdict."""
    if not findings.best:
        return Headline("bad", "✗", "NO WINNER", f"No run is complete{_unfinished(findings)}: {_ends(findings)}.")
    best, metric = findings.best[0], findings.spec.metric.name
    score = f"{metric} {number(best.run.value or 0.0)}"
    found = f"the best of {counted(len(findings.data.numbers), 'started run')}{_unfinished(findings)}"
    if not best.run.number:
        others = "No other complete run is better" if len(findings.best) > 1 else "No other run is complete"
        sentence = f"The baseline, run 0, is {found}, with {score}. {others}."
        return Headline("even", "=", "BASELINE IS BEST", sentence, "One seed each: nothing is known about other seeds.")
    base = findings.data.values[0]
    sentence = f"Run {best.run.number} is {found}, with {score}"
    if best.gain is None or base is None:
        sentence += ". The baseline is not complete, so there is no comparison."
        return Headline("even", "?", "NO BASELINE", sentence, _unknown(findings))
    sentence += f" against the baseline's {number(base)}: {number(best.gain)} better, as observed."
    return Headline("even", "◇", "BEST FOUND", sentence, _unknown(findings))


def _unknown(findings: SweepFindings) -> str:
    """Return what is not known about the best score, and what is known about its noise."""
    noise, optimism = findings.noise, findings.optimism
    spread = "How much a score varies between seeds is not known."
    if noise is not None and optimism is not None:
        worth, sd = (number(float(f"{value:.2g}")) for value in (optimism, noise.sd))
        least = "at least " if noise.bound else ""
        spread = (
            f"A score varies between seeds by {least}{sd} (standard deviation, from {noise.method}), and the selection"
            f" flatters this one by {least}about {worth}."
        )
    if findings.confirmation is not None and findings.confirmation.covers_best:
        return f"These are the scores that selected the run. {spread}"
    name = findings.spec.name
    return f"Nothing is known about other seeds. {spread} The next step: sweeps confirm {name}, on fresh seeds."


def _unfinished(findings: SweepFindings) -> str:
    planned, ended = findings.spec.runs, sum(row.runs for row in findings.ledger if row.state.finished)
    return f" so far ({ended} of {counted(planned, 'run')} finished)" if ended < planned else ""


def _ends(findings: SweepFindings) -> str:
    ends = ", ".join(f"{row.runs} {row.state.value.lower()}" for row in findings.ledger)
    return ends or "none was started"
