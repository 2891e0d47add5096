import random
from collections import Counter, OrderedDict, defaultdict
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
import torch

from search_spaces.errors import RunError
from trainers.loop.loop_state import from_stored, to_stored
from trainers.reports import Position
from trainers.storage import checkpoints
from trainers.storage.local import LocalFolder


def stored(tmp_path, state):
    """Return a state after it was written to a checkpoint and read back."""
    checkpoints.save(LocalFolder(tmp_path), Position(1), {"state": to_stored(state)})
    return from_stored(checkpoints.latest(LocalFolder(tmp_path))[1]["state"])


@pytest.mark.parametrize(
    "scalar",
    [
        np.float64("inf"),
        np.float32(0.1),
        np.float16(0.1),
        np.longdouble(0.1),
        np.int8(-3),
        np.uint64(2**63),
        np.bool_(True),
        np.complex64(1j),
        np.str_("é"),
        np.bytes_(b"a"),
        np.datetime64("2026-01-01T00:00:00.000000001"),
        np.timedelta64(3, "s"),
    ],
)
def test_scalars_of_numpy_come_back_with_their_types(tmp_path, scalar):
    back = stored(tmp_path, {"deep": OrderedDict(a=[(scalar,)])})["deep"]
    assert type(back) is OrderedDict
    assert (type(back["a"][0][0]), back["a"][0][0].dtype, back["a"][0][0]) == (type(scalar), scalar.dtype, scalar)


def test_plain_values_come_back_with_their_types(tmp_path):
    state = {
        "set": {1, "a"},
        "counter": Counter("aab"),
        "tuple": (1, (2.0, None)),
        "bytes": bytearray(b"a"),
        "dtype": torch.bfloat16,
        "numpy": np.random.RandomState(0).get_state(legacy=False),
        "generator": np.random.default_rng(0).bit_generator.state,
        "python": random.Random(0).getstate(),
        "keys": {np.int64(5): 1, (1, np.int64(2)): 2},
        "items": {np.int64(5)},
    }
    back = stored(tmp_path, state)
    for name in state.keys() - {"numpy"}:
        assert (type(back[name]), back[name]) == (type(state[name]), state[name])
    again = np.random.RandomState()
    again.set_state(back["numpy"])
    assert again.rand() == np.random.RandomState(0).rand()


@pytest.mark.parametrize(
    "array",
    [
        np.random.RandomState(0).get_state()[1],
        np.arange(6.0).reshape(2, 3).T,
        np.zeros((0, 4), np.float32),
        np.array(2.5),
        np.array(["a", "bcd"]),
        np.array([True, False]),
        np.array([1 + 2j]),
        np.arange(3, dtype=">i4"),
    ],
)
def test_arrays_come_back(tmp_path, array):
    back = stored(tmp_path, {"deep": {1: [array]}})["deep"][1][0]
    assert (type(back), back.dtype, back.shape) == (np.ndarray, array.dtype, array.shape)
    assert np.array_equal(back, array)
    assert back.flags.writeable


def test_the_state_is_copied_and_a_state_dict_keeps_its_versions(tmp_path):
    model = torch.nn.BatchNorm1d(2)
    state = {"model": model.state_dict(), "list": [1], np.int64(5): "five"}
    copied = to_stored(state)
    model.weight.data.fill_(9.0)
    state["list"].append(2)
    assert (copied["model"]["weight"].tolist(), copied["list"]) == ([1.0, 1.0], [1])
    assert copied["model"]._metadata == model.state_dict()._metadata
    assert stored(tmp_path, {"a": {np.int64(5): "five"}}) == {"a": {5: "five"}}


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ({"best": Decimal(1)}, r"state\['best'\] is decimal.Decimal: a state holds detached tensors"),
        ({"a": {"b": [1, Decimal(1)]}}, r"state\['a'\]\['b'\]\[1\] is decimal.Decimal"),
        ({"a": np.array([None])}, r"state\['a'\] is numpy.ndarray"),
        ({"next": (x for x in "ab")}, r"state\['next'\] is generator"),
        ({"f": lambda: 1}, r"state\['f'\] is function"),
        ({"loss": torch.ones(1, requires_grad=True) * 2}, r"state\['loss'\] is torch.Tensor: a state holds detached"),
        ({"a": {"b": [torch.ones(1, requires_grad=True) * 2]}}, r"state\['a'\]\['b'\]\[0\] is torch.Tensor"),
        ({"a": np.zeros(2, "i4,f8")}, r"state\['a'\] is numpy.ndarray of \[\('f0', '<i4'\), \('f1', '<f8'\)\]: a"),
        ({"a": np.ma.array([1, 2], mask=[0, 1])}, r"state\['a'\] is numpy.ma.MaskedArray"),
        ({"a": defaultdict(list)}, r"state\['a'\] is collections.defaultdict"),
        ({"a": {"b": {Decimal(1)}}}, r"an item of state\['a'\]\['b'\] is decimal.Decimal"),
        ({"a": {Decimal(1): 1}}, r"a key of state\['a'\] is decimal.Decimal"),
        ({"a": Path("a")}, r"state\['a'\] is pathlib.PosixPath"),
        ({"a": torch.Generator()}, r"state\['a'\] is torch._C.Generator"),
    ],
)
def test_what_cannot_be_stored_is_named(state, expected):
    with pytest.raises(RunError, match=f"^{expected}") as caught:
        to_stored(state)
    assert "\n" not in str(caught.value)


def test_a_state_that_contains_itself_is_refused():
    state = {"a": []}
    state["a"].append(state)
    with pytest.raises(RunError, match=r"^state: a list or dict of it contains itself, which cannot be stored$"):
        to_stored(state)
