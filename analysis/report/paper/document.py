"""The parts of a paper as one LaTeX document that compiles by itself, and its references."""

import math

from analysis.ablation.arms.facts import ArmFacts
from analysis.ablation.claims import Claim
from analysis.ablation.findings import AblationFindings
from analysis.ablation.units import unit_words
from analysis.report.paper.checklists import answers, compute_text
from analysis.report.paper.latex import booktabs, escaped
from analysis.report.paper.methods import Sentence, methods
from analysis.report.paper.references import bibliography
from analysis.wording import NONE, between, number, or_dash, p_number, signed

REFERENCES_FILE = "references"

_PREAMBLE = r"""% Written by `sweeps report`. Copy the parts that you need: the tables need \usepackage{booktabs}.
% pdflatex report && bibtex report && pdflatex report && pdflatex report
\documentclass{article}
\usepackage[T1]{fontenc}
\usepackage[utf8]{inputenc}
\usepackage{textcomp}
\IfFileExists{lmodern.sty}{\usepackage{lmodern}}{}
\usepackage{booktabs}
\begin{document}"""

_ARMS = ("arm", "mean", "sd", "runs")
_CONTRASTS = ("contrast", "difference", "interval", "pairs", "p", "p (Holm)", "verdict")


def report_tex(findings: AblationFindings) -> str:
    """Return the LaTeX document: two tables, the paragraphs on methods and compute, and the checklists."""
    parts = [
        _PREAMBLE,
        rf"\section*{{{escaped(findings.spec.question)}}}",
        *(
            table
            for design in findings.spec.designs
            for table in (_arms(findings, design), _contrasts(findings, design))
        ),
        r"\paragraph{Methods.}",
        *map(_sentence, methods(findings)),
        r"\paragraph{Compute.}",
        escaped(compute_text(findings.compute)),
        r"\paragraph{Checklists.}",
        r"\begin{description}",
        *(rf"\item[{escaped(one.item)}] ({escaped(one.topic)}) {escaped(one.text)}" for one in answers(findings)),
        r"\end{description}",
        r"\bibliographystyle{plain}",
        rf"\bibliography{{{REFERENCES_FILE}}}",
        r"\end{document}",
    ]
    return "\n".join(parts) + "\n"


def references_bib(findings: AblationFindings) -> str:
    """Return the references of the document."""
    return bibliography(key for sentence in methods(findings) for key in sentence.cites)


def _sentence(one: Sentence) -> str:
    cites = rf"~\cite{{{','.join(one.cites)}}}" if one.cites else ""
    return f"{escaped(one.text)}{cites}."


def _arms(findings: AblationFindings, design: str) -> str:
    metric, better = findings.spec.metrics.primary, "lower" if findings.spec.metrics.goal == "minimize" else "higher"
    words = "; ".join(filter(None, (design, f"{better} is better", unit_words(findings.spec, metric))))
    caption = f"{metric} by arm ({words}): mean and standard deviation over runs."
    rows = [_arm(arm) for arm in findings.arms if arm.design == design]
    return booktabs(_ARMS, rows, caption, f"tab:arms-{design}")


def _arm(arm: ArmFacts) -> tuple[str, ...]:
    runs = sum(math.isfinite(value) for value in arm.values)
    return (arm.arm, or_dash(arm.mean, number), or_dash(arm.sd, number), str(runs))


def _contrasts(findings: AblationFindings, design: str) -> str:
    metrics = findings.spec.metrics
    margin = "" if metrics.margin is None else f" Margin: {number(metrics.margin)}."
    caption = (
        f"Differences in {metrics.primary} ({design}), treatment minus control.{margin} Intervals are not adjusted for"
        " other contrasts."
    )
    rows = [_contrast(claim) for claim in findings.claims if claim.design == design]
    return booktabs(_CONTRASTS, rows, caption, f"tab:contrasts-{design}")


def _contrast(claim: Claim) -> tuple[str, ...]:
    one, verdict = claim.comparison, claim.verdict.value.lower()
    if one is None:
        return (claim.contrast.name, NONE, NONE, "0", NONE, NONE, verdict)
    return (
        claim.contrast.name,
        signed(one.delta),
        or_dash(claim.interval, between),
        str(one.n),
        or_dash(claim.p_raw, p_number),
        or_dash(claim.p, p_number),
        verdict,
    )
