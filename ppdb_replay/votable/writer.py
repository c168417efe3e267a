"""A result as VOTable that carries what it takes to get it again."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from typing import IO
from xml.etree.ElementTree import Element, indent, tostring

from adql import OutputColumn
from ppdb_replay.replaying.execution import Result
from ppdb_replay.votable.data import encode_rows, file_columns
from ppdb_replay.votable.infos import Publication, origin_infos, replay_infos
from ppdb_replay.votable.service import TapService, add_descriptor
from ppdb_replay.votable.xml_text import add

__all__ = ["write_votable"]

_NAMESPACE = "http://www.ivoa.net/xml/VOTable/v1.3"
_STREAM = b'<STREAM encoding="base64" />'
# Bytes that are encoded at once: a multiple of 3, so that the pieces fit together.
_PIECE = 3 * 65536


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
    VotableWriteError
        A value does not fit its column, or a character cannot be in XML.
    """
    service = service or TapService()
    columns = file_columns(result.columns, result.rows)
    votable = Element("VOTABLE", {"version": "1.4", "xmlns": _NAMESPACE})
    _add_results(
        votable, result, columns, (*origin_infos(result.record, service, publication or Publication()),)
    )
    if service.access_url:
        add_descriptor(votable, result.record, service)
    indent(votable, " ")
    # Markup is escaped wherever text stands: the bytes of an empty STREAM are found in one place only.
    head, _, tail = tostring(votable, encoding="utf-8", xml_declaration=True).partition(_STREAM)
    stream.write(head + b'<STREAM encoding="base64">\n')
    for piece in _pieces(encode_rows(columns, result.rows)):
        stream.write(base64.b64encode(piece) + b"\n")
    stream.write(b"</STREAM>" + tail + b"\n")


def _add_results(
    votable: Element, result: Result, columns: Iterable[OutputColumn], origin: tuple[tuple[str, str], ...]
) -> None:
    resource = add(votable, "RESOURCE", {"type": "results"})
    add(resource, "INFO", {"name": "QUERY_STATUS", "value": "OK"})
    for name, value in (*origin, *replay_infos(result.record)):
        add(resource, "INFO", {"name": name, "value": value})
    table = add(resource, "TABLE", {"nrows": str(len(result.rows))})
    names: set[str] = set()
    for number, column in enumerate(columns, 1):
        _add_field(table, column, None if column.name not in names else f"column_{number}")
        names.add(column.name)
    add(add(add(table, "DATA", {}), "BINARY2", {}), "STREAM", {"encoding": "base64"})
    if result.record.overflow:
        add(resource, "INFO", {"name": "QUERY_STATUS", "value": "OVERFLOW"})


def _add_field(table: Element, column: OutputColumn, identifier: str | None) -> None:
    field = add(
        table,
        "FIELD",
        {
            "ID": identifier,
            "name": column.name,
            "datatype": column.datatype,
            "arraysize": column.arraysize,
            "xtype": column.xtype,
            "unit": column.unit,
            "ucd": column.ucd,
            "utype": column.utype,
        },
    )
    if column.description:
        add(field, "DESCRIPTION", {}, column.description)


def _pieces(parts: Iterable[bytes]) -> Iterable[bytes]:
    """Yield the same bytes in pieces of one size, the last one excepted."""
    waiting = bytearray()
    for part in parts:
        waiting += part
        while len(waiting) >= _PIECE:
            yield bytes(waiting[:_PIECE])
            del waiting[:_PIECE]
    if waiting:
        yield bytes(waiting)
