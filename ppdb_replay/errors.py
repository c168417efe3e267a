"""What is wrong with a request to the PPDB: its versions, replay, the store of queries, replication."""

from collections.abc import Sequence

from ppdb_replay.snapshot import Snapshot
from tapdb.errors import DatabaseNotReadyError, TapdbError

_LONGEST_NAME = 100


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
    """Versioning cannot be installed, removed or changed as requested.

    Parameters
    ----------
    table
        Table that is concerned.
    problem
        What prevents it.
    remedy
        What to do about it.
    """

    def __init__(self, table: str, problem: str, remedy: str) -> None:
        self.table = table
        self.problem = problem
        self.remedy = remedy
        super().__init__(f"table {table}: {problem}; {remedy}")


class ReleaseRuleError(PpdbError, ValueError):
    """Rows of a PPDB cannot be held back as requested.

    Parameters
    ----------
    table
        Table that is concerned; `None` for all.
    problem
        What prevents it.
    remedy
        What to do about it.
    """

    exit_code = 2

    def __init__(self, table: str | None, problem: str, remedy: str) -> None:
        self.table = table
        self.problem = problem
        self.remedy = remedy
        super().__init__(f"{'release' if table is None else f'release of {table}'}: {problem}; {remedy}")


class NotReleasedError(PpdbError):
    """A result holds rows, or may hold some, that its reader is not to see yet.

    Parameters
    ----------
    groups
        Roles that saw all rows when it was made; none if that is not known.
    has_changed
        Whether it was for everybody, by other rules of release than there are now.
    """

    def __init__(self, groups: Sequence[str] = (), *, has_changed: bool = False) -> None:
        self.groups = tuple(groups)
        if has_changed:
            super().__init__(
                "rules of release have changed since this result was made for everybody, and would give "
                "other rows; send its query again for the rows that are released now"
            )
            return
        those = (
            f"ask a member of {' or '.join(groups)} for it" if groups else "log in as one who sees all rows"
        )
        super().__init__(
            "this result may hold rows that are not released for you, and without them it is another one; "
            f"{those}, wait for their release, or send its query again for the rows that are released"
        )


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
    """A connection is in a transaction that sees more than one snapshot, or one that nobody else sees.

    Parameters
    ----------
    isolation
        Isolation level of the transaction.
    written
        Number of the snapshot that it has begun by writing versioned rows; `None` if it has written none.
    """

    def __init__(self, isolation: str, written: int | None = None) -> None:
        self.isolation = isolation
        self.written = written
        if written is None:
            problem = (
                f"the connection is in a transaction that is {isolation}: the clock and the result could "
                "belong to different snapshots. End it first, or begin it with REPEATABLE READ."
            )
        else:
            problem = (
                f"the connection is in a transaction that has written rows of snapshot {written}: until it "
                "ends nobody else sees them, and there may be more of them. Commit first."
            )
        super().__init__(problem)


class RightsDifferError(PpdbError):
    """The current user sees other rows or columns of a versioned table than of its versions.

    Parameters
    ----------
    table
        The table.
    relation
        What holds its versions.
    columns
        Columns that the user may read there and not in the table; empty if row security restricts the rows.
    """

    def __init__(self, table: str, relation: str, columns: str) -> None:
        self.table = table
        self.relation = relation
        self.columns = columns
        if columns:
            problem = (
                f"this user may read columns {columns} of its versions in {relation}, and not of the table"
            )
            remedy = "let a DBA give the same rights on both; tapdb ppdb check lists them"
        else:
            problem = f"row security restricts what this user sees of it or of its versions in {relation}"
            remedy = (
                "rows that a policy hides cannot be promised: connect as a user who sees all of them, its "
                "owner or one with BYPASSRLS"
            )
        super().__init__(f"table {table}: {problem}; {remedy}")


class VersionsIncompleteError(PpdbError):
    """Rows of a versioned table, or of its versions, can be missing: no result of it can be promised.

    Parameters
    ----------
    table
        The table.
    relation
        What is not as it should be.
    problem
        What is wrong with it.
    """

    def __init__(self, table: str, relation: str, problem: str) -> None:
        self.table = table
        self.relation = relation
        self.problem = problem
        super().__init__(
            f"table {table}: {relation} {problem}; rows can be missing, and no result can be promised. "
            "tapdb ppdb check says more; connect to a server that holds all of it."
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
        The snapshot of the record.
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
    """A result can get no identifier.

    Parameters
    ----------
    problem
        Why not, and what to do instead.
    """

    def __init__(self, problem: str) -> None:
        self.problem = problem
        super().__init__(f"the query gets no identifier: {problem}")


class QueryStoreRefusedError(PpdbError):
    """The current user lacks the privilege for this use of the query store, or the server takes no changes.

    Parameters
    ----------
    problem
        What PostgreSQL said.
    remedy
        What to do about it.
    """

    def __init__(
        self,
        problem: str,
        remedy: str = "a DBA grants SELECT on its tables to those who read, and INSERT to those who store",
    ) -> None:
        self.problem = problem
        super().__init__(f"the query store refused it: {problem}; {remedy}")


class StoredQueryUnknownError(PpdbError, LookupError):
    """No stored query has an identifier.

    Parameters
    ----------
    pid
        The identifier.
    is_file_too
        Whether a file of that name was looked for too.
    """

    exit_code = 2

    def __init__(self, pid: str, *, is_file_too: bool = False) -> None:
        self.pid = pid
        problem = "there is no such file, and " if is_file_too else ""
        shown = pid if len(pid) <= _LONGEST_NAME else f"{pid[:_LONGEST_NAME]}..."
        super().__init__(
            f"{problem}no stored query is called {shown!r}; `tapdb replay list` shows those of this database"
        )


class ApdbNotReadableError(PpdbError):
    """What was named is no APDB that can be replicated.

    Parameters
    ----------
    apdb
        What was named, without a password.
    problem
        What was found.
    remedy
        What to do about it.
    """

    exit_code = 2

    def __init__(self, apdb: str, problem: str, remedy: str) -> None:
        self.apdb = apdb
        self.problem = problem
        self.remedy = remedy
        super().__init__(f"APDB {apdb}: {problem}; {remedy}")


class ApdbUnavailableError(PpdbError):
    """The APDB does not answer, or the connection to it was lost.

    Parameters
    ----------
    reason
        What its driver said, without a password.
    """

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(
            f"the APDB does not answer: {reason}\n"
            "Check that its server runs, and that the configuration and .pgpass or PGPASSWORD let one in."
        )


class ReplicationSchemaError(PpdbNotReadyError):
    """The tables of the PPDB cannot take all that the APDB has.

    Parameters
    ----------
    schema
        Database schema of the PPDB.
    differences
        One line for each column that does not fit.
    """

    def __init__(self, schema: str, differences: Sequence[str]) -> None:
        self.schema = schema
        self.differences = tuple(differences)
        super().__init__(
            "\n".join(
                [f"the tables of schema {schema} do not fit the APDB:", *(f"  {one}" for one in differences)]
            ),
            "Nothing was written. Migrate the PPDB to the version of the schema that the APDB has.",
        )


class BusyConnectionError(PpdbError, ValueError):
    """A connection that is to commit chunk by chunk is in a transaction of its user."""

    def __init__(self) -> None:
        super().__init__(
            "the connection is in a transaction, and replication makes one for each chunk; commit it or roll "
            "it back first (psycopg begins one with any SELECT, unless the connection is set to autocommit)"
        )


class PpdbRefusedError(PpdbError):
    """The PPDB refused what replication asked of it.

    Parameters
    ----------
    asked
        What that was.
    reason
        What PostgreSQL said.
    """

    def __init__(self, asked: str, reason: str) -> None:
        self.asked = asked
        self.reason = reason
        super().__init__(f"the PPDB refused {asked}: {reason}\nChunks that were copied before are there.")


class UnknownUpdateRecordError(PpdbError):
    """The APDB has a kind of update record that this software does not know.

    Parameters
    ----------
    update_type
        Its name.
    """

    def __init__(self, update_type: str) -> None:
        self.update_type = update_type
        super().__init__(
            f'the APDB sent an update record of type "{update_type}", which is not known; '
            "nothing of its chunk was written. Install a newer release of tapdb, or take an older dax_apdb."
        )


class LakeUnreadableError(PpdbError):
    """There is no lake, or one that cannot be read or written as asked.

    Parameters
    ----------
    where
        The lake.
    problem
        What was found, and what to do.
    """

    exit_code = 2

    def __init__(self, where: str, problem: str) -> None:
        self.where = where
        self.problem = problem
        super().__init__(f"lake {where}: {problem}")


class LakeBusyError(PpdbError):
    """Another process changes the lake.

    Parameters
    ----------
    where
        The lake.
    """

    def __init__(self, where: str) -> None:
        self.where = where
        super().__init__(
            f"lake {where}: another export, refresh or compaction is at work on it, or has just ended; "
            "nothing was changed. Wait for it, then try again."
        )


class LakeHistoryError(PpdbError):
    """What a lake holds is not the history of the database.

    Parameters
    ----------
    where
        The lake.
    problem
        What differs.
    remedy
        What to do about it.
    """

    def __init__(self, where: str, problem: str, remedy: str) -> None:
        self.where = where
        self.problem = problem
        self.remedy = remedy
        super().__init__(f"lake {where}: {problem}; {remedy}")


class LakeAnswerError(PpdbError):
    """A lake cannot answer a query or replay a record.

    Parameters
    ----------
    problem
        Why not.
    remedy
        What to do instead.
    """

    def __init__(self, problem: str, remedy: str) -> None:
        self.problem = problem
        self.remedy = remedy
        super().__init__(f"the lake cannot answer: {problem}; {remedy}")
