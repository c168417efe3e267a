"""Grants on tables and views, remembered while these are dropped and made again.

What a DBA granted on a view, or took back, has to outlive a migration that rebuilds the view.
"""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa
from psycopg import sql

from tapdb.sql_sources import read_query
from tapdb.sql_text import execute_composed, execute_query

__all__ = ["Grant", "Grants", "read_grants", "restore_grants"]

_PRIVILEGES = {
    "SELECT": sql.SQL("SELECT"),
    "INSERT": sql.SQL("INSERT"),
    "UPDATE": sql.SQL("UPDATE"),
    "DELETE": sql.SQL("DELETE"),
    "TRUNCATE": sql.SQL("TRUNCATE"),
    "REFERENCES": sql.SQL("REFERENCES"),
    "TRIGGER": sql.SQL("TRIGGER"),
    "MAINTAIN": sql.SQL("MAINTAIN"),
}


@dataclass(frozen=True, slots=True)
class Grant:
    """A privilege of a role on a table or view, or on one of its columns.

    Attributes
    ----------
    column
        Column; `None` for all of the relation.
    grantee
        Role; `None` for PUBLIC.
    privilege
        PostgreSQL's name of it, such as ``SELECT``.
    grantable
        Whether the role may grant it on.
    """

    column: str | None
    grantee: str | None
    privilege: str
    grantable: bool


@dataclass(frozen=True, slots=True)
class Grants:
    """Everything granted on one table or view, to others than its owner."""

    oid: int
    grants: frozenset[Grant]


def read_grants(connection: sa.Connection) -> dict[tuple[str, str], Grants]:
    """Return the grants on every table and view, by schema and name."""
    found: dict[tuple[str, str], tuple[int, set[Grant]]] = {}
    for row in execute_query(connection, read_query("grants.relations")):
        _, grants = found.setdefault((row.schema, row.relation), (row.oid, set()))
        if row.privilege is not None:
            grants.add(Grant(row.column_name, row.grantee, row.privilege, row.grantable))
    return {name: Grants(oid, frozenset(grants)) for name, (oid, grants) in found.items()}


def restore_grants(connection: sa.Connection, before: dict[tuple[str, str], Grants]) -> None:
    """Give every relation that was dropped and made again since ``before`` the grants that it had.

    What it has too much, by default privileges for example, is taken back. Relations that are new keep what
    they have, and a column that is gone takes its grants with it.
    """
    now = read_grants(connection)
    columns = {
        name: _columns(connection, *name)
        for name in before
        if name in now and now[name].oid != before[name].oid
    }
    for name in sorted(columns):
        had = {
            grant for grant in before[name].grants if grant.column is None or grant.column in columns[name]
        }
        for grant in sorted(now[name].grants - had, key=repr):
            execute_composed(
                connection, _statement(sql.SQL("REVOKE {what} ON {relation} FROM {grantee}"), name, grant)
            )
        for grant in sorted(had - now[name].grants, key=repr):
            option = sql.SQL(" WITH GRANT OPTION") if grant.grantable else sql.SQL("")
            execute_composed(
                connection,
                _statement(sql.SQL("GRANT {what} ON {relation} TO {grantee}"), name, grant) + option,
            )


def _columns(connection: sa.Connection, schema: str, relation: str) -> frozenset[str]:
    return frozenset(column["name"] for column in sa.inspect(connection).get_columns(relation, schema=schema))


def _statement(frame: sql.SQL, relation: tuple[str, str], grant: Grant) -> sql.Composed:
    column = sql.SQL("") if grant.column is None else sql.SQL(" ({})").format(sql.Identifier(grant.column))
    return frame.format(
        what=_PRIVILEGES[grant.privilege] + column,
        relation=sql.Identifier(*relation),
        grantee=sql.SQL("PUBLIC") if grant.grantee is None else sql.Identifier(grant.grantee),
    )
