"""The store of queries in a database: who may use it, what is put and found there, and in files."""

import hashlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import psycopg
from psycopg import errors, sql
from psycopg.rows import dict_row, tuple_row
from psycopg.types.json import Jsonb

from adql import Metadata, TableMetadata, parse
from ppdb_replay.errors import (
    NotCitableError,
    PpdbNotReadyError,
    QueryStoreRefusedError,
    ReplayRecordError,
    StoredQueryUnknownError,
)
from ppdb_replay.query_store.stored_query import (
    DOI,
    Collection,
    StoredQuery,
    edited_columns,
    make_stored_query,
    named_identifier,
    stored_row,
    without_prefix,
)
from ppdb_replay.replaying.catalog import Connection
from ppdb_replay.replaying.recipe import MARK, Recipe
from ppdb_replay.replaying.record import ReplayRecord, is_as_written
from ppdb_replay.replaying.replayer import Replayer
from ppdb_replay.rewriting.classify import Level, normalised
from ppdb_replay.votable.file_record import (
    FileCheck,
    check_rows,
    check_votable,
    edited_record,
    read_votable_record,
)
from tapdb.postgres.engine import ReadOnlyServerError, RowsHiddenError, refusal


@contextmanager
def readable_refusals() -> Iterator[None]:
    """Raise a PPDB error if the store is missing or the current user may not use it.

    Raises
    ------
    PpdbNotReadyError
        The database has no query store.
    QueryStoreRefusedError
        The current user lacks the privilege, policies hide stored queries, or the server is a standby.
    """
    try:
        yield
    except (errors.UndefinedTable, errors.InvalidSchemaName) as error:
        raise PpdbNotReadyError(
            "this database has no query store", "Make it: tapdb migrate upgrade."
        ) from error
    except (errors.InsufficientPrivilege, errors.ReadOnlySqlTransaction) as error:
        problem = error.diag.message_primary or ""
        refused = refusal(error)
        if isinstance(refused, RowsHiddenError | ReadOnlyServerError):
            raise QueryStoreRefusedError(problem, refused.remedy) from error
        raise QueryStoreRefusedError(problem) from error


_COLLECTION = ("title", "creator", "publisher", "superset", "pid_prefix", "landing_url")
_STORED = """
SELECT q.pid, q.normalised_adql, q.column_digest, q.superset, q.citation, q.landing, coalesce(
  (SELECT r.record FROM ppdb_history.stored_query_revision r WHERE r.pid = q.pid
   ORDER BY r.revision DESC LIMIT 1), q.record)
FROM ppdb_history.stored_query q WHERE q.pid = %s
"""
# Letters of DOIs are the same in either case (DOI Handbook).
_NAMED_DOI = """
SELECT pid FROM ppdb_history.stored_query WHERE lower(pid) = lower(%s) ORDER BY stored_mjd_tai LIMIT 1
"""
_NAMED_URL = """
SELECT pid FROM ppdb_history.stored_query WHERE landing->>'url' = %s ORDER BY stored_mjd_tai LIMIT 1
"""
_SAME_RESULT = """
SELECT pid FROM ppdb_history.stored_query WHERE query_sha256 = %s AND result_digest = %s AND pid LIKE %s
ORDER BY stored_mjd_tai, pid LIMIT 1
"""
_WHOLE_ROW = "SELECT * FROM ppdb_history.stored_query WHERE pid = %s"
_REVISIONS = (
    "SELECT revision, record FROM ppdb_history.stored_query_revision WHERE pid = %s ORDER BY revision"
)
# Two that store the same result take turns, also where the prefix changes in between.
_IN_TURN = "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))"
_REVISE = """
INSERT INTO ppdb_history.stored_query_revision (pid, revision, record, record_sha256, software)
SELECT %(pid)s, coalesce(max(revision), 0) + 1, %(record)s, %(sha256)s, %(software)s
FROM ppdb_history.stored_query_revision WHERE pid = %(pid)s
"""


def store_query(
    connection: Connection,
    record: ReplayRecord,
    *,
    published: Metadata | None = None,
    uploads: Iterable[TableMetadata] = (),
) -> StoredQuery:
    """Replay a record, store its query unless it is stored already, and return the stored query.

    The same query with the same result has one identifier, at all snapshots and after every change of the
    prefix (RDA recommendation 8).

    Parameters
    ----------
    connection
        Connection of a user who may read the tables of versions and insert into the store, outside of a
        transaction.
    record
        What `capture` returned.
    published, uploads
        As for `capture`.

    Raises
    ------
    AdqlError
        The query cannot be used with the tables that are there.
    NotCitableError
        The result is not repeatable, or replaying it returned other rows.
    PpdbNotReadyError
        The database has no query store, or no versioned tables.
    QueryStoreRefusedError
        The current user lacks the privilege.
    SnapshotUnknownError
        The database has no such snapshot, or it was made at another time.
    UploadChangedError
        An uploaded table is not there, or not the one of the record.
    """
    replayer = Replayer(connection, published=published, uploads=uploads)
    _require_repeatable(replayer, record)
    text = normalised_text(replayer, record)
    with connection.transaction():
        stored = make_stored_query(record, text, read_collection(connection))
        told_by = without_prefix(stored.pid)
        _fetch(connection, _IN_TURN, [told_by])
        same = _fetch(connection, _SAME_RESULT, [stored.query_sha256, record.digest, f"%{told_by}"])
        if same:
            return find_stored(connection, same[0][0])
        _insert(connection, stored)
        # Of two that stored the same at one moment, the first one counts.
        return find_stored(connection, stored.pid)


def normalised_text(replayer: Replayer, record: ReplayRecord) -> str:
    """Return the query of a record in the form that is the same however it was written.

    Parameters
    ----------
    replayer
        Knows the tables of the query.
    record
        The record.

    Raises
    ------
    TapdbError
        The query cannot be used with the tables that are there.
    """
    query = parse(record.natural, dialect=record.request.dialect)
    return normalised(query, replayer.catalog_of(record))


def find_stored(connection: Connection, pid: str) -> StoredQuery:
    """Return a stored query, with the newest record that repeats it.

    Parameters
    ----------
    connection
        Connection of a user who may read schema ``ppdb_history``.
    pid
        Its identifier, the DOI as papers write it, or an address: see `named_identifier`.

    Raises
    ------
    PpdbNotReadyError
        The database has no query store.
    StoredQueryUnknownError
        No query is stored under this identifier.
    """
    # No text of PostgreSQL has a NUL, which a URL can have.
    found = None if "\0" in pid else _find(connection, pid) or _find_named(connection, pid)
    if found is None:
        raise StoredQueryUnknownError(pid)
    return found


def stored_problems(connection: Connection, pid: str) -> tuple[str, ...]:
    """Return what in the store does not agree with the record of a stored query, or with its identifier.

    Parameters
    ----------
    connection
        Connection of a user who may read schema ``ppdb_history``.
    pid
        Its identifier, as the store has it.

    Raises
    ------
    PpdbNotReadyError
        The database has no query store.
    ReplayRecordError
        A record in the store cannot be read.
    """
    with readable_refusals(), connection.transaction():
        # Binary: the session may be set to give less than all digits.
        cursor = psycopg.Cursor(connection, row_factory=dict_row).execute(_WHOLE_ROW, [pid], binary=True)
        rows = cursor.fetchall()
    edited = [edited_columns(row) for row in rows]
    found = [f"the store says otherwise of {', '.join(names)}" for names in edited if names]
    first = [ReplayRecord.from_json(row["record"]) for row in rows]
    for number, text in _fetch(connection, _REVISIONS, [pid]):
        record = ReplayRecord.from_json(text)
        if is_as_written(text) is False or not all(_is_same_result(record, one) for one in first):
            found.append(f"revision {number} is not as it was made")
    return tuple(found)


def _is_same_result(record: ReplayRecord, other: ReplayRecord) -> bool:
    return (record.natural, record.snapshot, record.digest) == (other.natural, other.snapshot, other.digest)


def _find_named(connection: Connection, text: str) -> StoredQuery | None:
    """Return the stored query that something else than its identifier as it stands in the store names."""
    pid = named_identifier(text)
    if pid != text and (found := _find(connection, pid)) is not None:
        return found
    ways = [(_NAMED_DOI, pid)] if DOI.fullmatch(pid) else []
    # The landing pages of a publisher have addresses of their own.
    ways += [(_NAMED_URL, text.strip())] if "://" in text else []
    for statement, value in ways:
        if rows := _fetch(connection, statement, [value]):
            return _find(connection, rows[0][0])
    return None


def list_pids(connection: Connection) -> tuple[str, ...]:
    """Return the identifiers of all stored queries, in the order in which they were stored.

    Raises
    ------
    PpdbNotReadyError
        The database has no query store.
    """
    statement = "SELECT pid FROM ppdb_history.stored_query ORDER BY stored_mjd_tai, pid"
    return tuple(pid for (pid,) in _fetch(connection, statement))


def read_collection(connection: Connection) -> Collection:
    """Return what citations say of the data collection.

    Raises
    ------
    PpdbNotReadyError
        The database has no query store.
    """
    statement = (
        "SELECT title, creator, publisher, superset, pid_prefix, landing_url FROM ppdb_history.collection"
    )
    rows = _fetch(connection, statement)
    if not rows:
        raise PpdbNotReadyError(
            "table ppdb_history.collection has no row",
            "Insert it: INSERT INTO ppdb_history.collection DEFAULT VALUES.",
        )
    return Collection(**dict(zip(_COLLECTION, rows[0], strict=True)))


def change_collection(connection: Connection, collection: Collection) -> None:
    """Let citations of queries that are stored from now on say something else of the data collection.

    Raises
    ------
    PpdbNotReadyError
        The database has no query store.
    QueryStoreRefusedError
        The current user lacks the privilege.
    """
    values = asdict(collection)
    assignments = sql.SQL(", ").join(
        sql.SQL("{} = {}").format(sql.Identifier(name), sql.Placeholder(name)) for name in _COLLECTION
    )
    with readable_refusals(), connection.transaction():
        connection.execute(sql.SQL("UPDATE ppdb_history.collection SET {}").format(assignments), values)


def add_revision(connection: Connection, pid: str, record: ReplayRecord) -> None:
    """Add a record that repeats a stored query from now on; whether it does is for the caller to find out.

    Parameters
    ----------
    connection
        Connection of a user who may insert into ``ppdb_history.stored_query_revision``.
    pid
        The stored query.
    record
        The record, of the same snapshot and result.

    Raises
    ------
    NotCitableError
        The record is that of another result.
    QueryStoreRefusedError
        The current user lacks the privilege.
    """
    if not _is_same_result(find_stored(connection, pid).record, record):
        raise NotCitableError(f"the new record is not one of the result of {pid}")
    text = record.to_json()
    values = {"pid": pid, "record": text, "sha256": _sha256(text), "software": record.software}
    with readable_refusals(), connection.transaction():
        connection.execute(_REVISE, values)


def _require_repeatable(replayer: Replayer, record: ReplayRecord) -> None:
    if record.guarantee.level is Level.NONE:
        raise NotCitableError("it cannot be repeated: " + "; ".join(record.guarantee.reasons))
    found = replayer.verify(record)
    if not found.same_rewriting:
        raise NotCitableError("its repeatable text is not that of its natural one; capture it again")
    if not found.same_rows:
        raise NotCitableError(
            f"it does not return the rows of {record.digest} as of the snapshot of its record"
        )
    if found.same_history is False:
        raise NotCitableError("the versions were changed since: see `tapdb ppdb verify`")
    if found.edited:
        raise NotCitableError(f"the record was edited: {', '.join(found.edited)}; capture it again")


def _insert(connection: Connection, stored: StoredQuery) -> None:
    values = {
        name: Jsonb(value) if isinstance(value, dict) else value for name, value in stored_row(stored).items()
    }
    statement = sql.SQL(
        "INSERT INTO ppdb_history.stored_query ({}) VALUES ({}) ON CONFLICT (pid) DO NOTHING"
    ).format(
        sql.SQL(", ").join(map(sql.Identifier, values)), sql.SQL(", ").join(map(sql.Placeholder, values))
    )
    with readable_refusals():
        connection.execute(statement, values)


def _find(connection: Connection, pid: str) -> StoredQuery | None:
    rows = _fetch(connection, _STORED, [pid])
    if not rows:
        return None
    found, text, column_digest, superset, citation, landing, record = rows[0]
    return StoredQuery(
        pid=found,
        normalised=text,
        column_digest=column_digest,
        superset=superset,
        citation=citation,
        landing=landing,
        record=ReplayRecord.from_json(record),
    )


def _fetch(connection: Connection, statement: str, values: list[Any] | None = None) -> list[tuple[Any, ...]]:
    # In a transaction of its own, if none is open: replay has to begin the next one.
    cursor = psycopg.Cursor(connection, row_factory=tuple_row)
    with readable_refusals(), connection.transaction(), cursor:
        return cursor.execute(statement.encode(), values).fetchall()


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def load_record(connection: Connection, what: str, *, published: Metadata | None = None) -> ReplayRecord:
    """Return the record that a file, an identifier or an address names.

    Parameters
    ----------
    connection
        Connection of a user who may read the query store, outside of a transaction.
    what
        Path of a file; if there is none, what `find_stored` takes; or ``/replay/~...``, the address of a
        result that nobody has stored: its query runs again.
    published
        What else the service publishes, as for `capture`.

    Raises
    ------
    AdqlError
        The query of an address cannot be used with the tables that are there.
    PpdbNotReadyError
        It is no file, and the database has no query store.
    ReplayRecordError
        The file holds no record, or the address was cut.
    SnapshotUnknownError
        The address is of another database.
    StoredQueryUnknownError
        It is neither a file nor an identifier.
    """
    if is_file(what):
        return read_record(Path(what))
    if (word := named_identifier(what)).startswith(MARK):
        recipe = Recipe.from_word(word)
        replayer = Replayer(connection, published=published)
        return replayer.at(recipe.natural, recipe.snapshot, recipe.request).record
    try:
        return find_stored(connection, what).record
    except StoredQueryUnknownError:
        raise StoredQueryUnknownError(what, is_file_too=True) from None


def is_file(what: str) -> bool:
    """Return whether a text names a file, and no identifier."""
    try:
        return Path(what).is_file()
    except (OSError, ValueError):
        # Longer than names of files are, as addresses can be; or with a NUL.
        return False


def load_whole_record(
    connection: Connection, what: str, *, published: Metadata | None = None
) -> ReplayRecord:
    """Return the record that something names, if all else in a file is what the record says.

    Parameters
    ----------
    connection, what, published
        As for `load_record`.

    Raises
    ------
    NotCitableError
        Rows, columns or INFO elements of the file are not those of its record.
    TapdbError
        As of `load_record`.
    """
    checked = check_named(connection, what, published=published)
    if checked.problems or checked.record is None:
        raise NotCitableError(f"{what} is not what was captured: {'; '.join(checked.problems)}")
    return checked.record


def check_named(
    connection: Connection, what: str, *, published: Metadata | None = None, known: ReplayRecord | None = None
) -> FileCheck:
    """Return the record that something names and, of a file, what does not agree with it.

    Parameters
    ----------
    connection, what, published
        As for `load_record`.
    known
        As for `check_file`.

    Raises
    ------
    TapdbError
        As of `load_record`.
    """
    if is_file(what):
        return check_file(Path(what), known)
    record = load_record(connection, what, published=published)
    word = named_identifier(what)
    problems = () if word.startswith(MARK) else stored_problems(connection, find_stored(connection, what).pid)
    return FileCheck(record, problems, has_rows=False)


def check_file(path: Path, known: ReplayRecord | None = None) -> FileCheck:
    """Return the record in a file, and what else in the file does not agree with it.

    Parameters
    ----------
    path
        The file.
    known
        The record to take if the file has none: rows alone, as CSV, JSON or a VOTable of other software.

    Raises
    ------
    ReplayRecordError
        The file cannot be read, or is neither JSON nor a VOTable; or, with a record, not CSV either.
    """
    if is_xml(path):
        return check_votable(path, known)
    try:
        record = read_record(path)
    except ReplayRecordError:
        if known is None:
            raise
        return check_rows(path, known)
    return FileCheck(record, tuple(edited_record(path.read_text(encoding="utf-8"), record)), has_rows=False)


UPLOADS = "TAP_UPLOAD."
"""What names of uploaded tables begin with."""


def upload_beside(file: Path, name: str) -> Path:
    """Return where an uploaded table is kept beside the file with the record of its query.

    Parameters
    ----------
    file
        The file with the record.
    name
        Name of the table, with or without its schema.
    """
    return file.with_suffix(f".{name.removeprefix(UPLOADS)}.vot")


def is_xml(path: Path) -> bool:
    """Return whether a file begins as XML does, and not as JSON.

    Raises
    ------
    ReplayRecordError
        The file cannot be read.
    """
    try:
        with path.open("rb") as stream:
            return stream.read(64).removeprefix(_BYTE_ORDER_MARK).lstrip().startswith(b"<")
    except OSError as error:
        raise ReplayRecordError(str(error), str(path)) from None


def read_record(path: Path) -> ReplayRecord:
    """Return the record in a file: JSON, or a VOTable that holds one.

    Raises
    ------
    ReplayRecordError
        The file cannot be read, or holds no record.
    """
    if is_xml(path):
        return read_votable_record(path)
    try:
        return ReplayRecord.from_json(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ReplayRecordError(str(error), str(path)) from None
    except ReplayRecordError as error:
        raise ReplayRecordError(error.problem, str(path)) from None
