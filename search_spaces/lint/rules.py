"""The codes of the lint rules, their severities, and what a rule reports."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, NamedTuple

LintSeverity = Literal["error", "warning", "info"]
SEVERITIES: tuple[LintSeverity, ...] = ("error", "warning", "info")


class LintCode(StrEnum):
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


class LintRule(NamedTuple):
    """What all flags of a code share."""

    severity: LintSeverity
    source: str


RULES: Mapping[LintCode, LintRule] = {
    LintCode.ADAM_WITH_DECAY: LintRule("error", "Loshchilov and Hutter, ICLR 2019"),
    LintCode.RATE_OUT_OF_RANGE: LintRule("error", "the optimizer's own paper"),
    LintCode.ADAM_FOR_TRANSFORMER: LintRule("error", "Loshchilov and Hutter, ICLR 2019"),
    LintCode.NO_NESTEROV: LintRule("warning", "Sutskever et al., ICML 2013"),
    LintCode.NO_WARMUP: LintRule("warning", "Xiong et al., ICML 2020"),
    LintCode.NO_CLIPPING: LintRule("warning", "Pascanu et al., ICML 2013"),
    LintCode.CLIP_TOO_LOW: LintRule("warning", "Zhang et al., ICLR 2020"),
    LintCode.DECAY_EVERYWHERE: LintRule("warning", "He et al., Bag of Tricks, CVPR 2019"),
    LintCode.BATCH_WITHOUT_RATE: LintRule("warning", "Goyal et al., 2017; Malladi et al., NeurIPS 2022"),
    LintCode.ONE_RATE: LintRule("warning", "Howard and Ruder, ACL 2018"),
    LintCode.SCRATCH_RATE: LintRule("warning", "Devlin et al., NAACL 2019"),
    LintCode.STRONG_REGULARIZERS: LintRule("warning", "Steiner et al., TMLR 2022"),
    LintCode.SMALL_BATCH_NORM: LintRule("warning", "Wu and He, ECCV 2018"),
    LintCode.DROPOUT_BATCH_NORM: LintRule("warning", "Li et al., CVPR 2019"),
    LintCode.TUNED_ALONE: LintRule("warning", "Godbole et al., Deep Learning Tuning Playbook, 2023"),
    LintCode.SHARED_RANGE: LintRule("warning", "Choi et al., On Empirical Comparisons of Optimizers, 2019"),
    LintCode.BETAS_MOVED: LintRule("info", "Kingma and Ba, ICLR 2015"),
    LintCode.EPS_MOVED: LintRule("info", "Choi et al., On Empirical Comparisons of Optimizers, 2019"),
}


@dataclass(frozen=True)
class Flag:
    """A setting that an expert would question.

    Attributes:
        code: The rule.
        severity: An `error` is never intended; a `warning` has exceptions; an `info` needs a reason.
        field: Dotted field of the recipe.
        evidence: What was found, with values.
        fix: What to write instead.
        source: Publication that supports the rule.
    """

    code: LintCode
    severity: LintSeverity
    field: str
    evidence: str
    fix: str
    source: str


class LintFinding(NamedTuple):
    """What a rule says about one recipe.

    Attributes:
        code: The rule.
        field: Dotted field of the recipe.
        found: Evidence, with values.
        fix: What to write instead.
        source: Publication, if it is not that of the rule.
    """

    code: LintCode
    field: str
    found: str
    fix: str
    source: str | None = None


def make_flag(finding: LintFinding, evidence: str | None = None) -> Flag:
    """Return the flag of a finding, with the given evidence if there is some."""
    code, field, found, fix, source = finding
    return Flag(code, RULES[code].severity, field, evidence or found, fix, source or RULES[code].source)
