"""Chunks of an APDB: their rows and update records, and the plan of what to copy."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass, fields
from enum import StrEnum
from typing import TYPE_CHECKING, Any
from uuid import UUID

from ppdb_replay.errors import UnknownUpdateRecordError

if TYPE_CHECKING:
    from lsst.dax.apdb import ApdbUpdateRecord


_TO_OBJECT = "reassign_diasource_to_diaobject"
_TO_SSOBJECT = "reassign_diasource_to_ssobject"

ASSOCIATIONS = (_TO_OBJECT, _TO_SSOBJECT)
"""Updates that say what a source belongs to: the latest of them counts."""

OBJECT_UPDATES = ("close_diaobject_validity", "update_n_dia_sources")
"""Updates of a version of a DiaObject."""

UPDATE_TYPES = (*OBJECT_UPDATES, *ASSOCIATIONS, "withdraw_diasource", "withdraw_diaforcedsource")
"""All kinds of updates."""

IMPLIED_ORDER = -1
"""Order of a record that the APDB did not send: what it did send at the same time counts more."""

_MJD_OF_1970 = 40_587.0
_NS_PER_DAY = 86_400_000_000_000.0


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateRecord:
    """One update of one row.

    Attributes
    ----------
    update_time_ns, update_order
        When it happened, in nanoseconds since 1970-01-01 00:00:00 TAI, and its place among those of one time.
    update_type
        One of `UPDATE_TYPES`.
    diaObjectId, diaSourceId, visit, detector
        Key of the row, as far as its table has it.
    validityEndMjdTai, nDiaSources, newDiaObjectId, ssObjectId, ssObjectReassocTimeMjdTai, timeWithdrawnMjdTai
        New values, as far as the update gives them; ``newDiaObjectId`` is a source's new ``diaObjectId``.
    """

    update_time_ns: int
    update_order: int
    update_type: str
    diaObjectId: int | None = None  # noqa: N815 - columns of the PPDB
    diaSourceId: int | None = None  # noqa: N815
    visit: int | None = None
    detector: int | None = None
    validityEndMjdTai: float | None = None  # noqa: N815
    nDiaSources: int | None = None  # noqa: N815
    newDiaObjectId: int | None = None  # noqa: N815
    ssObjectId: int | None = None  # noqa: N815
    ssObjectReassocTimeMjdTai: float | None = None  # noqa: N815
    timeWithdrawnMjdTai: float | None = None  # noqa: N815

    @classmethod
    def column_names(cls) -> tuple[str, ...]:
        """Return the names of the attributes, in order."""
        return tuple(field.name for field in fields(cls))

    def values(self) -> tuple[Any, ...]:
        """Return the values of the attributes, in order."""
        return astuple(self)


def convert_record(record: ApdbUpdateRecord) -> UpdateRecord:
    """Return a record of dax_apdb as a plain value.

    Raises
    ------
    UnknownUpdateRecordError
        Raised if its type is not one of `UPDATE_TYPES`.
    """
    if record.update_type not in UPDATE_TYPES:
        raise UnknownUpdateRecordError(record.update_type)
    payload = dict(record.record_payload())
    if record.update_type == _TO_OBJECT:
        payload["newDiaObjectId"] = payload.pop("diaObjectId")
    return UpdateRecord(
        update_time_ns=record.update_time_ns,
        update_order=record.update_order,
        update_type=record.update_type,
        **dict(record.record_id()),
        **payload,
    )


def convert_records(records: Iterable[ApdbUpdateRecord]) -> tuple[UpdateRecord, ...]:
    """Return records as plain values, in the order in which they happened.

    Raises
    ------
    UnknownUpdateRecordError
        Raised if there is one of a type that is not known.
    """
    return tuple(sorted(map(convert_record, records), key=lambda one: (one.update_time_ns, one.update_order)))


def attributed_records(
    columns: Sequence[str], rows: Iterable[Sequence[Any]], *, mjd_tai: Callable[[Any], float] = float
) -> tuple[UpdateRecord, ...]:
    """Return the update records that rows of DiaSource stand for which were given to a solar system object.

    An APDB sends none when it does that; but a row that is read later says so itself, and when.

    Parameters
    ----------
    columns, rows
        Rows of DiaSource.
    mjd_tai
        What makes a Modified Julian Date, TAI, of a time as the rows have it.
    """
    places: Mapping[str, int] = {name: place for place, name in enumerate(columns)}
    time_column = next(
        (one for one in ("ssObjectReassocTimeMjdTai", "ssObjectReassocTime") if one in places), None
    )
    if time_column is None:
        return ()
    source, owner, when = places["diaSourceId"], places["ssObjectId"], places[time_column]
    return tuple(
        UpdateRecord(
            update_time_ns=round((mjd_tai(row[when]) - _MJD_OF_1970) * _NS_PER_DAY),
            update_order=IMPLIED_ORDER,
            update_type=_TO_SSOBJECT,
            diaSourceId=row[source],
            ssObjectId=row[owner],
            ssObjectReassocTimeMjdTai=mjd_tai(row[when]),
        )
        for row in rows
        if row[when] is not None and row[owner]
    )


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


class Reason(StrEnum):
    """Why a chunk is to be copied."""

    NEW = "new"
    LATE = "late"
    TOUCHED = "touched again"


@dataclass(frozen=True, slots=True)
class PlannedChunk:
    """A chunk that is to be copied.

    Attributes
    ----------
    chunk
        The chunk.
    reason
        It is new; or new, but older than others that have been copied; or was written to after it was copied.
    """

    chunk: Chunk
    reason: Reason


def plan_chunks(
    apdb: Iterable[Chunk], copied: Mapping[int, UUID], *, now_tai_s: float, settle_s: float
) -> tuple[PlannedChunk, ...]:
    """Return the chunks to copy, in the order of their ids.

    Parameters
    ----------
    apdb
        Chunks that the APDB has.
    copied
        Unique id, at the time, of each chunk that was copied.
    now_tai_s
        Present time, in seconds since 1970-01-01 00:00:00 TAI.
    settle_s
        How long a chunk has to be left alone before it is copied, in seconds. The first that is too
        young ends the list: later ones wait with it.
    """
    newest = max(copied, default=None)
    planned = []
    for chunk in sorted(apdb, key=lambda one: one.id):
        if chunk.id not in copied:
            reason = Reason.NEW if newest is None or chunk.id > newest else Reason.LATE
        elif copied[chunk.id] != chunk.unique_id:
            reason = Reason.TOUCHED
        else:
            continue
        if now_tai_s - chunk.last_update_tai_s < settle_s:
            break
        planned.append(PlannedChunk(chunk, reason))
    return tuple(planned)
