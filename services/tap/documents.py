"""Documents that are not results: errors as VOTable, capabilities, availability."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from xml.etree.ElementTree import Element, indent, tostring

from adql.words import FUNCTIONS
from tap_query.formats import Format
from tap_schema.rows import TapSchemaRows
from tapdb.xml_text import NOT_IN_XML, add_element

VOTABLE_TYPE = "application/x-votable+xml"

NO_ANSWER = "the database does not answer at present"
"""What clients are told of a database that cannot be used."""

_VOTABLE = "http://www.ivoa.net/xml/VOTable/v1.3"
_XSI = "http://www.w3.org/2001/XMLSchema-instance"
_VOSI = "http://www.ivoa.net/xml/VOSI{}/v1.0"
_OBSCORE = "ivo://ivoa.net/std/ObsCore#core-1.1"
_FEATURES = "ivo://ivoa.net/std/TAPRegExt#features-{}"
_GEOMETRY_SECTION = "4.2."
# What the parser accepts of ADQL 2.1's optional features, by the names that section 4 of the REC gives them.
# COALESCE (features-adql-conditional) is left out: taplint knows no such name.
_FORMS: Mapping[str, Sequence[str]] = {
    "adql-string": ("LOWER", "UPPER", "ILIKE"),
    "adql-sets": ("UNION", "EXCEPT", "INTERSECT"),
    "adql-common-table": ("WITH",),
    "adql-type": ("CAST",),
    "adql-unit": ("IN_UNIT",),
    "adql-offset": ("OFFSET",),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Abilities:
    """What a service can do, as its capabilities say.

    Attributes
    ----------
    url
        URL of the TAP service.
    forms
        Formats of results, the usual one first.
    functions
        User-defined functions, by signature and description.
    has_obscore
        Whether ObsCore is published.
    maxrec, max_rows
        Rows of a query by default and at most.
    seconds
        Seconds that a job, or a query of a service without jobs, may run: by default and at most.
    upload_methods
        How a client may upload tables: ``inline``, ``http``.
    upload_bytes
        Largest upload.
    security
        How a client says who it is; empty if it need not.
    retention_s
        Seconds for which results of jobs are kept, by default and at most; None without jobs.
    """

    url: str
    forms: Sequence[Format]
    functions: Sequence[tuple[str, str]] = ()
    has_obscore: bool
    maxrec: int
    max_rows: int
    seconds: tuple[int, int]
    upload_methods: Sequence[str] = ()
    upload_bytes: int = 0
    security: Sequence[str] = ()
    retention_s: tuple[int, int] | None = None


def error_document(message: str) -> bytes:
    """Return an error as a VOTable (DALI 1.1 section 4.2.3).

    Parameters
    ----------
    message
        What is wrong; characters that XML cannot hold are replaced.
    """
    votable = Element("VOTABLE", {"version": "1.4", "xmlns": _VOTABLE})
    resource = add_element(votable, "RESOURCE", {"type": "results"})
    add_element(
        resource, "INFO", {"name": "QUERY_STATUS", "value": "ERROR"}, NOT_IN_XML.sub("\ufffd", message)
    )
    return _text(votable)


def search_capabilities_document(url: str, standard: str, version: str, security: Iterable[str]) -> bytes:
    """Return what a service with one resource ``query`` can do (SIA 2.0 section 2.3).

    Parameters
    ----------
    url
        URL of the service.
    standard, version
        Identifier and version of what its resource answers to.
    security
        How a client says who it is; empty if it need not.
    """
    root = _root("Capabilities", "capabilities")
    for path in ("capabilities", "availability"):
        capability = add_element(root, "capability", {"standardID": f"ivo://ivoa.net/std/VOSI#{path}"})
        _add_interface(capability, f"{url}/{path}", "full", (), version=None)
    capability = add_element(root, "capability", {"standardID": standard})
    _add_interface(capability, f"{url}/query", "base", security, version=version)
    return _text(root)


def capabilities_document(abilities: Abilities) -> bytes:
    """Return what the service can do, as VOSI 1.1 and TAPRegExt 1.0 say it."""
    root = _root("Capabilities", "capabilities")
    for standard, path in (
        ("ivo://ivoa.net/std/VOSI#capabilities", "capabilities"),
        ("ivo://ivoa.net/std/VOSI#availability", "availability"),
        ("ivo://ivoa.net/std/VOSI#tables-1.1", "tables"),
        ("ivo://ivoa.net/std/DALI#examples", "examples"),
    ):
        capability = add_element(root, "capability", {"standardID": standard})
        _add_interface(capability, f"{abilities.url}/{path}", "full", (), version=None)
    tap = add_element(
        root, "capability", {"standardID": "ivo://ivoa.net/std/TAP", "xsi:type": "tr:TableAccess"}
    )
    _add_interface(tap, abilities.url, "base", abilities.security, version="1.1")
    if abilities.has_obscore:
        add_element(tap, "dataModel", {"ivo-id": _OBSCORE}, "ObsCore-1.1")
    _add_language(tap, abilities.functions)
    for form in abilities.forms:
        given = add_element(tap, "outputFormat", {"ivo-id": form.ivo_id})
        add_element(given, "mime", {}, form.content_type)
        for alias in (form.name, *form.aliases):
            add_element(given, "alias", {}, alias)
    for method in abilities.upload_methods:
        identifier = f"ivo://ivoa.net/std/TAPRegExt#upload-{method}"
        add_element(tap, "uploadMethod", {"ivo-id": identifier})
    if abilities.retention_s is not None:
        _add_limits(tap, "retentionPeriod", *abilities.retention_s)
    _add_limits(tap, "executionDuration", *abilities.seconds)
    _add_limits(tap, "outputLimit", abilities.maxrec, abilities.max_rows, unit="row")
    if abilities.upload_methods:
        _add_limits(tap, "uploadLimit", abilities.upload_bytes, abilities.upload_bytes, unit="byte")
    return _text(root)


def availability_document(up_since: datetime, problem: str | None) -> bytes:
    """Return whether the service can be used (VOSI 1.1 section 3.2).

    Parameters
    ----------
    up_since
        When the process began.
    problem
        Why it cannot be used; None if it can.
    """
    root = _root("Availability", "availability")
    add_element(root, "vosi:available", {}, "true" if problem is None else "false")
    add_element(root, "vosi:upSince", {}, up_since.strftime("%Y-%m-%dT%H:%M:%SZ"))
    note = "The database answers." if problem is None else NOT_IN_XML.sub("\ufffd", problem)
    add_element(root, "vosi:note", {}, note)
    return _text(root)


def publishes_obscore(rows: TapSchemaRows) -> bool:
    """Return whether ObsCore is published under the name that its standard gives it."""
    return any(row.table_name.lower() == "ivoa.obscore" for row in rows.tables)


def _add_interface(
    capability: Element, url: str, use: str, security: Iterable[str], *, version: str | None
) -> None:
    interface = add_element(
        capability, "interface", {"xsi:type": "vs:ParamHTTP", "role": "std", "version": version}
    )
    add_element(interface, "accessURL", {"use": use}, url)
    for method in security:
        add_element(interface, "securityMethod", {"standardID": method})


def _add_language(tap: Element, functions: Iterable[tuple[str, str]]) -> None:
    language = add_element(tap, "language", {})
    add_element(language, "name", {}, "ADQL")
    for version in ("2.0", "2.1"):
        add_element(language, "version", {"ivo-id": f"ivo://ivoa.net/std/ADQL#v{version}"}, version)
    add_element(language, "description", {}, "ADQL 2.1, of which ADQL 2.0 is a part")
    geometry = [name for name, form in FUNCTIONS.items() if form.section.startswith(_GEOMETRY_SECTION)]
    for feature, forms in (("adqlgeo", geometry), *_FORMS.items()):
        _add_features(language, feature, [(form, "") for form in forms])
    _add_features(language, "udf", functions)


def _add_features(language: Element, feature: str, forms: Iterable[tuple[str, str]]) -> None:
    features = Element("languageFeatures", {"type": _FEATURES.format(feature)})
    for form, description in forms:
        given = add_element(features, "feature", {})
        add_element(given, "form", {}, form)
        if description:
            add_element(given, "description", {}, description)
    if len(features):
        language.append(features)


def _add_limits(tap: Element, name: str, default: int, hard: int, *, unit: str | None = None) -> None:
    limits = add_element(tap, name, {})
    add_element(limits, "default", {"unit": unit}, str(default))
    add_element(limits, "hard", {"unit": unit}, str(hard))


def _root(document: str, tag: str) -> Element:
    # The parts of TAPRegExt are in no namespace; their types are named by prefixes that attributes use.
    return Element(
        f"vosi:{tag}",
        {
            "xmlns:vosi": _VOSI.format(document),
            "xmlns:tr": "http://www.ivoa.net/xml/TAPRegExt/v1.0",
            "xmlns:vs": "http://www.ivoa.net/xml/VODataService/v1.1",
            "xmlns:xsi": _XSI,
        },
    )


def _text(root: Element) -> bytes:
    indent(root, " ")
    text: bytes = tostring(root, encoding="utf-8", xml_declaration=True)
    return text + b"\n"
