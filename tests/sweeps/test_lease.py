from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from search_spaces import SweepError
from sweeps import lease as lease_module
from sweeps.lease import Lease, alive, owner_name, readable
from sweeps.records import SweepRecord
from sweeps.store import Store
from tests.fakes import add_sweep, space


@pytest.fixture
def store(database_url: str) -> Iterator[Store]:
    with Store(database_url) as one:
        add_sweep(one, space())
        yield one


def stored(store: Store) -> SweepRecord:
    sweep = store.sweep("toy")
    assert sweep is not None
    return sweep


def in_a_while(seconds: float) -> datetime:
    return datetime.now(UTC) + timedelta(seconds=seconds)


def test_is_taken_and_given_back(store: Store) -> None:
    with Lease(store, "toy") as lease:
        sweep = stored(store)
        assert sweep.lease_owner is not None
        assert sweep.lease_owner.startswith(f"{socket.gethostname()}:{os.getpid()}:")
        assert sweep.lease_expires is not None
        assert in_a_while(0) < sweep.lease_expires <= in_a_while(lease_module.DURATION_S)
        lease.check()
    assert (stored(store).lease_owner, stored(store).lease_expires) == (None, None)
    with Lease(store, "toy"):
        pass


def test_is_given_back_when_the_driver_fails(store: Store) -> None:
    with pytest.raises(ZeroDivisionError), Lease(store, "toy"):
        raise ZeroDivisionError
    assert stored(store).lease_owner is None


def test_a_second_driver_is_refused_and_told_who_and_until_when(store: Store, database_url: str) -> None:
    with Lease(store, "toy") as first, Store(database_url) as other:
        expires = stored(store).lease_expires
        assert expires is not None
        with pytest.raises(SweepError) as refusal, Lease(other, "toy"):
            pass
        assert f"process {os.getpid()} on {socket.gethostname()}" in str(refusal.value)
        assert re.search(r"until \d\d:\d\d:\d\d UTC", str(refusal.value))
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
            "from sweeps.lease import Lease\n"
            "from sweeps.store import Store\n"
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
    store.take_lease(stored(store).id, stale, in_a_while(30))
    with Lease(store, "toy") as lease:
        lease.check()


def test_a_dead_id_is_dead() -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    assert not alive(f"{socket.gethostname()}:{gone.pid}:1.00:ab")


def test_another_machine_is_waited_for(store: Store) -> None:
    owner = "elsewhere:1:1.00:ab"
    assert alive(owner)
    assert readable(owner) == "process 1 on elsewhere"
    store.take_lease(stored(store).id, owner, in_a_while(0.4))
    with pytest.raises(SweepError, match="process 1 on elsewhere"), Lease(store, "toy"):
        pass
    time.sleep(0.45)
    with Lease(store, "toy"):
        assert stored(store).lease_owner != owner


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
        store.take_lease(sweep_id, "elsewhere:1:1.00:ab", in_a_while(30), instead_of=stored(store).lease_owner)
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
    taken = [store.take_lease(sweep_id, f"elsewhere:{pid}:1.00:ab", in_a_while(30)) for pid in range(3)]
    assert taken == [True, False, False]
    assert not store.renew_lease(sweep_id, "elsewhere:1:1.00:ab", in_a_while(30))
    assert not store.renew_lease(sweep_id, "elsewhere:1:1.00:ab", None)
    assert stored(store).lease_owner == "elsewhere:0:1.00:ab"
