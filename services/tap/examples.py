"""Examples of queries (DALI 1.1 section 2.3), made of what is published; the service takes each of them."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from xml.sax.saxutils import escape, quoteattr

from adql import AdqlError, Limits, parse, to_postgres
from services.database import PublishedState
from tap_schema.rows import ColumnRow, KeyRow

_MOST_TABLES, _MOST_COLUMNS, _MOST_JOINS = 30, 8, 10
_OWN = "tap_schema."
_HEAD = """<?xml version="1.0" encoding="UTF-8"?>
<html xmlns="http://www.w3.org/1999/xhtml">
<head><title>Examples of queries</title></head>
<body vocab="http://www.ivoa.net/rdf/examples#">
<h1>Examples of queries</h1>
"""
_TAIL = "</body>\n</html>\n"

_OBSCORE = (
    """
SELECT TOP 100 obs_publisher_did, dataproduct_subtype, t_min, access_url
FROM {table}
WHERE CONTAINS(POINT('ICRS', 0.0, 0.0), s_region) = 1
ORDER BY t_min DESC
""",
    """
SELECT dataproduct_subtype, calib_level, COUNT(*) AS datasets, MIN(t_min) AS first_mjd, MAX(t_max) AS last_mjd
FROM {table}
GROUP BY dataproduct_subtype, calib_level
ORDER BY calib_level, dataproduct_subtype
""",
)


@dataclass(frozen=True, slots=True)
class Example:
    """A query to begin with.

    Attributes
    ----------
    name
        What it is for.
    query
        ADQL.
    table
        Name of the table that it is about.
    """

    name: str
    query: str
    table: str

    @property
    def identifier(self) -> str:
        """ID in the document."""
        return re.sub(r"[^a-z0-9]+", "-", self.name.lower()).strip("-")


def examples_document(published: PublishedState) -> str:
    """Return the document, XHTML with RDFa.

    Parameters
    ----------
    published
        What is published.
    """
    return _HEAD + "".join(map(_element, examples_of(published))) + _TAIL


def examples_of(published: PublishedState) -> Sequence[Example]:
    """Return queries to begin with; what the service would refuse is left out."""
    by_identifier = {one.identifier: one for one in _candidates(published) if _is_taken(one, published)}
    return tuple(by_identifier.values())


def _candidates(published: PublishedState) -> Iterator[Example]:
    yield Example(
        "What is published",
        "SELECT table_name, description FROM TAP_SCHEMA.tables ORDER BY table_name",
        "tap_schema.tables",
    )
    columns = published.rows.columns_by_table()
    names = [row.table_name for row in published.rows.tables if not row.table_name.lower().startswith(_OWN)]
    for name in names:
        if name.lower() == "ivoa.obscore":
            point, counts = _OBSCORE
            yield Example("Images of a position, the newest first", point.strip().format(table=name), name)
            yield Example("Images by kind", counts.strip().format(table=name), name)
    for name in names[:_MOST_TABLES]:
        shown = _shown(columns[name])
        yield Example(f"First rows of {name}", f"SELECT TOP 10 {', '.join(shown)}\nFROM {name}", name)
        if (position := _position(columns[name])) is not None:
            longitude, latitude = position
            yield Example(
                f"Cone search in {name}",
                f"SELECT TOP 100 {', '.join(dict.fromkeys((*shown, longitude, latitude)))}\nFROM {name}\n"
                f"WHERE CONTAINS(POINT('ICRS', {longitude}, {latitude}), CIRCLE('ICRS', 0.0, 0.0, 0.5)) = 1",
                name,
            )
    yield from islice(_joins(published, columns), _MOST_JOINS)


def _joins(published: PublishedState, columns: Mapping[str, list[ColumnRow]]) -> Iterator[Example]:
    """Yield a query for each foreign key."""
    pairs: dict[str, list[str]] = {}
    for pair in published.rows.key_columns:
        pairs.setdefault(pair.key_id, []).append(f"a.{pair.from_column} = b.{pair.target_column}")
    for key in published.rows.keys:
        if key.from_table.lower().startswith(_OWN) or key.key_id not in pairs:
            continue
        yield _join(key, pairs[key.key_id], columns)


def _join(key: KeyRow, conditions: Sequence[str], columns: Mapping[str, list[ColumnRow]]) -> Example:
    first = [f"a.{name}" for name in _shown(columns[key.from_table])[:3]]
    second = _shown(columns[key.target_table])[-1]
    return Example(
        f"{key.from_table} with {key.target_table}",
        f"SELECT TOP 10 {', '.join(first)}, b.{second} AS target_{second.strip(chr(34))}\n"
        f"FROM {key.from_table} AS a JOIN {key.target_table} AS b ON {' AND '.join(conditions)}",
        key.from_table,
    )


def _shown(columns: Sequence[ColumnRow]) -> list[str]:
    """Return the names of the columns that matter most, as a query writes them."""
    principal = [column.column_name for column in columns if column.principal]
    return (principal or [column.column_name for column in columns])[:_MOST_COLUMNS]


def _position(columns: Sequence[ColumnRow]) -> tuple[str, str] | None:
    """Return the names of longitude and latitude in degrees, if a table has them; the main ones first."""
    found = []
    for ucd in ("pos.eq.ra", "pos.eq.dec"):
        fitting = [
            one for one in columns if (one.ucd or "").lower().split(";")[0] == ucd and one.unit == "deg"
        ]
        fitting.sort(key=lambda one: "meta.main" not in (one.ucd or "").lower())
        if not fitting:
            return None
        found.append(fitting[0].column_name)
    return found[0], found[1]


def _is_taken(example: Example, published: PublishedState) -> bool:
    try:
        to_postgres(parse(example.query), published.metadata, Limits(max_rows=1), server=published.server)
    except AdqlError:
        return False
    return True


def _element(example: Example) -> str:
    identifier = quoteattr(example.identifier)
    return (
        f'<div id={identifier} resource={quoteattr("#" + example.identifier)} typeof="example">\n'
        f'<h2 property="name">{escape(example.name)}</h2>\n'
        f'<p>Table: <code property="table">{escape(example.table)}</code></p>\n'
        f'<pre property="query">{escape(example.query)}</pre>\n'
        "</div>\n"
    )
