from __future__ import annotations

import sys
import threading

import pytest

from sweeps.output_tail import OutputTail
from sweeps.runners.output_tee import OutputTee


def test_it_keeps_what_a_run_prints_and_prints_it_as_before(capsys: pytest.CaptureFixture[str]) -> None:
    before, tail = (sys.stdout, sys.stderr), OutputTail()
    with OutputTee() as tee:
        print("of the driver")
        with tee.keeping(tail):
            print("of the run")
            print("its error \ud800"[:-1], file=sys.stderr)
            sys.stdout.writelines(["more\n", "lines\n"])
            thread = threading.Thread(target=lambda: print("of its thread"))
            thread.start()
            thread.join()
    assert (sys.stdout, sys.stderr) == before
    assert tail.text().split("\n") == ["of the run", "its error ", "more", "lines", "of its thread"]
    printed = capsys.readouterr()
    assert printed.out == "of the driver\nof the run\nmore\nlines\nof its thread\n"
    assert printed.err == "its error \n"


def test_threads_of_the_driver_are_not_part_of_a_run() -> None:
    tail, go, done = OutputTail(), threading.Event(), threading.Event()

    def view() -> None:
        go.wait(30)
        print("progress")
        done.set()

    thread = threading.Thread(target=view)
    thread.start()
    with OutputTee() as tee, tee.keeping(tail):
        go.set()
        done.wait(30)
        thread.join()
    assert tail.text() == ""


def test_a_stream_that_a_run_has_replaced_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", sys.stdout)
    with OutputTee():
        own = sys.stdout = sys.__stderr__
    assert sys.stdout is own
