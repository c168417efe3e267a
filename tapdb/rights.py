"""Rights that a migration needs, asked for before anything is changed."""

from __future__ import annotations

import sqlalchemy as sa

from tapdb.errors import DatabaseNotReadyError
from tapdb.sql_sources import read_query
from tapdb.sql_text import execute_query

__all__ = ["MissingRightsError", "require_rights"]


class MissingRightsError(DatabaseNotReadyError):
    """Whoever is connected may not do all that a migration has to do.

    Parameters
    ----------
    user
        Name of the role that is connected.
    statements
        SQL that a superuser has to run.
    """

    def __init__(self, user: str, statements: tuple[str, ...]) -> None:
        self.user = user
        self.statements = statements
        super().__init__(
            "\n".join(
                [
                    f'user "{user}" may not make the roles and schemas of tapdb in this database.',
                    "A superuser has to run, in it:",
                    *(f"  {statement}" for statement in statements),
                    "and then the migration can be run again as this user.",
                ]
            )
        )


def require_rights(connection: sa.Connection) -> None:
    """Check that the roles and schemas of tapdb are there or can be made.

    Raises
    ------
    MissingRightsError
        Raised if not; its message is what a superuser has to run.
    """
    statements = tuple(row.statement for row in execute_query(connection, read_query("missing_rights")))
    if statements:
        raise MissingRightsError(str(connection.scalar(sa.select(sa.func.current_user()))), statements)
