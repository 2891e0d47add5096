import random

import pytest
import torch

from search_spaces.errors import CheckpointError
from trainers.reports import Position
from trainers.storage import checkpoints
from trainers.storage.address import open_folder
from trainers.storage.local import LocalFolder


def state(epoch: int) -> dict:
    return {
        "epoch": epoch,
        "model": {"w": torch.arange(40.0) * epoch, "n": torch.tensor(3)},
        "optimizer": {"groups": [{"lr": 0.1, "betas": (0.9, 0.99), "fused": True, "none": None}]},
    }


def test_the_two_newest_are_kept(tmp_path):
    folder = LocalFolder(tmp_path / "run")
    assert checkpoints.latest(folder) is None
    for epoch in (1, 3, 9, 27):
        name = checkpoints.save(folder, Position(epoch), state(epoch))
    assert name == "epoch-000027.ckpt"
    assert sorted(p.name for p in (tmp_path / "run").iterdir()) == ["epoch-000009.ckpt", "epoch-000027.ckpt"]
    (epoch, _), loaded = checkpoints.latest(folder)
    assert epoch == loaded["epoch"] == 27
    assert torch.equal(loaded["model"]["w"], torch.arange(40.0) * 27)
    assert loaded["optimizer"] == state(27)["optimizer"]


def test_epochs_are_ordered_as_numbers(tmp_path):
    for epoch in (999_999, 1_000_000):
        checkpoints.save(LocalFolder(tmp_path), Position(epoch), state(1))
    assert checkpoints.latest(LocalFolder(tmp_path))[0].epoch == 1_000_000


def test_damage_falls_back_to_the_previous_then_to_none(tmp_path):
    assert_damage_falls_back(LocalFolder(tmp_path), tries=60)


def test_damage_on_s3_falls_back_to_the_previous_then_to_none(s3_url):
    assert_damage_falls_back(open_folder(s3_url), tries=6)


def assert_damage_falls_back(folder, tries):
    first = checkpoints.save(folder, Position(1), state(1))
    second = checkpoints.save(folder, Position(2), state(2))
    whole = folder.read(second)
    rng = random.Random(0)
    cuts = [0, 1, len(whole) - 1, *rng.sample(range(len(whole)), tries)]
    for cut in cuts:
        folder.write(second, whole[:cut])
        assert checkpoints.latest(folder)[0].epoch == 1
    for position in rng.sample(range(len(whole)), tries):
        damaged = bytearray(whole)
        damaged[position] ^= 1 << rng.randrange(8)
        folder.write(second, bytes(damaged))
        assert checkpoints.latest(folder)[0].epoch == 1
    folder.write(first, b"")
    assert checkpoints.latest(folder) is None
    folder.write(second, whole)
    assert checkpoints.latest(folder)[0].epoch == 2


def test_other_files_are_ignored(tmp_path):
    (tmp_path / ".epoch-000009.ckpt.abc.tmp").write_bytes(b"half")
    (tmp_path / "epoch-9.ckpt").write_bytes(b"half")
    checkpoints.save_final(LocalFolder(tmp_path), state(27))
    assert checkpoints.latest(LocalFolder(tmp_path)) is None
    assert checkpoints.load(LocalFolder(tmp_path), "final.ckpt")["epoch"] == 27


def test_what_could_not_be_read_back_is_refused_when_it_is_saved(tmp_path):
    checkpoints.save(LocalFolder(tmp_path), Position(1), state(1))
    with pytest.raises(CheckpointError, match="plain Python values"):
        checkpoints.save(LocalFolder(tmp_path), Position(2), {"path": tmp_path})
    assert checkpoints.latest(LocalFolder(tmp_path))[0].epoch == 1


def test_nothing_is_unpickled_that_runs_code(tmp_path):
    import io
    import pickle

    from trainers.storage.checksummed import write_checksummed

    class Evil:
        def __reduce__(self):
            return (pytest.fail, ("code ran",))

    for payload in (pickle.dumps(Evil(), protocol=2), b"", b"junk"):
        write_checksummed(tmp_path / "epoch-000001.ckpt", payload)
        assert checkpoints.latest(LocalFolder(tmp_path)) is None
    buffer = io.BytesIO()
    torch.save([1], buffer)
    write_checksummed(tmp_path / "epoch-000001.ckpt", buffer.getvalue())
    with pytest.raises(CheckpointError, match="list"):
        checkpoints.load(LocalFolder(tmp_path), "epoch-000001.ckpt")


def test_a_position_within_an_epoch_is_newer_than_its_beginning(tmp_path):
    folder = LocalFolder(tmp_path)
    names = [
        checkpoints.save(folder, Position(*at), state(number))
        for number, at in enumerate([(1, 0), (1, 9), (1, 10), (2, 0)])
    ]
    assert names[1:3] == ["epoch-000001-step-000000009.ckpt", "epoch-000001-step-000000010.ckpt"]
    assert sorted(folder.names()) == sorted(names[2:])
    assert checkpoints.latest(folder)[0] == (2, 0)
    assert checkpoints.latest(folder, at_most=1)[0] == (1, 10)  # the epoch before it is recorded
    assert folder.names() == names[2:3]
    assert checkpoints.latest(folder, at_most=0) is None


def test_a_damaged_position_within_an_epoch_costs_the_steps_since_the_one_before(tmp_path):
    folder = LocalFolder(tmp_path)
    for step in (3, 6):
        name = checkpoints.save(folder, Position(0, step), state(step))
    (tmp_path / name).write_bytes(b"half")
    assert checkpoints.latest(folder, at_most=0)[0] == (0, 3)
