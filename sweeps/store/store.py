"""The single writer of the tables. Every method is one transaction; repeating one changes nothing."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Self

from sqlalchemy import ColumnElement, Connection, Row, exists, func, select, update
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, SQLAlchemyError, TimeoutError

from search_spaces import LeaseLostError, SweepError, UsageError
from sweeps.run_state import RunState
from sweeps.store.apply_event import apply_event, insert_or_ignore, interrupt
from sweeps.store.database import connect, database_now
from sweeps.store.events import Event
from sweeps.store.records import Fence, RunRecord, SweepRecord
from sweeps.store.tables import SCHEMA_VERSION, Base, EpochMetric, Run, Sweep, missing_columns, other_release

_CREATION_LOCK = 0x7377656570  # two drivers that make the tables at the same moment take turns


class Store:
    """Writes what happened, once. One driver at a time holds the lease that entitles it to.

    Args:
        url: Database URL, such as ``sqlite:///runs/sweeps.db``. Tables are created where missing.

    Raises:
        UsageError: The URL cannot be used or the server cannot be reached.
    """

    def __init__(self, url: str) -> None:
        self._engine = connect(url)
        try:
            with self._engine.begin() as connection:
                if self._engine.dialect.name == "postgresql":  # SQLite's transactions wait for each other anyway
                    connection.execute(select(func.pg_advisory_xact_lock(_CREATION_LOCK)))
                Base.metadata.create_all(connection)
                lacking = missing_columns(connection)
        except SQLAlchemyError as error:
            self._engine.dispose()
            raise UsageError(f"--storage: cannot create the tables: {error.__cause__ or error}") from error
        if lacking:
            self._engine.dispose()
            raise UsageError(other_release(lacking))

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        try:
            with self._engine.begin() as connection:
                yield connection
        except (DBAPIError, TimeoutError) as error:
            if isinstance(error, IntegrityError | DataError):  # asking again would not help
                raise
            raise SweepError(f"the database does not answer: {error.__cause__ or error}") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the connections back."""
        self._engine.dispose()

    # --- sweeps ---------------------------------------------------------------------------------------------

    def sweep(self, name: str) -> SweepRecord | None:
        """The sweep of that name.

        Raises:
            SweepError: Another release wrote it, with a schema that this one does not write.
        """
        with self._transaction() as connection:
            row = connection.execute(select(Sweep.__table__).where(Sweep.name == name)).one_or_none()
        if row is None:
            return None
        if row.schema_version != SCHEMA_VERSION:
            raise SweepError(
                f"sweep {name!r} has schema {row.schema_version}, this release writes {SCHEMA_VERSION}: use the "
                "release that made it, or another --storage"
            )
        return SweepRecord(**{field: getattr(row, field) for field in SweepRecord.__dataclass_fields__})

    def put_sweep(
        self, name: str, kind: str, spec_yaml: str, metric: str, goal: str, seed: int, provenance: dict[str, Any]
    ) -> None:
        """Record a new sweep, or give another file to one without runs and a driver, in a journal or here."""
        values = {
            "kind": kind,
            "spec_yaml": spec_yaml,
            "metric": metric,
            "goal": goal,
            "seed": seed,
            "provenance": provenance,
            "created_at": datetime.now(UTC),
            "schema_version": SCHEMA_VERSION,
        }
        idle = Sweep.lease_owner.is_(None) & Sweep.written_by.is_(None)
        untouched = idle & ~exists().where(Run.sweep_id == Sweep.id)
        with self._transaction() as connection:
            connection.execute(insert_or_ignore(connection, Sweep), {"name": name, **values})
            connection.execute(update(Sweep).where(Sweep.name == name, untouched).values(**values))

    # --- the lease ------------------------------------------------------------------------------------------

    def take_lease(self, sweep_id: int, owner: str, seconds: float, instead_of: str | None = None) -> Fence | None:
        """Become the sweep's driver if nobody is, if the holder's time is over, or in place of a dead holder.

        Args:
            sweep_id: The sweep.
            owner: The driver's name, another one for every driver.
            seconds: How long it holds, on the database's clock.
            instead_of: A holder that is dead.

        Returns:
            The right to write; None: somebody else has it.
        """
        free = Sweep.lease_owner.is_(None) | (Sweep.lease_expires < self._now())
        if instead_of is not None:
            free |= Sweep.lease_owner == instead_of
        taken = update(Sweep).where(Sweep.id == sweep_id, free).returning(Sweep.lease_token)
        with self._transaction() as connection:
            token = connection.execute(
                taken.values(
                    lease_owner=owner,
                    lease_since=self._now(),
                    lease_expires=self._now(seconds),
                    lease_token=Sweep.lease_token + 1,
                )
            ).scalar_one_or_none()
        return None if token is None else Fence(sweep_id, owner, token)

    def lease_is_over(self, sweep_id: int) -> bool:
        """Whether the holder's time is over."""
        query = select(Sweep.lease_expires < self._now()).where(Sweep.id == sweep_id)
        with self._transaction() as connection:
            return bool(connection.execute(query).scalar_one())

    def renew_lease(self, fence: Fence, seconds: float | None) -> bool:
        """Hold the lease so much longer, or give it back with ``None``. False: somebody else has it."""
        values: dict[str, Any] = {"lease_owner": None, "lease_since": None, "lease_expires": None}
        if seconds is not None:
            values = {"lease_expires": self._now(seconds)}
        mine = (Sweep.id == fence.sweep_id, Sweep.lease_token == fence.token, Sweep.lease_owner == fence.owner)
        with self._transaction() as connection:
            renewed = connection.execute(update(Sweep).where(*mine).values(**values))
        return bool(renewed.rowcount == 1)

    def _now(self, seconds: float = 0.0) -> ColumnElement[Any]:
        return database_now(self._engine.dialect.name, seconds)

    @contextmanager
    def _fenced(self, fence: Fence) -> Iterator[tuple[Connection, Row[str, int, str | None, int]]]:
        """A transaction in which no other driver can take the sweep, with who has written how much so far.

        Raises:
            LeaseLostError: One has taken it before.
        """
        wanted = select(Sweep.name, Sweep.lease_token, Sweep.written_by, Sweep.written).where(
            Sweep.id == fence.sweep_id
        )
        with self._transaction() as connection:
            row = connection.execute(wanted.with_for_update()).one_or_none()  # SQLite has locked the whole file
            if row is None or row.lease_token != fence.token:
                name = "the sweep" if row is None else f"sweep {row.name!r}"
                raise LeaseLostError(f"another driver took {name} over; this one stops writing")
            yield connection, row

    # --- writing, for the holder of the lease ---------------------------------------------------------------

    def check_lease(self, fence: Fence) -> None:
        """Raise if another driver has taken the sweep.

        Raises:
            LeaseLostError: One has.
        """
        with self._fenced(fence):
            pass

    def set_spec(self, fence: Fence, spec_yaml: str) -> None:
        """Replace the stored file by one that asks for more runs or pairs of the same kind."""
        with self._fenced(fence) as (connection, _):
            connection.execute(update(Sweep).where(Sweep.id == fence.sweep_id).values(spec_yaml=spec_yaml))

    def take_over(self, fence: Fence) -> None:
        """Begin to write; whatever was RUNNING has lost its driver."""
        begun = {"written_by": fence.owner, "written": 0}
        with self._fenced(fence) as (connection, _):
            connection.execute(update(Sweep).where(Sweep.id == fence.sweep_id).values(**begun))
            interrupt(connection, fence.sweep_id)

    def mark_complete(self, fence: Fence) -> None:
        """Everything that this driver recorded is in."""
        with self._fenced(fence) as (connection, _):
            connection.execute(update(Sweep).where(Sweep.id == fence.sweep_id).values(written_by=None, written=0))

    def write(self, fence: Fence, events: Sequence[Event], first: int, author: str | None = None) -> int:
        """Entries in order, all or nothing; those that are in already are passed over.

        Args:
            fence: The right to write.
            events: What was recorded.
            first: How many its author had recorded before them.
            author: Who recorded them; None for the holder of the fence.

        Returns:
            How many of the author's events are in; fewer than `first` if the database lost some that it had taken,
            and then nothing was written.
        """
        with self._fenced(fence) as (connection, row):
            if row.written_by != (author or fence.owner):
                raise LeaseLostError(f"another driver has written sweep {row.name!r} since; these events are void")
            if row.written < first:
                return int(row.written)
            end = max(row.written, first + len(events))
            for event in events[row.written - first :]:
                apply_event(connection, fence.sweep_id, event)
            connection.execute(update(Sweep).where(Sweep.id == fence.sweep_id).values(written=end))
        return int(end)

    def written(self, sweep_id: int) -> tuple[str | None, int]:
        """The last driver that has written a sweep, and how many of its events are in."""
        query = select(Sweep.written_by, Sweep.written).where(Sweep.id == sweep_id)
        with self._transaction() as connection:
            author, count = connection.execute(query).one()
        return author, count

    def link_trials(self, fence: Fence, trial_ids: Mapping[int, int]) -> None:
        """Run number -> id of its trial in Optuna's tables."""
        with self._fenced(fence) as (connection, _):
            for number, trial_id in trial_ids.items():
                connection.execute(
                    update(Run)
                    .where(Run.sweep_id == fence.sweep_id, Run.number == number)
                    .values(optuna_trial_id=trial_id)
                )

    # --- runs -----------------------------------------------------------------------------------------------

    def runs(self, sweep_id: int) -> tuple[RunRecord, ...]:
        """Every run of a sweep, by number."""
        query = select(Run.__table__).where(Run.sweep_id == sweep_id).order_by(Run.number)
        with self._transaction() as connection:
            rows = connection.execute(query).mappings().all()
        return tuple(RunRecord.from_row(row) for row in rows)

    def final_metrics(self, sweep_id: int) -> dict[int, dict[str, float]]:
        """Run number -> what its last epoch reported, of the runs that are complete; NaN where not finite."""
        query = (
            select(Run.number, EpochMetric.name, EpochMetric.value)
            .join(EpochMetric, (EpochMetric.run_id == Run.id) & (EpochMetric.epoch == Run.epoch))
            .where(Run.sweep_id == sweep_id, Run.state == RunState.COMPLETE.value)
        )
        with self._transaction() as connection:
            rows = connection.execute(query).all()
        found: dict[int, dict[str, float]] = {}
        for number, name, value in rows:
            found.setdefault(number, {})[name] = math.nan if value is None else value
        return found

    # --- epochs ---------------------------------------------------------------------------------------------

    def curve(self, sweep_id: int, metric: str) -> tuple[tuple[int, int, float], ...]:
        """``(run number, epoch, value)`` of one metric, in the order of recording; NaN where it was not finite."""
        query = (
            select(Run.number, EpochMetric.epoch, EpochMetric.value)
            .join(EpochMetric, EpochMetric.run_id == Run.id)
            .where(Run.sweep_id == sweep_id, EpochMetric.name == metric)
            .order_by(EpochMetric.seq)
        )
        with self._transaction() as connection:
            rows = connection.execute(query).all()
        return tuple((number, epoch, math.nan if value is None else value) for number, epoch, value in rows)

    def next_seq(self, sweep_id: int) -> int:
        """The first order-of-recording number that is free."""
        query = select(func.max(EpochMetric.seq)).join(Run).where(Run.sweep_id == sweep_id)
        with self._transaction() as connection:
            last: int | None = connection.execute(query).scalar_one()
        return 0 if last is None else last + 1
