"""A stored query for people and programs: page, citations, DataCite, schema.org, CSL. It reads nothing."""

import json
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from html import escape
from typing import Any

from ppdb_replay.query_store.stored_query import DOI, StoredQuery, bibtex, named_identifier
from ppdb_replay.replaying.difference import ResultDifference
from ppdb_replay.replaying.recipe import Recipe
from ppdb_replay.replaying.record import ReplayRecord
from ppdb_replay.snapshot import Snapshot, iso_tai, said_time
from tapdb.votable import text_of

# What Google's data set search reads of a description.
_LONGEST_DESCRIPTION = 5000
# What DataCite has for a value that nobody has given.
_UNKNOWN = "(:unav)"
_FORMATS = {
    "votable": "application/x-votable+xml",
    "csv": "text/csv",
    "parquet": "application/vnd.apache.parquet",
}
_CITED = {"datacite": "DataCite", "schema.org": "schema.org", "bibtex": "BibTeX", "citeproc": "CSL"}
_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; color: #1c2733; background: #f4f6f8; margin: 0; }
main { max-width: 52rem; margin: 2rem auto; padding: 1.5rem 2rem; background: #fff;
  border-radius: .5rem;
  box-shadow: 0 1px 4px rgba(0, 0, 0, .15); }
h1 { font-size: 1.4rem; line-height: 1.3; margin: 0 0 .25rem; }
h2 { font-size: 1.05rem; margin: 1.6rem 0 .4rem; }
pre { background: #f0f3f6; padding: .75rem 1rem; border-radius: .3rem; white-space: pre-wrap;
  overflow-wrap: anywhere; font-size: .85rem; margin: .4rem 0; }
table { border-collapse: collapse; font-size: .9rem; display: block; overflow-x: auto; }
th, td { text-align: left; padding: .2rem 1rem .2rem 0; vertical-align: top;
  border-bottom: 1px solid #e3e8ed; }
th { font-weight: 600; white-space: nowrap; } td { overflow-wrap: anywhere; }
a { color: #0b5cad; } .button { display: inline-block; background: #0b5cad; color: #fff; padding: .3rem .9rem;
  border-radius: .3rem; text-decoration: none; margin: 0 .4rem .4rem 0; }
.note { color: #52606d; } ins { background: #dff5e1; text-decoration: none; } del { background: #fbe3e4; }
"""

STYLE_SOURCE = f"'sha256-{b64encode(sha256(_STYLE.encode()).digest()).decode()}'"
"""What a Content-Security-Policy calls the style of these pages, which have no script."""

MOST_SHOWN = 100
"""Rows of each kind that a page of differences shows."""


@dataclass(frozen=True, slots=True)
class Page:
    """What a page says beside a query.

    Parameters
    ----------
    url
        URL of the query's own resource, without a slash at the end.
    newest
        The newest snapshot; `None` if it is not known.
    """

    url: str
    newest: Snapshot | None = None


CITATIONS = ("text", "json", "bibtex", "datacite", "schema.org", "citeproc")
"""Forms of `cited`."""


def cited(stored: StoredQuery, form: str, url: str = "") -> str:
    """Return how to cite a stored query, in one of the forms of `CITATIONS`.

    Parameters
    ----------
    stored
        The query.
    form
        ``text`` for a list of references, ``json`` for all that the store says, or a format by its name.
    url
        Its landing page; the one that it was stored with if not given.
    """
    url = url or stored.landing["url"]
    match form:
        case "text":
            return stored.citation
        case "bibtex":
            return bibtex(stored)
        case "datacite":
            content: Any = datacite(stored, url)
        case "schema.org":
            content = schema_org(stored, url)
        case "citeproc":
            content = citeproc(stored, url)
        case _:
            content = stored.landing
    return json.dumps(content, indent=1, ensure_ascii=False)


def citeproc(stored: StoredQuery, url: str) -> list[dict[str, Any]]:
    """Return a stored query as CSL-JSON, which citation managers and pandoc read (CSL 1.0.2, csl-data.json).

    Parameters
    ----------
    stored
        The query.
    url
        Its landing page; empty if there is none.
    """
    landing, record = stored.landing, stored.record
    date = landing["snapshot"]["date_tai"]
    item = {
        "id": stored.pid,
        "type": "dataset",
        "title": landing["name"],
        "author": [{"literal": landing["creator"]}] if landing["creator"] else [],
        "issued": {"date-parts": [[int(part) for part in date[:10].split("-")]]},
        "publisher": landing["publisher"],
        "version": f"snapshot {record.snapshot.snapshot_id}",
        "DOI": stored.doi,
        "URL": url or stored.address,
        "note": f"{stored.pid}, {record.row_count} rows, {record.digest}",
    }
    return [{name: value for name, value in item.items() if value}]


def datacite(stored: StoredQuery, url: str) -> dict[str, Any]:
    """Return the metadata of a stored query for DataCite, by version 4.5 of its schema for JSON.

    Parameters
    ----------
    stored
        The query.
    url
        Its landing page; empty if there is none.
    """
    landing, record = stored.landing, stored.record
    date = landing["snapshot"]["date_tai"]
    creator, publisher = landing["creator"], landing["publisher"]
    identifier = (
        {"doi": stored.doi}
        if stored.doi
        else {"alternateIdentifiers": [_alternate(stored.pid, "identifier in the query store")]}
    )
    found: dict[str, Any] = {
        **identifier,
        **({"url": url} if url else {}),
        "types": {"resourceTypeGeneral": "Dataset", "resourceType": "Result of a database query"},
        "creators": [{"name": creator or publisher or _UNKNOWN, "nameType": "Organizational"}],
        "titles": [{"title": landing["name"]}],
        "publisher": {"name": publisher or _UNKNOWN},
        "publicationYear": date[:4],
        "dates": [
            {
                "date": date[:10],
                "dateType": "Created",
                "dateInformation": f"state of the database, {date} TAI",
            }
        ],
        "version": f"snapshot {record.snapshot.snapshot_id}",
        "sizes": [f"{record.row_count} rows"],
        "formats": list(_FORMATS.values()),
        "descriptions": [
            {"description": record.natural, "descriptionType": "Methods"},
            {"description": f"Digest of the rows: {record.digest}", "descriptionType": "TechnicalInfo"},
        ],
        "schemaVersion": "http://datacite.org/schema/kernel-4",
    }
    superset = named_identifier(stored.superset)
    if (kind := _identifier_type(superset)) is not None:
        found["relatedIdentifiers"] = [
            {
                "relatedIdentifier": superset,
                "relatedIdentifierType": kind,
                "relationType": "IsPartOf",
            }
        ]
    return found


def schema_org(stored: StoredQuery, url: str) -> dict[str, Any]:
    """Return the metadata of a stored query as a Dataset of schema.org, for JSON-LD.

    Parameters
    ----------
    stored
        The query.
    url
        Its landing page; empty if there is none.
    """
    landing, record = stored.landing, stored.record
    found: dict[str, Any] = {
        "@context": "https://schema.org",
        "@type": "Dataset",
        "identifier": stored.pid,
        "name": landing["name"],
        "description": _description(record.natural),
        "version": f"snapshot {record.snapshot.snapshot_id}",
        "dateCreated": landing["snapshot"]["date_tai"][:10],
        "size": f"{record.row_count} rows",
        "creditText": stored.citation,
        "isBasedOn": {
            "@type": "SoftwareSourceCode",
            "programmingLanguage": "ADQL",
            "text": record.natural,
        },
        "variableMeasured": [
            _drop_none(
                {
                    "@type": "PropertyValue",
                    "name": column.name,
                    "description": column.description,
                    "unitText": column.unit,
                }
            )
            for column in record.columns
        ],
    }
    if stored.doi or url:
        found["@id"] = f"https://doi.org/{stored.doi}" if stored.doi else url
    if url:
        found["url"] = url
    if url.endswith(f"/replay/{stored.pid}"):
        # Of a service of our own it is known where it has rows; the pages of a publisher may be others.
        found["distribution"] = [
            {
                "@type": "DataDownload",
                "contentUrl": f"{url}/result?RESPONSEFORMAT={name}",
                "encodingFormat": mime,
            }
            for name, mime in _FORMATS.items()
        ]
    for role in ("creator", "publisher"):
        if landing[role]:
            found[role] = {"@type": "Organization", "name": landing[role]}
    if stored.superset:
        found["isPartOf"] = {"@type": "Dataset", "name": landing["name"].partition(":")[0]}
        found["isPartOf"]["identifier"] = stored.superset
    return found


def _description(query: str) -> str:
    """Return a description that search engines take; the whole query stands in another place."""
    text = f"Rows that a query in ADQL returned from a database that changes: {query}"
    return text if len(text) <= _LONGEST_DESCRIPTION else f"{text[: _LONGEST_DESCRIPTION - 4]} ..."


def stored_page(stored: StoredQuery, page: Page) -> str:
    """Return the landing page of a stored query: what, when, how to cite, replay, and what came since.

    Parameters
    ----------
    stored
        The query.
    page
        What the page says beside it.
    """
    record = stored.record
    cited = (
        f"<h2>Cite</h2><pre>{escape(stored.citation)}</pre><pre>{escape(bibtex(stored))}</pre>"
        f"<p>{_links(page.url, _CITED)}</p>"
    )
    rows = f"{record.row_count} rows" + (", more were cut off" if record.overflow else "")
    facts = {
        "identifier": stored.pid if not stored.doi else f"https://doi.org/{stored.doi}",
        **_facts(Recipe.of_record(record)),
        "rows": rows,
        "digest": record.digest,
        "repeatable": "; ".join((record.guarantee.level.value, *record.guarantee.reasons)),
    }
    changes = f'<a class="button" href="{escape(page.url)}/changes">Compare with now</a>'
    body = (
        f"<h2>Query</h2><pre>{escape(record.natural)}</pre>{_table(facts)}"
        f"{_replay(page.url)}<h2>Since then</h2><p>{_since(record.snapshot, page.newest)}</p><p>{changes}</p>"
        f"{cited}<h2>Columns</h2>{_columns(record)}"
    )
    return _html(stored.landing["name"], body)


def landing_text(stored: StoredQuery) -> str:
    """Return the landing page as lines of text.

    Parameters
    ----------
    stored
        The query.
    """
    landing, record = stored.landing, stored.record
    lines = [
        *(("", value) for value in (landing["name"], landing["citation"])),
        ("address", stored.address or "none: only this database resolves the identifier"),
        ("query", landing["query"]["natural"]),
        ("any TAP client", record.repeatable),
        ("snapshot", f"{record.snapshot.snapshot_id} of {said_time(record.snapshot.t_mjd_tai)}"),
        ("part of", landing["isPartOf"]),
        ("columns", ", ".join(column["name"] for column in landing["result"]["columns"])),
        ("rows", landing["result"]["row_count"]),
        ("digest", landing["result"]["digest"]),
        ("guarantee", landing["guarantee"]["level"]),
        *(("", reason) for reason in landing["guarantee"]["reasons"]),
    ]
    return "\n".join(f"{name:<15}{value}".strip() for name, value in lines if value not in ("", None))


def recipe_page(recipe: Recipe, page: Page) -> str:
    """Return the page of a result that nobody has stored.

    Parameters
    ----------
    recipe
        What its record follows from.
    page
        What the page says beside it.
    """
    body = (
        f"<h2>Query</h2><pre>{escape(recipe.natural)}</pre>"
        f"{_table(_facts(recipe))}{_replay(page.url)}"
        f"<h2>Since then</h2><p>{_since(recipe.snapshot, page.newest)}</p><h2>Record</h2>"
        f"<p>{_links(page.url, {'json': 'Record as JSON'})}, made by running the query again.</p>"
        '<p class="note">This result is not stored, and has no identifier that can be cited: its address '
        "holds the query itself. <code>tapdb replay cite</code> stores a record.</p>"
    )
    return _html(f"Result of a query as of snapshot {recipe.snapshot.snapshot_id}", body)


def difference_page(name: str, snapshot: Snapshot, found: ResultDifference, page: Page) -> str:
    """Return what has become of the rows of a query.

    Parameters
    ----------
    name
        What the query is called.
    snapshot
        What the tables were.
    found
        What differs now.
    page
        What the page says beside it.
    """
    kinds = {"added": found.added, "removed": found.removed, "changed": found.changed}
    counts = {name: str(len(some)) for name, some in kinds.items()}
    rows = [("ins", "+", row) for row in found.added[:MOST_SHOWN]]
    rows += [("del", "-", row) for row in found.removed[:MOST_SHOWN]]
    for before, after in found.changed[:MOST_SHOWN]:
        rows += [("del", "-", before), ("ins", "+", after)]
    names = "".join(f"<th>{escape(column.name)}</th>" for column in found.columns)
    lines = "".join(
        f"<tr><td>{sign}</td>"
        + "".join(f"<td><{tag}>{escape(_cell(one))}</{tag}></td>" for one in row)
        + "</tr>"
        for tag, sign, row in rows
    )
    body = (
        f'<p><a href="{escape(page.url)}">{escape(name)}</a></p>'
        f"<p>{_since(snapshot, page.newest)}</p>{_table(counts)}"
        f"<h2>Rows</h2><table><tr><th></th>{names}</tr>{lines}</table>"
        f'<p class="note">At most {MOST_SHOWN} of each are shown.</p>'
    )
    return _html("What has changed since", body)


def upload_page(url: str) -> str:
    """Return the page on which a person gives a file to be verified."""
    body = (
        "<p>Are the rows of a file those of its record?</p>"
        f'<form action="{escape(url)}" method="post" enctype="multipart/form-data">'
        '<p><label>Result: VOTable with its record, or CSV or JSON <input type="file" name="file" required>'
        '</label></p><p><label>Record, for CSV and JSON <input type="file" name="record"></label></p>'
        '<p><label>Identifier of the result that it should be, if any <input name="AGAINST"></label></p>'
        '<p><label><input type="checkbox" name="REPLAY" value="true"> Run the query again too</label></p>'
        '<p><button class="button">Verify</button></p></form>'
    )
    return _html("Verify a result", body)


def verdict_page(verdict: Mapping[str, Any]) -> str:
    """Return a page with what was found of a file.

    Parameters
    ----------
    verdict
        Facts by name; of several, a list.
    """
    facts = {
        name.replace("_", " "): "; ".join(map(str, value)) if isinstance(value, list) else str(value)
        for name, value in verdict.items()
        if value is not None and value != []
    }
    return _html(
        "The file is what its record says" if verdict["is_whole"] else "The file differs", _table(facts)
    )


def message_page(title: str, message: str) -> str:
    """Return a page that says one thing, such as an error."""
    return _html(title, f"<p>{escape(message)}</p>")


def difference_document(found: ResultDifference) -> dict[str, Any]:
    """Return a difference for JSON: how many rows, and the rows themselves as texts."""

    def texts(row: Sequence[Any]) -> list[str | None]:
        return [None if value is None else _cell(value) for value in row]

    return {
        "columns": [column.name for column in found.columns],
        "key": [found.columns[place].name for place in found.key],
        "added": [texts(row) for row in found.added],
        "removed": [texts(row) for row in found.removed],
        "changed": [[texts(before), texts(after)] for before, after in found.changed],
    }


def _cell(value: Any) -> str:
    return "NULL" if value is None else value if isinstance(value, str) else text_of(value) or ""


def _facts(recipe: Recipe) -> dict[str, str]:
    snapshot = recipe.snapshot
    facts = {"snapshot": str(snapshot.snapshot_id), "state of the data": said_time(snapshot.t_mjd_tai)}
    return facts | ({} if recipe.max_rows is None else {"at most": f"{recipe.max_rows} rows"})


def _since(snapshot: Snapshot, newest: Snapshot | None) -> str:
    if newest is None:
        return "What is the newest snapshot is not known at present."
    count = newest.snapshot_id - snapshot.snapshot_id
    if count <= 0:
        return "The database has not changed since."
    times = "once" if count == 1 else f"{count} times"
    return (
        f"The database has changed {times}; the newest snapshot is {newest.snapshot_id}, of "
        f"{iso_tai(newest.t_mjd_tai)} TAI. This result is as it was."
    )


def _replay(url: str) -> str:
    buttons = "".join(
        f'<a class="button" href="{escape(url)}/result?RESPONSEFORMAT={name}">{label}</a>'
        for name, label in (("votable", "VOTable"), ("csv", "CSV"), ("parquet", "Parquet"))
    )
    return f"<h2>Replay</h2><p>{buttons}</p>"


def _links(url: str, forms: Mapping[str, str]) -> str:
    return ", ".join(
        f'<a href="{escape(url)}?RESPONSEFORMAT={name}">{escape(label)}</a>' for name, label in forms.items()
    )


def _table(facts: Mapping[str, str]) -> str:
    lines = (f"<tr><th>{escape(name)}</th><td>{escape(value)}</td></tr>" for name, value in facts.items())
    return f"<table>{''.join(lines)}</table>"


def _columns(record: ReplayRecord) -> str:
    lines = (
        f"<tr><th>{escape(column.name)}</th><td>{escape(column.unit or '')}</td>"
        f"<td>{escape(column.description or '')}</td></tr>"
        for column in record.columns
    )
    return f"<table>{''.join(lines)}</table>"


def _html(title: str, body: str) -> str:
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head>"
        f"<body><main><h1>{escape(title)}</h1>{body}</main></body></html>\n"
    )


def _alternate(identifier: str, kind: str) -> dict[str, str]:
    return {"alternateIdentifier": identifier, "alternateIdentifierType": kind}


def _identifier_type(identifier: str) -> str | None:
    """Return the type that DataCite has for an identifier; `None` if it is neither a DOI nor a URL."""
    if DOI.fullmatch(identifier):
        return "DOI"
    return "URL" if identifier.startswith(("http://", "https://")) else None


def _drop_none(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}
