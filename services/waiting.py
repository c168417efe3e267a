"""Work in threads for a client that may hang up: then the work is cancelled."""

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor
from types import TracebackType
from typing import Any, Self, TypeVar

from starlette.types import Receive

from services.errors import ClientGoneError

_Value = TypeVar("_Value")

# A cancel that comes between two statements stops neither: it is sent again until the work has ended.
_CANCEL_AGAIN_S = 0.1


class Client:
    """Who waits for an answer; within the ``async with`` block it is known when the connection closes.

    Parameters
    ----------
    receive
        What gives messages of the client, after the whole request.
    executor
        Threads in which work is done.
    """

    def __init__(self, receive: Receive, executor: Executor) -> None:
        self._receive = receive
        self._executor = executor
        self._gone: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._gone = asyncio.create_task(self._listen())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._gone is not None:
            self._gone.cancel()
            await asyncio.wait({self._gone})

    @property
    def is_gone(self) -> bool:
        """Whether the connection is closed."""
        return self._gone is not None and self._gone.done()

    async def wait_for(self, waiting: Coroutine[Any, Any, _Value]) -> _Value:
        """Wait for something that is no work, such as a turn.

        Raises
        ------
        ClientGoneError
            Raised if the client hangs up meanwhile.
        """
        task = asyncio.create_task(waiting)
        try:
            await self._first_of(task)
        except asyncio.CancelledError:
            task.cancel()
            await asyncio.wait({task})
            raise
        if not task.done():
            task.cancel()
            await asyncio.wait({task})
            raise ClientGoneError
        return task.result()

    async def run(self, work: Callable[[], _Value], cancel: Callable[[], None]) -> _Value:
        """Do work in a thread and return what it returns.

        Parameters
        ----------
        work
            The work.
        cancel
            Called in another thread, more than once, if the client hangs up or the service stops.

        Raises
        ------
        ClientGoneError
            Raised if the client hangs up before the work is done.
        """
        job = asyncio.get_running_loop().run_in_executor(self._executor, work)
        try:
            await self._first_of(job)
        except asyncio.CancelledError:
            await _stop(job, cancel)
            raise
        if not job.done():
            await _stop(job, cancel)
            raise ClientGoneError from (None if job.cancelled() else job.exception())
        return job.result()

    async def in_thread(self, work: Callable[[], None]) -> None:
        """Do something short in a thread, to its end even if the service stops."""
        await asyncio.shield(asyncio.get_running_loop().run_in_executor(self._executor, work))

    async def _first_of(self, task: asyncio.Future[Any]) -> None:
        """Return when a task is done, or the client gone."""
        waited: set[asyncio.Future[Any]] = {task}
        if self._gone is not None:
            waited.add(self._gone)
        await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)

    async def _listen(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass


async def _stop(job: asyncio.Future[Any], cancel: Callable[[], None]) -> None:
    """Cancel work until its thread has ended."""
    while not job.done():
        await asyncio.to_thread(cancel)
        await asyncio.wait({job}, timeout=_CANCEL_AGAIN_S)
