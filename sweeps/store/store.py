"""Reads and writes the tables. Every method is one transaction; repeating a call changes nothing."""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Self

from sqlalchemy import ColumnElement, Connection, Row, exists, func, select, update
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, SQLAlchemyError, TimeoutError

from search_spaces import LeaseLostError, SweepError, UsageError
from sweeps.store.apply_event import apply_event, insert_or_ignore, interrupt
from sweeps.store.database import connect, database_now
from sweeps.store.events import Event
from sweeps.store.records import Fence, RunRecord, SweepRecord
from sweeps.store.tables import SCHEMA_VERSION, Base, EpochMetric, Run, RunOutput, Sweep, missing_columns, other_release

_CREATION_LOCK = 0x7377656570  # held while the tables are created


def lease_lost(sweep: str) -> LeaseLostError:
    """Return the error of a driver whose sweep was taken over."""
    return LeaseLostError(f"another driver took {sweep} over; this process no longer holds the lease and stops writing")


class Store:
    """The database of sweeps. Only the driver that holds the lease of a sweep can write its runs.

    Args:
        url: Database URL, such as ``sqlite:///runs/sweeps.db``. Missing tables are created.

    Raises:
        UsageError: The URL is invalid, the server is unreachable, or its tables are of another release.
    """

    def __init__(self, url: str) -> None:
        self._engine = connect(url)
        try:
            with self._engine.begin() as connection:
                if self._engine.dialect.name == "postgresql":  # SQLite serialises transactions itself
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
            if isinstance(error, IntegrityError | DataError):  # trying again would not help
                raise
            raise SweepError(f"the database does not answer: {error.__cause__ or error}") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()

    # --- sweeps ---------------------------------------------------------------------------------------------

    def sweep(self, name: str) -> SweepRecord | None:
        """Return the sweep with this name; None if there is none.

        Raises:
            SweepError: Another release wrote it, with another schema.
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
        """Add a sweep, or replace the file of one that has no driver and no runs, neither here nor in a journal."""
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
        """Take the lease of a sweep if it is free, if it has expired, or from a dead holder.

        Args:
            sweep_id: Id of the sweep.
            owner: Name of the driver, unique to it.
            seconds: Duration of the lease, by the clock of the database.
            instead_of: Name of a holder that is dead.

        Returns:
            The right to write; None if another driver has it.
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
        """Return whether the lease has expired."""
        query = select(Sweep.lease_expires < self._now()).where(Sweep.id == sweep_id)
        with self._transaction() as connection:
            return bool(connection.execute(query).scalar_one())

    def renew_lease(self, fence: Fence, seconds: float | None) -> bool:
        """Extend the lease, or release it with ``None``; return False if another driver has it."""
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
        """Open a transaction in which no other driver can take over the sweep; yield it with the row of the sweep.

        Raises:
            LeaseLostError: Another driver has taken over the sweep.
        """
        wanted = select(Sweep.name, Sweep.lease_token, Sweep.written_by, Sweep.written).where(
            Sweep.id == fence.sweep_id
        )
        with self._transaction() as connection:
            row = connection.execute(wanted.with_for_update()).one_or_none()  # SQLite has already locked the file
            if row is None or row.lease_token != fence.token:
                raise lease_lost("the sweep" if row is None else f"sweep {row.name!r}")
            yield connection, row

    # --- writing, for the holder of the lease ---------------------------------------------------------------

    def check_lease(self, fence: Fence) -> None:
        """Raise an error if another driver has taken over the sweep.

        Raises:
            LeaseLostError: Another driver has taken over the sweep.
        """
        with self._fenced(fence):
            pass

    def set_spec(self, fence: Fence, spec_yaml: str) -> None:
        """Replace the stored file by one with more runs or pairs."""
        with self._fenced(fence) as (connection, _):
            connection.execute(update(Sweep).where(Sweep.id == fence.sweep_id).values(spec_yaml=spec_yaml))

    def set_provenance(self, fence: Fence, provenance: Mapping[str, Any]) -> None:
        """Replace the stored provenance by one that also holds what the runs are trained with from now on."""
        with self._fenced(fence) as (connection, _):
            connection.execute(update(Sweep).where(Sweep.id == fence.sweep_id).values(provenance=dict(provenance)))

    def take_over(self, fence: Fence) -> None:
        """Become the writer of the sweep and mark every RUNNING run as INTERRUPTED."""
        begun = {"written_by": fence.owner, "written": 0}
        with self._fenced(fence) as (connection, _):
            connection.execute(update(Sweep).where(Sweep.id == fence.sweep_id).values(**begun))
            interrupt(connection, fence.sweep_id)

    def mark_complete(self, fence: Fence) -> None:
        """Record that everything of this driver is written."""
        with self._fenced(fence) as (connection, _):
            connection.execute(update(Sweep).where(Sweep.id == fence.sweep_id).values(written_by=None, written=0))

    def write(self, fence: Fence, events: Sequence[Event], first: int, author: str | None = None) -> int:
        """Write events in order, all or none; events that are already written are skipped.

        Args:
            fence: The right to write.
            events: Events to write.
            first: Number of events that their author recorded before them.
            author: Name of the driver that recorded them; None for the holder of the fence.

        Returns:
            Number of the author's events that are written. If it is below `first`, the database has lost events and
            nothing was written.
        """
        with self._fenced(fence) as (connection, row):
            if row.written_by != (author or fence.owner):
                raise LeaseLostError(f"another driver has written sweep {row.name!r} since; these events are dropped")
            if row.written < first:
                return int(row.written)
            end = max(row.written, first + len(events))
            for event in events[row.written - first :]:
                apply_event(connection, fence.sweep_id, event)
            connection.execute(update(Sweep).where(Sweep.id == fence.sweep_id).values(written=end))
        return int(end)

    def written(self, sweep_id: int) -> tuple[str | None, int]:
        """Return the name of the last driver that has written a sweep, and the number of its written events."""
        query = select(Sweep.written_by, Sweep.written).where(Sweep.id == sweep_id)
        with self._transaction() as connection:
            author, count = connection.execute(query).one()
        return author, count

    def link_trials(self, fence: Fence, trial_ids: Mapping[int, int]) -> None:
        """Store the ids of trials in Optuna's tables: run number -> id."""
        with self._fenced(fence) as (connection, _):
            for number, trial_id in trial_ids.items():
                connection.execute(
                    update(Run)
                    .where(Run.sweep_id == fence.sweep_id, Run.number == number)
                    .values(optuna_trial_id=trial_id)
                )

    # --- runs -----------------------------------------------------------------------------------------------

    def runs(self, sweep_id: int) -> tuple[RunRecord, ...]:
        """Return all runs of a sweep, by number."""
        query = select(Run.__table__).where(Run.sweep_id == sweep_id).order_by(Run.number)
        with self._transaction() as connection:
            rows = connection.execute(query).mappings().all()
        return tuple(RunRecord.from_row(row) for row in rows)

    def printed(self, sweep_id: int) -> frozenset[int]:
        """Return the numbers of the runs whose output is recorded."""
        query = select(Run.number).join(RunOutput, RunOutput.run_id == Run.id).where(Run.sweep_id == sweep_id)
        with self._transaction() as connection:
            return frozenset(connection.execute(query).scalars())

    def final_metrics(self, sweep_id: int) -> dict[int, dict[str, float]]:
        """Return run number -> last value of each metric; NaN for NULL."""
        last = (
            select(EpochMetric.run_id, EpochMetric.name, func.max(EpochMetric.epoch).label("epoch"))
            .join(Run, EpochMetric.run_id == Run.id)
            .where(Run.sweep_id == sweep_id)
            .group_by(EpochMetric.run_id, EpochMetric.name)
            .subquery()
        )
        same = (EpochMetric.run_id == last.c.run_id) & (EpochMetric.name == last.c.name)
        query = (
            select(Run.number, EpochMetric.name, EpochMetric.value)
            .join(EpochMetric, EpochMetric.run_id == Run.id)
            .join(last, same & (EpochMetric.epoch == last.c.epoch))
        )
        with self._transaction() as connection:
            rows = connection.execute(query).all()
        found: dict[int, dict[str, float]] = {}
        for number, name, value in rows:
            found.setdefault(number, {})[name] = math.nan if value is None else value
        return found

    # --- epochs ---------------------------------------------------------------------------------------------

    def curve(self, sweep_id: int, metric: str) -> tuple[tuple[int, int, float], ...]:
        """Return ``(run number, epoch, value)`` of one metric, in the order of recording; NaN for NULL."""
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
        """Return the next free sequence number of the sweep."""
        query = select(func.max(EpochMetric.seq)).join(Run).where(Run.sweep_id == sweep_id)
        with self._transaction() as connection:
            last: int | None = connection.execute(query).scalar_one()
        return 0 if last is None else last + 1
