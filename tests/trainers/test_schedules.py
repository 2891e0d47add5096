import pytest
import torch
from transformers import (
    get_constant_schedule_with_warmup,
    get_cosine_schedule_with_warmup,
    get_linear_schedule_with_warmup,
)
from transformers.optimization import get_cosine_with_min_lr_schedule_with_warmup

from search_spaces.schedules import Constant, Cosine, Linear
from trainers.schedules import factor, warmup_steps

TOTALS_AND_WARMUPS = [(1, 0), (2, 1), (10, 0), (10, 3), (57, 57), (216, 22), (216, 1)]


def rates(make, steps: int, peak: float = 1.0) -> list[float]:
    """The learning rates that a scheduler object sets, step by step."""
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=peak)
    scheduler = make(optimizer)
    seen = []
    for _ in range(steps):
        seen.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return seen


@pytest.mark.parametrize(("total", "warmup"), TOTALS_AND_WARMUPS)
def test_equal_to_transformers_at_every_step(total, warmup):
    oracles = [
        (Cosine(warmup_steps=warmup), lambda o: get_cosine_schedule_with_warmup(o, warmup, total)),
        (Linear(warmup_steps=warmup), lambda o: get_linear_schedule_with_warmup(o, warmup, total)),
        (Constant(warmup_steps=warmup), lambda o: get_constant_schedule_with_warmup(o, warmup)),
        (
            Cosine(warmup_steps=warmup, min_factor=0.1),
            lambda o: get_cosine_with_min_lr_schedule_with_warmup(o, warmup, total, min_lr_rate=0.1),
        ),
    ]
    for schedule, make in oracles:
        ours = [factor(schedule, step, total) for step in range(total)]
        assert ours == pytest.approx(rates(make, total), abs=1e-12), schedule


@pytest.mark.parametrize("minimum", [0.0, 0.05])
def test_equal_to_torch_without_warmup(minimum):
    lr_scheduler = torch.optim.lr_scheduler
    cosine = rates(lambda o: lr_scheduler.CosineAnnealingLR(o, 40, eta_min=minimum), 41)
    linear = rates(lambda o: lr_scheduler.LinearLR(o, 1.0, minimum, total_iters=40), 41)
    constant = rates(lambda o: lr_scheduler.ConstantLR(o, factor=1.0), 41)
    for schedule, expected in (
        (Cosine(min_factor=minimum), cosine),
        (Linear(min_factor=minimum), linear),
        (Constant(), constant),
    ):
        assert [factor(schedule, step, 40) for step in range(41)] == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("schedule", [Cosine(warmup=0.25), Linear(warmup=0.25), Constant(warmup=0.25)])
def test_warmup_starts_at_zero_and_peaks_exactly_at_its_end(schedule):
    assert factor(schedule, 0, 40) == 0.0
    assert factor(schedule, 5, 40) == 0.5
    assert factor(schedule, 10, 40) == 1.0
    assert max(factor(schedule, step, 40) for step in range(41)) == 1.0


@pytest.mark.parametrize(
    ("fraction", "total", "steps"), [(0.0, 100, 0), (0.1, 216, 22), (0.1, 15, 2), (0.25, 10, 3), (0.99, 1, 1)]
)
def test_a_warmup_fraction_is_rounded_to_the_nearest_step_halves_upwards(fraction, total, steps):
    assert warmup_steps(Cosine(warmup=fraction), total) == steps


def test_past_the_end_the_last_value_stays():
    assert factor(Cosine(min_factor=0.1), 99, 40) == pytest.approx(0.1)
    assert factor(Linear(), 99, 40) == 0.0


def test_a_warmup_longer_than_the_training_never_reaches_the_peak():
    assert [factor(Linear(warmup_steps=8), step, 4) for step in range(4)] == [0.0, 0.125, 0.25, 0.375]
