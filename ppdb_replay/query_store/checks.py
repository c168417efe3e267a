"""Replays results: of files and identifiers, of all stored queries; and moves these to newer software.

That is RDA recommendations 6, 13 and 14.
"""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace

import psycopg

from adql import AdqlError, Metadata, parse
from ppdb_replay.errors import ReplayRecordError, SnapshotUnknownError, UploadChangedError
from ppdb_replay.query_store.store import (
    add_revision,
    find_stored,
    list_pids,
    normalised_text,
    readable_refusals,
    stored_problems,
)
from ppdb_replay.query_store.stored_query import StoredQuery
from ppdb_replay.replaying.catalog import Connection
from ppdb_replay.replaying.execution import SOFTWARE
from ppdb_replay.replaying.record import ReplayRecord
from ppdb_replay.replaying.replayer import Replayer, Verification
from ppdb_replay.rewriting.as_of import as_of
from ppdb_replay.votable.file_record import FileCheck
from tap_query.errors import QueryFailedError
from tapdb.errors import TapdbError

_NOTE = (
    "INSERT INTO ppdb_history.stored_query_check (pid, software, outcome, problem) VALUES (%s, %s, %s, %s)"
)


@dataclass(frozen=True, slots=True)
class StoredCheck:
    """Outcome of replaying a stored query.

    Parameters
    ----------
    pid
        The stored query.
    outcome
        ``identical``, ``different``, ``failed``, or ``skipped`` if it needs an upload. A migration says
        ``migrated`` where a newer text takes the place of the stored one.
    problem
        What was wrong; empty if nothing.
    """

    pid: str
    outcome: str
    problem: str = ""

    @property
    def is_good(self) -> bool:
        """Whether nothing is wrong, as far as could be told."""
        return self.outcome not in {"different", "failed"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultCheck:
    """What a file or an identifier holds, and what comes again of it.

    Parameters
    ----------
    outcome
        ``identical`` or ``different``.
    record
        What was checked.
    problem
        What is wrong, and what could not be told.
    same_file
        Whether all in the file is what its record says; `None` if it has nothing but the record.
    same_rows, same_query, same_rewriting, same_history
        As of `Verification`; `None` without a database.
    row_count
        Number of rows; `None` if it has no record.
    """

    outcome: str
    record: str
    problem: str
    same_file: bool | None
    same_rows: bool | None = None
    same_query: bool | None = None
    same_rewriting: bool | None = None
    same_history: bool | None = None
    row_count: int | None = None


def check_result(
    name: str,
    check: FileCheck,
    replayer: Replayer | None = None,
    *,
    known: tuple[str, ReplayRecord] | None = None,
) -> ResultCheck:
    """Return what a file or an identifier is and, with a database, what comes again of it.

    Parameters
    ----------
    name
        What was checked, for people.
    check
        What is in it.
    replayer
        Runs its query again.
    known
        The record that it is compared with, and what that is called.
    """
    record, problems = check.record, list(check.problems)
    if known is not None and record is not None:
        problems += differences_between(record, known, replayer)
    is_same = not problems
    found: Verification | None = None
    if record is not None and replayer is not None:
        try:
            found = replayer.verify(record)
        except (AdqlError, QueryFailedError, SnapshotUnknownError, UploadChangedError) as error:
            problems.append(" ".join(str(error).split()))
            is_same = False
        else:
            problems += _differences(found)
            is_same = is_same and found.is_identical
    row_count = None if record is None else record.row_count
    return ResultCheck(
        outcome="identical" if is_same else "different",
        record=name,
        problem="; ".join([*problems, *([check.note] if check.note else [])]),
        same_file=not check.problems if check.has_rows or check.problems else None,
        same_rows=None if found is None else found.same_rows,
        same_query=None if found is None else found.same_query,
        same_rewriting=None if found is None else found.same_rewriting,
        same_history=None if found is None else found.same_history,
        row_count=row_count if found is None else found.row_count,
    )


def differences_between(
    record: ReplayRecord, known: tuple[str, ReplayRecord], replayer: Replayer | None = None
) -> Iterator[str]:
    """Yield in what a record is that of another result than a known one.

    Parameters
    ----------
    record
        The record.
    known
        What the other one is called, and itself.
    replayer
        Tells whether two queries are the same, written otherwise; without it their texts are compared.
    """
    name, other = known
    if record.digest != other.digest:
        digests = f"they have the digest {record.digest}, and {other.digest} there"
        yield f"its rows are not those of {name}: {digests}"
    if record.natural == other.natural:
        return
    texts = None
    if replayer is not None:
        # A query that cannot be read here is told by what replays it.
        with suppress(TapdbError):
            texts = [normalised_text(replayer, one) for one in (record, other)]
    if texts is None or texts[0] != texts[1]:
        yield f"its query is not that of {name}"


def _differences(one: Verification) -> Iterator[str]:
    if not one.same_rows:
        yield "the rows that come again are not those of the record"
    if not one.same_query:
        yield "the natural query of the record is not that of its rows"
    elif not one.same_rewriting:
        yield "this software rewrites the query otherwise"
    if one.same_history is False:
        yield "the versions are not those of the record"
    if one.edited:
        yield f"the record says otherwise of {', '.join(one.edited)}"


def check_stored(
    connection: Connection, pids: Iterable[str] | None = None, *, published: Metadata | None = None
) -> Iterator[StoredCheck]:
    """Replay stored queries, one after the other, and yield the outcome of each.

    Parameters
    ----------
    connection
        Connection of a user who may read the tables of versions, outside of a transaction.
    pids
        Which ones; all if they are not named.
    published
        What else the service publishes, as for `capture`.

    Raises
    ------
    PpdbNotReadyError
        The database has no query store.
    StoredQueryUnknownError
        A name that was given is not found.
    """
    replayer = Replayer(connection, published=published)
    for named in list_pids(connection) if pids is None else pids:
        try:
            stored = find_stored(connection, named)
        except ReplayRecordError as error:
            yield StoredCheck(named, "failed", " ".join(str(error).split()))
            continue
        yield _check_stored(connection, replayer, stored)


def _check_stored(connection: Connection, replayer: Replayer, stored: StoredQuery) -> StoredCheck:
    pid, record = stored.pid, stored.record
    try:
        problems = list(stored_problems(connection, pid))
        if record.uploads and not problems:
            return StoredCheck(pid, "skipped", f"it needs {', '.join(record.uploads)} to be uploaded")
        found = None if record.uploads else replayer.verify(record)
    except (TapdbError, psycopg.Error) as error:
        return StoredCheck(pid, "failed", " ".join(str(error).split()))
    is_same = not problems and (found is None or found.is_identical)
    problems += [] if found is None else _problems(found)
    return StoredCheck(pid, "identical" if is_same else "different", "; ".join(problems))


def note_check(connection: Connection, check: StoredCheck) -> None:
    """Store the outcome of a check in the database.

    Parameters
    ----------
    connection
        Connection of a user who may insert into ``ppdb_history.stored_query_check``.
    check
        What `check_stored` yielded.

    Raises
    ------
    QueryStoreRefusedError
        The current user lacks the privilege.
    """
    with readable_refusals(), connection.transaction():
        connection.execute(_NOTE, [check.pid, SOFTWARE, check.outcome, check.problem])


def migrate_stored(
    connection: Connection, *, published: Metadata | None = None, dry_run: bool
) -> Iterator[StoredCheck]:
    """Rewrite every stored query by this software; where the text is another one, run it and keep it.

    What is kept is a revision: the query that was stored stays too. A text whose rows differ is not kept.

    Parameters
    ----------
    connection
        Connection of a user who may read the tables of versions and add revisions, outside of a transaction.
    published
        What else the service publishes, as for `capture`.
    dry_run
        Whether nothing is kept.

    Raises
    ------
    PpdbNotReadyError
        The database has no query store.
    QueryStoreRefusedError
        This user may add no revisions.
    """
    replayer = Replayer(connection, published=published)
    for pid in list_pids(connection):
        record = find_stored(connection, pid).record
        if record.uploads:
            yield StoredCheck(pid, "skipped", f"it needs {', '.join(record.uploads)} to be uploaded")
            continue
        try:
            newer = _rewritten(replayer, record)
            same = newer is None or replayer.replay(newer).is_identical
        except (TapdbError, psycopg.Error) as error:
            yield StoredCheck(pid, "failed", " ".join(str(error).split()))
            continue
        if newer is None:
            yield StoredCheck(pid, "identical")
        elif same:
            if not dry_run:
                add_revision(connection, pid, newer)
            yield StoredCheck(pid, "migrated", newer.repeatable)
        else:
            yield StoredCheck(
                pid, "different", "the text of this software returns other rows; the old one is kept"
            )


def _rewritten(replayer: Replayer, record: ReplayRecord) -> ReplayRecord | None:
    """Return the record with the text that this software makes; `None` if it is the same."""
    catalog = replayer.catalog_of(record)
    query = parse(record.natural, dialect=record.request.dialect)
    text = str(as_of(query, record.snapshot, catalog))
    if text == record.repeatable:
        return None
    return replace(record, repeatable=text, software=SOFTWARE, schema_version=catalog.schema_version)


def _problems(found: Verification) -> list[str]:
    problems = [] if found.same_rows else ["the rows are others"]
    problems += ["the versions were changed"] if found.same_history is False else []
    problems += [] if found.same_rewriting else ["this software rewrites the query otherwise: migrate"]
    return problems + ([f"the record says otherwise of {', '.join(found.edited)}"] if found.edited else [])
