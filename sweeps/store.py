"""The single writer of the tables. Every method is one transaction; repeating one changes nothing."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, Self

from sqlalchemy import Connection, Insert, exists, func, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from search_spaces import SweepError, UsageError
from sweeps.database import connect
from sweeps.records import Outcome, RunRecord, SweepRecord
from sweeps.tables import SCHEMA_VERSION, Base, EpochMetric, Prediction, Run, RunState, Sweep
from trainers.reports import EpochReport

_NONE: Mapping[str, str] = MappingProxyType({})
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
        except SQLAlchemyError as error:
            self._engine.dispose()
            raise UsageError(f"--storage: cannot create the tables: {error.__cause__ or error}") from error

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        try:
            with self._engine.begin() as connection:
                yield connection
        except SQLAlchemyError as error:
            if isinstance(error, IntegrityError):
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
        """Record a new sweep, or give one that has no runs, and that nobody drives, another file."""
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
        untouched = Sweep.lease_owner.is_(None) & ~exists().where(Run.sweep_id == Sweep.id)
        with self._transaction() as connection:
            connection.execute(self._insert_or_ignore(Sweep), {"name": name, **values})
            connection.execute(update(Sweep).where(Sweep.name == name, untouched).values(**values))

    def set_spec(self, sweep_id: int, spec_yaml: str) -> None:
        """Replace the stored file by one that asks for more runs or pairs of the same kind."""
        with self._transaction() as connection:
            connection.execute(update(Sweep).where(Sweep.id == sweep_id).values(spec_yaml=spec_yaml))

    # --- the lease ------------------------------------------------------------------------------------------

    def take_lease(self, sweep_id: int, owner: str, expires: datetime, instead_of: str | None = None) -> bool:
        """Become the sweep's driver if nobody is, if the holder's time is over, or in place of a dead holder."""
        free = Sweep.lease_owner.is_(None) | (Sweep.lease_expires < datetime.now(UTC))
        if instead_of is not None:
            free |= Sweep.lease_owner == instead_of
        with self._transaction() as connection:
            taken = connection.execute(
                update(Sweep).where(Sweep.id == sweep_id, free).values(lease_owner=owner, lease_expires=expires)
            )
        return bool(taken.rowcount == 1)

    def renew_lease(self, sweep_id: int, owner: str, expires: datetime | None) -> bool:
        """Hold the lease until ``expires``, or give it back with ``None``. False: somebody else has it."""
        values = {"lease_expires": expires, "lease_owner": owner if expires else None}
        with self._transaction() as connection:
            renewed = connection.execute(
                update(Sweep).where(Sweep.id == sweep_id, Sweep.lease_owner == owner).values(**values)
            )
        return bool(renewed.rowcount == 1)

    # --- runs -----------------------------------------------------------------------------------------------

    def runs(self, sweep_id: int) -> tuple[RunRecord, ...]:
        """Every run of a sweep, by number."""
        fields = RunRecord.__dataclass_fields__
        query = select(*(getattr(Run, name) for name in fields)).where(Run.sweep_id == sweep_id)
        with self._transaction() as connection:
            rows = connection.execute(query.order_by(Run.number)).all()
        return tuple(RunRecord(**{**row._mapping, "state": RunState(row.state)}) for row in rows)

    def add_run(
        self,
        sweep_id: int,
        number: int,
        recipe: Mapping[str, Any],
        recipe_hash: str,
        seed: int,
        arm: str = "",
        pair: int | None = None,
        design: str = "",
    ) -> int:
        """Record a run that nobody has begun yet; returns its id.

        Raises:
            IntegrityError: The sweep has this number, or this recipe with this seed, already.
        """
        with self._transaction() as connection:
            added = connection.execute(
                insert(Run)
                .values(
                    sweep_id=sweep_id,
                    number=number,
                    recipe=dict(recipe),
                    recipe_hash=recipe_hash,
                    seed=seed,
                    arm=arm,
                    pair=pair,
                    design=design,
                    state=RunState.INTERRUPTED.value,
                )
                .returning(Run.id)
            )
            return added.scalar_one()

    def begin(self, run_id: int, ray_trial_id: str | None) -> None:
        """A worker takes the run up, for the first time or again."""
        with self._transaction() as connection:
            connection.execute(
                update(Run)
                .where(Run.id == run_id)
                .values(
                    state=RunState.RUNNING.value,
                    attempts=Run.attempts + 1,
                    ray_trial_id=ray_trial_id,
                    started_at=func.coalesce(Run.started_at, datetime.now(UTC)),
                )
            )

    def record(
        self,
        run_id: int,
        reports: Sequence[EpochReport],
        first_seq: int,
        outcome: Outcome,
        fingerprint: Mapping[str, str] = _NONE,
    ) -> None:
        """Epochs and what follows from them, all or nothing. Epochs that are there already stay as they are.

        Args:
            run_id: The run.
            reports: Its next epochs, in order.
            first_seq: Order of recording of the first report; the next ones follow it.
            outcome: State and value after the last report.
            fingerprint: Digests of what the training started from; none leaves those that are stored.
        """
        values: dict[str, Any] = {"state": outcome.state.value}
        if outcome.value is not None:
            values["value"] = outcome.value
        if outcome.error is not None:
            values["error"] = outcome.error
        if fingerprint:
            values["fingerprint"] = dict(fingerprint)
        if outcome.state.finished:
            values["finished_at"] = datetime.now(UTC)
        with self._transaction() as connection:
            for seq, report in enumerate(reports, first_seq):
                self._record_epoch(connection, run_id, report, seq)
            connection.execute(update(Run).where(Run.id == run_id).values(**values))

    def _record_epoch(self, connection: Connection, run_id: int, report: EpochReport, seq: int) -> None:
        rows = [
            {
                "run_id": run_id,
                "epoch": report.epoch,
                "name": name,
                "value": None if math.isnan(value) else value,
                "seq": seq,
            }
            for name, value in report.metrics.items()
        ]
        connection.execute(self._insert_or_ignore(EpochMetric), rows)
        for part in report.predictions:
            connection.execute(
                self._insert_or_ignore(Prediction),
                {
                    "run_id": run_id,
                    "split": part.split,
                    "weights": part.weights,
                    "n": len(part.label),
                    "label": part.label.astype("<i4").tobytes(),
                    "predicted": part.predicted.astype("<i4").tobytes(),
                    "confidence": part.confidence.astype("<f4").tobytes(),
                    "nll": part.nll.astype("<f4").tobytes(),
                },
            )
        connection.execute(
            update(Run)
            .where(Run.id == run_id, Run.epoch < report.epoch)  # not for an epoch that is repeated
            .values(epoch=report.epoch, seconds=Run.seconds + report.seconds)
        )

    def interrupt_runs(self, sweep_id: int) -> None:
        """Whatever was RUNNING has lost its driver."""
        with self._transaction() as connection:
            connection.execute(
                update(Run)
                .where(Run.sweep_id == sweep_id, Run.state == RunState.RUNNING.value)
                .values(state=RunState.INTERRUPTED.value)
            )

    def set_checkpoint(self, run_id: int, path: str | None) -> None:
        """Where the run's trained weights are."""
        with self._transaction() as connection:
            connection.execute(update(Run).where(Run.id == run_id).values(checkpoint=path))

    def link_trials(self, sweep_id: int, trial_ids: Mapping[int, int]) -> None:
        """Run number -> id of its trial in Optuna's tables."""
        with self._transaction() as connection:
            for number, trial_id in trial_ids.items():
                connection.execute(
                    update(Run).where(Run.sweep_id == sweep_id, Run.number == number).values(optuna_trial_id=trial_id)
                )

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

    def _insert_or_ignore(self, table: type[Base]) -> Insert:
        if self._engine.dialect.name == "postgresql":
            return postgresql.insert(table).on_conflict_do_nothing()
        return sqlite.insert(table).on_conflict_do_nothing()
