"""Curves of healthy runs with realistic noise, and drafts that `planted_problems` modifies."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from analysis.diagnosis.curves import Curves

Array = npt.NDArray[np.float64]


@dataclass
class Draft:
    """A run that can still be modified."""

    rng: np.random.Generator
    classes: int
    examples: int
    warmup: float
    rate: Array  # learning rate / peak
    wobble: float  # noise of the validation loss, relative
    series: dict[str, Array]
    facts: dict[str, Any]

    @property
    def n(self) -> int:
        return len(self.rate)

    @property
    def guess(self) -> float:
        return math.log(self.classes)

    @property
    def t(self) -> Array:
        return np.arange(1, self.n + 1) / self.n

    def noise(self, scale: float, n: int | None = None) -> Array:
        return 1.0 + scale * self.rng.standard_normal(self.n if n is None else n)

    def keep(self, n: int) -> None:
        self.series = {name: values[:n] for name, values in self.series.items()}
        self.rate = self.rate[:n]

    def freeze(self) -> Curves:
        return Curves(
            epochs=np.arange(1, self.n + 1),
            series=self.series,
            budget=self.n,
            classes=self.classes,
            lr=1e-3,
            warmup=self.warmup,
            val_examples=self.examples,
            **self.facts,
        )


def draft(rng: np.random.Generator, shortest: int = 8, longest: int = 60, least_examples: int = 300) -> Draft:
    """Return a healthy run: it learns most of what it can within the budget, and its losses do not rise."""
    n = int(rng.integers(shortest, longest + 1))
    classes = int(rng.choice([2, 4, 10, 100]))
    t = np.arange(1, n + 1) / n
    warmup = float(rng.choice([0.0, 0.05, 0.1])) * n
    ramp = np.minimum(1.0, (np.arange(n) + 0.5) / max(warmup, 0.5))
    shape = rng.choice(["cosine", "linear", "constant"])
    tail = {"cosine": 0.5 * (1 + np.cos(np.pi * t)), "linear": 1 - t, "constant": np.ones(n)}[str(shape)]
    examples = int(rng.integers(least_examples, max(least_examples + 1, 5000)))
    made = Draft(rng, classes, examples, warmup, ramp * tail, float(rng.uniform(0.003, 0.025)), {}, {})
    _losses(made)
    _step_metrics(made)
    return made


def _losses(made: Draft) -> None:
    rng, n, guess = made.rng, made.n, made.guess
    # A mean over an epoch is close to the value at its middle.
    middle = np.maximum(made.t - 0.5 / n - 0.5 * made.warmup / n, 0.2 / n)
    if rng.random() < 0.5:
        left = np.exp(-middle / rng.uniform(0.08, 0.3))
    else:
        left = (1 + middle / rng.uniform(0.02, 0.08)) ** -rng.uniform(1.0, 2.0)
    start = guess * rng.uniform(0.95, 1.05)
    floor = guess * rng.uniform(0.02, 0.4)
    train = floor + (start - floor) * left
    gap = floor * rng.uniform(0.05, 0.5) * (1 - left)
    # Noise between epochs shrinks with the learning rate and is partly correlated.
    shocks = rng.standard_normal(n)
    phi = rng.uniform(0.0, 0.5)
    for i in range(1, n):
        shocks[i] = phi * shocks[i - 1] + math.sqrt(1 - phi**2) * shocks[i]
    val = (train + gap) * (1 + made.wobble * (0.3 + 0.7 * made.rate) * shocks)
    best = 1 - (1 - 1 / made.classes) * 0.7 * floor / guess
    right = best - (best - 1 / made.classes) * left
    spread = 0.5 * np.sqrt(right * (1 - right) / made.examples)
    offset = rng.standard_normal() * spread  # sampling noise of the examples, the same in every epoch
    made.series |= {
        "train/loss": train * made.noise(rng.uniform(0.003, 0.015)),
        "val/nll": val,
        "val/accuracy": np.clip(right + offset + spread * rng.standard_normal(n), 0.0, 1.0),
    }
    if rng.random() < 0.5:
        made.series["train/nll_eval"] = train * made.noise(0.005)


def _step_metrics(made: Draft) -> None:
    rng, n = made.rng, made.n
    norm = 10 ** rng.uniform(-1, 0.7) * np.exp(rng.uniform(-0.7, 0.7) * made.t + 0.1 * rng.standard_normal(n))
    clips = rng.random() < 0.5
    rates = np.clip(rng.uniform(0.01, 0.12) * np.exp(0.4 * rng.standard_normal(n)), 0, 1)
    made.facts["clips"] = clips
    made.series |= {
        "train/lr": 1e-3 * made.rate,
        "train/grad_norm": norm,
        "train/grad_norm_max": norm * rng.uniform(1.2, 4.0),
        "train/grad_norm_layer_max": norm * 0.8,
        "train/grad_norm_layer_min": norm * 0.8 * 10 ** rng.uniform(-1.5, -0.2) * made.noise(0.05),
        "train/clip_rate": rates if clips else np.zeros(n),
        "train/update_ratio": 10 ** rng.uniform(-3.2, -1.7) * (made.rate + 1e-3) * made.noise(0.1),
    }


def healthy(rng: np.random.Generator) -> Curves:
    return draft(rng).freeze()
