"""Links as a VOTable (DataLink 1.1 section 3), and what the links service can do."""

import io
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from xml.etree.ElementTree import Element, indent, tostring

from tap_query.answer import service_descriptor
from tapdb.hooks.descriptions import Link, ServiceDescription
from tapdb.votable import Document, Field, write_votable, written_fields
from tapdb.xml_text import NOT_IN_XML, add_element

LINKS_STANDARD = "ivo://ivoa.net/std/DataLink#links-1.1"
"""Identifier of the standard, in documents and capabilities."""

LINKS_TYPE = "application/x-votable+xml;content=datalink"
"""Media type of links (DataLink 1.1 section 3.1)."""

_COLUMNS = (
    Field(
        "ID", "char", "*", ucd="meta.id;meta.main", identifier="ID", description="Identifier that was sent."
    ),
    Field("access_url", "char", "*", ucd="meta.ref.url", description="Where what is linked can be had."),
    Field("service_def", "char", "*", ucd="meta.ref", description="Descriptor of a service that makes it."),
    Field("error_message", "char", "*", ucd="meta.code.error", description="Why there is no link."),
    Field("semantics", "char", "*", ucd="meta.code", description="What it is to the identifier."),
    Field("description", "char", "*", ucd="meta.note", description="What it is, for people."),
    Field("content_type", "char", "*", ucd="meta.code.mime", description="Its media type."),
    Field("content_length", "long", unit="byte", ucd="phys.size;meta.file", description="Its size."),
    Field("content_qualifier", "char", "*", description="What kind of data it is."),
    Field("local_semantics", "char", "*", ucd="meta.id.assoc", description="Its dataset type, or table."),
    Field("link_auth", "char", "*", ucd="meta.code", description="Whether one has to log in for it."),
    Field("link_authorized", "boolean", ucd="meta.code", description="Whether you may have it."),
)


@dataclass(frozen=True, slots=True)
class GivenLink:
    """A link as a user gets it.

    Attributes
    ----------
    link
        The link, with a whole URL.
    auth
        Whether one has to log in for it: ``true``, ``false``, ``optional``; `None` if nobody knows.
    authorized
        Whether the user may have it; `None` if nobody knows.
    """

    link: Link
    auth: str | None = None
    authorized: bool | None = None


def links_document(
    links: Iterable[GivenLink], services: Sequence[ServiceDescription], base_url: str
) -> bytes:
    """Return links as a VOTable, with descriptors of the services that they name.

    Parameters
    ----------
    links
        The links.
    services
        Services that they may name.
    base_url
        URL of the service, without a slash at the end.
    """
    known = {one.id for one in services}
    given = [_described(one, known) for one in links]
    rows = [(*map(_plain, one.link), one.auth, one.authorized) for one in given]
    named = {one.link.service_def for one in given}
    references = {str(one.identifier): str(one.identifier) for one in _COLUMNS if one.identifier}
    document = Document(
        columns=written_fields(_COLUMNS, rows),
        name="links",
        infos=(("standardID", LINKS_STANDARD),),
        services=[service_descriptor(one, references, base_url) for one in services if one.id in named],
        row_count=len(rows),
    )
    stream = io.BytesIO()
    write_votable(document, rows, stream)
    return stream.getvalue()


def links_capabilities(url: str, security: Iterable[str]) -> bytes:
    """Return what the links service can do (DataLink 1.1 section 2.2, VOSI 1.1).

    Parameters
    ----------
    url
        URL of the service, whose resource is ``links``.
    security
        How a client says who it is; empty if it need not.
    """
    root = Element(
        "vosi:capabilities",
        {
            "xmlns:vosi": "http://www.ivoa.net/xml/VOSICapabilities/v1.0",
            "xmlns:vs": "http://www.ivoa.net/xml/VODataService/v1.1",
            "xmlns:xsi": "http://www.w3.org/2001/XMLSchema-instance",
        },
    )
    vosi = "ivo://ivoa.net/std/VOSI"
    for standard, path in (
        (f"{vosi}#capabilities", "capabilities"),
        (f"{vosi}#availability", "availability"),
    ):
        _add_capability(root, standard, f"{url}/{path}", "full", ())
    links = _add_capability(root, LINKS_STANDARD, f"{url}/links", "base", security, version="1.1")
    add_element(links, "resultType", {}, LINKS_TYPE)
    param = add_element(links, "param", {"std": "true", "use": "optional"})
    add_element(param, "name", {}, "ID")
    add_element(param, "description", {}, "Identifier of a dataset or of a row of a catalogue")
    add_element(param, "ucd", {}, "meta.id;meta.main")
    add_element(param, "dataType", {"arraysize": "*"}, "string")
    indent(root, " ")
    text: bytes = tostring(root, encoding="utf-8", xml_declaration=True)
    return text + b"\n"


def _add_capability(
    root: Element, standard: str, url: str, use: str, security: Iterable[str], version: str | None = None
) -> Element:
    """Add a capability with one interface, and return the interface."""
    capability = add_element(root, "capability", {"standardID": standard})
    facts = {"xsi:type": "vs:ParamHTTP", "role": "std", "version": version}
    interface = add_element(capability, "interface", facts)
    add_element(interface, "accessURL", {"use": use}, url)
    for method in security:
        add_element(interface, "securityMethod", {"standardID": method})
    if version is not None:
        for kind in ("GET", "POST"):
            add_element(interface, "queryType", {}, kind)
    return interface


def _described(given: GivenLink, known: Collection[str]) -> GivenLink:
    """Return a link, or what is wrong with it: one whose service nobody describes leads nowhere."""
    service = given.link.service_def
    if service is None or service in known:
        return given
    fault = f"FatalFault: the service {service} has no descriptor"
    return GivenLink(given.link._replace(service_def=None, error_message=fault))


def _plain(value: str | int | None) -> str | int | None:
    return NOT_IN_XML.sub("\ufffd", value) if isinstance(value, str) else value
