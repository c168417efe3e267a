"""How much each user may have at once: queries that run, rows, seconds, bytes; others wait, in a queue."""

import asyncio
from collections import Counter, deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, Field, RootModel, ValidationError

from services.errors import BusyError
from services.identity import User
from services.settings import ServiceSettings
from tapdb.errors import SettingsError

_MOST_TRANSLATIONS = 8


class Quota(BaseModel):
    """What one user may have.

    Attributes
    ----------
    queries
        Queries at once.
    rows
        Rows of a query.
    seconds
        Seconds of a query.
    bytes
        Bytes of a result.
    jobs
        Asynchronous jobs that run at once.
    job_seconds
        Seconds of an asynchronous job.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    queries: int = Field(ge=0)
    rows: int = Field(ge=0)
    seconds: int = Field(ge=1)
    bytes: int = Field(ge=1)
    jobs: int = Field(ge=0)
    job_seconds: int = Field(ge=1)


class _Given(BaseModel):
    """What a file says of one user; what it leaves out is as for all."""

    model_config = ConfigDict(extra="forbid")

    queries: int | None = Field(default=None, ge=0)
    rows: int | None = Field(default=None, ge=0)
    seconds: int | None = Field(default=None, ge=1)
    bytes: int | None = Field(default=None, ge=1)
    jobs: int | None = Field(default=None, ge=0)
    job_seconds: int | None = Field(default=None, ge=1)


class _GivenQuotas(RootModel[dict[str, _Given]]):
    """What a file says, by name of the user."""


def read_quotas(path: Path, general: Quota) -> Mapping[str, Quota]:
    """Return the quotas of single users from a YAML file.

    Parameters
    ----------
    path
        The file.
    general
        What the others have.

    Raises
    ------
    SettingsError
        Raised if the file cannot be read or has another form.
    """
    try:
        found = _GivenQuotas.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")) or {})
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no UTF-8 text"
        raise SettingsError("TAPDB_QUOTA_FILE", f"{path} cannot be read: {reason}") from error
    except yaml.YAMLError as error:
        raise SettingsError("TAPDB_QUOTA_FILE", f"{path} is no YAML: {error}") from error
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise SettingsError(
            "TAPDB_QUOTA_FILE", f"{path}: {place}: {first['msg']}", "write NAME: {queries: 4, rows: 1000}"
        ) from error
    return {
        name: general.model_copy(update=given.model_dump(exclude_none=True))
        for name, given in found.root.items()
    }


@dataclass(slots=True)
class _Waiting:
    """A query that waits for its turn."""

    key: str
    allowed: int
    turn: asyncio.Future[None]


@dataclass(slots=True)
class _Translating:
    """Queries of one user that are looked at while they are typed."""

    wanted: int = 0
    one: asyncio.Lock = field(default_factory=asyncio.Lock)


class Quotas:
    """Lets queries run, no more at once than there are connections, and of each user no more than allowed.

    Parameters
    ----------
    settings
        What everybody may have.

    Raises
    ------
    SettingsError
        Raised if the file of quotas cannot be used.
    """

    def __init__(self, settings: ServiceSettings) -> None:
        self._settings = settings
        self._general = Quota(
            queries=settings.user_queries,
            rows=settings.max_rows,
            seconds=settings.max_seconds,
            bytes=settings.max_bytes,
            jobs=settings.user_running_jobs,
            job_seconds=settings.max_job_seconds,
        )
        file = settings.quota_file
        self._quotas = {} if file is None else read_quotas(file, self._general)
        self._running: Counter[str] = Counter()
        self._waiting: deque[_Waiting] = deque()
        self._translating: dict[str, _Translating] = {}
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def running(self) -> int:
        """How many queries run."""
        return self._running.total()

    @property
    def waiting(self) -> int:
        """How many queries wait."""
        return len(self._waiting)

    def of(self, user: User) -> Quota:
        """Return what a user may have."""
        return self._general if user.name is None else self._quotas.get(user.name, self._general)

    @asynccontextmanager
    async def turn(self, user: User) -> AsyncIterator[Quota]:
        """Wait until a query of a user may run, and let it run inside of the ``with`` block.

        Raises
        ------
        BusyError
            Raised if too many wait, or the turn does not come in time.
        """
        quota = self.of(user)
        if quota.queries == 0:
            raise BusyError(f'user "{user.name}" may run no queries at present', 3600)
        await self._enter(_Waiting(user.key, quota.queries, asyncio.get_running_loop().create_future()))
        try:
            yield quota
        finally:
            self._leave(user.key)

    @asynccontextmanager
    async def translation(self, user: User) -> AsyncIterator[None]:
        """Let a query of a user be translated inside of the ``with`` block: one at a time, without a turn.

        Raises
        ------
        BusyError
            Raised if so many wait that a person cannot have typed them.
        """
        waiting = self._translating.setdefault(user.key, _Translating())
        if waiting.wanted >= _MOST_TRANSLATIONS:
            raise BusyError(f"{waiting.wanted} queries of yours are being checked already", 1)
        waiting.wanted += 1
        try:
            async with waiting.one:
                yield
        finally:
            waiting.wanted -= 1
            if not waiting.wanted:
                del self._translating[user.key]

    async def wait_until_idle(self) -> None:
        """Wait until no query runs."""
        await self._idle.wait()

    async def _enter(self, query: _Waiting) -> None:
        if self._may_run(query):
            self._run(query.key)
            return
        if len(self._waiting) >= self._settings.queue:
            raise BusyError(f"{len(self._waiting)} queries wait already", self._retry_s())
        self._waiting.append(query)
        try:
            await asyncio.wait_for(asyncio.shield(query.turn), self._settings.queue_seconds)
        except TimeoutError:
            if self._withdraw(query):
                raise BusyError(
                    f"the query has waited {self._settings.queue_seconds:g} seconds for its turn",
                    self._retry_s(),
                ) from None
        except asyncio.CancelledError:
            if not self._withdraw(query):
                self._leave(query.key)
            raise

    def _withdraw(self, query: _Waiting) -> bool:
        """Take a query out of the queue; return False if its turn has come meanwhile."""
        if query.turn.done():
            return False
        self._waiting.remove(query)
        query.turn.cancel()
        return True

    def _may_run(self, query: _Waiting) -> bool:
        return self.running < self._settings.queries and self._running[query.key] < query.allowed

    def _run(self, key: str) -> None:
        self._running[key] += 1
        self._idle.clear()

    def _leave(self, key: str) -> None:
        self._running[key] -= 1
        if not self._running[key]:
            del self._running[key]
        if not self._running:
            self._idle.set()
        for query in list(self._waiting):
            if self.running >= self._settings.queries:
                return
            if self._may_run(query):
                self._waiting.remove(query)
                self._run(query.key)
                query.turn.set_result(None)

    def _retry_s(self) -> int:
        """Return after how many seconds it is worth to ask again: longer the more queries wait."""
        return 1 + len(self._waiting) // self._settings.queries
