"""Whether the node or the task causes failures."""

from __future__ import annotations

import pytest

from sweeps.runners.ray.quarantine import IN_A_ROW, Quarantine, kind_of

CARD = "Traceback (most recent call last):\n  File ...\nRuntimeError: CUDA error: device 3 at 0x7f00 is gone"


def seen(*events: tuple[str, str | None]) -> Quarantine:
    """Events in order: a node, and the error of a run there or None for an epoch."""
    found = Quarantine()
    for node, error in events:
        if error is None:
            found.succeeded(node)
        else:
            found.failed(node, error)
    return found


def test_a_node_that_fails_while_another_succeeds() -> None:
    found = seen(("bad", CARD), ("good", None), ("bad", CARD), ("good", None), ("bad", CARD))
    assert list(found.reasons) == ["bad"]
    assert "3 runs in a row failed there, and not elsewhere: RuntimeError: CUDA error" in found.reasons["bad"]


def test_an_error_on_every_node_is_caused_by_the_task() -> None:
    assert seen(*[(node, CARD) for _ in range(5) for node in ("a", "b")]).reasons == {}
    assert seen(*[("alone", CARD)] * 9).reasons == {}


def test_success_ends_a_streak() -> None:
    assert seen(*[("bad", CARD)] * 2, ("good", None), ("bad", None), ("bad", CARD)).reasons == {}


def test_a_suspect_is_avoided_until_other_nodes_show_the_cause() -> None:
    found = seen(("good", None), *[("bad", CARD)] * IN_A_ROW)
    assert found.reasons == {}
    assert found.left_out({"bad", "good", "idle"}) == {"bad"}
    assert found.succeeded("good") == ["bad"]
    assert found.left_out({"bad", "good"}) == {"bad"}


def test_a_suspect_is_in_use_again_when_another_node_fails_alike() -> None:
    found = seen(*[("first", CARD)] * IN_A_ROW)
    assert found.left_out({"first", "second"}) == {"first"}
    assert not found.failed("second", CARD)
    assert found.left_out({"first", "second"}) == set()
    assert found.succeeded("third") == []


def test_suspects_alone_are_better_than_none() -> None:
    found = seen(*[("first", CARD)] * IN_A_ROW)
    assert found.left_out({"first"}) == set()
    found.leave_out("first", "no checkpoints")
    assert found.left_out({"first"}) == {"first"}


def test_different_errors_are_no_streak() -> None:
    errors = ["ValueError: lr", "KeyError: 'x'", "RuntimeError: card"]
    assert seen(("good", None), *[("bad", error) for error in errors], ("good", None)).reasons == {}


def test_a_node_is_reported_once() -> None:
    found = seen(("bad", CARD), ("good", None), ("bad", CARD))
    assert found.failed("bad", CARD)
    assert not found.failed("bad", CARD)
    assert not found.leave_out("bad", "another reason")
    assert found.leave_out("other", "no checkpoints")


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (CARD, CARD.replace("3", "5").replace("0x7f00", "0xabc"), True),
        ("out of memory on the device\n...\ntried 20 MiB", "out of memory on the device\n...\ntried 99 MiB", True),
        ("out of memory on the device\nx", "out of memory on the host\nx", False),
        ("ValueError: a", "ValueError: b", False),
        ("", "\n", True),
    ],
)
def test_kinds_of_failures(one: str, other: str, same: bool) -> None:
    assert (kind_of(one) == kind_of(other)) == same
