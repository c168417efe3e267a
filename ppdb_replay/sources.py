"""Where replay records come from."""

from __future__ import annotations

from pathlib import Path

from ppdb_replay.errors import ReplayRecordError
from ppdb_replay.record import ReplayRecord

__all__ = ["read_record"]


def read_record(path: Path) -> ReplayRecord:
    """Return the record in a JSON file.

    Raises
    ------
    ReplayRecordError
        The file cannot be read, or holds no record.
    """
    try:
        return ReplayRecord.from_json(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ReplayRecordError(str(error), str(path)) from None
    except ReplayRecordError as error:
        raise ReplayRecordError(error.problem, str(path)) from None
