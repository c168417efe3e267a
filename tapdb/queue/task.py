"""What a worker can run: tasks that packages offer by entry point, and the job that one is run for."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import entry_points
from threading import Lock
from typing import Literal

import sqlalchemy as sa

from tapdb.errors import TapdbError

GROUP = "tapdb.tasks"
"""Entry-point group in which a package registers a tuple of `Task`, under any name."""

Ending = Literal["cancelled", "stopping"]
"""Why a job is told to end: it was cancelled, or its worker stops and another will run it."""


class JobEndedError(TapdbError):
    """A job was told to end before it was done.

    Parameters
    ----------
    why
        ``cancelled`` or ``stopping``.
    """

    def __init__(self, why: Ending) -> None:
        self.why = why
        what = "it was cancelled" if why == "cancelled" else "its worker stops; another one runs it again"
        super().__init__(f"the job ended before it was done: {what}")


class Running:
    """A job while a worker runs it, for its task.

    Parameters
    ----------
    job
        Number of the job in the queue.
    engine
        Engine for the database of the queue.

    Attributes
    ----------
    ending
        Why it is to end; `None` as long as it may go on.
    """

    def __init__(self, job: int, engine: sa.Engine) -> None:
        self.job = job
        self.engine = engine
        self.ending: Ending | None = None
        self._ways: list[Callable[[], None]] = []
        self._lock = Lock()

    def end(self, why: Ending) -> None:
        """Tell the job to end; may be called again as long as it has not."""
        with self._lock:
            self.ending = self.ending or why
            for way in self._ways:
                way()

    def require_wanted(self) -> None:
        """Raise an error if the job is to end.

        Raises
        ------
        JobEndedError
            Raised then.
        """
        if self.ending is not None:
            raise JobEndedError(self.ending)

    @contextmanager
    def ended_by(self, way: Callable[[], None]) -> Iterator[None]:
        """Let a function be called, in another thread, if the job is told to end inside of the block.

        Parameters
        ----------
        way
            Interrupts what is done there, such as ``cancel_safe`` of a connection. It may be called several
            times, never after the block.

        Raises
        ------
        JobEndedError
            Raised if the job is to end already.
        """
        with self._lock:
            self.require_wanted()
            self._ways.append(way)
        try:
            yield
        finally:
            with self._lock:
                self._ways.remove(way)


@dataclass(frozen=True, slots=True)
class Task:
    """Something that workers can do.

    Parameters
    ----------
    name
        Name by which jobs call for it.
    run
        Does it, in a thread, given the job and the arguments that were put into the queue. An exception means
        that it failed. If it was told to end by a worker that stops, another worker runs it again.
    cron
        When it is done by itself, in the form of cron, with an argument ``timestamp``; never if not given.
    queue
        Names the queue in which a worker finds jobs for it, when the worker starts; `None` for none but the
        default one, on which every worker works.
    """

    name: str
    run: Callable[..., None]
    cron: str | None = None
    queue: Callable[[], str | None] = lambda: None


def load_tasks() -> dict[str, Task]:
    """Return the tasks of all installed packages by name."""
    found = [task for entry in entry_points(group=GROUP) for task in entry.load()]
    return {task.name: task for task in found}
