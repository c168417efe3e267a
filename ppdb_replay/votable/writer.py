"""Results as VOTables from which they come again: the record, the service that replays it, the rows."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import IO

from ppdb_replay.replaying.digest import digest_of_plain
from ppdb_replay.replaying.execution import RecordedResult
from ppdb_replay.replaying.record import ReplayRecord
from tapdb.votable import Document, Param, ServiceDescriptor, plain_rows, written_fields
from tapdb.votable import write_votable as write_document

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


def replay_service(record: ReplayRecord, service: TapService) -> ServiceDescriptor:
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
    return ServiceDescriptor(
        identifier=DESCRIPTOR_ID,
        description=f"The same query as of snapshot {snapshot}: the same result at any later time",
        params=tuple(params),
        inputs=tuple(inputs),
    )


RECORD_INFO = "ppdb_replay_record"
"""INFO that holds the whole record: JSON in one line."""

ALL_COLUMNS_INFO = "ppdb_all_columns_digest"
"""INFO with the digest of the rows of a file where the record does not count all columns."""

_Infos = tuple[tuple[str, str], ...]
_TAP = "ivo://ivoa.net/std/TAP"


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultOrigin:
    """What is known of a result beside its record.

    Parameters
    ----------
    pid
        Identifier of the stored query, if it is stored.
    landing_url
        Page about it.
    data_ivoid
        IVOA identifier of the data collection.
    requested_at
        When the query was sent.
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
    return (*leading_infos(record), *closing_infos(record))


def leading_infos(record: ReplayRecord) -> _Infos:
    """Return those of them that are known before there are rows."""
    snapshot = record.snapshot
    anchor = f"{snapshot.snapshot_id}:{record.snapshot_digest}" if record.snapshot_digest else ""
    found = (
        ("ppdb_snapshot", str(snapshot.snapshot_id)),
        ("ppdb_snapshot_time_mjd_tai", repr(snapshot.t_mjd_tai)),
        ("ppdb_snapshot_digest", anchor),
        ("ppdb_schema_version", record.schema_version),
        ("ppdb_guarantee", record.guarantee.level.value),
        *(("ppdb_guarantee_reason", reason) for reason in record.guarantee.reasons),
        ("ppdb_query_natural", record.natural),
        ("ppdb_query_repeatable", record.repeatable),
    )
    return tuple((name, value) for name, value in found if value)


def closing_infos(record: ReplayRecord) -> _Infos:
    """Return those of them that follow from the rows: the digest, and the record with it."""
    return (
        ("ppdb_digest", record.digest),
        (RECORD_INFO, _one_line(record)),
    )


def origin_infos(record: ReplayRecord, service: TapService, origin: ResultOrigin) -> _Infos:
    """Return the INFO elements of IVOA's note on data origin, those that are known.

    Parameters
    ----------
    record
        Record of the result.
    service
        Who answered.
    origin
        What is known beside the record.
    """
    requested_at = origin.requested_at
    date = "" if requested_at is None else requested_at.astimezone(UTC).isoformat(timespec="seconds")
    found = (
        ("service_ivoid", service.ivoid),
        ("publisher", service.publisher),
        ("server_software", record.software),
        ("service_protocol", _TAP),
        ("query", record.natural),
        ("request_date", date.replace("+00:00", "Z")),
        ("contact", service.contact),
        ("data_ivoid", origin.data_ivoid),
        ("citation", origin.pid),
        ("reference_url", origin.landing_url),
        ("resource_version", f"snapshot {record.snapshot.snapshot_id}"),
    )
    return tuple((name, value) for name, value in found if value)


def _one_line(record: ReplayRecord) -> str:
    # In one line, so that software which loses line ends of attributes loses nothing.
    return record.to_json(indent=None).rstrip("\n")


def write_votable(
    result: RecordedResult,
    stream: IO[bytes],
    *,
    service: TapService | None = None,
    origin: ResultOrigin | None = None,
) -> None:
    """Write a result as VOTable 1.4 with its replay record and a service descriptor that repeats it.

    Parameters
    ----------
    result
        What `capture` or `replay` returned.
    stream
        Where the XML goes.
    service
        Who answers; without an access URL the file has no descriptor.
    origin
        Identifier and date, as far as they are known.

    Raises
    ------
    ValueWriteError
        A value does not fit its column, or a character cannot be in XML.
    """
    service = service or TapService()
    record = result.record
    rows = list(plain_rows(result.columns, result.rows))
    infos = (*origin_infos(record, service, origin or ResultOrigin()), *replay_infos(record))
    if record.guarantee.approximate_columns:
        infos += ((ALL_COLUMNS_INFO, digest_of_plain(result.columns, rows)),)
    document = Document(
        columns=written_fields(result.columns, rows),
        infos=infos,
        services=(replay_service(record, service),) if service.access_url else (),
        row_count=len(rows),
    )
    overflow = (("QUERY_STATUS", "OVERFLOW"),) if record.overflow else ()
    write_document(document, rows, stream, serialization="BINARY2", after=lambda: overflow)
