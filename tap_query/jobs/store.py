"""Jobs in the database: made, found, changed by compare-and-set, deleted.

Each function is one step in the transaction of the caller. A change names the phases before: of two sessions
that change a job at once the second one finds no row, and is told what the phase is now.
"""

import secrets
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

from tap_query.errors import JobRefusedError, JobUnknownError
from tap_query.jobs.job import (
    FINAL,
    JOB_ID,
    TRANSITIONS,
    Event,
    Job,
    JobFilter,
    JobLimits,
    JobParameters,
    JobQuota,
    Phase,
    merged,
)
from tapdb.queue.client import DEFAULT_QUEUE, cancel_job, defer_job, least_used, pending_jobs

TASK = "tap.run"
"""Task of the queue that runs a job."""
CHANNEL = "tapdb_uws_job"
"""Channel on which the identifiers of jobs are told whose phase has changed."""

_NO_QUOTA = JobQuota()
_TIMES = ("created_at", "started_at", "ended_at", "quote", "destruction", "backend_start")
_OTHERS = ("owner", "run_id", "phase", "execution_duration", "queue_job", "attempts", "backend_pid", "error")
_JOBS = sa.table(
    "uws_job",
    sa.column("job_id", sa.Text),
    *(sa.column(name, sa.DateTime(timezone=True)) for name in _TIMES),
    *(sa.column(name) for name in (*_OTHERS, "error_is_transient")),
    *(sa.column(name, JSONB(none_as_null=True)) for name in ("parameters", "result")),
    schema="tapdb",
)
_ACTIVITY = sa.table("pg_stat_activity", *map(sa.column, ("pid", "backend_start")), schema="pg_catalog")


def create_job(
    connection: sa.Connection,
    owner: str | None,
    parameters: JobParameters,
    limits: JobLimits,
    *,
    run_id: str | None = None,
) -> Job:
    """Make a job, which is ``PENDING``.

    Parameters
    ----------
    connection
        Connection of a member of ``tapdb_service``.
    owner
        User whose job it is; `None` if nobody has logged in.
    parameters
        What is to be done.
    limits
        How long it may run and stay.
    run_id
        ``RUNID`` of the client.
    """
    values = {
        # 128 bits: a job of nobody is as safe as its identifier is hard to guess.
        "job_id": secrets.token_hex(16),
        "owner": owner,
        "run_id": run_id,
        "parameters": parameters,
        "execution_duration": limits.duration_s,
        "destruction": datetime.now(UTC) + timedelta(seconds=limits.lifetime_s),
    }
    return _jobs(connection, sa.insert(_JOBS).values(values).returning(_JOBS))[0]


def find_job(connection: sa.Connection, job_id: str, owner: str | None) -> Job:
    """Return a job of a user.

    Raises
    ------
    JobUnknownError
        Raised if there is none, or if it is somebody else's; which of both is not told.
    """
    if not JOB_ID.fullmatch(job_id):
        raise JobUnknownError(job_id)
    found = _jobs(connection, sa.select(_JOBS).where(_JOBS.c.job_id == job_id))
    if not found or found[0].owner != owner or found[0].destruction <= datetime.now(UTC):
        raise JobUnknownError(job_id)
    return found[0]


def list_jobs(connection: sa.Connection, owner: str | None, wanted: JobFilter) -> list[Job]:
    """Return the jobs of a user, those made last first; none of nobody, whose identifiers are a secret."""
    if owner is None:
        return []
    query = sa.select(_JOBS).where(_JOBS.c.owner == owner, _JOBS.c.destruction > sa.func.now())
    if wanted.phases:
        query = query.where(_JOBS.c.phase.in_(sorted(wanted.phases)))
    if wanted.after is not None:
        query = query.where(_JOBS.c.created_at > wanted.after)
    query = query.order_by(_JOBS.c.created_at.desc(), _JOBS.c.job_id).limit(wanted.last)
    return _jobs(connection, query)


def count_active(connection: sa.Connection, owner: str | None = None) -> int:
    """Return how many jobs wait or run: all, or those of a user."""
    active = _JOBS.c.phase.in_([Phase.QUEUED, Phase.EXECUTING])
    counted = sa.select(sa.func.count()).select_from(_JOBS).where(active)
    return int(connection.scalar(counted if owner is None else counted.where(_JOBS.c.owner == owner)) or 0)


def apply_event(
    connection: sa.Connection,
    job_id: str,
    event: Event,
    values: Mapping[str, Any] = {},
    *,
    attempt: int | None = None,
) -> Job | None:
    """Let something happen to a job, if its phase is one in which it can; those who wait are told.

    Parameters
    ----------
    connection
        Connection of a member of ``tapdb_service``.
    job_id
        The job.
    event
        What happens.
    values
        Further columns to set.
    attempt
        Number of the attempt that this belongs to: an attempt that counts as dead changes nothing any more.

    Returns
    -------
    job
        The job as it is now; `None` if it is in another phase, of another attempt, or gone.
    """
    before, after = TRANSITIONS[event]
    changes: dict[str, Any] = {"phase": str(after), **values}
    if after in FINAL:
        changes |= {"ended_at": sa.func.clock_timestamp(), "backend_pid": None, "backend_start": None}
    statement = sa.update(_JOBS).where(_JOBS.c.job_id == job_id, _JOBS.c.phase.in_(sorted(before)))
    if attempt is not None:
        statement = statement.where(_JOBS.c.attempts == attempt)
    changed = _jobs(connection, statement.values(changes).returning(_JOBS))
    if not changed:
        return None
    connection.execute(sa.select(sa.func.pg_notify(CHANNEL, job_id)))
    return changed[0]


def run_job(
    connection: sa.Connection,
    job: Job,
    quota: JobQuota = _NO_QUOTA,
    *,
    queue: str = DEFAULT_QUEUE,
    site: str = "",
    role: str = "",
) -> Job:
    """Put a job into the queue, in the transaction of the caller.

    Parameters
    ----------
    connection
        Connection of a member of ``tapdb_service``.
    job
        The job.
    quota
        What its user may have. Jobs of nobody in particular have no limit of their own at once.
    queue
        Queue of those workers that can run it.
    site
        URL of the service that takes it, for what its result says of it.
    role
        Role in which its query runs, by the groups of its user; empty for that of the worker.

    Raises
    ------
    JobRefusedError
        Raised if it is not ``PENDING``.
    JobUnknownError
        Raised if it is gone.
    """
    queued = apply_event(connection, job.job_id, Event.RUN)
    if queued is None:
        return _refused(connection, job, Event.RUN)
    arguments: dict[str, Any] = {"job_id": job.job_id}
    if quota.max_bytes is not None:
        arguments["max_bytes"] = quota.max_bytes
    if site:
        arguments["site"] = site
    if role:
        arguments["role"] = role
    place = None
    if quota.at_once is not None and job.owner is not None:
        # One job runs at a time in each of the user's places.
        places = [f"{TASK} {number} {job.owner}" for number in range(quota.at_once)]
        place = least_used(connection, places)
    number = defer_job(connection, TASK, arguments, queue=queue, run_alone=place)
    return _set(connection, queued, {"queue_job": number})


def abort_job(connection: sa.Connection, job: Job) -> Job:
    """End a job, and let its worker end its query as soon as the caller commits; nothing if it has ended.

    Raises
    ------
    JobUnknownError
        Raised if it is gone.
    """
    aborted = apply_event(connection, job.job_id, Event.ABORT)
    if aborted is None:
        return find_job(connection, job.job_id, job.owner)
    if aborted.queue_job is not None:
        cancel_job(connection, aborted.queue_job)
    return aborted


def delete_job(connection: sa.Connection, job: Job) -> None:
    """Forget a job, and end it if it runs; its files are the caller's to delete once this is committed."""
    gone = sa.delete(_JOBS).where(_JOBS.c.job_id == job.job_id).returning(_JOBS.c.queue_job)
    number = connection.execute(gone).scalar_one_or_none()
    if number is not None:
        cancel_job(connection, number)
    connection.execute(sa.select(sa.func.pg_notify(CHANNEL, job.job_id)))


def change_pending(
    connection: sa.Connection, job: Job, more: JobParameters, *, run_id: str | None = None
) -> Job:
    """Put parameters into a job, in the place of those of the same name.

    Raises
    ------
    JobRefusedError
        Raised if it is not ``PENDING`` any more.
    JobUnknownError
        Raised if it is gone.
    """
    # The lock makes two changes at once come one after the other.
    locked = sa.select(_JOBS).where(_JOBS.c.job_id == job.job_id).with_for_update()
    found = _jobs(connection, locked)
    if not found:
        raise JobUnknownError(job.job_id)
    (now,) = found
    if now.phase is not Phase.PENDING:
        raise JobRefusedError("change its parameters", now.phase, Phase.PENDING)
    values: dict[str, Any] = {"parameters": merged(now.parameters, more)}
    if run_id is not None:
        values["run_id"] = run_id
    return _set(connection, now, values)


def set_duration(connection: sa.Connection, job: Job, seconds: int) -> Job:
    """Let a job run for other seconds at most.

    Raises
    ------
    JobRefusedError
        Raised if it is not ``PENDING`` any more: what runs keeps the limit that it began with.
    JobUnknownError
        Raised if it is gone.
    """
    return _set(connection, job, {"execution_duration": seconds}, only=Phase.PENDING)


def set_destruction(connection: sa.Connection, job: Job, time: datetime) -> Job:
    """Let a job be deleted at another time.

    Raises
    ------
    JobUnknownError
        Raised if it is gone.
    """
    return _set(connection, job, {"destruction": time})


def note_backend(connection: sa.Connection, job_id: str, attempt: int, pid: int) -> None:
    """Note which process of PostgreSQL runs the query of a job."""
    started = sa.select(_ACTIVITY.c.backend_start).where(_ACTIVITY.c.pid == pid).scalar_subquery()
    of_attempt = (_JOBS.c.job_id == job_id) & (_JOBS.c.attempts == attempt)
    connection.execute(sa.update(_JOBS).where(of_attempt).values(backend_pid=pid, backend_start=started))


def terminate_backend(connection: sa.Connection, job_id: str) -> bool:
    """End the process of PostgreSQL that an earlier attempt of a job has left behind, if it still runs."""
    its = (_ACTIVITY.c.pid == _JOBS.c.backend_pid) & (_ACTIVITY.c.backend_start == _JOBS.c.backend_start)
    ended = sa.select(sa.func.pg_terminate_backend(_ACTIVITY.c.pid))
    ended = ended.select_from(_JOBS.join(_ACTIVITY, its)).where(_JOBS.c.job_id == job_id)
    return bool(connection.scalar(ended))


def start_job(connection: sa.Connection, job_id: str) -> Job | None:
    """Let a worker begin a job; `None` if it has ended meanwhile, or is gone."""
    values = {"attempts": _JOBS.c.attempts + 1, "started_at": sa.func.clock_timestamp()}
    return apply_event(connection, job_id, Event.START, values)


def requeue_job(connection: sa.Connection, job: Job) -> Job | None:
    """Let a job wait again, for its worker stops; that attempt does not count."""
    values = {"attempts": _JOBS.c.attempts - 1, "backend_pid": None, "backend_start": None}
    return apply_event(connection, job.job_id, Event.REQUEUE, values, attempt=job.attempts)


def lost_jobs(connection: sa.Connection) -> list[Job]:
    """Return the jobs that wait or run, though the queue knows nothing of them or has ended them."""
    active = sa.select(_JOBS).where(_JOBS.c.phase.in_([Phase.QUEUED, Phase.EXECUTING]))
    jobs = _jobs(connection, active.order_by(_JOBS.c.job_id))
    pending = pending_jobs(connection, [job.queue_job for job in jobs if job.queue_job is not None])
    return [job for job in jobs if job.queue_job not in pending]


def expired_jobs(connection: sa.Connection) -> list[Job]:
    """Return the jobs whose time of destruction has come, of all users."""
    query = sa.select(_JOBS).where(_JOBS.c.destruction <= sa.func.now()).order_by(_JOBS.c.job_id)
    return _jobs(connection, query)


def known_jobs(connection: sa.Connection, job_ids: list[str]) -> set[str]:
    """Return those of some identifiers that are of jobs."""
    return set(connection.scalars(sa.select(_JOBS.c.job_id).where(_JOBS.c.job_id.in_(job_ids))))


def _jobs(connection: sa.Connection, statement: sa.Executable) -> list[Job]:
    return [Job.of_row(dict(row)) for row in connection.execute(statement).mappings()]


def _set(connection: sa.Connection, job: Job, values: Mapping[str, Any], *, only: Phase | None = None) -> Job:
    statement = sa.update(_JOBS).where(_JOBS.c.job_id == job.job_id)
    if only is not None:
        statement = statement.where(_JOBS.c.phase == str(only))
    changed = _jobs(connection, statement.values(values).returning(_JOBS))
    if changed:
        return changed[0]
    now = find_job(connection, job.job_id, job.owner)
    if only is None:
        raise JobUnknownError(job.job_id)
    raise JobRefusedError("change how long it may run", now.phase, only)


def _refused(connection: sa.Connection, job: Job, event: Event) -> Job:
    """Raise why an event could not come."""
    now = find_job(connection, job.job_id, job.owner)
    now.require(event)
    raise JobUnknownError(job.job_id)
