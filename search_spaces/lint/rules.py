"""The lint rules by name, and the form of a finding."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, NamedTuple

LintSeverity = Literal["error", "warning", "info"]
LINT_SEVERITIES: tuple[LintSeverity, ...] = ("error", "warning", "info")


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
    """What all findings of a rule have in common.

    Attributes:
        severity: `error` for a certain mistake, `warning` for a rule with exceptions, `info` for what needs a reason.
        source: Publication that the rule is based on.
    """

    severity: LintSeverity
    source: str


LINT_RULES: Mapping[LintCode, LintRule] = {
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
class LintFinding:
    """One violation of a rule.

    Attributes:
        code: The rule.
        field: Dotted field of the recipe.
        evidence: What was found, with its values.
        fix: What to write instead.
        own_source: Publication that this finding is based on, if it is another than the rule's.
    """

    code: LintCode
    field: str
    evidence: str
    fix: str
    own_source: str | None = None

    @property
    def severity(self) -> LintSeverity:
        """Severity of the rule."""
        return LINT_RULES[self.code].severity

    @property
    def source(self) -> str:
        """Publication that the finding is based on."""
        return self.own_source or LINT_RULES[self.code].source
