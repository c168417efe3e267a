"""The service descriptor of a result: the request that returns it again (DataLink 1.1 section 4)."""

from __future__ import annotations

from dataclasses import dataclass

from ppdb_replay.replaying.record import ReplayRecord
from tapdb.votable import Param, Service

__all__ = ["DESCRIPTOR_ID", "TapService", "replay_service"]

DESCRIPTOR_ID = "ppdb_replay"
"""Identifier of the descriptor in the file."""

_TAP_SYNC = "ivo://ivoa.net/std/TAP#sync-1.1"
_VOTABLE = "application/x-votable+xml"


@dataclass(frozen=True, slots=True, kw_only=True)
class TapService:
    """Who answers, and where the query can be sent again.

    Parameters
    ----------
    access_url
        URL of TAP's ``sync`` resource; without one a file has no descriptor.
    ivoid
        IVOA identifier of the service.
    publisher
        Name of the data centre.
    contact
        Address of its help desk: a URL or e-mail.
    """

    access_url: str = ""
    ivoid: str = ""
    publisher: str = ""
    contact: str = ""


def replay_service(record: ReplayRecord, service: TapService) -> Service:
    """Return the descriptor of the repeatable query.

    Parameters
    ----------
    record
        Record of the result.
    service
        The service, with an `access_url`.
    """
    params = [Param("accessURL", service.access_url), Param("standardID", _TAP_SYNC)]
    if service.ivoid:
        params.append(Param("resourceIdentifier", service.ivoid))
    inputs = [Param("REQUEST", "doQuery"), Param("LANG", "ADQL"), Param("RESPONSEFORMAT", _VOTABLE)]
    if record.max_rows is not None:
        # As text: pyvo leaves a number out that is 0, and 0 asks for no rows.
        inputs.append(Param("MAXREC", str(record.max_rows)))
    inputs.append(Param("QUERY", record.repeatable))
    snapshot = record.snapshot.snapshot_id
    return Service(
        identifier=DESCRIPTOR_ID,
        description=f"The same query as of snapshot {snapshot}: the same result at any later time",
        params=tuple(params),
        inputs=tuple(inputs),
    )
