"""Put jobs into the queue, cancel them and ask for them, in the transaction of the caller."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

from tapdb.queue.schema import SCHEMA

DEFAULT_QUEUE = "default"

_JOBS = sa.table(
    "procrastinate_jobs",
    *map(sa.column, ("id", "queue_name", "task_name", "status", "attempts", "worker_id", "lock")),
    schema=SCHEMA,
)
_WORKERS = sa.table(
    "procrastinate_workers", sa.column("id"), sa.column("last_heartbeat", sa.DateTime), schema=SCHEMA
)


@dataclass(frozen=True, slots=True)
class QueueCount:
    """How many jobs of a queue are in one state.

    Attributes
    ----------
    queue, task
        Names of the queue and of the task.
    status
        ``todo``, ``doing``, ``succeeded``, ``failed``, ``cancelled`` or ``aborted``.
    jobs
        How many there are.
    """

    queue: str
    task: str
    status: str
    jobs: int


def defer_job(
    connection: sa.Connection,
    task: str,
    arguments: Mapping[str, Any],
    *,
    queue: str = DEFAULT_QUEUE,
    run_alone: str | None = None,
    wait_alone: str | None = None,
) -> int:
    """Put a job into the queue and return its number; it is there if the caller commits.

    Parameters
    ----------
    connection
        Connection of a member of ``tapdb_service``.
    task
        Name of the task that is to be run.
    arguments
        What the task is given, as JSON.
    queue
        Name of the queue; workers may work on some only.
    run_alone
        Of all jobs with the same text here, one runs at a time.
    wait_alone
        Of all jobs with the same text here, one waits; putting in a second one is refused.
    """
    deferred = sa.func.tapdb.defer_job(
        task, sa.cast(dict(arguments), JSONB), queue, 0, run_alone, wait_alone, type_=sa.BigInteger
    )
    return int(connection.execute(sa.select(deferred)).scalar_one())


def cancel_job(connection: sa.Connection, job: int) -> bool:
    """Take a job out of the queue, or let its worker end it, as soon as the caller commits.

    Returns
    -------
    pending
        Whether the job waited or ran.
    """
    return bool(connection.execute(sa.select(sa.func.tapdb.cancel_job(job))).scalar_one())


def job_status(connection: sa.Connection, job: int) -> str | None:
    """Return the state of a job as in `QueueCount`; `None` if the queue has forgotten it."""
    status = sa.cast(_JOBS.c.status, sa.Text)
    return connection.scalar(sa.select(status).where(_JOBS.c.id == job))


def pending_jobs(connection: sa.Connection, jobs: Sequence[int]) -> set[int]:
    """Return those of some jobs that wait or run."""
    pending = sa.cast(_JOBS.c.status, sa.Text).in_(["todo", "doing"])
    return set(connection.scalars(sa.select(_JOBS.c.id).where(_JOBS.c.id.in_(jobs), pending)))


def least_used(connection: sa.Connection, names: Sequence[str]) -> str:
    """Return that of some texts of ``run_alone`` with which the fewest jobs wait or run.

    To choose among a number of them lets so many jobs of a kind run at once.
    """
    pending = sa.cast(_JOBS.c.status, sa.Text).in_(["todo", "doing"])
    counted = sa.select(_JOBS.c.lock, sa.func.count()).where(_JOBS.c.lock.in_(names), pending)
    used: dict[str, int] = {row[0]: row[1] for row in connection.execute(counted.group_by(_JOBS.c.lock))}
    return min(names, key=lambda name: used.get(name, 0))


def count_jobs(connection: sa.Connection) -> tuple[QueueCount, ...]:
    """Return how many jobs there are, by queue, task and state."""
    names = (_JOBS.c.queue_name, _JOBS.c.task_name, sa.cast(_JOBS.c.status, sa.Text).label("status"))
    counted = sa.select(*names, sa.func.count()).group_by(*names).order_by(*names)
    return tuple(QueueCount(*row) for row in connection.execute(counted))


def count_workers(connection: sa.Connection, within_s: float) -> int:
    """Return how many workers have given a sign of life in the last seconds."""
    since = sa.func.now() - sa.func.make_interval(0, 0, 0, 0, 0, 0, within_s)
    alive = sa.select(sa.func.count()).select_from(_WORKERS).where(_WORKERS.c.last_heartbeat >= since)
    return int(connection.execute(alive).scalar_one())
