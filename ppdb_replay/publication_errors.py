"""What is wrong with a result that is to be published: as a file, or under an identifier."""

from __future__ import annotations

from ppdb_replay.errors import PpdbError

__all__ = ["NotCitableError", "QueryStoreRefusedError", "StoredQueryUnknownError"]


class NotCitableError(PpdbError):
    """A result can get no persistent identifier.

    Parameters
    ----------
    problem
        Why not, and what to do instead.
    """

    def __init__(self, problem: str) -> None:
        self.problem = problem
        super().__init__(f"the query gets no persistent identifier: {problem}")


class QueryStoreRefusedError(PpdbError):
    """Whoever is connected may not do with the query store what was asked.

    Parameters
    ----------
    problem
        What PostgreSQL said.
    """

    def __init__(self, problem: str) -> None:
        self.problem = problem
        super().__init__(
            f"the query store refused it: {problem}; a DBA grants SELECT on its tables to "
            "those who read, and INSERT to those who store"
        )


class StoredQueryUnknownError(PpdbError, LookupError):
    """No stored query has an identifier.

    Parameters
    ----------
    pid
        The identifier.
    """

    exit_code = 2

    def __init__(self, pid: str) -> None:
        self.pid = pid
        super().__init__(
            f"no stored query is called {pid!r}; `tapdb replay list` shows those of this database"
        )
