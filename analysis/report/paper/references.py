"""The references that the paragraph on methods cites, as BibTeX."""

from collections.abc import Iterable, Mapping
from typing import Final

REFERENCES: Final[Mapping[str, str]] = {
    "akiba2019optuna": """@inproceedings{akiba2019optuna,
  author    = {Akiba, Takuya and Sano, Shotaro and Yanase, Toshihiko and Ohta, Takeru and Koyama, Masanori},
  title     = {Optuna: A Next-generation Hyperparameter Optimization Framework},
  booktitle = {Proceedings of the 25th ACM SIGKDD International Conference on Knowledge Discovery \\& Data Mining},
  pages     = {2623--2631},
  year      = {2019}
}""",
    "dodge2019show": """@inproceedings{dodge2019show,
  author    = {Dodge, Jesse and Gururangan, Suchin and Card, Dallas and Schwartz, Roy and Smith, Noah A.},
  title     = {Show Your Work: Improved Reporting of Experimental Results},
  booktitle = {Proceedings of EMNLP-IJCNLP},
  pages     = {2185--2194},
  year      = {2019}
}""",
    "guo2017calibration": """@inproceedings{guo2017calibration,
  author    = {Guo, Chuan and Pleiss, Geoff and Sun, Yu and Weinberger, Kilian Q.},
  title     = {On Calibration of Modern Neural Networks},
  booktitle = {Proceedings of the 34th International Conference on Machine Learning},
  pages     = {1321--1330},
  year      = {2017}
}""",
    "holm1979simple": """@article{holm1979simple,
  author  = {Holm, Sture},
  title   = {A Simple Sequentially Rejective Multiple Test Procedure},
  journal = {Scandinavian Journal of Statistics},
  volume  = {6},
  number  = {2},
  pages   = {65--70},
  year    = {1979}
}""",
    "joe2008constructing": """@article{joe2008constructing,
  author  = {Joe, Stephen and Kuo, Frances Y.},
  title   = {Constructing {S}obol Sequences with Better Two-Dimensional Projections},
  journal = {SIAM Journal on Scientific Computing},
  volume  = {30},
  number  = {5},
  pages   = {2635--2654},
  year    = {2008}
}""",
    "moritz2018ray": """@inproceedings{moritz2018ray,
  author    = {Moritz, Philipp and Nishihara, Robert and Wang, Stephanie and Tumanov, Alexey and Liaw, Richard and
               Liang, Eric and Elibol, Melih and Yang, Zongheng and Paul, William and Jordan, Michael I. and
               Stoica, Ion},
  title     = {Ray: A Distributed Framework for Emerging {AI} Applications},
  booktitle = {13th USENIX Symposium on Operating Systems Design and Implementation},
  pages     = {561--577},
  year      = {2018}
}""",
    "paszke2019pytorch": """@inproceedings{paszke2019pytorch,
  author    = {Paszke, Adam and Gross, Sam and Massa, Francisco and others},
  title     = {{PyTorch}: An Imperative Style, High-Performance Deep Learning Library},
  booktitle = {Advances in Neural Information Processing Systems},
  volume    = {32},
  year      = {2019}
}""",
    "pitman1937significance": """@article{pitman1937significance,
  author  = {Pitman, E. J. G.},
  title   = {Significance Tests Which May Be Applied to Samples from Any Populations},
  journal = {Supplement to the Journal of the Royal Statistical Society},
  volume  = {4},
  number  = {1},
  pages   = {119--130},
  year    = {1937}
}""",
    "pocock1977group": """@article{pocock1977group,
  author  = {Pocock, Stuart J.},
  title   = {Group Sequential Methods in the Design and Analysis of Clinical Trials},
  journal = {Biometrika},
  volume  = {64},
  number  = {2},
  pages   = {191--199},
  year    = {1977}
}""",
    "schuirmann1987comparison": """@article{schuirmann1987comparison,
  author  = {Schuirmann, Donald J.},
  title   = {A Comparison of the Two One-Sided Tests Procedure and the Power Approach for Assessing the Equivalence of
             Average Bioavailability},
  journal = {Journal of Pharmacokinetics and Biopharmaceutics},
  volume  = {15},
  number  = {6},
  pages   = {657--680},
  year    = {1987}
}""",
    "student1908probable": """@article{student1908probable,
  author  = {Student},
  title   = {The Probable Error of a Mean},
  journal = {Biometrika},
  volume  = {6},
  number  = {1},
  pages   = {1--25},
  year    = {1908}
}""",
    "wang2025anytime": """@article{wang2025anytime,
  author  = {Wang, Hongjian and Ramdas, Aaditya},
  title   = {Anytime-valid t-tests and Confidence Sequences for {G}aussian Means with Unknown Variance},
  journal = {Sequential Analysis},
  year    = {2025}
}""",
}
"""Key -> entry."""


def bibliography(keys: Iterable[str]) -> str:
    """Return the entries with these keys as a BibTeX file, by key."""
    return "\n\n".join(REFERENCES[key] for key in sorted(set(keys))) + "\n"
