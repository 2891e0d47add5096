import subprocess
import sys

import numpy as np
import pytest
import torch
from scipy.optimize import minimize_scalar
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.calibration import CalibratedClassifierCV
from sklearn.frozen import FrozenEstimator
from torch.nn.functional import cross_entropy

from trainers.evaluation.temperature import fit_temperature

SCALES = [0.3, 1.0, 4.0]


def drawn(scale: float, n: int = 500, classes: int = 4, seed: int = 0):
    """Return logits that are ``scale`` times the calibrated ones, and labels."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(n, classes)) * 2
    uniform = rng.gumbel(size=(n, classes))
    return logits * scale, (logits + uniform).argmax(axis=1)


def nll(logits: np.ndarray, labels: np.ndarray, temperature: float = 1.0) -> float:
    return cross_entropy(torch.from_numpy(logits) / temperature, torch.from_numpy(labels)).item()


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("classes", [2, 4, 30])
def test_equal_to_a_search_over_torchs_cross_entropy(scale, classes):
    logits, labels = drawn(scale, classes=classes)
    theirs = minimize_scalar(
        lambda t: nll(logits, labels, t), bounds=(0.05, 20), method="bounded", options={"xatol": 1e-9}
    )
    found = fit_temperature(logits, labels)
    assert found == pytest.approx(theirs.x, rel=1e-5)
    assert nll(logits, labels, found) <= theirs.fun + 1e-12


@pytest.mark.parametrize("scale", SCALES)
def test_finds_what_the_labels_were_drawn_with(scale):
    assert fit_temperature(*drawn(scale, n=20_000)) == pytest.approx(scale, rel=0.05)


class Logits(ClassifierMixin, BaseEstimator):
    """Classifier whose features are its logits."""

    def fit(self, features, labels):
        self.classes_ = np.unique(labels)
        return self

    def decision_function(self, features):
        return features

    def predict(self, features):
        return features.argmax(axis=1)


@pytest.mark.parametrize("scale", SCALES)
def test_equal_to_sklearn(scale):
    logits, labels = drawn(scale)
    frozen = FrozenEstimator(Logits().fit(logits, labels))
    theirs = CalibratedClassifierCV(frozen, method="temperature").fit(logits, labels).predict_proba(logits)
    scaled = torch.from_numpy(logits / fit_temperature(logits, labels)).softmax(dim=1).numpy()
    np.testing.assert_allclose(scaled, theirs, atol=2e-3)


@pytest.mark.parametrize("seed", range(20))
def test_never_worse_and_never_another_class(seed):
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(40, 5)).astype(np.float32) * rng.uniform(0.01, 100)
    labels = rng.integers(5, size=40)
    found = fit_temperature(logits, labels)
    exact = logits.astype(np.float64)
    assert 0.05 <= found <= 20
    assert nll(exact, labels, found) <= nll(exact, labels) + 1e-12
    assert np.array_equal((exact / found).argmax(axis=1), logits.argmax(axis=1))
    assert fit_temperature(2 * exact, labels) == pytest.approx(min(2 * found, 20), rel=1e-9) or found == 0.05


def test_at_a_bound_it_is_the_bound():
    right = np.eye(3) * 2
    assert fit_temperature(right, np.array([0, 1, 2])) == 0.05
    assert fit_temperature(right, np.array([1, 2, 0])) == 20.0
    assert fit_temperature(*drawn(100.0)) == 20.0
    assert fit_temperature(*drawn(0.01)) == 0.05


def test_logits_that_say_nothing_stay_as_they_are():
    assert fit_temperature(np.full((10, 3), 7.0), np.arange(10) % 3) == 1.0


def test_large_logits_are_no_obstacle():
    logits, labels = drawn(1.0)
    assert fit_temperature(logits + 1e4, labels) == pytest.approx(fit_temperature(logits, labels), rel=1e-6)
    assert fit_temperature(np.array([[1e30, -1e30], [1e30, -1e30]]), np.array([0, 1])) == 20.0


@pytest.mark.parametrize(
    ("logits", "labels", "words"),
    [
        (np.array([[0.0, np.nan]]), np.array([0]), "finite"),
        (np.array([[0.0, -np.inf]]), np.array([0]), "finite"),
        (np.zeros(3), np.array([0, 1, 2]), r"shape \(n, classes\).*found \(3,\)"),
        (np.zeros((0, 3)), np.zeros(0, dtype=int), r"found \(0, 3\)"),
        (np.zeros((2, 1)), np.array([0, 0]), r"found \(2, 1\)"),
        (np.zeros((2, 3)), np.array([0]), r"shape \(2,\).*found \(1,\)"),
        (np.zeros((2, 3)), np.array([0.0, 1.0]), "must be integers, found float64"),
        (np.zeros((2, 3)), np.array([0, 3]), r"0 \.\. 2 for 3 classes, found 0 \.\. 3"),
        (np.zeros((2, 3)), np.array([0, -1]), r"found -1 \.\. 0"),
    ],
)
def test_what_is_no_logits_or_no_labels_is_refused(logits, labels, words):
    with pytest.raises(ValueError, match=words):
        fit_temperature(logits, labels)


def test_it_loads_no_torch():
    code = "import sys, trainers.evaluation.temperature; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
