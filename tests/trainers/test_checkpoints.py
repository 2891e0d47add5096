import random

import pytest
import torch

from search_spaces.errors import CheckpointError
from trainers import checkpoints


def state(epoch: int) -> dict:
    return {
        "epoch": epoch,
        "model": {"w": torch.arange(40.0) * epoch, "n": torch.tensor(3)},
        "optimizer": {"groups": [{"lr": 0.1, "betas": (0.9, 0.99), "fused": True, "none": None}]},
    }


def test_the_two_newest_are_kept(tmp_path):
    assert checkpoints.latest(tmp_path / "run") is None
    for epoch in (1, 3, 9, 27):
        path = checkpoints.save(tmp_path / "run", epoch, state(epoch))
    assert path.name == "epoch-000027.ckpt"
    assert sorted(p.name for p in path.parent.iterdir()) == ["epoch-000009.ckpt", "epoch-000027.ckpt"]
    epoch, loaded = checkpoints.latest(tmp_path / "run")
    assert epoch == loaded["epoch"] == 27
    assert torch.equal(loaded["model"]["w"], torch.arange(40.0) * 27)
    assert loaded["optimizer"] == state(27)["optimizer"]


def test_epochs_are_ordered_as_numbers(tmp_path):
    for epoch in (999_999, 1_000_000):
        checkpoints.save(tmp_path, epoch, state(1))
    assert checkpoints.latest(tmp_path)[0] == 1_000_000


def test_damage_falls_back_to_the_previous_then_to_none(tmp_path):
    first = checkpoints.save(tmp_path, 1, state(1))
    second = checkpoints.save(tmp_path, 2, state(2))
    whole = second.read_bytes()
    rng = random.Random(0)
    cuts = [0, 1, len(whole) - 1, *rng.sample(range(len(whole)), 60)]
    for cut in cuts:
        second.write_bytes(whole[:cut])
        assert checkpoints.latest(tmp_path)[0] == 1
    for position in rng.sample(range(len(whole)), 100):
        damaged = bytearray(whole)
        damaged[position] ^= 1 << rng.randrange(8)
        second.write_bytes(damaged)
        assert checkpoints.latest(tmp_path)[0] == 1
    first.write_bytes(b"")
    assert checkpoints.latest(tmp_path) is None


def test_other_files_are_ignored(tmp_path):
    (tmp_path / ".epoch-000009.ckpt.abc.tmp").write_bytes(b"half")
    (tmp_path / "epoch-9.ckpt").write_bytes(b"half")
    checkpoints.save_final(tmp_path, state(27))
    assert checkpoints.latest(tmp_path) is None
    assert checkpoints.load(tmp_path / "final.ckpt")["epoch"] == 27


def test_what_could_not_be_read_back_is_refused_when_it_is_saved(tmp_path):
    checkpoints.save(tmp_path, 1, state(1))
    with pytest.raises(CheckpointError, match="plain Python values"):
        checkpoints.save(tmp_path, 2, {"path": tmp_path})
    assert checkpoints.latest(tmp_path)[0] == 1


def test_nothing_is_unpickled_that_runs_code(tmp_path):
    import io
    import pickle

    from trainers.sealed import write_sealed

    class Evil:
        def __reduce__(self):
            return (pytest.fail, ("code ran",))

    for payload in (pickle.dumps(Evil(), protocol=2), b"", b"junk"):
        write_sealed(tmp_path / "epoch-000001.ckpt", payload)
        assert checkpoints.latest(tmp_path) is None
    buffer = io.BytesIO()
    torch.save([1], buffer)
    write_sealed(tmp_path / "epoch-000001.ckpt", buffer.getvalue())
    with pytest.raises(CheckpointError, match="list"):
        checkpoints.load(tmp_path / "epoch-000001.ckpt")
