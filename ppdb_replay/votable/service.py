"""The service descriptor of a result: the request that returns it again (DataLink 1.1 section 4)."""

from __future__ import annotations

from dataclasses import dataclass
from xml.etree.ElementTree import Element

from ppdb_replay.replaying.record import ReplayRecord
from ppdb_replay.votable.xml_text import add

__all__ = ["DESCRIPTOR_ID", "TapService", "add_descriptor"]

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


def add_descriptor(votable: Element, record: ReplayRecord, service: TapService) -> Element:
    """Add the descriptor of the repeatable query to a VOTable and return it.

    Parameters
    ----------
    votable
        The VOTABLE element.
    record
        Record of the result.
    service
        The service, with an `access_url`.

    Raises
    ------
    VotableWriteError
        A character cannot be in XML.
    """
    resource = add(
        votable,
        "RESOURCE",
        {"type": "meta", "utype": "adhoc:service", "ID": DESCRIPTOR_ID, "name": DESCRIPTOR_ID},
    )
    snapshot = record.snapshot.snapshot_id
    add(
        resource,
        "DESCRIPTION",
        {},
        f"The same query as of snapshot {snapshot}: the same result at any later time",
    )
    _param(resource, "accessURL", service.access_url)
    _param(resource, "standardID", _TAP_SYNC)
    if service.ivoid:
        _param(resource, "resourceIdentifier", service.ivoid)
    inputs = add(resource, "GROUP", {"name": "inputParams"})
    _param(inputs, "REQUEST", "doQuery")
    _param(inputs, "LANG", "ADQL")
    _param(inputs, "RESPONSEFORMAT", _VOTABLE)
    if record.max_rows is not None:
        # As text: pyvo leaves a number out that is 0, and 0 asks for no rows.
        _param(inputs, "MAXREC", str(record.max_rows))
    _param(inputs, "QUERY", record.repeatable)
    return resource


def _param(parent: Element, name: str, value: str) -> None:
    # VOTable 1.4: char is ASCII.
    datatype = "char" if value.isascii() else "unicodeChar"
    add(parent, "PARAM", {"name": name, "datatype": datatype, "arraysize": "*", "value": value})
