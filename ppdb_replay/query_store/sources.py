"""Where replay records come from: JSON, a VOTable, the query store."""

from __future__ import annotations

from pathlib import Path

from ppdb_replay.errors import ReplayRecordError
from ppdb_replay.query_store.store import find_stored
from ppdb_replay.replaying.execution import Connection
from ppdb_replay.replaying.record import ReplayRecord
from ppdb_replay.votable.reader import read_votable_record

__all__ = ["load_record", "read_record"]

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def load_record(connection: Connection, what: str) -> ReplayRecord:
    """Return the record that a file or an identifier names.

    Parameters
    ----------
    connection
        Connection of a user who may read the query store.
    what
        Path of a file; if there is none, the identifier of a stored query.

    Raises
    ------
    PpdbNotReadyError
        It is no file, and the database has no query store.
    ReplayRecordError
        The file holds no record.
    StoredQueryUnknownError
        It is neither a file nor an identifier.
    """
    path = Path(what)
    return read_record(path) if path.is_file() else find_stored(connection, what).record


def read_record(path: Path) -> ReplayRecord:
    """Return the record in a file: JSON, or a VOTable that holds one.

    Raises
    ------
    ReplayRecordError
        The file cannot be read, or holds no record.
    """
    try:
        with path.open("rb") as stream:
            begin = stream.read(64)
        if begin.removeprefix(_BYTE_ORDER_MARK).lstrip().startswith(b"<"):
            return read_votable_record(path)
        return ReplayRecord.from_json(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ReplayRecordError(str(error), str(path)) from None
    except ReplayRecordError as error:
        raise ReplayRecordError(error.problem, str(path)) from None
