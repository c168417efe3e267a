"""What a VOTable says of its replay: INFO elements, and among them the keys of IVOA's note on data origin."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime

from ppdb_replay.replaying.record import ReplayRecord
from ppdb_replay.votable.service import TapService

__all__ = ["RECORD_INFO", "Publication", "origin_infos", "replay_infos"]

RECORD_INFO = "ppdb_replay_record"
"""INFO that holds the whole record: JSON in one line."""

_Infos = tuple[tuple[str, str], ...]
_TAP = "ivo://ivoa.net/std/TAP"


@dataclass(frozen=True, slots=True, kw_only=True)
class Publication:
    """What is known of a result beside its record.

    Parameters
    ----------
    pid
        Persistent identifier of the stored query, if it is stored.
    landing_url
        Page about it.
    data_ivoid
        IVOA identifier of the data collection.
    requested_at
        When it was asked for.
    """

    pid: str = ""
    landing_url: str = ""
    data_ivoid: str = ""
    requested_at: datetime | None = None


def replay_infos(record: ReplayRecord) -> _Infos:
    """Return names and values of the INFO elements that repeat a result.

    Parameters
    ----------
    record
        Record of the result.
    """
    snapshot = record.snapshot
    anchor = f"{snapshot.snapshot_id}:{record.snapshot_digest}" if record.snapshot_digest else ""
    found = (
        ("ppdb_snapshot", str(snapshot.snapshot_id)),
        ("ppdb_snapshot_time_mjd_tai", repr(snapshot.t_mjd_tai)),
        ("ppdb_snapshot_digest", anchor),
        ("ppdb_schema_version", record.schema_version),
        ("ppdb_guarantee", record.guarantee.level.value),
        *(("ppdb_guarantee_reason", reason) for reason in record.guarantee.reasons),
        ("ppdb_digest", record.digest),
        ("ppdb_query_natural", record.natural),
        ("ppdb_query_repeatable", record.repeatable),
        (RECORD_INFO, _one_line(record)),
    )
    return tuple((name, value) for name, value in found if value)


def origin_infos(record: ReplayRecord, service: TapService, publication: Publication) -> _Infos:
    """Return the INFO elements of IVOA's note on data origin, those that are known.

    Parameters
    ----------
    record
        Record of the result.
    service
        Who answered.
    publication
        What is known beside the record.
    """
    requested_at = publication.requested_at
    date = "" if requested_at is None else requested_at.astimezone(UTC).isoformat(timespec="seconds")
    found = (
        ("service_ivoid", service.ivoid),
        ("publisher", service.publisher),
        ("server_software", record.software),
        ("service_protocol", _TAP),
        ("query", record.natural),
        ("request_date", date.replace("+00:00", "Z")),
        ("contact", service.contact),
        ("data_ivoid", publication.data_ivoid),
        ("citation", publication.pid),
        ("reference_url", publication.landing_url),
        ("resource_version", f"snapshot {record.snapshot.snapshot_id}"),
    )
    return tuple((name, value) for name, value in found if value)


def _one_line(record: ReplayRecord) -> str:
    # In one line, so that software which loses line ends of attributes loses nothing.
    content = json.loads(record.to_json())
    return json.dumps(content, sort_keys=True, ensure_ascii=False)
