"""A VOTable 1.4 document around rows that come one after the other: nothing of them is kept."""

import base64
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import IO, Any, Literal
from xml.etree.ElementTree import Element, indent, tostring

from tapdb.votable.binary2 import encode_rows
from tapdb.votable.fields import ColumnFacts, element_null, field_identifiers
from tapdb.votable.tabledata import table_rows
from tapdb.xml_text import add_element

Serialization = Literal["TABLEDATA", "BINARY2"]

Info = tuple[str, str] | tuple[str, str, str]
"""Name and value of an INFO, and its text if there is one."""

_DECLARATION = b"<?xml version='1.0' encoding='utf-8'?>\n"
_NAMESPACE = "http://www.ivoa.net/xml/VOTable/v1.3"
# Bytes that are encoded at once.
_PIECE = 3 * 65536


@dataclass(frozen=True, slots=True)
class System:
    """A system of coordinates or times that columns refer to.

    Attributes
    ----------
    tag
        ``COOSYS`` or ``TIMESYS``.
    attributes
        Its attributes, ``ID`` among them.
    """

    tag: Literal["COOSYS", "TIMESYS"]
    attributes: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Param:
    """A parameter of a service.

    Attributes
    ----------
    name
        Name.
    value
        Value; empty for one that `ref` gives, or a client.
    ref
        ID of the FIELD whose values it takes.
    datatype
        Type of its value; that of texts if None.
    arraysize, xtype, unit
        As of a FIELD.
    options
        Values that it may have, where there are only a few.
    """

    name: str
    value: str = ""
    ref: str | None = None
    datatype: str | None = None
    arraysize: str | None = "*"
    xtype: str | None = None
    unit: str | None = None
    options: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceDescriptor:
    """A service descriptor (DataLink 1.1 section 4).

    Attributes
    ----------
    identifier
        Its ID and name.
    description
        What it does.
    params
        What the service is: ``accessURL``, ``standardID`` and the like.
    inputs
        Parameters of a request.
    """

    identifier: str
    description: str = ""
    params: tuple[Param, ...]
    inputs: tuple[Param, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """All of a VOTable but its rows.

    Attributes
    ----------
    columns
        Columns, as `written_fields` returned them; of two with the same identifier the second has another ID.
    name
        Name of the table.
    infos
        INFO elements before the table, behind that of the status.
    systems
        Systems of coordinates and times.
    references
        ID of the system, or of anything else, that a column refers to, by name of the column.
    services
        Service descriptors.
    row_count
        Number of rows, if it is known.
    """

    columns: Sequence[ColumnFacts]
    name: str = ""
    infos: Sequence[Info] = ()
    systems: Sequence[System] = ()
    references: Mapping[str, str] = field(default_factory=dict)
    services: Sequence[ServiceDescriptor] = ()
    row_count: int | None = None


def write_votable(
    document: Document,
    rows: Iterable[Sequence[Any]],
    stream: IO[bytes],
    *,
    serialization: Serialization = "TABLEDATA",
    after: Callable[[], Iterable[Info]] = tuple,
) -> None:
    """Write a VOTable.

    Parameters
    ----------
    document
        All but the rows.
    rows
        Rows of plain values.
    stream
        Where the XML goes.
    serialization
        TABLEDATA, which people can read, or BINARY2, which tells NULL from an empty text.
    after
        Called once all rows are written, for INFO elements behind the table: ``QUERY_STATUS`` with
        ``OVERFLOW`` stands there (DALI 1.1 section 4.4.1).

    Raises
    ------
    ValueWriteError
        Raised if a value does not fit its column, or a character cannot be in XML.
    """
    parts = (
        table_rows(document.columns, rows)
        if serialization == "TABLEDATA"
        else stream_content(_pieces(encode_rows(document.columns, rows)))
    )
    for part in votable_parts(document, parts, serialization=serialization, after=after):
        stream.write(part)


def votable_parts(
    document: Document,
    content: Iterable[bytes],
    *,
    serialization: Serialization | None,
    after: Callable[[], Iterable[Info]] = tuple,
) -> Iterator[bytes]:
    """Yield a VOTable around rows that are written already: what stands before them, they, the rest.

    Parameters
    ----------
    document
        All but the rows.
    content
        What stands in TABLEDATA or STREAM.
    serialization
        Which of them it is; `None` for a TABLE without DATA, which describes rows that lie elsewhere.
    after
        As for `write_votable`.
    """
    head, tail = _frame(document, serialization)
    yield head
    yield from content
    table, end, rest = tail.partition(b"</TABLE>")
    infos = b"".join(b"\n  " + _info_text(info) for info in after())
    yield table + end + infos + rest + b"\n"


def stream_content(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield rows as the content of a STREAM: a line of base64 for each block, as soon as it has come.

    Parameters
    ----------
    blocks
        Bytes of rows, cut anywhere.
    """
    rest = b""
    for block in blocks:
        waiting = rest + block
        # Three bytes are four letters: what is left waits for the next block.
        whole = len(waiting) // 3 * 3
        rest = waiting[whole:]
        if whole:
            yield base64.b64encode(waiting[:whole]) + b"\n"
    if rest:
        yield base64.b64encode(rest) + b"\n"


def _frame(document: Document, serialization: Serialization | None) -> tuple[bytes, bytes]:
    """Return what stands before and behind the rows."""
    votable = Element("VOTABLE", {"version": "1.4", "xmlns": _NAMESPACE})
    resource = add_element(votable, "RESOURCE", {"type": "results"})
    # The schema of VOTable has INFO before the systems.
    for info in (("QUERY_STATUS", "OK"), *document.infos):
        _add_info(resource, info)
    for system in document.systems:
        add_element(resource, system.tag, system.attributes)
    count = None if document.row_count is None else str(document.row_count)
    table = add_element(resource, "TABLE", {"name": document.name, "nrows": count})
    _add_fields(table, document)
    rows = table if serialization is None else add_element(add_element(table, "DATA", {}), serialization, {})
    if serialization == "BINARY2":
        rows = add_element(rows, "STREAM", {"encoding": "base64"})
    for service in document.services:
        _add_service(votable, service)
    indent(votable, " ")
    if serialization is not None:
        rows.text = "\n"
    # Markup is escaped wherever text stands: the end of these elements is found in one place only.
    mark = f"</{rows.tag}>".encode()
    head, _, tail = _written(votable).partition(mark)
    return _DECLARATION + head, mark + tail


def _add_fields(table: Element, document: Document) -> None:
    systems = (system.attributes["ID"] for system in document.systems)
    services = (service.identifier for service in document.services)
    identifiers = field_identifiers(document.columns, (*systems, *services))
    for column, identifier in zip(document.columns, identifiers, strict=True):
        element = add_element(
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
                "ref": document.references.get(column.name),
            },
        )
        if column.description:
            add_element(element, "DESCRIPTION", {}, column.description)
        if (null := element_null(column)) is not None:
            add_element(element, "VALUES", {"null": str(null)})


def _add_service(votable: Element, service: ServiceDescriptor) -> None:
    resource = add_element(
        votable,
        "RESOURCE",
        {"type": "meta", "utype": "adhoc:service", "ID": service.identifier, "name": service.identifier},
    )
    if service.description:
        add_element(resource, "DESCRIPTION", {}, service.description)
    for param in service.params:
        _add_param(resource, param)
    if service.inputs:
        inputs = add_element(resource, "GROUP", {"name": "inputParams"})
        for param in service.inputs:
            _add_param(inputs, param)


def _add_param(parent: Element, param: Param) -> None:
    facts = {
        "name": param.name,
        "datatype": param.datatype or ("char" if param.value.isascii() else "unicodeChar"),
        "arraysize": param.arraysize,
        "xtype": param.xtype,
        "unit": param.unit,
        "value": param.value,
        "ref": param.ref,
    }
    element = add_element(parent, "PARAM", facts)
    if param.options:
        values = add_element(element, "VALUES", {})
        for option in param.options:
            add_element(values, "OPTION", {"value": option})


def _add_info(parent: Element, info: Info) -> Element:
    name, value, *text = info
    return add_element(parent, "INFO", {"name": name, "value": value}, text[0] if text else None)


def _info_text(info: Info) -> bytes:
    return _written(_add_info(Element("RESOURCE"), info))


def _written(element: Element) -> bytes:
    # A third quicker than to let it be encoded piece by piece.
    text: str = tostring(element, encoding="unicode")
    return text.encode()


def _pieces(parts: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the same bytes in pieces of one size, the last one excepted."""
    waiting = bytearray()
    for part in parts:
        waiting += part
        while len(waiting) >= _PIECE:
            yield bytes(waiting[:_PIECE])
            del waiting[:_PIECE]
    if waiting:
        yield bytes(waiting)
