"""Wait for jobs: one connection of a process listens, and wakes those whose job has changed."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from weakref import WeakValueDictionary

import psycopg
import sqlalchemy as sa
from psycopg import sql

from tap_query.jobs.job import FINAL, Job, Phase
from tap_query.jobs.store import CHANNEL
from tapdb.settings import database_url

_AGAIN_S = 1
_CANCEL_AGAIN_S = 0.5

_log = logging.getLogger(__name__)


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
        task = asyncio.create_task(self._listen())
        try:
            yield
        finally:
            # What it waits for may end with an error of its own in the place of the cancellation.
            while not task.done():
                task.cancel()
                await asyncio.wait({task}, timeout=_CANCEL_AGAIN_S)

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

    async def _listen(self) -> None:
        plain = self._url.set(drivername="postgresql").render_as_string(hide_password=False)
        listen = sql.SQL("LISTEN {}").format(sql.Identifier(CHANNEL))
        while True:
            try:
                async with await psycopg.AsyncConnection.connect(
                    "" if plain == "postgresql://" else plain, autocommit=True, application_name="tapdb jobs"
                ) as connection:
                    await connection.execute(listen)
                    # Something may have changed while nobody listened.
                    self._wake(*self._changed)
                    async for message in connection.notifies():
                        self._wake(message.payload)
            except psycopg.OperationalError as error:
                # Those who wait look by themselves meanwhile.
                _log.warning("waiting for jobs: %s", str(error).splitlines()[0])
            await asyncio.sleep(_AGAIN_S)

    def _wake(self, *job_ids: str) -> None:
        for job_id in job_ids:
            changed = self._changed.pop(job_id, None)
            if changed is not None:
                changed.set()
