"""``/tables``: what is published, with descriptions, units, UCDs, indexes and sizes; and a search over it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from services.database import PublishedState
from services.errors import ParameterError, ResourceUnknownError
from services.page.rendering import Pages, know_user
from services.parameters import Parameters
from services.service import in_thread, service_of
from tap_schema.rows import ColumnRow, TableRow

_MOST_FOUND = 200
_MOST_WORDS = 20


@dataclass(frozen=True, slots=True)
class ColumnHit:
    """A column that a search has found.

    Attributes
    ----------
    column
        Its row.
    rank
        How well it fits: 0 is best.
    """

    column: ColumnRow
    rank: int


async def show_tables(pages: Pages, request: Request) -> Response:
    """Show all tables by schema; with ``q``, tables and columns that have its words.

    Raises
    ------
    ParameterError
        Raised if these are so many that to look for all of them takes long.
    """
    know_user(request)
    service = service_of(request)
    published = await in_thread(service, service.database.publication)
    text = (Parameters.of(request.query_params.multi_items()).one("Q") or "").strip()
    words = list(dict.fromkeys(text.lower().split()))
    if len(words) > _MOST_WORDS:
        raise ParameterError("Q", f"has {len(words)} words", f"search for {_MOST_WORDS} at most")
    facts: dict[str, Any] = {
        "schemas": list(_schemas(published, words)),
        "figures": await pages.figures.current(service),
        "text": text,
        "columns": find_columns(published, words)[:_MOST_FOUND] if words else [],
        "most": _MOST_FOUND,
        "counts": {name: len(columns) for name, columns in published.rows.columns_by_table().items()},
    }
    return pages.render(request, "tables", facts)


async def show_table(pages: Pages, request: Request) -> Response:
    """Show one table with its columns and keys.

    Raises
    ------
    ResourceUnknownError
        Raised if no table of that name is published.
    """
    know_user(request)
    service = service_of(request)
    published = await in_thread(service, service.database.publication)
    name = request.path_params["name"]
    table = next((one for one in published.rows.tables if one.table_name.lower() == name.lower()), None)
    if table is None:
        raise ResourceUnknownError(f"table {name}", "/tables lists the tables")
    columns = published.rows.columns_by_table()[table.table_name]
    facts = {
        "table": table,
        "columns": columns,
        "figures": await pages.figures.current(service),
        "keys": list(_keys(published, table.table_name)),
        "query": first_query(table.table_name, columns),
    }
    return pages.render(request, "table", facts)


def find_columns(published: PublishedState, words: Sequence[str]) -> list[ColumnHit]:
    """Return the columns in whose name, description, unit or UCD all words are, those named so first.

    Parameters
    ----------
    published
        What is published.
    words
        Words in lower case.
    """
    found = []
    for column in published.rows.columns:
        name = column.column_name.lower()
        text = " ".join(filter(None, (name, column.description, column.unit, column.ucd))).lower()
        if all(word in text for word in words):
            is_named = [word in name for word in words]
            rank = 0 if name in words else 1 if all(is_named) else 2 if any(is_named) else 3
            found.append(ColumnHit(column, rank))
    return sorted(found, key=lambda one: (one.rank, one.column.table_name.lower(), one.column.column_name))


def first_query(table: str, columns: Sequence[ColumnRow]) -> str:
    """Return a query for the main columns of a table."""
    names = [one.column_name for one in columns if one.principal] or [one.column_name for one in columns]
    return f"SELECT TOP 100 {', '.join(names)}\nFROM {table}"


def _schemas(published: PublishedState, words: Sequence[str]) -> Iterator[Mapping[str, Any]]:
    """Yield each schema with its tables that fit, those of TAP_SCHEMA last."""
    rows = published.rows
    for schema in sorted(rows.schemas, key=lambda one: one.schema_name.lower() == "tap_schema"):
        tables = [one for one in rows.tables if one.schema_name == schema.schema_name and _fits(one, words)]
        if tables:
            yield {"row": schema, "tables": tables}


def _fits(table: TableRow, words: Sequence[str]) -> bool:
    text = f"{table.table_name} {table.description or ''}".lower()
    return all(word in text for word in words)


def _keys(published: PublishedState, name: str) -> Iterator[Mapping[str, str]]:
    """Yield the foreign keys from and to a table."""
    pairs: dict[str, list[str]] = {}
    for pair in published.rows.key_columns:
        pairs.setdefault(pair.key_id, []).append(f"{pair.from_column} = {pair.target_column}")
    for key in published.rows.keys:
        if name in {key.from_table, key.target_table}:
            other = key.target_table if key.from_table == name else key.from_table
            yield {"other": other, "columns": ", ".join(pairs.get(key.key_id, ())), "from": key.from_table}
