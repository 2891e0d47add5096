import subprocess
import sys
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from search_spaces import Recipe
from search_spaces.seeds import derive_seed
from trainers.loop.user_loop import UserLoopTraining
from trainers.sanity.probe import probe_data
from trainers.seeding import generator_states, global_stream, restore_generators, seed_for, stream
from trainers.task import Data
from trainers.tasks import cartpole
from trainers.tasks.digits import Digits

PARTS = st.lists(st.one_of(st.integers(), st.text(max_size=5)), max_size=4)


def test_known_values_never_change():
    # A release that changes the seeds cannot repeat the runs of an older one.
    assert derive_seed(0, "order", 3) == 2677570979528754917
    assert derive_seed("init") == 5548372597851777456
    assert derive_seed(0, "order", 3) == derive_seed(np.int64(0), "order", 3)


@given(PARTS, PARTS)
def test_different_parts_give_different_seeds(a, b):
    same = len(a) == len(b) and all(type(x) is type(y) and x == y for x, y in zip(a, b, strict=True))
    assert (derive_seed(*a) == derive_seed(*b)) == same
    assert 0 <= derive_seed(*a) < 2**63


def test_parts_are_not_merely_joined():
    assert len({derive_seed("ab", "c"), derive_seed("a", "bc"), derive_seed("abc"), derive_seed("a", "b", "c")}) == 4
    assert derive_seed(1) != derive_seed("1")


def test_streams_are_independent_of_each_other_and_of_what_was_drawn_before():
    first = torch.rand(5, generator=stream(7, "order", 2))
    torch.rand(1000, generator=stream(7, "augment", 2))
    assert torch.equal(first, torch.rand(5, generator=stream(7, "order", 2)))
    assert not torch.equal(first, torch.rand(5, generator=stream(7, "order", 3)))
    assert not torch.equal(first, torch.rand(5, generator=stream(7, "augment", 2)))
    assert not torch.equal(first, torch.rand(5, generator=stream(8, "order", 2)))


def test_generators_of_a_gpu_are_ignored_on_a_cpu():
    torch.manual_seed(4)
    [state] = generator_states(torch.device("cpu"))
    expected = torch.rand(3)
    restore_generators([state, torch.zeros(16, dtype=torch.uint8)], torch.device("cpu"))
    assert torch.equal(torch.rand(3), expected)


def test_the_global_stream_restores_the_callers_state():
    torch.manual_seed(1)
    expected = torch.rand(4)
    torch.manual_seed(1)
    with global_stream(0, "dropout", 5):
        inside = torch.rand(3)
    assert torch.equal(torch.rand(4), expected)
    with global_stream(0, "dropout", 5):
        assert torch.equal(torch.rand(3), inside)


def test_seeds_are_derived_without_torch_and_alike_in_every_process():
    code = (
        "import sys; from search_spaces import derive_seed; import trainers.reports;"
        "assert 'torch' not in sys.modules; print(derive_seed(3, 'split', 0))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(run.stdout) == derive_seed(3, "split", 0)


class DigitsOfAUser(Digits):
    def data(self, seed: int) -> Data:
        np.random.RandomState(seed)
        return super().data(seed)


@pytest.mark.parametrize("seed", [0, 2**32 - 1, 2**32, 2**63 - 1])
def test_the_code_of_users_gets_a_seed_that_numpy_takes(seed: int) -> None:
    def loop(config: dict, seed: int, state: dict | None = None) -> Iterator[dict]:
        np.random.RandomState(seed)
        yield {"val/seed": seed}

    assert seed_for(DigitsOfAUser(), seed) == seed_for(loop, seed) == seed % 2**32
    assert seed_for(Digits(), seed) == seed_for(cartpole.train, seed) == seed
    assert UserLoopTraining(loop, Recipe(), seed).run_epoch().metrics == {"val/seed": seed % 2**32}
    assert len(probe_data(Recipe(), DigitsOfAUser(), seed).train)
