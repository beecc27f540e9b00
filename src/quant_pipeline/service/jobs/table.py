"""The table of jobs, in SQLite or Postgres: what was asked, by which process it is done, and how it ended.

A job is *waiting*, *running*, and then one of `ENDED`. Every change is one statement that names the state before, so
of two processes that want the same change one makes it and the other learns that it came late.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, NamedTuple

import sqlalchemy as sa

from quant_pipeline.common.json_files import parse_object
from quant_pipeline.trading.ledger.connections import durable_engine

METADATA = sa.MetaData()
JOBS = sa.Table(
    "jobs",
    METADATA,
    sa.Column("id", sa.String(32), primary_key=True),
    sa.Column("number", sa.Integer, nullable=False, unique=True),
    sa.Column("kind", sa.String(100), nullable=False),
    sa.Column("request", sa.Text, nullable=False),
    sa.Column("question", sa.String(64), nullable=False, index=True),
    sa.Column("idempotency_key", sa.String(200), unique=True),
    sa.Column("asked", sa.String(64)),
    sa.Column("asked_by", sa.String(100), nullable=False),
    sa.Column("state", sa.String(40), nullable=False, index=True),
    sa.Column("host", sa.String(300)),
    sa.Column("pid", sa.Integer),
    sa.Column("born", sa.String(30)),
    sa.Column("created", sa.String(40), nullable=False),
    sa.Column("started", sa.String(40)),
    sa.Column("ended", sa.String(40)),
    sa.Column("status", sa.Integer),
    sa.Column("message", sa.Text),
    sa.Column("result", sa.Text),
)


class JobState(StrEnum):
    """Where a job is."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    LOST = "lost"
    """Its process is not there any more and has recorded no end; it is not started again by itself."""


ENDED = (JobState.DONE, JobState.FAILED, JobState.CANCELLED, JobState.LOST)
OPEN = (JobState.WAITING, JobState.RUNNING)


class JobKey(NamedTuple):
    """An idempotency key as the table keeps it, so that holders of tokens have keys of their own.

    Attributes
    ----------
    name
        Hash of the key and of whose it is.
    asked
        Hash of what was asked with it: as it was sent, not what it meant for the project of that moment.
    """

    name: str
    asked: str

    @classmethod
    def of(cls, asker: str, key: str, kind: str, asked: Mapping[str, Any]) -> JobKey:
        """Return the key of a request."""
        return cls(hash_of({"asker": asker, "key": key}), hash_of({"kind": kind, "asked": asked}))


@dataclass(frozen=True)
class Job:
    """One row of the table.

    Attributes
    ----------
    id, number
        Name, and place in the order in which jobs were asked for.
    kind, request
        What is to be done.
    question
        Hash of what the result depends on.
    asked
        Hash of what was asked with an idempotency key; None without one.
    asked_by
        Holder of the token.
    state
        Where it is.
    host, pid, born
        The process that does it: on which machine, and when it began, for numbers of processes are used again. On
        another machine they mean nothing.
    created, started, ended
        Instants, UTC.
    status, message
        Exit status, and the last line that says why.
    result
        Hashes of the resulting tables by name, and the last lines that the command has printed.
    """

    id: str
    number: int
    kind: str
    request: Mapping[str, Any]
    question: str
    asked: str | None
    asked_by: str
    state: JobState
    host: str | None
    pid: int | None
    born: str | None
    created: str
    started: str | None
    ended: str | None
    status: int | None
    message: str | None
    result: Mapping[str, Any] | None


class JobTable:
    """The table of the jobs of one account.

    Parameters
    ----------
    url
        Database, as SQLAlchemy names it.
    """

    def __init__(self, url: str) -> None:
        self._engine = durable_engine(url)
        METADATA.create_all(self._engine)
        self._add_columns()

    def add(
        self, id: str, kind: str, request: Mapping[str, Any], question: str, asked_by: str, key: JobKey | None = None
    ) -> Job:
        """Add a waiting job.

        Raises
        ------
        sqlalchemy.exc.IntegrityError
            When another job has its key.
        """
        with self._engine.begin() as connection:
            newest = connection.execute(sa.select(sa.func.max(JOBS.c.number))).scalar() or 0
            connection.execute(
                JOBS.insert().values(
                    id=id,
                    number=newest + 1,
                    kind=kind,
                    request=json.dumps(request, sort_keys=True),
                    question=question,
                    idempotency_key=None if key is None else key.name,
                    asked=None if key is None else key.asked,
                    asked_by=asked_by,
                    state=JobState.WAITING,
                    created=_now(),
                )
            )
        found = self.find(id)
        assert found is not None
        return found

    def find(self, id: str) -> Job | None:
        """Return a job by its name."""
        found = self._select(JOBS.c.id == id, 1)
        return found[0] if found else None

    def of_key(self, key: str) -> Job | None:
        """Return the job that was asked for with an idempotency key."""
        found = self._select(JOBS.c.idempotency_key == key, 1)
        return found[0] if found else None

    def of_question(self, question: str, *states: JobState) -> Job | None:
        """Return the newest job with the same question in some states."""
        useful = JOBS.c.state.in_(states)
        found = self._select((JOBS.c.question == question) & useful, 1)
        return found[0] if found else None

    def in_states(self, *states: JobState) -> list[Job]:
        """Return all jobs in some states, in the order in which they were asked for."""
        return self._select(JOBS.c.state.in_(states), None)[::-1]

    def newest(self, number: int, kind: str | None = None) -> list[Job]:
        """Return the newest jobs, the newest first."""
        return self._select(sa.true() if kind is None else JOBS.c.kind == kind, number)

    def ended_before(self, newest: int) -> list[str]:
        """Return the names of the jobs that have ended, without the newest ones of a number."""
        ended = sa.select(JOBS.c.id).where(JOBS.c.state.in_(ENDED)).order_by(JOBS.c.number.desc())
        with self._engine.connect() as connection:
            return list(connection.execute(ended).scalars())[newest:]

    def forget(self, id: str) -> None:
        """Leave out a job that has ended."""
        with self._engine.begin() as connection:
            connection.execute(JOBS.delete().where((JOBS.c.id == id) & JOBS.c.state.in_(ENDED)))

    def claim(self, id: str, host: str, pid: int, born: str) -> bool:
        """Let a process of a machine do a waiting job; return whether it is the one that does."""
        return self._change(
            (JOBS.c.id == id) & (JOBS.c.state == JobState.WAITING),
            state=JobState.RUNNING,
            host=host,
            pid=pid,
            born=born,
            started=_now(),
        )

    def end_unclaimed(self, job: Job, message: str) -> bool:
        """Record that a job has failed before it began, unless a process has claimed it; return whether that counts."""
        return self._change(
            (JOBS.c.id == job.id) & (JOBS.c.state == JobState.WAITING),
            state=JobState.FAILED,
            message=message,
            ended=_now(),
        )

    def end(
        self, job: Job, state: JobState, status: int | None, message: str, result: Mapping[str, Any] | None = None
    ) -> bool:
        """Record how a job has ended, unless an end is recorded already; return whether this one counts."""
        return self._change(
            (JOBS.c.id == job.id) & JOBS.c.state.in_(OPEN),
            state=state,
            status=status,
            message=message,
            ended=_now(),
            result=None if result is None else json.dumps(result),
        )

    def _add_columns(self) -> None:
        """Add the columns that a table of a former version lacks; what they would say of its jobs is not known."""
        with self._engine.begin() as connection:
            known = {column["name"] for column in sa.inspect(connection).get_columns(JOBS.name)}
            for column in JOBS.c:
                if column.name not in known:
                    written = sa.schema.CreateColumn(column).compile(dialect=self._engine.dialect)
                    connection.exec_driver_sql(f"ALTER TABLE {JOBS.name} ADD COLUMN {written}")

    def _change(self, which: sa.ColumnElement[bool], **values: Any) -> bool:
        with self._engine.begin() as connection:
            return connection.execute(JOBS.update().where(which).values(**values)).rowcount == 1

    def _select(self, which: sa.ColumnElement[bool], limit: int | None) -> list[Job]:
        columns: Sequence[sa.Column[Any]] = [column for column in JOBS.c if column.name != "idempotency_key"]
        with self._engine.connect() as connection:
            rows = connection.execute(sa.select(*columns).where(which).order_by(JOBS.c.number.desc()).limit(limit))
            return [_job(row._asdict()) for row in rows]


def _job(row: Mapping[str, Any]) -> Job:
    """Read a row; one that was changed from outside, or is damaged, says so and hides no other.

    Where it does not say what is to be done, the job has failed before it began.
    """
    found = {**row, "state": JobState(row["state"])}
    for column, nothing in (("request", {}), ("result", None)):
        try:
            found[column] = nothing if row[column] is None else parse_object(row[column])
        except (TypeError, ValueError) as error:
            found |= {column: nothing, "message": f"its {column} in the table of jobs is damaged: {error}"}
            if found["state"] is JobState.WAITING:
                found["state"] = JobState.FAILED
    return Job(**found)


def hash_of(question: Mapping[str, Any]) -> str:
    """Return the hash of what is asked."""
    return hashlib.blake2b(json.dumps(question, sort_keys=True, default=str).encode(), digest_size=16).hexdigest()


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
