"""Update records: what an APDB says about rows that it has handed over before."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass, fields
from typing import TYPE_CHECKING, Any

from ppdb_replay.replication.errors import UnknownUpdateRecordError

if TYPE_CHECKING:
    from lsst.dax.apdb import ApdbUpdateRecord

__all__ = [
    "ASSOCIATIONS",
    "IMPLIED_ORDER",
    "OBJECT_UPDATES",
    "UPDATE_TYPES",
    "UpdateRecord",
    "attributed_records",
    "convert_record",
    "convert_records",
]

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
