"""Roles: what the connected one lacks for a migration, and grants kept while objects are rebuilt."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass

import sqlalchemy as sa
from psycopg import sql

from tapdb.errors import DatabaseNotReadyError
from tapdb.sources import execute_composed, execute_query, read_query


@dataclass(frozen=True, slots=True)
class Right:
    """A right of the current user.

    Attributes
    ----------
    privilege
        ``SELECT``, ``USAGE``, ``CREATE``, ..., followed by ``WITH GRANT OPTION`` if it has to be passed on;
        or ``OWNER``, what an owner may do: alter, index, drop.
    schema
        Schema; None for the database.
    relation
        Table, view or index in it; ``*`` for all tables and views; None for the schema itself.
    """

    privilege: str
    schema: str | None = None
    relation: str | None = None


class MissingRightsError(DatabaseNotReadyError):
    """The current user lacks rights that a command needs.

    Parameters
    ----------
    user
        Name of the role that is connected.
    statements
        SQL that a superuser, or the owner of what it names, has to run.
    task
        What the rights are for.
    otherwise
        What to do instead; may be empty.
    """

    def __init__(self, user: str, statements: tuple[str, ...], task: str, otherwise: str = "") -> None:
        self.user = user
        self.statements = statements
        self.task = task
        lines = [
            f'user "{user}" lacks rights in this database to {task}.',
            "A superuser, or the owner of what they name, has to run these statements in it:",
            *(f"  {statement}" for statement in statements),
            "Then run the command again; nothing was changed.",
            otherwise,
        ]
        super().__init__("\n".join(filter(None, lines)))


def require_migration_rights(connection: sa.Connection, rights: Iterable[Right] = ()) -> None:
    """Check that the roles and schemas of tapdb are there or can be made.

    Parameters
    ----------
    connection
        Connection of a user who is about to migrate.
    rights
        Rights that derived objects need besides.

    Raises
    ------
    MissingRightsError
        Raised if not; its message is what a superuser or an owner has to run.
    """
    own = tuple(row.statement for row in execute_query(connection, read_query("missing_rights")))
    statements = tuple(dict.fromkeys((*own, *missing_rights(connection, rights))))
    _require(connection, statements, "migrate it")


def remaining_roles(connection: sa.Connection) -> tuple[str, ...]:
    """Return tapdb's roles; a downgrade leaves those that others use, and those that it may not drop."""
    roles = sa.table("pg_roles", sa.column("rolname"), schema="pg_catalog")
    ours = roles.c.rolname.in_(["tapdb_owner", "tapdb_reader", "tapdb_service"])
    return tuple(connection.scalars(sa.select(roles.c.rolname).where(ours).order_by(roles.c.rolname)))


def require_rights(
    connection: sa.Connection, task: str, rights: Iterable[Right], *, otherwise: str = ""
) -> None:
    """Check that the current user has some rights.

    Parameters
    ----------
    connection
        Connection of the user.
    task
        What for, as in "lacks rights in this database to ...".
    rights
        The rights. To be a member of ``tapdb_owner`` is to have the right OWNER on a table of tapdb.
    otherwise
        What to do instead; may be empty.

    Raises
    ------
    MissingRightsError
        Raised if not; its message is what a superuser or an owner has to run.
    """
    _require(connection, missing_rights(connection, rights), task, otherwise)


def missing_rights(connection: sa.Connection, rights: Iterable[Right]) -> tuple[str, ...]:
    """Return the SQL that gives the current user those of the rights that it lacks; () if it has all.

    Rights on what does not exist are ignored.
    """
    needed = json.dumps([asdict(one) for one in rights])
    query = sa.text(read_query("missing_grants"))
    return tuple(row.statement for row in connection.execute(query, {"needed": needed}))


def _require(connection: sa.Connection, statements: tuple[str, ...], task: str, otherwise: str = "") -> None:
    if statements:
        user = str(connection.scalar(sa.select(sa.func.current_user())))
        raise MissingRightsError(user, statements, task, otherwise)


_PRIVILEGES = {
    "USAGE": sql.SQL("USAGE"),
    "CREATE": sql.SQL("CREATE"),
    "SELECT": sql.SQL("SELECT"),
    "INSERT": sql.SQL("INSERT"),
    "UPDATE": sql.SQL("UPDATE"),
    "DELETE": sql.SQL("DELETE"),
    "TRUNCATE": sql.SQL("TRUNCATE"),
    "REFERENCES": sql.SQL("REFERENCES"),
    "TRIGGER": sql.SQL("TRIGGER"),
    "MAINTAIN": sql.SQL("MAINTAIN"),
}

ObjectName = tuple[str, str | None]
"""A schema and a table or view in it; `None` for the schema itself."""


@dataclass(frozen=True, slots=True)
class Grant:
    """A privilege of a role on a schema, on a table or view, or on one of its columns.

    Attributes
    ----------
    column
        Column; `None` for the whole.
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
    """Everything granted on one schema, table or view, to others than its owner."""

    oid: int
    grants: frozenset[Grant]


def read_grants(connection: sa.Connection) -> dict[ObjectName, Grants]:
    """Return the grants on every schema, table and view."""
    found: dict[ObjectName, tuple[int, set[Grant]]] = {}
    for row in execute_query(connection, read_query("grants")):
        _, grants = found.setdefault((row.schema, row.relation), (row.oid, set()))
        if row.privilege is not None:
            grants.add(Grant(row.column_name, row.grantee, row.privilege, row.grantable))
    return {name: Grants(oid, frozenset(grants)) for name, (oid, grants) in found.items()}


def restore_grants(connection: sa.Connection, before: dict[ObjectName, Grants]) -> None:
    """Give everything that was dropped and made again since ``before`` the grants that it had.

    What it has too much, by default privileges for example, is taken back. What is new keeps what it has, and
    a column that is gone takes its grants with it.
    """
    now = read_grants(connection)
    remade = [name for name in before if name in now and now[name].oid != before[name].oid]
    for name in remade:
        columns = _columns(connection, now[name].oid)
        had = {grant for grant in before[name].grants if grant.column is None or grant.column in columns}
        for grant in sorted(now[name].grants - had, key=repr):
            frame = sql.SQL("REVOKE {what} ON {thing} FROM {grantee}")
            execute_composed(connection, _statement(frame, name, grant))
        for statement in grant_statements(name, frozenset(had) - now[name].grants):
            execute_composed(connection, statement)


def grant_statements(name: ObjectName, grants: frozenset[Grant]) -> tuple[sql.Composed, ...]:
    """Return the statements that give grants on a schema, table or view."""
    frame = sql.SQL("GRANT {what} ON {thing} TO {grantee}")
    option = sql.SQL(" WITH GRANT OPTION")
    statements = ((grant, _statement(frame, name, grant)) for grant in sorted(grants, key=repr))
    return tuple(text + option if grant.grantable else text for grant, text in statements)


def _columns(connection: sa.Connection, oid: int) -> frozenset[str]:
    attribute = sa.table(
        "pg_attribute", *map(sa.column, ("attrelid", "attname", "attisdropped")), schema="pg_catalog"
    )
    of_relation = (attribute.c.attrelid == oid) & ~attribute.c.attisdropped
    return frozenset(connection.scalars(sa.select(attribute.c.attname).where(of_relation)))


def _statement(frame: sql.SQL, name: ObjectName, grant: Grant) -> sql.Composed:
    schema, relation = name
    thing = sql.SQL("SCHEMA {}").format(sql.Identifier(schema))
    if relation is not None:
        thing = sql.SQL("TABLE {}").format(sql.Identifier(schema, relation))
    column = sql.SQL("") if grant.column is None else sql.SQL(" ({})").format(sql.Identifier(grant.column))
    return frame.format(
        what=_PRIVILEGES[grant.privilege] + column,
        thing=thing,
        grantee=sql.SQL("PUBLIC") if grant.grantee is None else sql.Identifier(grant.grantee),
    )
