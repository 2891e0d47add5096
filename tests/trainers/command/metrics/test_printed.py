"""What a program prints, however it arrives."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from trainers.command.metrics.lines import LONGEST_LINE, Lines
from trainers.command.metrics.reading import Reading
from trainers.command.metrics.sources import printed_reader

OUTPUT = (
    "Loading…\r\nEpoch 1/2\n"
    "\r  0%|   | 0/2 [00:00<?, ?it/s]\r 50%|█  | 1/2 [00:01<00:01, loss=0.9]\r100%|██| 2/2 [00:02<00:00, loss=0.5]\n"
    "{'eval_loss': 0.31, 'epoch': 2}\r\n\r\r \r\nstep 3: größe=1 loss nan\nloss: 0.25"
).encode() + b" \xff\xfe x=1"


def readings(*pieces: bytes | str) -> list[Reading]:
    reader = printed_reader({"eval_loss": "val/loss"})
    found = []
    for piece in pieces:
        reader.feed(piece)
        found += reader.read()
    return found + reader.read(final=True)


def test_a_whole_output() -> None:
    *most, undefined, last = readings(OUTPUT)
    assert most == [
        Reading(1, "epoch", {}),
        Reading(None, "step", {"train/loss": 0.5}),
        Reading(2, "epoch", {"val/loss": 0.31}),
    ]
    assert repr(undefined.values) == "{'train/größe': 1.0, 'train/loss': nan}"
    assert last == Reading(None, "step", {"train/loss": 0.25, "train/x": 1})


@given(st.lists(st.integers(0, len(OUTPUT))))
def test_any_pieces_give_the_same_readings(cuts: list[int]) -> None:
    ends = [0, *sorted(cuts), len(OUTPUT)]
    pieces = [OUTPUT[begin:end] for begin, end in pairwise(ends)]
    assert repr(readings(*pieces)) == repr(readings(OUTPUT))


PART = st.sampled_from([b"\n", b"\r", b" ", b"\xc3\xa9", b"ab", b" " * LONGEST_LINE, b"x" * LONGEST_LINE])


@given(st.lists(PART, max_size=12), st.data())
def test_any_pieces_give_the_same_lines(parts: list[bytes], data: st.DataObject) -> None:
    whole, pieces = Lines(), Lines()
    output = b"".join(parts)
    expected = [*whole.feed(output), *whole.end()]
    found = []
    for part in parts:
        cut = data.draw(st.integers(0, min(len(part), 3)))
        found += pieces.feed(part[:cut]) + pieces.feed(part[cut:])
    assert (found + pieces.end(), pieces.too_long) == (expected, whole.too_long)


def test_a_line_without_end_needs_bounded_memory() -> None:
    reader = printed_reader({})
    for piece in [b"x" * 1_000_000, b"\rloss=1 " + b"y" * 1_000_000, b"z" * 1_000_000]:
        reader.feed(piece)
    assert len(reader._lines._rest) <= 2 * LONGEST_LINE + 3
    reader.feed(b"\nloss=2\n")
    assert reader.read(final=True) == [Reading(None, "step", {"train/loss": 2})]
    assert reader.remarks() == ["printed lines of more than 65,536 bytes are left out"]
    assert reader.remarks() == []


def test_text_is_taken_as_bytes_are() -> None:
    assert readings("loss=0.5\nläuft: 1\n", "\udcff: 2\n") == readings("loss=0.5\nläuft: 1\n".encode(), b"?: 2\n")


def test_a_value_with_an_invalid_name_is_no_reading() -> None:
    reader = printed_reader({})
    reader.feed(f"{'n' * 200}=1\n")
    assert reader.read() == []
    assert "is left out" in reader.remarks()[0]
