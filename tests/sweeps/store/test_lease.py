from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest

from search_spaces import SweepError
from sweeps.store import lease as lease_module
from sweeps.store.lease import Lease, alive, owner_name, readable
from sweeps.store.records import Fence, SweepRecord
from sweeps.store.store import Store
from tests.fakes import add_sweep, rows, space


@pytest.fixture
def store(database_url: str) -> Iterator[Store]:
    with Store(database_url) as one:
        add_sweep(one, space())
        yield one


def stored(store: Store) -> SweepRecord:
    sweep = store.sweep("toy")
    assert sweep is not None
    return sweep


def left(store: Store, url: str) -> float:
    """Seconds that the lease runs on, by the database's clock."""
    if url.startswith("sqlite"):
        query = "SELECT (julianday(lease_expires) - julianday('now')) * 86400 FROM sweep"
    else:
        query = "SELECT extract(epoch FROM lease_expires - timezone('UTC', clock_timestamp())) FROM sweep"
    return float(rows(url, query)[0][0])


def test_is_taken_and_given_back(store: Store, database_url: str) -> None:
    with Lease(store, "toy") as lease:
        sweep = stored(store)
        assert sweep.lease_owner is not None
        assert sweep.lease_owner.startswith(f"{socket.gethostname()}:{os.getpid()}:")
        assert lease_module.DURATION_S - 5 < left(store, database_url) <= lease_module.DURATION_S + 0.01
        assert sweep.lease_expires is not None
        assert sweep.lease_since is not None
        assert 29 < (sweep.lease_expires - sweep.lease_since).total_seconds() < 31
        lease.check()
    assert (stored(store).lease_owner, stored(store).lease_expires) == (None, None)
    with Lease(store, "toy"):
        pass


def test_is_given_back_when_the_driver_fails(store: Store) -> None:
    with pytest.raises(ZeroDivisionError), Lease(store, "toy"):
        raise ZeroDivisionError
    assert stored(store).lease_owner is None


def test_a_second_driver_is_refused_and_told_who_and_since_when(store: Store, database_url: str) -> None:
    with Lease(store, "toy") as first, Store(database_url) as other:
        expires = stored(store).lease_expires
        assert expires is not None
        with pytest.raises(SweepError) as refusal, Lease(other, "toy"):
            pass
        assert f"process {os.getpid()} on {socket.gethostname()}" in str(refusal.value)
        assert re.search(r"since \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC, until \d\d:\d\d:\d\d UTC", str(refusal.value))
        assert "--wait" in str(refusal.value)
        first.check()
        assert stored(store).lease_owner is not None


def test_there_is_none_without_its_sweep(store: Store) -> None:
    with pytest.raises(SweepError, match="'nothing' is not in the database"), Lease(store, "nothing"):
        pass


def test_a_killed_driver_is_replaced_at_once(store: Store, database_url: str) -> None:
    holder = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sys, time\n"
            "from sweeps.store.lease import Lease\n"
            "from sweeps.store.store import Store\n"
            "with Lease(Store(sys.argv[1]), 'toy'):\n"
            "    print('held', flush=True)\n"
            "    time.sleep(60)\n",
            database_url,
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdout is not None
    try:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(SweepError, match=f"process {holder.pid} on"), Lease(store, "toy"):
            pass
        holder.kill()
        while alive(stored(store).lease_owner or ""):  # a zombie is dead
            time.sleep(0.01)
        with Lease(store, "toy"):
            assert f":{os.getpid()}:" in (stored(store).lease_owner or "")
    finally:
        holder.kill()
        holder.communicate()


def test_a_process_that_got_the_id_of_a_dead_one_is_not_the_holder(store: Store) -> None:
    host, pid, started, nonce = owner_name().rsplit(":", 3)
    assert alive(f"{host}:{pid}:{started}:{nonce}")
    stale = f"{host}:{pid}:{float(started) - 5:.2f}:{nonce}"
    assert not alive(stale)
    store.take_lease(stored(store).id, stale, 30.0)
    with Lease(store, "toy") as lease:
        lease.check()


def test_a_dead_id_is_dead() -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    assert not alive(f"{socket.gethostname()}:{gone.pid}:1.00:ab")


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease_module, "RENEW_EVERY_S", 0.2)
    monkeypatch.setattr(lease_module, "RETRY_EVERY_S", 0.1)


def test_another_machine_is_waited_for(store: Store, soon: None) -> None:
    owner = "elsewhere:1:1.00:ab"
    assert alive(owner)
    assert readable(owner) == "process 1 on elsewhere"
    store.take_lease(stored(store).id, owner, 0.4)
    with pytest.raises(SweepError, match="process 1 on elsewhere"), Lease(store, "toy"):
        pass
    time.sleep(0.45)
    with Lease(store, "toy"):
        assert stored(store).lease_owner != owner


def test_a_driver_whose_time_ran_out_while_the_database_was_away_keeps_its_sweep(store: Store, soon: None) -> None:
    owner = "elsewhere:1:1.00:ab"
    fence = store.take_lease(stored(store).id, owner, -1.0)  # over, but it lives and is about to renew it
    assert fence is not None
    renewal = threading.Timer(0.1, lambda: store.renew_lease(fence, 30.0))
    renewal.start()
    with pytest.raises(SweepError, match="process 1 on elsewhere"), Lease(store, "toy"):
        pass
    renewal.join()


def test_waits_for_its_turn(store: Store, database_url: str, soon: None) -> None:
    said: list[str] = []
    got: list[float] = []

    def second() -> None:
        with Store(database_url) as other, Lease(other, "toy", wait=True, say=said.append):
            got.append(time.monotonic())

    with Lease(store, "toy"):
        thread = threading.Thread(target=second)
        thread.start()
        time.sleep(0.5)
        given_back = time.monotonic()
    thread.join(10)
    assert got
    assert got[0] > given_back
    [line] = said
    assert line.startswith(f"sweep 'toy' has a driver: process {os.getpid()} on ")


@pytest.mark.parametrize("hours", [-1, 1])
def test_the_clock_of_the_driver_does_not_matter(
    store: Store, database_url: str, monkeypatch: pytest.MonkeyPatch, soon: None, hours: int
) -> None:
    class Wrong(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:
            return datetime.now(tz) + timedelta(hours=hours)

    now = time.time
    with Lease(store, "toy") as first:
        monkeypatch.setattr(time, "time", lambda: now() + 3600 * hours)
        for name, module in list(sys.modules.items()):
            if name.startswith("sweeps.") and hasattr(module, "datetime"):
                monkeypatch.setattr(module, "datetime", Wrong)
        with Store(database_url) as other:
            with pytest.raises(SweepError, match="has a driver already"), Lease(other, "toy"):
                pass
            assert store.renew_lease(first.fence, 30.0)
            assert 25 < left(store, database_url) < 31
        first.check()


def test_it_renews_itself(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease_module, "RENEW_EVERY_S", 0.02)
    with Lease(store, "toy") as lease:
        first = stored(store).lease_expires
        deadline = time.monotonic() + 5
        while stored(store).lease_expires == first and time.monotonic() < deadline:
            time.sleep(0.02)
        assert first is not None
        assert (stored(store).lease_expires or first) > first
        lease.check()


def test_a_lost_lease_forbids_writing_and_is_not_given_back(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease_module, "RENEW_EVERY_S", 0.02)
    sweep_id = stored(store).id
    with Lease(store, "toy") as lease:
        # As if this driver had slept until its time was over, and another one had come.
        store.take_lease(sweep_id, "elsewhere:1:1.00:ab", 30.0, instead_of=stored(store).lease_owner)
        deadline = time.monotonic() + 5
        with pytest.raises(SweepError, match="another driver took sweep 'toy' over"):  # noqa: PT012  within seconds
            while time.monotonic() < deadline:
                lease.check()
                time.sleep(0.01)
    assert stored(store).lease_owner == "elsewhere:1:1.00:ab"


def test_a_database_that_is_away_for_a_moment_costs_nothing(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease_module, "RENEW_EVERY_S", 0.02)
    failures = []
    renew = store.renew_lease

    def away(*arguments: object) -> bool:
        if len(failures) < 3:
            failures.append(arguments)
            raise SweepError("the database does not answer")
        return renew(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(store, "renew_lease", away)
    with Lease(store, "toy") as lease:
        first = stored(store).lease_expires
        deadline = time.monotonic() + 5
        while stored(store).lease_expires == first and time.monotonic() < deadline:
            time.sleep(0.02)
        lease.check()
        assert stored(store).lease_expires != first
    assert len(failures) == 3


def test_the_lease_is_taken_once_however_many_ask(database_url: str, store: Store) -> None:
    sweep_id = stored(store).id
    taken = [store.take_lease(sweep_id, f"elsewhere:{pid}:1.00:ab", 30.0) for pid in range(3)]
    assert [fence is not None for fence in taken] == [True, False, False]
    assert not store.renew_lease(Fence(sweep_id, "elsewhere:1:1.00:ab", 1), 30.0)
    assert not store.renew_lease(Fence(sweep_id, "elsewhere:1:1.00:ab", 1), None)
    assert stored(store).lease_owner == "elsewhere:0:1.00:ab"
