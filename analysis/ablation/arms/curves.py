"""Learning curves of the arms over pairs."""

from collections.abc import Sequence
from dataclasses import dataclass

from analysis.ablation.evidence import Evidence
from search_spaces import AblationSpec

CURVE_METRICS = ("val/nll", "val/loss", "val/accuracy", "train/loss")


@dataclass(frozen=True)
class ArmCurve:
    """Learning curve of one arm over pairs.

    Attributes:
        design: `matched` or `retuned`.
        arm: Name of the arm.
        metric: Name of the metric.
        epochs: Epochs, from 1, or steps.
        mean: Mean over the pairs that reached the epoch.
        low: Minimum over these pairs.
        high: Maximum over these pairs.
        unit: What is counted as epochs: "epoch" or "step".
    """

    design: str
    arm: str
    metric: str
    epochs: tuple[int, ...]
    mean: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    unit: str = "epoch"


def arm_curves(evidence: Evidence) -> tuple[ArmCurve, ...]:
    """Return the learning curves of all arms that are trained, by design, arm and metric."""
    curves = []
    unit = evidence.spec.space.recipe.budget.unit
    for design in evidence.spec.designs:
        for arm in evidence.table.arms:
            runs = [evidence.run(design, pair, arm) for pair in range(evidence.pairs)]
            frame = evidence.epochs[evidence.epochs["number"].isin([run.number for run in runs if run is not None])]
            for metric in _drawn(evidence.spec):
                values = frame[frame["name"] == metric].dropna(subset=["value"]).groupby("epoch")["value"]
                table = values.agg(["mean", "min", "max"])
                mean, low, high = (tuple(table[name].astype(float).tolist()) for name in ("mean", "min", "max"))
                if len(table):
                    epochs = tuple(table.index.astype(int).tolist())
                    curves.append(ArmCurve(design, arm, metric, epochs, mean, low, high, unit))
    return tuple(curves)


def _drawn(spec: AblationSpec) -> Sequence[str]:
    """Return the metrics whose curves are drawn; a command has names of its own."""
    if spec.space.command is None:
        return tuple(dict.fromkeys((*CURVE_METRICS, spec.metrics.selection)))
    return tuple(dict.fromkeys((spec.metrics.primary, *spec.metrics.others, *CURVE_METRICS)))
