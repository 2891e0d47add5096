"""What a diagnosis says of one run."""

from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """The severity of a finding. Errors and warnings are *alarms*: the recipe, the data or the model is wrong.

    An info is a true statement about a run that may be perfectly healthy: it ended on a plateau, or while still
    falling; clipping never clipped; the curves are too short.
    """

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


class Code(StrEnum):
    """The codes of findings, in the order of precedence among alarms and, after them, among infos.

    What ended or spoiled the training comes before what merely bounds its result: a learning rate that blew up also
    underfits. Learning rate, then numerics and gradients, then the fit, then the budget.
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
    """One statement about one run.

    Attributes:
        code: Which.
        severity: How bad.
        evidence: One sentence with the numbers it rests on.
        next_step: One sentence: what to try.
        epoch: Epoch at which it is seen, from 1; None if it is about the whole run.
    """

    code: Code
    severity: Severity
    evidence: str
    next_step: str
    epoch: int | None = None

    @property
    def alarm(self) -> bool:
        """Return whether something is wrong."""
        return self.severity is not Severity.INFO
