"""What all handlers of one process share."""

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TypeVar, cast

from starlette.requests import HTTPConnection

from services.database import Database
from services.identity import Authenticator, User
from services.observing import Metrics
from services.quotas import Quotas
from services.settings import ServiceSettings

_Value = TypeVar("_Value")


@dataclass(frozen=True, slots=True)
class Service:
    """The parts of a service.

    Attributes
    ----------
    settings
        How it is set up.
    database
        Its database, as most users see it.
    authenticator
        Says who sends a request.
    quotas
        Lets queries run.
    metrics
        Figures of the process.
    has_jobs
        Whether it has asynchronous jobs.
    threads
        Threads in which the database is used.
    databases
        The database as users see it whose groups have a role of their own, by that role.
    started_at
        When the process began.
    """

    settings: ServiceSettings
    database: Database
    authenticator: Authenticator
    quotas: Quotas
    metrics: Metrics
    has_jobs: bool
    threads: ThreadPoolExecutor
    databases: Mapping[str, Database] = field(default_factory=dict)
    started_at: datetime = field(default_factory=lambda: datetime.now(UTC))

    def database_of(self, user: User) -> Database:
        """Return the database as a user sees it: what is not released yet, by the user's groups."""
        return self.databases.get(self.settings.role_of(user.groups), self.database)

    def base_url(self, connection: HTTPConnection) -> str:
        """Return the URL of the service as a client sees it, without a slash at the end."""
        return self.settings.base_url or str(connection.base_url).rstrip("/")


def service_of(connection: HTTPConnection) -> Service:
    """Return the service to which a request came."""
    return cast(Service, connection.app.state.service)


async def in_thread(service: Service, work: Callable[[], _Value]) -> _Value:
    """Return what some short work of the database returns, which is done in a thread."""
    return await asyncio.get_running_loop().run_in_executor(service.threads, work)
