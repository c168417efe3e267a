"""The SQL of the queue: procrastinate's own, read from its package and checked, within a schema of ours.

It is not our text, so it is not copied into ours: `queue_sql` reads it where the package is installed, and
refuses any that this release was not tested with. What a database has is noted on its schema (`read_digest`).
"""

from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import sqlalchemy as sa
from psycopg import sql

from tapdb.errors import DatabaseNotReadyError, SettingsError
from tapdb.sources import digest

PACKAGE = "procrastinate"
SCHEMA = "tapdb_queue"
KNOWN = {"c70ec4b400a60ad9592787653aae5ae77ae41bf801d56b5bd2712751a07f2009": "3.10.0"}
"""Digests of the texts that this release works with, and the first version that has each.

A release that takes a newer one adds it here, with a revision that runs procrastinate's own migrations where
`read_digest` returns an older one.
"""

_FILE = "procrastinate/sql/schema.sql"
_NOTE = "Job queue (procrastinate); SHA-256 of its SQL: "
_REQUIREMENT = f"pip install 'procrastinate>={max(KNOWN.values())},<3.11'"


class QueueVersionError(SettingsError):
    """The job queue's package is missing, or its SQL is one that this release does not know.

    Parameters
    ----------
    found
        What is installed.
    """

    def __init__(self, found: str) -> None:
        self.found = found
        super().__init__(f"package {PACKAGE}", found, _REQUIREMENT)


class QueueNotReadyError(DatabaseNotReadyError):
    """The database has no job queue, or one that was made by another version.

    Parameters
    ----------
    found
        What is there.
    """

    def __init__(self, found: str) -> None:
        self.found = found
        super().__init__(f"the job queue cannot be used: {found}\nRun tapdb migrate upgrade.")


def queue_sql(folder: Path | None = None) -> str:
    """Return the SQL that makes procrastinate's tables and functions, with no schema named.

    Parameters
    ----------
    folder
        Where packages are installed, if not where Python finds this one.

    Raises
    ------
    QueueVersionError
        Raised if the package is not installed, or if its text is not one of `KNOWN`.
    """
    try:
        installed = distribution(PACKAGE)
    except PackageNotFoundError:
        raise QueueVersionError("is not installed") from None
    # The package itself is not imported: that takes longer than all of a migration's own imports.
    path = Path(str(installed.locate_file(_FILE))) if folder is None else folder / _FILE
    if not path.is_file():
        raise QueueVersionError(f"{installed.version} has no {_FILE}")
    text = path.read_bytes().decode()
    if digest(text) not in KNOWN:
        raise QueueVersionError(f"{installed.version} has other SQL than those that this release knows")
    return text


def note_statement(text: str) -> str:
    """Return the statement that notes on the schema which SQL has made it."""
    frame = sql.SQL("COMMENT ON SCHEMA {} IS {}")
    note = sql.Literal(_NOTE + digest(text))
    return frame.format(sql.Identifier(SCHEMA), note).as_string()


def read_digest(connection: sa.Connection) -> str:
    """Return the digest of the SQL that the queue of a database was made with; empty if there is no queue."""
    schema = sa.func.to_regnamespace(SCHEMA).op("::")(sa.text("oid"))
    comment = connection.scalar(sa.select(sa.func.obj_description(schema, "pg_namespace")))
    return (comment or "").removeprefix(_NOTE) if (comment or "").startswith(_NOTE) else ""


def require_queue(connection: sa.Connection) -> None:
    """Check that the queue of a database is one that this release can use.

    Raises
    ------
    QueueNotReadyError
        Raised if not.
    """
    found = read_digest(connection)
    if not found:
        raise QueueNotReadyError(f"the database has no schema {SCHEMA}")
    if found not in KNOWN:
        raise QueueNotReadyError(f"schema {SCHEMA} was made by another version of {PACKAGE}")
