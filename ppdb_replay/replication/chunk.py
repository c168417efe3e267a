"""Replica chunks: what an APDB hands over to a PPDB at a time."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from ppdb_replay.replication.update_record import UpdateRecord

__all__ = ["REPLICATED", "Chunk", "ChunkData", "TableRows"]

REPLICATED = ("DiaObject", "DiaSource", "DiaForcedSource")
"""Tables whose rows come in chunks, in the order in which they are written."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """One replica chunk of an APDB.

    Attributes
    ----------
    id
        When it began: seconds since 1970-01-01 00:00:00 TAI. It comes from the time of processing, which need
        not be the time at which the chunk became visible.
    last_update_tai_s
        When it was last written, as the writer told: seconds since 1970-01-01 00:00:00 TAI.
    unique_id
        Changes with each write.
    """

    id: int
    last_update_tai_s: float
    unique_id: UUID

    @property
    def last_update_time(self) -> dt.datetime:
        """Return the time of the last write as dax_ppdb keeps it: TAI labelled UTC."""
        return dt.datetime.fromtimestamp(self.last_update_tai_s, tz=dt.UTC)


@dataclass(frozen=True, slots=True)
class TableRows:
    """Rows of one table.

    Attributes
    ----------
    columns
        Names of the columns.
    rows
        Values, in the order of the columns.
    """

    columns: tuple[str, ...]
    rows: Sequence[Sequence[Any]]

    def __len__(self) -> int:
        return len(self.rows)


@dataclass(frozen=True, slots=True)
class ChunkData:
    """What a chunk holds.

    Attributes
    ----------
    chunk
        The chunk.
    tables
        New rows, by the name of the table, see `REPLICATED`.
    records
        Updates of rows, of this chunk or of others, in the order in which they are to be applied.
    """

    chunk: Chunk
    tables: dict[str, TableRows]
    records: tuple[UpdateRecord, ...]
