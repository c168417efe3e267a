"""Replays stored queries, and moves them to the texts of newer software (RDA recommendations 13, 14)."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import psycopg

from adql import Metadata, parse
from ppdb_replay.query_store.store import add_revision, find_stored, list_pids, readable_refusals
from ppdb_replay.replaying.catalog import Connection
from ppdb_replay.replaying.execution import SOFTWARE
from ppdb_replay.replaying.record import ReplayRecord
from ppdb_replay.replaying.replayer import Replayer, Verification
from ppdb_replay.rewriting.as_of import as_of
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
    for pid in list_pids(connection) if pids is None else pids:
        record = find_stored(connection, pid).record
        if record.uploads:
            names = ", ".join(record.uploads)
            yield StoredCheck(pid, "skipped", f"it needs {names} to be uploaded")
            continue
        try:
            found = replayer.verify(record)
        except (TapdbError, psycopg.Error) as error:
            yield StoredCheck(pid, "failed", " ".join(str(error).split()))
            continue
        yield StoredCheck(pid, "identical" if found.is_identical else "different", _problem(found))


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


def _problem(found: Verification) -> str:
    problems = [] if found.same_rows else ["the rows are others"]
    problems += ["the versions were changed"] if found.same_history is False else []
    problems += [] if found.same_rewriting else ["this software rewrites the query otherwise: migrate"]
    return "; ".join(problems)
