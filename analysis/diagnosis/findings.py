"""The findings of a diagnosis."""

from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """Severity of a finding. Errors and warnings are *alarms*: a problem of the recipe, the data or the model.

    An info may apply to a healthy run: it ended on a plateau, or its loss was still falling; no gradient was clipped;
    the curves are too short.
    """

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


class Code(StrEnum):
    """Codes of findings, in order of precedence among alarms and among infos.

    Problems that end or spoil a training come before those that only limit its result, because a run with a learning
    rate that is too high also underfits. The order is: learning rate, numerics and gradients, fit, budget.
    """

    NAN = "NAN"
    DIVERGED = "DIVERGED"
    LR_TOO_HIGH = "LR_TOO_HIGH"
    GRAD_EXPLODE = "GRAD_EXPLODE"
    GRAD_VANISH = "GRAD_VANISH"
    CHANCE = "CHANCE"
    INIT_LOSS = "INIT_LOSS"
    UNDERFIT = "UNDERFIT"
    SPIKES = "SPIKES"
    OSCILLATING = "OSCILLATING"
    CLIP_HIGH = "CLIP_HIGH"
    UPDATE_RATIO = "UPDATE_RATIO"
    OVERFIT = "OVERFIT"
    OVERFIT_CONFIDENCE = "OVERFIT_CONFIDENCE"
    VAL_BETTER = "VAL_BETTER"
    TOO_LONG = "TOO_LONG"
    UNDERTRAINED = "UNDERTRAINED"
    PLATEAU = "PLATEAU"
    TOO_SHORT = "TOO_SHORT"


@dataclass(frozen=True)
class Finding:
    """One finding about one run.

    Attributes:
        code: Code of the finding.
        severity: Severity of the finding.
        evidence: One sentence with the numbers that the finding is based on.
        next_step: One sentence with a suggestion.
        epoch: Epoch of the finding, from 1; None if it concerns the whole run.
    """

    code: Code
    severity: Severity
    evidence: str
    next_step: str
    epoch: int | None = None

    @property
    def alarm(self) -> bool:
        """Whether the finding is an error or a warning."""
        return self.severity is not Severity.INFO
