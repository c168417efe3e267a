"""What happens to stored records afterwards, one function for each kind of update record of an APDB.

Each does what daytime processing does, through the APDB's own methods. The APDB sends no update record when
a source is given to a solar system object; `attribute_to_solar_system` sends the one that dax_apdb defines
for it.
"""

from __future__ import annotations

from collections.abc import Sequence

from lsst.dax.apdb import (
    ApdbReassignDiaSourceToSSObjectRecord,
    DiaForcedSourceId,
    DiaObjectId,
    DiaSourceId,
    ReplicaChunk,
)

from .catalogs import Detection
from .survey import Survey
from .visits import tai

__all__ = [
    "attribute_to_solar_system",
    "close_validity",
    "reassociate",
    "update_all_kinds",
    "withdraw_forced_sources",
    "withdraw_sources",
]

_FIRST_SSOBJECT_ID = 21_163_620_049_532_976
_SECONDS_PER_DAY = 86_400.0


def update_all_kinds(survey: Survey, *, number: int = 1) -> None:
    """Let every kind of update happen to a number of records each."""
    reassociate(survey, number=number)
    attribute_to_solar_system(survey, number=number)
    close_validity(survey, number=number)
    withdraw_sources(survey, number=number)
    withdraw_forced_sources(survey, number=number)


def reassociate(survey: Survey, *, number: int = 1) -> list[Detection]:
    """Give the last detection of some well observed objects to others; return them as they are now.

    The APDB sends a record for each source, and one with the new number of sources for each object.
    """
    _pass_time(survey)
    rich = [id_ for id_, seen in survey.histories.items() if len(seen) > 1 and _free(survey, seen[-1])]
    rich = [id_ for id_ in rich if id_ not in survey.closed][: 2 * number]
    moved = {survey.histories[old][-1]: new for old, new in zip(rich[::2], rich[1::2], strict=False)}
    survey.apdb.reassignDiaSourcesToDiaObjects({_source_id(one): new for one, new in moved.items()})
    result = []
    for one, new in moved.items():
        survey.histories[one.object_id].remove(one)
        now = Detection(
            **{name: getattr(one, name) for name in one.__slots__ if name != "object_id"}, object_id=new
        )
        survey.histories[new].append(now)
        result.append(now)
    return result


def attribute_to_solar_system(
    survey: Survey, *, number: int = 1, detections: Sequence[Detection] | None = None
) -> list[Detection]:
    """Give detections, or some that are single, to solar system objects, with their update records."""
    _pass_time(survey)
    found = _single(survey, number) if detections is None else list(detections)
    first = _FIRST_SSOBJECT_ID + len(survey.attributed)
    owners = {one.source_id: first + position for position, one in enumerate(found)}
    survey.apdb.reassignDiaSources(owners)
    now = tai(survey.now_mjd_tai)
    records = [
        ApdbReassignDiaSourceToSSObjectRecord(
            update_time_ns=int(now.unix_tai * 1e9),
            update_order=order,
            diaSourceId=one.source_id,
            ra=one.ra_deg,
            dec=one.dec_deg,
            midpointMjdTai=one.visit.midpoint_mjd_tai,
            ssObjectId=owners[one.source_id],
            ssObjectReassocTimeMjdTai=survey.now_mjd_tai,
        )
        for order, one in enumerate(found)
    ]
    chunk = ReplicaChunk.make_replica_chunk(now, survey.config.replica_chunk_seconds)
    survey.apdb._storeUpdateRecords(records, chunk, store_chunk=True)  # noqa: SLF001 - no public way yet
    survey.attributed.update(owners)
    return found


def close_validity(survey: Survey, *, number: int = 1) -> list[int]:
    """End the validity of objects that were seen once, and return their ids."""
    _pass_time(survey)
    found = _single(survey, number)
    ids = [DiaObjectId(diaObjectId=one.object_id, ra=one.ra_deg, dec=one.dec_deg) for one in found]
    survey.apdb.setValidityEnd(ids, tai(survey.now_mjd_tai), raise_on_missing_id=True)
    survey.closed.update(one.object_id for one in found)
    return [one.object_id for one in found]


def withdraw_sources(
    survey: Survey, *, number: int = 1, detections: Sequence[Detection] | None = None
) -> list[Detection]:
    """Withdraw given detections, or some of the least reliable, and return them."""
    _pass_time(survey)
    candidates = [one for one in survey.transients if one.source_id not in survey.withdrawn]
    least_reliable = sorted(candidates, key=lambda one: one.reliability)[:number]
    found = least_reliable if detections is None else list(detections)
    survey.apdb.withdrawDiaSources([_source_id(one) for one in found])
    survey.withdrawn.update(one.source_id for one in found)
    return found


def withdraw_forced_sources(survey: Survey, *, number: int = 1) -> list[tuple[int, int, int]]:
    """Withdraw some forced sources, and return their keys (diaObjectId, visit, detector)."""
    _pass_time(survey)
    found = [one for one in survey.forced if one[:3] not in survey.withdrawn][:number]
    survey.apdb.withdrawDiaForcedSources(
        [
            DiaForcedSourceId(
                diaObjectId=id_, visit=visit, detector=detector, ra=ra, dec=dec, midpointMjdTai=midpoint
            )
            for id_, visit, detector, ra, dec, midpoint in found
        ]
    )
    survey.withdrawn.update(one[:3] for one in found)
    return [one[:3] for one in found]


def _single(survey: Survey, number: int) -> list[Detection]:
    """Return detections that are all that their object has and that nothing has happened to."""
    return [one for one in survey.transients if _free(survey, one) and one.object_id not in survey.closed][
        :number
    ]


def _free(survey: Survey, one: Detection) -> bool:
    return one.source_id not in survey.attributed and one.source_id not in survey.withdrawn


def _source_id(one: Detection) -> DiaSourceId:
    return DiaSourceId(
        diaSourceId=one.source_id,
        ra=one.ra_deg,
        dec=one.dec_deg,
        midpointMjdTai=one.visit.midpoint_mjd_tai,
    )


def _pass_time(survey: Survey) -> None:
    """Let the APDB's clock go on a little: no two updates have one time."""
    survey.now_mjd_tai += survey.pause_s / _SECONDS_PER_DAY
