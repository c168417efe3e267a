"""Who watches in this process, and what wakes them: one connection listens for all."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Self

import sqlalchemy as sa

from services.errors import BusyError
from services.identity import User
from services.settings import ServiceSettings
from tap_query.watching import CHANNEL
from tapdb.postgres.listening import listening
from tapdb.settings import database_url

_RETRY_S = 60


class Wakes:
    """Lets users watch, so many at once, and wakes all of them when something has been committed.

    Parameters
    ----------
    url
        Database.
    most, user_most
        How many may watch at once, and how many of these one user.
    """

    def __init__(self, url: sa.URL, most: int, user_most: int) -> None:
        self._url = url
        self._most = most
        self._user_most = user_most
        self._watching: Counter[str] = Counter()
        self._committed = asyncio.Event()

    @classmethod
    def of_settings(cls, settings: ServiceSettings, url: str | sa.URL | None) -> Self:
        """Return what the settings of a service say of those who watch."""
        named = url if isinstance(url, sa.URL) else database_url(url)
        return cls(named, settings.watches, settings.user_watches)

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        """Listen to the database inside of the block."""
        async with listening(self._url, CHANNEL, self._told, application_name="tapdb watches"):
            yield

    @contextmanager
    def place(self, user: User) -> Iterator[None]:
        """Let a user watch inside of the block.

        Raises
        ------
        BusyError
            Raised if too many watch, or the user does in too many places.
        """
        if self._watching.total() >= self._most:
            raise BusyError(f"{self._most} queries are watched already", _RETRY_S)
        if self._watching[user.key] >= self._user_most:
            raise BusyError(f"you watch {self._user_most} queries already", _RETRY_S)
        self._watching[user.key] += 1
        try:
            yield
        finally:
            self._watching[user.key] -= 1
            if not self._watching[user.key]:
                del self._watching[user.key]

    def now(self) -> asyncio.Event:
        """Return what is set by the next commit: to be had before a look, so that none is missed."""
        return self._committed

    @staticmethod
    async def wait(committed: asyncio.Event, seconds: float) -> None:
        """Wait for a commit, at most so many seconds.

        Parameters
        ----------
        committed
            What `now` returned before the last look.
        seconds
            How long.
        """
        with suppress(TimeoutError):
            await asyncio.wait_for(committed.wait(), seconds)

    def _told(self, _payload: str | None) -> None:
        self._committed.set()
        self._committed = asyncio.Event()
