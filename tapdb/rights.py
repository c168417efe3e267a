"""Rights that a command needs, checked before anything is changed, and the SQL that gives what is missing."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass

import sqlalchemy as sa

from tapdb.errors import DatabaseNotReadyError
from tapdb.sql_sources import read_query
from tapdb.sql_text import execute_query

__all__ = [
    "MissingRightsError",
    "Right",
    "missing_rights",
    "require_migration_rights",
    "require_rights",
]


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
