"""Draw findings with plotly, the only folder that imports it. Only positions in the figure are computed here."""

from analysis.figures.calibration import reliability_diagram
from analysis.figures.drawing import Drawing, plotly_js, script_safe, write_pngs
from analysis.figures.effects import forest, interaction, power_curves, slopes
from analysis.figures.task_effects import rank_diagram, task_forest
from analysis.figures.training import costs, curves
from analysis.figures.tuning import best_of_n, isolation

__all__ = [
    "Drawing",
    "best_of_n",
    "costs",
    "curves",
    "forest",
    "interaction",
    "isolation",
    "plotly_js",
    "power_curves",
    "rank_diagram",
    "reliability_diagram",
    "script_safe",
    "slopes",
    "task_forest",
    "write_pngs",
]
