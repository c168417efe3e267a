"""``/lake/sync``: queries over versioned tables as of a snapshot, answered from files beside the database."""

from collections.abc import Sequence

from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from services.database import Database
from services.errors import LakeUnavailableError, ParameterError, status_of
from services.results import send_running
from services.running import RunningResult
from services.service import service_of
from services.tap.sync import read_query
from tap_query.answer import TapQuery
from tap_query.lakes import LakeAnswer, LakeService, OpenedLake, stream_answer
from tapdb.errors import TapdbError
from tapdb.postgres.engine import driver_connection

_FAULT = 500


class LakeEndpoint:
    """Answers ``/lake/sync`` with the parameters of ``/tap/sync``; tables cannot be uploaded.

    Parameters
    ----------
    lake
        What answers.
    """

    def __init__(self, lake: OpenedLake) -> None:
        self._lake = lake

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        request = Request(scope, receive)
        async with read_query(request, "lake") as (user, query, _):
            if query.uploads:
                raise ParameterError("UPLOAD", "cannot be used here", "send the query to /tap/sync")
            running = RunningLakeQuery(self._lake, query, service_of(request).database_of(user))
            await send_running(request, send, user, running)


class RunningLakeQuery(RunningResult):
    """A query that runs on a lake; every method but `cancel` in one thread at a time.

    Parameters
    ----------
    lake
        What answers.
    query
        The query.
    database
        The database as the user sees it: units and UCDs are its, and so are rules of release.
    """

    def __init__(self, lake: OpenedLake, query: TapQuery, database: Database) -> None:
        super().__init__(query)
        self._lake = lake
        self._database = database
        self._answer: LakeAnswer | None = None

    @property
    def headers(self) -> Sequence[tuple[str, str]]:
        """Headers that say where the record of the result is; known once it is compiled."""
        return () if self._answer is None else self._answer.headers

    def compile(self) -> LakeAnswer:
        """Return the query as the engine of the lake runs it: what is wrong with it is found here.

        Raises
        ------
        LakeUnavailableError
            Raised if the lake cannot be opened.
        TapdbError
            Raised for a query that cannot be used, or a snapshot that is not there.
        """
        query, published = self.query, self._database.publication().metadata
        try:
            with self._database.connect() as connection:
                beside = LakeService(published, driver_connection(connection))
                preparing = self._lake.prepare(query, query.dialect, query.timeout_ms, beside)
                self._answer = self._resources.enter_context(preparing)
        except TapdbError as error:
            if status_of(error) < _FAULT:
                raise
            # Where it lies is not for clients.
            raise LakeUnavailableError from error
        return self._answer

    def begin(self) -> bytes:
        """Translate and run the query, and return the first block of its result.

        Raises
        ------
        TapdbError
            Raised if the query cannot be used, or fails before it has rows.
        """
        self._result = stream_answer(self.compile(), self.query)
        return self.next_block()

    def cancel(self) -> None:
        """Stop the query if it runs; called in another thread, any number of times."""
        self._cancelled = True
        if self._answer is not None:
            self._answer.cancel()
