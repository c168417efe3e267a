"""Wait for jobs: one connection of a process listens, and wakes those whose job has changed."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from weakref import WeakValueDictionary

import sqlalchemy as sa

from tap_query.jobs.job import FINAL, Job, Phase
from tap_query.jobs.store import CHANNEL
from tapdb.postgres.listening import listening
from tapdb.settings import database_url


class PhaseChanges:
    """Wakes those who wait for a job when its phase changes.

    Parameters
    ----------
    url
        Database; the environment counts if it is not given.
    poll_s
        Seconds after which those who wait look in any case, since a message can be lost with the connection.
    """

    def __init__(self, url: str | sa.URL | None = None, *, poll_s: float = 5) -> None:
        self._url = url if isinstance(url, sa.URL) else database_url(url)
        self._poll_s = poll_s
        # An event goes with the last of those who wait for it.
        self._changed: WeakValueDictionary[str, asyncio.Event] = WeakValueDictionary()

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        """Listen to the database inside of the block."""
        async with listening(self._url, CHANNEL, self._told, application_name="tapdb jobs"):
            yield

    async def wait(
        self, job_id: str, look: Callable[[], Awaitable[Job]], seconds: float, phase: Phase | None = None
    ) -> Job:
        """Return a job as soon as it leaves a phase, or after so many seconds (UWS 1.1 section 2.2.1.1).

        Parameters
        ----------
        job_id
            The job.
        look
            Returns the job as it is.
        seconds
            How long to wait at most.
        phase
            The phase; the one that it is in when it is first looked at, if not given.
        """
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        while True:
            # From here on a change is not missed.
            changed = self._changed.setdefault(job_id, asyncio.Event())
            job = await look()
            phase = phase or job.phase
            left = until - loop.time()
            if job.phase != phase or job.phase in FINAL or left <= 0:
                return job
            with suppress(TimeoutError):
                await asyncio.wait_for(changed.wait(), min(left, self._poll_s))

    def _told(self, job_id: str | None) -> None:
        """Wake those who wait for a job; all of them if something may have been missed."""
        self._wake(*(self._changed if job_id is None else (job_id,)))

    def _wake(self, *job_ids: str) -> None:
        for job_id in job_ids:
            changed = self._changed.pop(job_id, None)
            if changed is not None:
                changed.set()
