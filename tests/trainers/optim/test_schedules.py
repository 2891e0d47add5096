import math
from typing import get_args

import pytest
import torch
from transformers import (
    get_constant_schedule_with_warmup,
    get_cosine_schedule_with_warmup,
    get_cosine_with_hard_restarts_schedule_with_warmup,
    get_inverse_sqrt_schedule,
    get_linear_schedule_with_warmup,
    get_polynomial_decay_schedule_with_warmup,
    get_wsd_schedule,
)
from transformers.optimization import get_cosine_with_min_lr_schedule_with_warmup

from search_spaces.recipe.recipe import Budget
from search_spaces.recipe.schedules import (
    Constant,
    Cosine,
    CosineRestarts,
    Cyclical,
    Exponential,
    InverseSqrt,
    Linear,
    OneCycle,
    Plateau,
    Polynomial,
    Schedule,
    Step,
    WarmupStableDecay,
    WeightDecaySchedule,
)
from trainers.optim.schedules import PlateauState, after_epoch, batch_factor, factor, warmup_steps, weight_decay_factor

torch_schedules = torch.optim.lr_scheduler

TOTALS_AND_WARMUPS = [(1, 0), (2, 1), (10, 0), (10, 3), (57, 57), (216, 22), (216, 1)]


def rates(make, steps: int, peak: float = 1.0) -> list[float]:
    """Return the learning rates that a scheduler object sets, step by step."""
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
    cosine = rates(lambda o: torch_schedules.CosineAnnealingLR(o, 40, eta_min=minimum), 41)
    linear = rates(lambda o: torch_schedules.LinearLR(o, 1.0, minimum, total_iters=40), 41)
    constant = rates(lambda o: torch_schedules.ConstantLR(o, factor=1.0), 41)
    for schedule, expected in (
        (Cosine(min_factor=minimum), cosine),
        (Linear(min_factor=minimum), linear),
        (Constant(), constant),
    ):
        assert [factor(schedule, step, 40) for step in range(41)] == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(("total", "warmup"), [(10, 0), (40, 7), (216, 22)])
def test_the_other_schedules_equal_transformers(total, warmup):
    w, t = warmup, total
    oracles = [
        (
            Polynomial(warmup_steps=w, power=2.0, min_factor=0.1),
            lambda o: get_polynomial_decay_schedule_with_warmup(o, w, t, lr_end=0.1, power=2.0),
        ),
        (
            Polynomial(warmup_steps=w, power=0.9),
            lambda o: get_polynomial_decay_schedule_with_warmup(o, w, t, lr_end=0.0, power=0.9),
        ),
        (InverseSqrt(warmup_steps=w, timescale=30), lambda o: get_inverse_sqrt_schedule(o, w, timescale=30)),
        (InverseSqrt(warmup_steps=w), lambda o: get_inverse_sqrt_schedule(o, w)),
        *(
            (
                WarmupStableDecay(warmup_steps=w, decay=0.25, shape=shape, min_factor=0.05),
                lambda o, shape=shape: get_wsd_schedule(
                    o, w, math.floor(0.25 * t + 0.5), t, decay_type=shape, min_lr_ratio=0.05
                ),
            )
            for shape in ("linear", "cosine", "1-sqrt")
        ),
    ]
    for schedule, make in oracles:
        expected = rates(make, total)
        if isinstance(schedule, WarmupStableDecay):  # transformers starts this warmup at min_factor, ours at 0
            expected[:w] = [step / w for step in range(w)]
        assert [factor(schedule, step, total) for step in range(total)] == pytest.approx(expected, abs=1e-12), schedule


@pytest.mark.parametrize(("total", "warmup", "cycles"), [(40, 0, 4), (50, 10, 5), (216, 16, 2)])
def test_restarts_equal_transformers(total, warmup, cycles):
    schedule = CosineRestarts(warmup_steps=warmup, first_cycle=1 / cycles)
    expected = rates(lambda o: get_cosine_with_hard_restarts_schedule_with_warmup(o, warmup, total, cycles), total)
    assert [factor(schedule, step, total) for step in range(total)] == pytest.approx(expected, abs=1e-12)


def linear_then(after, steps: int):
    """Return a torch schedule after torch's linear warmup."""

    def make(optimizer):
        first = torch_schedules.LambdaLR(optimizer, lambda step: step / steps)
        return torch_schedules.SequentialLR(optimizer, [first, after(optimizer)], milestones=[steps])

    return make


@pytest.mark.parametrize("total", [20, 63, 216])
def test_the_other_schedules_equal_torch(total):
    gamma = 0.01 ** (1 / total)
    oracles = [
        (Exponential(), lambda o: torch_schedules.ExponentialLR(o, gamma)),
        (Step(milestones=(0.5, 0.75)), lambda o: torch_schedules.MultiStepLR(o, halves(total), gamma=0.1)),
        *(
            (
                OneCycle(anneal=ours, rise=0.4, div_factor=10.0),
                lambda o, theirs=theirs: torch_schedules.OneCycleLR(
                    o, 1.0, total, pct_start=0.4, div_factor=10.0, anneal_strategy=theirs, cycle_momentum=False
                ),
            )
            for ours, theirs in (("cosine", "cos"), ("linear", "linear"))
        ),
        *(
            (
                Cyclical(cycles=3, min_factor=0.2, halve=halve),
                lambda o, mode=mode: torch_schedules.CyclicLR(
                    o, 0.2, 1.0, step_size_up=total / 6, mode=mode, cycle_momentum=False
                ),
            )
            for halve, mode in ((False, "triangular"), (True, "triangular2"))
        ),
        *(
            (
                CosineRestarts(first_cycle=4 / total, multiplier=times, min_factor=0.1),
                lambda o, times=times: torch_schedules.CosineAnnealingWarmRestarts(o, 4, times, eta_min=0.1),
            )
            for times in (1, 2, 3)
        ),
    ]
    for schedule, make in oracles:
        ours = [factor(schedule, step, total) for step in range(total)]
        assert ours == pytest.approx(rates(make, total), abs=1e-9), schedule


def halves(total: int) -> list[int]:
    return [math.floor(share * total + 0.5) for share in (0.5, 0.75)]


@pytest.mark.filterwarnings("ignore:The epoch parameter")  # of torch's own SequentialLR
def test_warmup_before_restarts_and_exponential_equals_torch():
    for schedule, after in (
        (
            CosineRestarts(warmup_steps=8, first_cycle=0.25, multiplier=2),
            lambda o: torch_schedules.CosineAnnealingWarmRestarts(o, 8, 2),
        ),
        (Exponential(warmup_steps=8), lambda o: torch_schedules.ExponentialLR(o, 0.01 ** (1 / 32))),
    ):
        ours = [factor(schedule, step, 40) for step in range(40)]
        assert ours == pytest.approx(rates(linear_then(after, 8), 40), abs=1e-12)


@pytest.mark.parametrize(
    "schedule",
    [
        Plateau(gamma=0.5, patience=1),
        Plateau(gamma=0.1, patience=0, cooldown=2),
        Plateau(gamma=0.3, patience=2, threshold=0.05, min_factor=0.2),
    ],
)
def test_plateau_equals_torch(schedule):
    generator = torch.Generator().manual_seed(1)
    losses = [1 / (1 + epoch / 9) + 0.1 * torch.rand((), generator=generator).item() for epoch in range(60)]
    losses[7] = math.nan
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    oracle = torch_schedules.ReduceLROnPlateau(
        optimizer,
        factor=schedule.gamma,
        patience=schedule.patience,
        threshold=schedule.threshold,
        cooldown=schedule.cooldown,
        min_lr=schedule.min_factor,
    )
    state = PlateauState()
    seen = set()
    for loss in losses:
        oracle.step(loss)
        state = after_epoch(schedule, state, loss)
        assert state.factor == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-6, abs=1e-7)
        seen.add(state.factor)
    assert len(seen) > 2


def test_plateau_leaves_other_schedules_alone():
    assert after_epoch(Cosine(), PlateauState(), 1.0) == PlateauState()


def test_weight_decay_follows_its_own_schedule():
    def course(kind: str, final: float) -> list[float]:
        schedule = WeightDecaySchedule(kind=kind, final_factor=final)
        return [weight_decay_factor(schedule, step, 20) for step in range(21)]

    cosine = rates(lambda o: torch_schedules.CosineAnnealingLR(o, 20, eta_min=0.1), 21)
    linear = rates(lambda o: torch_schedules.LinearLR(o, 1.0, 0.1, total_iters=20), 21)
    assert course("cosine", 0.1) == pytest.approx(cosine, abs=1e-12)
    assert course("linear", 0.1) == pytest.approx(linear, abs=1e-12)
    assert course("constant", 0.1) == [1.0] * 21
    assert course("cosine", 10.0)[-1] == 10.0
    assert course("cosine", 10.0) == sorted(course("cosine", 10.0))


@pytest.mark.parametrize(("rule", "expected"), [("none", 1.0), ("linear", 4.0), ("sqrt", 2.0)])
def test_the_peak_follows_the_effective_batch(rule, expected):
    assert batch_factor(Budget(batch_size=128, accumulation=8, lr_scaling=rule)) == expected


KINDS = [kind for kind in get_args(get_args(Schedule)[0]) if "warmup" in kind.model_fields]


def test_every_kind_stays_between_0_and_1():
    kinds = get_args(get_args(Schedule)[0])
    assert len(kinds) == 12
    for kind in kinds:
        for total in (1, 2, 3, 10, 100):
            factors = [factor(kind(), step, total) for step in range(total + 3)]
            assert all(0.0 <= one <= 1.0 for one in factors), (kind, total)


@pytest.mark.parametrize("schedule", [kind(warmup=0.25) for kind in KINDS], ids=lambda schedule: schedule.kind)
def test_warmup_starts_at_zero_and_peaks_exactly_at_its_end(schedule):
    assert factor(schedule, 0, 40) == 0.0
    assert factor(schedule, 5, 40) == 0.5
    assert factor(schedule, 10, 40) == 1.0
    assert max(factor(schedule, step, 40) for step in range(41)) == 1.0


def test_milestones_ascend():
    with pytest.raises(ValueError, match="milestones must ascend"):
        Step(milestones=(0.5, 0.5))


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
