"""What is wrong with a request to the PPDB and its replay."""

from ppdb_replay.snapshot import Snapshot
from tapdb.errors import DatabaseNotReadyError, TapdbError


class PpdbError(TapdbError):
    """Base of the errors of `ppdb_replay`."""


class ClockValueMissingError(PpdbError, ValueError):
    """A query asks for the present time, and the time of its snapshot is not known.

    Parameters
    ----------
    function
        The function in the query.
    """

    def __init__(self, function: str) -> None:
        self.function = function
        super().__init__(
            f"{function}() has the value that it had when the query first ran, and a snapshot number alone "
            "does not tell it: give a Snapshot with its time"
        )


class FelisSchemaError(PpdbError):
    """A Felis schema cannot be made into the tables of a PPDB.

    Parameters
    ----------
    source
        Where the schema was to be read from.
    problem
        What is wrong with it.
    """

    exit_code = 2

    def __init__(self, source: str, problem: str) -> None:
        self.source = source
        self.problem = problem
        super().__init__(f"Felis schema {source}: {problem}; name the schema of an APDB, such as apdb.yaml")


class PpdbNotReadyError(PpdbError, DatabaseNotReadyError):
    """The database lacks something that versioning stands on.

    Parameters
    ----------
    problem
        What it lacks.
    remedy
        What to do about it.
    """

    def __init__(self, problem: str, remedy: str) -> None:
        self.problem = problem
        self.remedy = remedy
        super().__init__(f"{problem}\n{remedy}")


class VersioningError(PpdbError):
    """Versioning cannot be installed, taken away or changed as asked.

    Parameters
    ----------
    table
        Table that is concerned.
    problem
        What stands in the way.
    remedy
        What to do about it.
    """

    def __init__(self, table: str, problem: str, remedy: str) -> None:
        self.table = table
        self.problem = problem
        self.remedy = remedy
        super().__init__(f"table {table}: {problem}; {remedy}")


class SnapshotTimeError(PpdbError, ValueError):
    """A time cannot be resolved to a snapshot.

    Parameters
    ----------
    t_mjd_tai
        The time, MJD, TAI.
    problem
        Why not, and what to ask instead.
    """

    def __init__(self, t_mjd_tai: float, problem: str) -> None:
        self.t_mjd_tai = t_mjd_tai
        self.problem = problem
        super().__init__(f"no snapshot for MJD {t_mjd_tai!r} (TAI): {problem}")


class ReplayRecordError(PpdbError, ValueError):
    """A replay record cannot be read.

    Parameters
    ----------
    problem
        What is wrong with it.
    source
        Where it came from: a file, or an identifier.
    """

    exit_code = 2

    def __init__(self, problem: str, source: str = "") -> None:
        self.problem = problem
        self.source = source
        where = f" of {source}" if source else ""
        super().__init__(f"the replay record{where} cannot be used: {problem}")


class ReplayTransactionError(PpdbError):
    """A connection is in a transaction in which two queries can see two snapshots.

    Parameters
    ----------
    isolation
        Its isolation level.
    """

    def __init__(self, isolation: str) -> None:
        self.isolation = isolation
        super().__init__(
            f"the connection is in a transaction that is {isolation}: the clock and the result could belong "
            "to different snapshots. End it first, or begin it with REPEATABLE READ."
        )


class UploadChangedError(PpdbError):
    """An uploaded table is not the one with which a result was made.

    Parameters
    ----------
    name
        Its name in the query.
    expected, found
        Its digest in the record, and that of what is there; `None` if there is none.
    """

    def __init__(self, name: str, expected: str, found: str | None) -> None:
        self.name = name
        self.expected = expected
        self.found = found
        what = "is not uploaded" if found is None else f"has the digest {found}"
        super().__init__(f"{name} {what}; the result was made with {expected}. Upload the same table.")


class SnapshotUnknownError(PpdbError, LookupError):
    """A database has not the snapshot of a record: it is another database, or a copy that is too old.

    Parameters
    ----------
    snapshot
        What was asked for.
    found_t_mjd_tai
        Time of the snapshot of that number here, MJD, TAI; `None` if there is none.
    """

    def __init__(self, snapshot: Snapshot, found_t_mjd_tai: float | None) -> None:
        self.snapshot = snapshot
        self.found_t_mjd_tai = found_t_mjd_tai
        wanted = f"snapshot {snapshot.snapshot_id} of MJD {snapshot.t_mjd_tai} (TAI)"
        found = "there is none" if found_t_mjd_tai is None else f"here it is of MJD {found_t_mjd_tai}"
        super().__init__(
            f"{wanted}: {found}. Connect to the database of the record, or to a newer copy of it."
        )


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
