from decimal import Decimal

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


def test_numbers_of_numpy_become_numbers(tmp_path):
    state = {
        "best": np.float64("inf"),
        "n": np.int64(3),
        "ok": np.bool_(True),
        "all": [np.float32(0.5), (np.str_("a"),)],
    }
    back = stored(tmp_path, state)
    assert back == {"best": float("inf"), "n": 3, "ok": True, "all": [0.5, ("a",)]}
    assert [type(back[name]) for name in ("best", "n", "ok")] == [float, int, bool]


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
        ({"best": Decimal(1)}, r"state\['best'\] is decimal.Decimal: a state holds tensors"),
        ({"a": {"b": [1, Decimal(1)]}}, r"state\['a'\]\['b'\]\[1\] is decimal.Decimal"),
        ({"a": np.array([None])}, r"state\['a'\] is numpy.ndarray"),
        ({"next": (x for x in "ab")}, r"state\['next'\] is generator"),
        ({"f": lambda: 1}, r"state\['f'\] is function"),
        ({"loss": torch.ones(1, requires_grad=True) * 2}, r"state\['loss'\] is torch.Tensor"),
    ],
)
def test_what_cannot_be_stored_is_named(state, expected):
    with pytest.raises(RunError, match=f"^{expected}") as caught:
        to_stored(state)
    assert "\n" not in str(caught.value)
