"""Runs of `synthetic_curves` with one planted problem of random severity."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from analysis.diagnosis.curves import Curves
from analysis.diagnosis.findings import Code
from tests.analysis.diagnosis.synthetic_curves import Draft, draft


def planted(code: Code, rng: np.random.Generator) -> Curves:
    """Return a run with one problem, from just detectable to severe."""
    return _PLANTERS[code](rng)


def _nan(rng: np.random.Generator) -> Curves:
    made = draft(rng)
    last = int(rng.integers(0, made.n))
    made.keep(last + 1)
    for name in ("train/loss", "val/nll", "train/grad_norm"):
        made.series[name] = np.append(made.series[name][:-1], rng.choice([np.nan, np.inf]))
    return replace(made.freeze(), state="DIVERGED", budget=60)


def _diverged(rng: np.random.Generator) -> Curves:
    made = draft(rng, shortest=12)
    loss = made.series["train/loss"]
    start = int(rng.uniform(0.2, 0.5) * made.n)
    after = np.arange(made.n) - start
    if rng.random() < 0.5:  # explodes permanently
        top = rng.uniform(1.7, 50.0) * made.guess
    else:  # rises to at least twice its value and stays there
        top = max(rng.uniform(2.5, 6.0) * loss[start], loss[start] + 0.1 * made.guess)
    climb = np.clip(after / rng.uniform(1, 3), 0, 1)
    made.series["train/loss"] = np.where(after > 0, loss[start] * (top / loss[start]) ** climb, loss) * made.noise(0.01)
    return made.freeze()


def _spikes(made: Draft, count: int) -> Curves:
    loss = made.series["train/loss"]
    for i in made.rng.choice(np.arange(5, made.n, 2), count, replace=False):
        loss[i] = max(made.rng.uniform(2.7, 8.0) * loss[i - 4 : i].mean(), loss[i] + 0.1 * made.guess)
    return made.freeze()


def _one_spike(rng: np.random.Generator) -> Curves:
    return _spikes(draft(rng), int(rng.integers(1, 3)))


def _lr_too_high(rng: np.random.Generator) -> Curves:
    made = draft(rng, shortest=20)
    if rng.random() < 0.5:
        return _spikes(made, int(rng.integers(3, 6)))
    loss = made.series["train/loss"]
    start = max(1, math.ceil(made.warmup))
    back = np.exp(-np.maximum(made.t - made.t[start], 0.0) / 0.2)
    made.series["train/loss"] = np.where(
        np.arange(made.n) < start, loss, np.maximum(loss, loss[start - 1] * rng.uniform(1.15, 2.0) * back)
    )
    return made.freeze()


def _oscillating(rng: np.random.Generator) -> Curves:
    made = draft(rng)
    loss = made.series["val/nll"]
    signs = np.where(np.arange(made.n) % 2, 1.0, -1.0) * np.where(rng.random(made.n) < 0.9, 1.0, -1.0)
    swing = rng.uniform(0.08, 0.4) * (made.guess - loss.min())
    made.series["val/nll"] = np.maximum(loss.min(), loss + swing) + swing * signs * rng.uniform(0.5, 1.0, made.n)
    return made.freeze()


def _plateau(rng: np.random.Generator) -> Curves:
    made = draft(rng)
    loss = made.series["val/nll"]
    start = int(rng.uniform(0.2, 0.35) * made.n)
    flat = loss[start] * made.noise(made.wobble)
    made.series["val/nll"] = np.where(np.arange(made.n) < start, loss, flat)
    return made.freeze()


def _undertrained(rng: np.random.Generator) -> Curves:
    made = draft(rng)
    fall = rng.uniform(0.3, 0.8)  # of ln K, over the whole run
    made.series["val/nll"] = made.guess * (1 - fall * made.t) * made.noise(rng.uniform(0.002, 0.008))
    return made.freeze()


def _too_long(rng: np.random.Generator) -> Curves:
    made = draft(rng, shortest=20)
    best = int(rng.uniform(0.0, 0.08) * made.n)
    low = made.guess * rng.uniform(0.1, 0.6)
    after = np.maximum(np.arange(made.n) - best, 0)
    rise = 1 + rng.uniform(0.06, 0.5) * np.minimum(1.0, 0.4 + after / made.n) * (after > 0)
    before = 1 + 0.3 * np.maximum(best - np.arange(made.n), 0)
    made.series["val/nll"] = low * rise * before * made.noise(0.006)
    return made.freeze()


def _underfit(rng: np.random.Generator) -> Curves:
    made = draft(rng)
    left = 1 - rng.uniform(0.0, 0.07) * made.t
    made.series |= {name: made.guess * left * made.noise(0.004) for name in ("train/loss", "val/nll")}
    made.series.pop("train/nll_eval", None)
    return made.freeze()


def _chance(rng: np.random.Generator) -> Curves:
    made = draft(rng)
    majority = float(rng.uniform(1 / made.classes, min(1.3 / made.classes, 0.9)))
    made.facts["shares"] = (majority, *[(1 - majority) / (made.classes - 1)] * (made.classes - 1))
    guesses = rng.binomial(made.examples, majority, made.n) / made.examples
    made.series["val/accuracy"] = guesses if rng.random() < 0.5 else np.full(made.n, guesses[0])
    made.series["val/nll"] = made.guess * made.noise(0.01)
    return made.freeze()


def _overfit(rng: np.random.Generator, accuracy_falls: bool) -> Curves:
    made = draft(rng, shortest=10)
    loss = made.series["val/nll"]
    best = int(rng.uniform(0.25, 0.6) * made.n)
    after = np.maximum(np.arange(made.n) - best, 0) / (made.n - 1 - best)
    low = loss[: best + 1].min()
    rise = low * (1 + rng.uniform(0.1, 1.0) * after**0.7) * made.noise(made.wobble * 0.7)
    made.series["val/nll"] = np.where(after > 0, rise, loss)
    train = made.series["train/loss"]
    made.series["train/loss"] = np.where(after > 0, train[best] * (1 - 0.6 * after) * made.noise(0.005), train)
    made.series.pop("train/nll_eval", None)
    right = made.series["val/accuracy"]
    error = math.sqrt(right[best] * (1 - right[best]) / made.examples)
    drop = rng.uniform(3.0, 8.0) * error if accuracy_falls else -rng.uniform(0.0, 1.0) * error
    held = right[best] - drop * after**0.5 + 0.3 * error * rng.standard_normal(made.n)
    made.series["val/accuracy"] = np.clip(np.where(after > 0, held, right), 0.0, 1.0)
    return made.freeze()


def _val_better(rng: np.random.Generator) -> Curves:
    made = draft(rng, least_examples=1000)
    made.series["train/nll_eval"] = made.series["train/loss"] * made.noise(0.005)
    made.series["val/nll"] = made.series["train/nll_eval"] * rng.uniform(0.3, 0.8) * made.noise(0.02)
    return made.freeze()


def _clipped(rng: np.random.Generator) -> Curves:
    made = draft(rng)
    made.facts["clips"] = True
    rate = float(rng.choice([0.0, rng.uniform(0.25, 1.0)]))
    made.series["train/clip_rate"] = np.clip(rate * made.noise(0.1), 0.0, 1.0)
    return made.freeze()


def _vanishing(rng: np.random.Generator) -> Curves:
    made = draft(rng)
    high = made.series["train/grad_norm_layer_max"]
    match int(rng.integers(3)):
        case 0:
            weak = np.zeros(made.n)
        case 1:
            weak = high * 10 ** rng.uniform(-8, -3.3)
        case _:
            for name in ("grad_norm", "grad_norm_max", "grad_norm_layer_max", "grad_norm_layer_min"):
                made.series[f"train/{name}"] = made.series[f"train/{name}"] * 1e-9
            return made.freeze()
    made.series["train/grad_norm_layer_min"] = weak
    return made.freeze()


def _exploding(rng: np.random.Generator) -> Curves:
    made = draft(rng)
    high = 10 ** rng.uniform(1.3, 4) * made.noise(0.1)
    low = high / 10 ** rng.uniform(2, 5)
    made.series |= {"train/grad_norm": high * 1.1, "train/grad_norm_layer_max": high, "train/grad_norm_layer_min": low}
    return made.freeze()


def _updates(rng: np.random.Generator) -> Curves:
    made = draft(rng)
    size = 10 ** (rng.uniform(-7, -4.2) if rng.random() < 0.5 else rng.uniform(-0.6, 0.5))
    made.series["train/update_ratio"] = size * made.noise(0.1)
    return made.freeze()


def _initial(rng: np.random.Generator) -> Curves:
    made = draft(rng)
    if rng.random() < 0.5:
        off = rng.uniform(1.25, 5.0) if rng.random() < 0.5 else rng.uniform(0.1, 0.75)
        made.facts["initial_loss"] = made.guess * off
        return made.freeze()
    made.series["train/loss"][0] = made.guess * rng.uniform(1.25, 3.0)
    return made.freeze()


def _too_short(rng: np.random.Generator) -> Curves:
    made = draft(rng)
    made.keep(int(rng.integers(0, 8)))
    return made.freeze()


_PLANTERS: dict[Code, Callable[[np.random.Generator], Curves]] = {
    Code.NAN: _nan,
    Code.DIVERGED: _diverged,
    Code.LR_TOO_HIGH: _lr_too_high,
    Code.GRAD_EXPLODE: _exploding,
    Code.GRAD_VANISH: _vanishing,
    Code.CHANCE: _chance,
    Code.INIT_LOSS: _initial,
    Code.UNDERFIT: _underfit,
    Code.SPIKES: _one_spike,
    Code.OSCILLATING: _oscillating,
    Code.CLIP_HIGH: _clipped,
    Code.UPDATE_RATIO: _updates,
    Code.OVERFIT: lambda rng: _overfit(rng, accuracy_falls=True),
    Code.OVERFIT_CONFIDENCE: lambda rng: _overfit(rng, accuracy_falls=False),
    Code.VAL_BETTER: _val_better,
    Code.TOO_LONG: _too_long,
    Code.UNDERTRAINED: _undertrained,
    Code.PLATEAU: _plateau,
    Code.TOO_SHORT: _too_short,
}
