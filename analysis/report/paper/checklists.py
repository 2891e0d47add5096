"""Answers to what the checklists of conferences ask about statistics and compute, from the records alone.

The questions are named by their topic: NeurIPS Paper Checklist (2024), items 6 to 8; ACL Responsible NLP Checklist,
section C.
"""

from dataclasses import dataclass

from analysis.ablation.findings import AblationFindings
from analysis.compute import ComputeRow
from analysis.statistics.comparison import NORMAL_PAIRS
from analysis.wording import number, time_text
from search_spaces.values import counted

_GIB = 2**30
_UNKNOWN = "Not recorded: the runs are of an earlier release."


@dataclass(frozen=True)
class Answer:
    """Answer to one item.

    Attributes:
        item: Checklist and number.
        topic: What it asks about.
        text: The answer.
    """

    item: str
    topic: str
    text: str


def answers(findings: AblationFindings) -> tuple[Answer, ...]:
    """Return the answers, in the order of the checklists."""
    return (
        Answer("NeurIPS 6, ACL C2", "experimental setting", _settings(findings)),
        Answer("NeurIPS 7, ACL C3", "statistical significance", _errors(findings)),
        Answer("NeurIPS 8, ACL C1", "compute resources", _compute(findings)),
        Answer("ACL C4", "packages", _packages(findings)),
    )


def _compute(findings: AblationFindings) -> str:
    if not findings.compute:
        return _UNKNOWN
    return "The paragraph on compute has hardware, run time, memory and the size of the models, for all runs."


def _settings(findings: AblationFindings) -> str:
    spec = findings.spec
    searched = "No hyperparameter was searched for this comparison."
    if spec.retune is not None and "retuned" in spec.designs:
        arms = len(set(spec.trained_as().values()))
        searched = (
            f"Each of {counted(arms, 'trained arm')} was tuned with {spec.retune.runs} runs over "
            f"{', '.join(spec.retune.over)}, selected by {spec.metrics.selection}; runs.csv has every try."
        )
    return (
        "ablation.yaml has every hyperparameter of every arm, the sizes and seeds of the splits follow from the task; "
        f"pairs.csv has the seed of every run. {searched}"
    )


def _errors(findings: AblationFindings) -> str:
    spec = findings.spec
    kind = "confidence sequences" if spec.looks == "e_process" else "95 % intervals of the paired t-test"
    if isinstance(spec.looks, tuple):
        kind = "intervals of the paired t-test at the level of one look"
    adjusted = (
        f" p-values are adjusted by Holm over {len(spec.treatments)} contrasts." if len(spec.treatments) > 1 else ""
    )
    return (
        f"Yes: means over {counted(findings.pairs, 'pair')} with {kind}; the variation is that between seeds. Standard "
        f"deviations are those of single runs, not of means.{adjusted} {_assumption(findings)}"
    )


def _assumption(findings: AblationFindings) -> str:
    if findings.spec.looks == "e_process":
        return "The e-process assumes normal differences."
    if findings.pairs <= NORMAL_PAIRS:
        return (
            f"With {counted(findings.pairs, 'pair')}, the results rest on normal differences, which so few cannot show."
        )
    return "The intervals assume a symmetric distribution of the differences; a verdict needs the sign-flip test, too."


def _packages(findings: AblationFindings) -> str:
    versions = findings.provenance.get("packages") or {}
    return ", ".join(f"{name} {version}" for name, version in versions.items()) or "Not recorded."


def compute_text(rows: tuple[ComputeRow, ...]) -> str:
    """Return what all runs have used, as sentences."""
    if not rows:
        return _UNKNOWN
    whole = rows[-1]
    gpu = f"{time_text(whole.gpu_hours)} of GPU time, " if whole.gpu_hours else ""
    text = (
        f"{counted(whole.runs, 'run')} ({counted(whole.starts, 'start')}, failed and repeated ones included) took "
        f"{time_text(whole.hours)} of run time, {gpu}and {time_text(whole.cpu_hours)} of CPU time on "
        f"{', '.join(whole.hardware)}{'' if gpu else ', without a GPU'}."
    )
    if whole.memory is not None:
        text += f" The largest run needed {number(whole.memory / _GIB)} GiB of main memory"
        text += f" and {number(whole.gpu_memory / _GIB)} GiB on the GPU." if whole.gpu_memory else "."
    if whole.parameters is not None:
        low, high = whole.parameters
        text += f" The models have {low:,}{f' to {high:,}' if high != low else ''} parameters."
    if whole.energy_kwh is not None and whole.gpu_hours:
        text += f" The GPUs used {number(whole.energy_kwh)} kWh."
    if whole.unknown:
        text += f" {counted(whole.unknown, 'run')} more without a record."
    return text
