"""Signals at every phase of a driver; real processes are in test_kill.py."""

from __future__ import annotations

import signal
import sys
import threading
import weakref
from contextlib import suppress

import pytest

from sweeps.driver.interrupts import Interrupts


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_the_driver_works_is_granted_at_the_next_safe_place(
    number: signal.Signals, said: list[str]
) -> None:
    worked = []
    with pytest.raises(KeyboardInterrupt), Interrupts(said.append) as interrupts:  # noqa: PT012
        signal.raise_signal(number)
        worked.append("on")
        interrupts.check()
    assert worked == ["on"]


def test_a_signal_while_it_waits_ends_the_waiting(said: list[str]) -> None:
    with pytest.raises(KeyboardInterrupt), Interrupts(said.append) as interrupts, interrupts.at_once():  # noqa: PT012
        signal.raise_signal(signal.SIGINT)
        pytest.fail("it waited on")


def test_one_that_is_swallowed_is_raised_again(said: list[str]) -> None:
    with Interrupts(said.append) as interrupts:
        with pytest.raises(KeyboardInterrupt), interrupts.at_once(), suppress(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt), interrupts.draining(lambda: None):
            pytest.fail("it trained")


def test_while_runs_train_the_first_drains_and_the_second_does_not_wait(said: list[str]) -> None:
    drained: list[bool] = []
    with Interrupts(said.append) as interrupts, interrupts.draining(lambda: drained.append(True)):
        signal.raise_signal(signal.SIGTERM)
        assert drained == [True]
        assert said == ["stopping: waiting for the steps that run now (press Ctrl-C again to stop at once)"]
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_handlers_that_another_library_installed_are_replaced(said: list[str]) -> None:
    with Interrupts(said.append) as interrupts:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        interrupts.arm()
        with pytest.raises(KeyboardInterrupt), interrupts.at_once():
            signal.raise_signal(signal.SIGTERM)


def test_at_the_end_of_a_sweep_one_signal_changes_nothing(said: list[str]) -> None:
    before = signal.getsignal(signal.SIGINT)
    with Interrupts(said.append) as interrupts:
        with interrupts.draining(lambda: None):
            pass
        signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before


def test_an_abort_that_ray_has_set_up_is_called_off(said: list[str]) -> None:
    with Interrupts(said.append):
        signal.alarm(1000)  # as Ray's handler does, before it calls this one
        signal.raise_signal(signal.SIGTERM)
        assert signal.alarm(0) == 0


def test_a_second_signal_that_python_would_lose_in_a_finalizer_arrives(
    said: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    hook = sys.unraisablehook
    with Interrupts(said.append) as interrupts, interrupts.draining(lambda: None):
        signal.raise_signal(signal.SIGINT)
        one = Interrupts(said.append)
        watched = weakref.ref(one, lambda _: signal.raise_signal(signal.SIGINT))
        del one
        assert watched() is None
        with pytest.raises(KeyboardInterrupt):
            threading.Event().wait(60)
    assert sys.unraisablehook is hook
    assert "Traceback" not in capfd.readouterr().err
