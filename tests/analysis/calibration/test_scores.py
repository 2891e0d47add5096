from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest
import torch
from scipy.special import log_softmax, softmax
from sklearn.metrics import brier_score_loss, log_loss

from analysis.calibration.scores import Kind, check_probabilities, score
from trainers.evaluate import per_example


def example(seed: int, classes: int = 5, n: int = 300) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    rng = np.random.default_rng(seed)
    return rng.normal(0.0, 3.0, (n, classes)), rng.integers(0, classes, n)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("kind", ["logits", "log_probabilities", "probabilities"])
def test_every_kind_scores_alike(seed: int, kind: Kind) -> None:
    logits, labels = example(seed)
    values = {"logits": logits, "log_probabilities": log_softmax(logits, axis=1), "probabilities": softmax(logits, 1)}
    scores = score(values[kind], labels, kind)
    theirs = per_example(torch.from_numpy(logits), torch.from_numpy(labels))
    np.testing.assert_array_equal(scores.predicted, theirs.predicted)
    for name in ("confidence", "nll", "brier"):
        np.testing.assert_allclose(getattr(scores, name), getattr(theirs, name), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("classes", [2, 5])
def test_sklearn(classes: int) -> None:
    logits, labels = example(0, classes)
    probabilities = softmax(logits, axis=1)
    scores = score(logits, labels, "logits")
    names = list(range(classes))
    assert scores.nll.mean() == pytest.approx(log_loss(labels, probabilities, labels=names))
    brier = brier_score_loss(labels, probabilities, labels=names, scale_by_half=False)
    assert scores.brier.mean() == pytest.approx(brier)
    if classes == 2:  # the two classes of a binary task miss by the same
        assert scores.brier.mean() == pytest.approx(2.0 * brier_score_loss(labels, probabilities[:, 1]))


def test_by_hand() -> None:
    scores = score([[0.25, 0.75], [0.5, 0.5]], [0, 1], "probabilities")
    assert scores.confidence.tolist() == [0.75, 0.5]
    assert scores.predicted.tolist() == [1, 0]  # of equals the first
    np.testing.assert_allclose(scores.nll, [math.log(4.0), math.log(2.0)])
    np.testing.assert_allclose(scores.brier, [2 * 0.75**2, 0.5])


def test_probability_zero() -> None:
    values = [[1.0, 0.0], [1.0, 0.0]]
    with np.errstate(divide="ignore"):
        logs = np.log(values)
    for scores in (
        score(values, [0, 1], "probabilities"),
        score(logs, [0, 1], "log_probabilities"),
        score(logs, [0, 1], "logits"),
    ):
        assert scores.nll.tolist() == [0.0, math.inf]
        assert scores.confidence.tolist() == [1.0, 1.0]
        assert scores.brier.tolist() == [0.0, 2.0]


def test_large_logits() -> None:
    scores = score(np.array([[1e4, -1e4]]), [1], "logits")
    assert scores.nll.tolist() == [2e4]
    assert score(np.float32([[80.0, 80.0]]), [1], "logits").nll == pytest.approx([math.log(2.0)])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_confidence_never_leaves_its_range(dtype: type[np.floating]) -> None:
    logits, labels = example(1, classes=1000, n=50)
    probabilities = softmax(logits * 5.0, axis=1).astype(dtype) * dtype(1.00005)
    for kind, values in (("probabilities", probabilities), ("log_probabilities", np.log(probabilities + dtype(1e-30)))):
        scores = score(values, labels, kind)
        assert scores.confidence.max() <= 1.0
        assert scores.nll.min() >= 0.0
        assert scores.brier.min() >= 0.0
        assert scores.brier.max() <= 2.0


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([[0.5, 0.5], [0.5, math.nan]], "be finite: 1 of 2 do not; row 1 has nan"),
        ([[math.inf, 0.0]], "be finite: 1 of 1 do not; row 0 has inf"),
        ([[1.5, -0.5]], "no negative probability .*row 0 has -0.5"),
        ([[0.5, 0.5], [0.5, 0.4], [0.1, 0.1]], "sum to 1 .*2 of 3 do not; row 1 has 0.9"),
        ([0.5, 0.5], r"shape \(n, classes\)"),
        ([[1.0]], r"two classes at least: got \(1, 1\)"),
        (np.empty((0, 3)), r"with an example and two classes at least: got \(0, 3\)"),
    ],
)
def test_what_are_no_probabilities(rows: npt.ArrayLike, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_probabilities(rows)
    with pytest.raises(ValueError, match=message):
        score(rows, [0] * len(np.asarray(rows)), "probabilities")


def test_tolerance_of_the_sum() -> None:
    check_probabilities([[0.5, 0.50009]])
    with pytest.raises(ValueError, match="sum to 1"):
        check_probabilities([[0.5, 0.50011]])
    logits, _ = example(0, classes=1000)
    check_probabilities(softmax(logits.astype(np.float32), axis=1))


def test_a_kind_is_not_guessed() -> None:
    logits, labels = example(0)
    for kind in ("probabilities", "log_probabilities"):
        with pytest.raises(ValueError, match="every row must"):
            score(logits, labels, kind)
    with pytest.raises(ValueError, match="every row must be finite"):
        score(logits * 1000.0, labels, "log_probabilities")
    with pytest.raises(ValueError, match="kind must be one of logits, log_probabilities, probabilities: got 'logit'"):
        score(logits, labels, "logit")


@pytest.mark.parametrize("bad", [[math.nan, 0.0], [math.inf, 0.0], [-math.inf, -math.inf]])
def test_what_are_no_logits(bad: list[float]) -> None:
    with pytest.raises(ValueError, match="finite maximum, and no NaN: 1 of 2 do not; row 1"):
        score([[0.0, 1.0], bad], [0, 0], "logits")


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([0], r"integers of shape \(2,\)"),
        ([0.0, 1.0], "integers of shape"),
        ([0, 3], r"in 0..2: got 0..3"),
        ([-1, 0], r"in 0..2: got -1..0"),
    ],
)
def test_labels_that_do_not_fit(labels: list[int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        score([[0.0, 1.0, 2.0]] * 2, labels, "logits")
