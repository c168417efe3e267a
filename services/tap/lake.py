"""``/lake/sync``: queries over versioned tables as of a snapshot, answered from files beside the database."""

from collections.abc import Sequence
from contextlib import ExitStack

from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from services.database import Database
from services.errors import ClientGoneError, LakeUnavailableError, ParameterError, status_of
from services.gate import FACTS
from services.parameters import read_parameters
from services.results import send_running, wants_gzip
from services.service import service_of
from services.tap.sync import note_query, query_of
from tap_query.answer import TapQuery
from tap_query.formats import ResultStream
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
        service, facts = service_of(request), scope[FACTS]
        user = service.authenticator.user(request)
        facts |= {"resource": "lake", "user": user.name}
        async with read_parameters(request, max_bytes=service.settings.upload_bytes) as parameters:
            query = query_of(
                parameters,
                service,
                service.quotas.of(user),
                gzip=wants_gzip(request),
                base_url=service.base_url(request),
            )
            if query.uploads:
                raise ParameterError("UPLOAD", "cannot be used here", "send the query to /tap/sync")
            facts |= note_query(parameters, query)
            running = RunningLakeQuery(self._lake, query, service.database_of(user))
            await send_running(request, send, user, running)


class RunningLakeQuery:
    """A query on a lake; its methods are those of `services.running.RunningQuery`.

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
        self._lake = lake
        self._database = database
        self.query = query
        self._resources = ExitStack()
        self._answer: LakeAnswer | None = None
        self._result: ResultStream | None = None
        self._cancelled = False

    @property
    def rows(self) -> int:
        """How many rows have been read so far."""
        return 0 if self._result is None else self._result.count

    @property
    def error(self) -> TapdbError | None:
        """What has ended the rows too early, where the document says so; None if nothing has."""
        return None if self._result is None else self._result.error

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

    def next_block(self) -> bytes:
        """Return the next block of the result; empty at its end."""
        if self._cancelled:
            raise ClientGoneError
        return b"" if self._result is None else next(self._result, b"")

    def stop(self, error: TapdbError) -> None:
        """Let the rows end with an error, which the document says where its format can."""
        if self._result is not None:
            self._result.stop(error)

    def cancel(self) -> None:
        """Stop the query if it runs; called in another thread, any number of times."""
        self._cancelled = True
        if self._answer is not None:
            self._answer.cancel()

    def close(self) -> None:
        """End the query."""
        if self._result is not None:
            self._result.close()
        self._resources.close()
