"""A result as VOTable that carries what it takes to get it again."""

from __future__ import annotations

from typing import IO

from ppdb_replay.replaying.execution import Result
from ppdb_replay.votable.infos import Publication, origin_infos, replay_infos
from ppdb_replay.votable.service import TapService, replay_service
from tapdb.votable import Document, plain_rows, written_fields
from tapdb.votable import write_votable as write_document

__all__ = ["write_votable"]


def write_votable(
    result: Result,
    stream: IO[bytes],
    *,
    service: TapService | None = None,
    publication: Publication | None = None,
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
    publication
        Identifier and date, as far as they are known.

    Raises
    ------
    ValueWriteError
        A value does not fit its column, or a character cannot be in XML.
    """
    service = service or TapService()
    record = result.record
    rows = list(plain_rows(result.columns, result.rows))
    document = Document(
        columns=written_fields(result.columns, rows),
        infos=(*origin_infos(record, service, publication or Publication()), *replay_infos(record)),
        services=(replay_service(record, service),) if service.access_url else (),
        row_count=len(rows),
    )
    overflow = (("QUERY_STATUS", "OVERFLOW"),) if record.overflow else ()
    write_document(document, rows, stream, serialization="BINARY2", after=lambda: overflow)
