"""Whether tables of a standard hold values that the standard allows: levels and types of ObsCore."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import sqlalchemy as sa

from adql.names import split_name
from tap_schema.finding import Finding
from tap_schema.rows import TapSchemaRows
from tapdb.descriptions import StandardTable

__all__ = ["check_values"]


def check_values(
    connection: sa.Connection, rows: TapSchemaRows, standards: Iterable[StandardTable]
) -> tuple[Finding, ...]:
    """Return the columns of published tables of a standard that hold values which it forbids.

    Each such table is read once, whole.

    Parameters
    ----------
    connection
        Connection to the database.
    rows
        What is published.
    standards
        Tables that standards define.
    """
    names = {
        tuple(part.lower() for part in split_name(row.table_name)): row.table_name for row in rows.tables
    }
    columns = rows.columns_by_table()
    found: list[Finding] = []
    for standard in standards:
        published = names.get((standard.schema.lower(), standard.name.lower()))
        if published is None:
            continue
        present = {split_name(row.column_name)[-1].lower() for row in columns[published]}
        found += _table(connection, standard, published, present)
    return tuple(found)


def _table(
    connection: sa.Connection, standard: StandardTable, published: str, present: set[str]
) -> Iterator[Finding]:
    inspector = sa.inspect(connection)
    live = {
        name.lower(): name
        for name in (
            *inspector.get_table_names(standard.schema),
            *inspector.get_view_names(standard.schema),
            *inspector.get_materialized_view_names(standard.schema),
        )
    }
    table = sa.table(live[standard.name.lower()], schema=standard.schema)
    checks = [
        *(("null", name, sa.column(name).is_(None)) for name in sorted(standard.not_null & present)),
        *(
            ("value", name, sa.column(name).not_in(values))
            for name, values in standard.values.items()
            if name in present
        ),
    ]
    if not checks:
        return
    counts = connection.execute(
        sa.select(*(sa.func.count().filter(condition) for _, _, condition in checks)).select_from(table)
    ).one()
    for (rule, name, _), count in zip(checks, counts, strict=True):
        if count:
            allowed = ", ".join(map(str, standard.values.get(name, ())))
            wanted = "a value" if rule == "null" else f"one of {allowed}"
            yield Finding(
                "error",
                rule,
                published,
                name,
                f"{count} rows have {'no value' if rule == 'null' else 'another value'} where "
                f"{standard.standard} wants {wanted}",
                "mend the rows, or what they are made from",
            )
