"""TensorBoard's event files."""

from __future__ import annotations

import base64
import math
import struct
from itertools import pairwise
from pathlib import Path

import google_crc32c
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tensorboardX import SummaryWriter
from tensorboardX.proto.event_pb2 import Event
from tensorboardX.proto.tensor_pb2 import TensorProto

from trainers.command.metrics.event_file import LONGEST_RECORD, DamagedFileError, Records, Scalar, scalars
from trainers.command.metrics.reading import MetricReader, Reading
from trainers.command.metrics.sources import file_reader

# Written by torch.utils.tensorboard 2.13 with tensorboard 2.21: val/loss 0.5 at step 1, val/acc 0.25 at step 1 as a
# tensor of floats, val/loss inf at step 2 as a tensor of doubles, a text, and add_scalars, which writes elsewhere.
BY_TORCH = base64.b64decode(
    "SAAAAAAAAAD+kkidCTMTanWtwtpBGg1icmFpbi5FdmVudDoyUi4KLHRlbnNvcmJvYXJkLnN1bW1hcnkud3JpdGVyLmV2ZW50X2Zp"
    "bGVfd3JpdGVymNJAcx4AAAAAAAAA2dwSMgnPYmp1rcLaQRABKhEKDwoIdmFsL2xvc3MVAAAAP8akt/ovAAAAAAAAAG1dHVAJz2Nq"
    "da3C2kEQASoiCiAKB3ZhbC9hY2NCCAgBKgQAAIA+SgsKCQoHc2NhbGFyc0Of6nw0AAAAAAAAAF4zF1wJT2Rqda3C2kEQAionCiUK"
    "CHZhbC9sb3NzQgwIAjIIAAAAAAAA8H9KCwoJCgdzY2FsYXJzdZyh0T0AAAAAAAAAYEnx7AkRZWp1rcLaQRABKjAKLgoRbm90ZS90"
    "ZXh0X3N1bW1hcnlCDwgHEgQSAggBQgVoZWxsb0oICgYKBHRleHTdtfCa"
)


def reader(folder: Path, pattern: str = "logs") -> MetricReader:
    return file_reader("tensorboard", pattern, folder, {"loss/val/loss": "val/loss"})


def records(content: bytes) -> list[Scalar]:
    return [scalar for record in Records().feed(content) for scalar in scalars(record)]


def checksum(data: bytes) -> bytes:
    crc = google_crc32c.value(data)
    return struct.pack("<I", (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF)


def header(length: int) -> bytes:
    return struct.pack("<Q", length) + checksum(struct.pack("<Q", length))


def test_a_file_of_torch() -> None:
    expected = [Scalar(1, "val/loss", 0.5), Scalar(1, "val/acc", 0.25), Scalar(2, "val/loss", math.inf)]
    assert records(BY_TORCH) == expected


@given(st.lists(st.integers(0, len(BY_TORCH)), max_size=8))
def test_any_pieces_give_the_same_scalars(cuts: list[int]) -> None:
    ends, reader = [0, *sorted(cuts), len(BY_TORCH)], Records()
    found = [one for begin, end in pairwise(ends) for one in reader.feed(BY_TORCH[begin:end])]
    assert found == list(Records().feed(BY_TORCH))


@given(st.integers(0, len(BY_TORCH) - 1), st.integers(1, 255))
def test_a_changed_byte_is_noticed(at: int, change: int) -> None:
    content = bytearray(BY_TORCH)
    content[at] ^= change
    with pytest.raises(DamagedFileError, match="a checksum is wrong"):
        records(bytes(content))


def test_several_files_are_merged_by_step(tmp_path: Path) -> None:
    with SummaryWriter(str(tmp_path / "logs")) as writer:
        for step in (1, 2):
            writer.add_scalar("loss", step / 2, step)
            writer.add_scalars("loss", {"train": step, "val": step / 4}, step)
            writer.add_histogram("weights", [0.0, 1.0], step)
        writer.flush()
        read = reader(tmp_path)
        assert read.read() == [
            Reading(step, "step", {"train/loss": step / 2, "loss/train/loss": step, "val/loss": step / 4})
            for step in (1, 2)
        ]
        writer.add_scalar("loss", 1.5, 3)
        writer.add_scalar("loss", 1.25, 3)
    assert read.read(final=True) == [Reading(3, "step", {"train/loss": one}) for one in (1.5, 1.25)]
    assert read.remarks() == []


def test_a_pattern_of_folders_and_epochs(tmp_path: Path) -> None:
    for version in (0, 1):
        with SummaryWriter(str(tmp_path / f"logs/version_{version}")) as writer:
            writer.add_scalar("val/loss", version, version)
    read = file_reader("tensorboard", "logs/version_*", tmp_path, {}, "epoch")
    assert read.read(final=True) == [Reading(at, "epoch", {"val/loss": at}) for at in (0, 1)]


@pytest.mark.parametrize(
    ("tensor", "value"),
    [
        (TensorProto(dtype=1, float_val=[0.5]), 0.5),
        (TensorProto(dtype=2, tensor_content=struct.pack("<d", 0.1)), 0.1),
        (TensorProto(dtype=9, int64_val=[7]), 7),
        (TensorProto(dtype=3, tensor_content=struct.pack("<i", -7)), -7),
        (TensorProto(dtype=7, string_val=[b"text"]), None),
        (TensorProto(dtype=1, tensor_content=b"abc"), None),
        (TensorProto(dtype=1, float_val=[1, 2], tensor_shape={"dim": [{"size": 2}]}), None),
    ],
)
def test_a_scalar_as_a_tensor(tensor: TensorProto, value: float | None) -> None:
    event = Event(step=3, summary={"value": [{"tag": "x", "tensor": tensor}]})
    assert scalars(event.SerializeToString()) == ([] if value is None else [Scalar(3, "x", value)])


def test_half_a_record_is_read_when_it_is_whole(tmp_path: Path) -> None:
    path, read = tmp_path / "logs/events.out.tfevents.1", reader(tmp_path)
    path.parent.mkdir()
    path.write_bytes(BY_TORCH[:-3])
    half = read.read()
    path.write_bytes(BY_TORCH)
    assert half + read.read(final=True) == [
        Reading(1, "step", {"val/loss": 0.5, "val/acc": 0.25}),
        Reading(2, "step", {"val/loss": math.inf}),
    ]


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (bytes(16), "a checksum is wrong"),
        (header(2) + b"\xff\xff" + checksum(b"\xff\xff"), "a record is not an event"),
        (header(2 * LONGEST_RECORD), "a record has"),
    ],
)
def test_a_damaged_file_is_read_up_to_the_damage(tmp_path: Path, damage: bytes, words: str) -> None:
    path, read = tmp_path / "logs/events.out.tfevents.1", reader(tmp_path)
    path.parent.mkdir()
    path.write_bytes(BY_TORCH + damage + BY_TORCH)
    assert [one.progress for one in read.read()] == [1, 2]
    [remark] = read.remarks()
    assert remark.startswith(f"logs/events.out.tfevents.1: {words}")
    assert remark.endswith("; what follows is left out")
    assert (read.read(final=True), read.remarks()) == ([], [])


def test_a_folder_without_event_files_is_said(tmp_path: Path) -> None:
    read = reader(tmp_path)
    assert (read.read(final=True), read.remarks()) == ([], ["no event file in logs"])
