"""Curves of the runs of a sweep, with what the stored predictions tell about the classes."""

from dataclasses import replace

import numpy as np
import pytest
import scipy.stats

from analysis.diagnosis.findings import Code
from analysis.sweep.diagnoses import diagnoses, run_curves
from analysis.sweep.evidence import SweepEvidence
from tests.analysis.made_sweeps import made_sweep, peak
from trainers.reports import Predictions


def with_labels(evidence: SweepEvidence, label: np.ndarray) -> SweepEvidence:
    ones = np.ones(len(label), dtype=np.float32)
    stored = Predictions("val", "raw", label.astype(np.int32), label.astype(np.int32), ones, ones)
    return replace(evidence, predictions={(0, "raw"): stored})


def test_the_share_of_the_most_frequent_class_is_chance() -> None:
    """Runs whose accuracy is that of the most frequent class have learnt nothing, however few classes there are."""
    evidence = made_sweep(peak(1.0))
    label = np.repeat([0, 1], [950, 50])
    balanced = run_curves(with_labels(evidence, np.repeat([0, 1], 500)))
    rare = run_curves(with_labels(evidence, label))
    assert {one.chance_accuracy for one in balanced.values()} == {0.5}
    assert {one.chance_accuracy for one in rare.values()} == {0.95}
    assert [one.chance_loss for one in rare.values()] == pytest.approx([scipy.stats.entropy([0.95, 0.05])] * len(rare))
    assert {one.chance_accuracy for one in run_curves(evidence).values()} == {None}
    numbers = [
        n for n, one in rare.items() if one.val_accuracy is not None and 0.6 < np.median(one.val_accuracy) < 0.95
    ]
    assert numbers
    found = diagnoses(with_labels(evidence, label))
    assert all(Code.CHANCE in [one.code for one in found[number]] for number in numbers)
