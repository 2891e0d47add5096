"""Paired comparison of a treatment with its control.

Use `compare` for the complete pairs, `holm` over all treatment arms, then `judge`. `worst_rank` is for failed runs,
`two_level` for metrics of single examples, `contrast` and `compare_deltas` for factorial designs. Planned looks and
the e-process are in `analysis.statistics.sequential`.
"""

from analysis.statistics.comparison import Comparison, Goal, compare, compare_deltas, contrast, improvement
from analysis.statistics.leave_one_out import LeaveOneOut
from analysis.statistics.permutation import sign_flip_p
from analysis.statistics.sign_tests import WorstRank, mcnemar, worst_rank
from analysis.statistics.two_level import TwoLevel, two_level
from analysis.statistics.verdicts import Verdict, holm, instability, judge, tuning_dependent

__all__ = [
    "Comparison",
    "Goal",
    "LeaveOneOut",
    "TwoLevel",
    "Verdict",
    "WorstRank",
    "compare",
    "compare_deltas",
    "contrast",
    "holm",
    "improvement",
    "instability",
    "judge",
    "mcnemar",
    "sign_flip_p",
    "tuning_dependent",
    "two_level",
    "worst_rank",
]
