"""What a lint rule says, and what it may know besides the recipe."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, NamedTuple

Severity = Literal["error", "warning", "info"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "info")


class Code(StrEnum):
    """The name of a rule."""

    ADAM_WITH_DECAY = "adam-with-weight-decay"
    RATE_OUT_OF_RANGE = "learning-rate-out-of-range"
    ADAM_FOR_TRANSFORMER = "plain-adam-for-transformer"
    NO_NESTEROV = "momentum-without-nesterov"
    NO_WARMUP = "transformer-without-warmup"
    NO_CLIPPING = "no-clipping"
    CLIP_TOO_LOW = "clip-too-low"
    DECAY_EVERYWHERE = "decay-on-biases-and-norms"
    BATCH_WITHOUT_RATE = "batch-scaled-without-learning-rate"
    ONE_RATE = "one-rate-for-backbone-and-head"
    SCRATCH_RATE = "from-scratch-rate-in-fine-tune"
    STRONG_REGULARIZERS = "several-strong-regularizers"
    SMALL_BATCH_NORM = "batchnorm-with-small-batch"
    DROPOUT_BATCH_NORM = "dropout-with-batchnorm"
    TUNED_ALONE = "tuned-alone"
    SHARED_RANGE = "optimizers-share-a-learning-rate"
    BETAS_MOVED = "betas-moved"
    EPS_MOVED = "eps-moved"


class Rule(NamedTuple):
    """What is the same in every flag of a code."""

    severity: Severity
    source: str


RULES: Mapping[Code, Rule] = {
    Code.ADAM_WITH_DECAY: Rule("error", "Loshchilov and Hutter, ICLR 2019"),
    Code.RATE_OUT_OF_RANGE: Rule("error", "the optimizer's own paper"),
    Code.ADAM_FOR_TRANSFORMER: Rule("error", "Loshchilov and Hutter, ICLR 2019"),
    Code.NO_NESTEROV: Rule("warning", "Sutskever et al., ICML 2013"),
    Code.NO_WARMUP: Rule("warning", "Xiong et al., ICML 2020"),
    Code.NO_CLIPPING: Rule("warning", "Pascanu et al., ICML 2013"),
    Code.CLIP_TOO_LOW: Rule("warning", "Zhang et al., ICLR 2020"),
    Code.DECAY_EVERYWHERE: Rule("warning", "He et al., Bag of Tricks, CVPR 2019"),
    Code.BATCH_WITHOUT_RATE: Rule("warning", "Goyal et al., 2017; Malladi et al., NeurIPS 2022"),
    Code.ONE_RATE: Rule("warning", "Howard and Ruder, ACL 2018"),
    Code.SCRATCH_RATE: Rule("warning", "Devlin et al., NAACL 2019"),
    Code.STRONG_REGULARIZERS: Rule("warning", "Steiner et al., TMLR 2022"),
    Code.SMALL_BATCH_NORM: Rule("warning", "Wu and He, ECCV 2018"),
    Code.DROPOUT_BATCH_NORM: Rule("warning", "Li et al., CVPR 2019"),
    Code.TUNED_ALONE: Rule("warning", "Godbole et al., Deep Learning Tuning Playbook, 2023"),
    Code.SHARED_RANGE: Rule("warning", "Choi et al., On Empirical Comparisons of Optimizers, 2019"),
    Code.BETAS_MOVED: Rule("info", "Kingma and Ba, ICLR 2015"),
    Code.EPS_MOVED: Rule("info", "Choi et al., On Empirical Comparisons of Optimizers, 2019"),
}


@dataclass(frozen=True)
class Flag:
    """One thing that an experienced person would stop at.

    Attributes:
        code: The rule.
        severity: An `error` is not what anybody wants; a `warning` has exceptions; an `info` wants a reason.
        field: Dotted field of the recipe.
        evidence: What was found, with values.
        fix: What to write instead.
        source: Whose experience it is.
    """

    code: Code
    severity: Severity
    field: str
    evidence: str
    fix: str
    source: str


class Finding(NamedTuple):
    """What a rule says about one recipe.

    Attributes:
        code: The rule.
        field: Dotted field of the recipe.
        found: With values.
        fix: What to write instead.
        source: When it is another than the rule's.
    """

    code: Code
    field: str
    found: str
    fix: str
    source: str | None = None


def make_flag(finding: Finding, evidence: str | None = None) -> Flag:
    """Return the flag of a finding, with other evidence than its own if there is some."""
    code, field, found, fix, source = finding
    return Flag(code, RULES[code].severity, field, evidence or found, fix, source or RULES[code].source)
