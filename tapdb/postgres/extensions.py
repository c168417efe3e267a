"""The PostgreSQL extensions that tapdb stands on: are they there, and how do they get there."""

import logging
from dataclasses import dataclass
from importlib.resources import files

import psycopg
import sqlalchemy as sa
from psycopg import sql

from tapdb.errors import MissingExtensionError

REQUIRED_EXTENSIONS: tuple[str, ...] = ("btree_gist", "pg_sphere")
"""Butler wants btree_gist (its time spans), spatial search wants pg_sphere."""

_SCHEMA = "public"
_MEND = "extensions/pg_sphere.sql"

_AVAILABLE = sa.table(
    "pg_available_extensions", sa.column("name"), sa.column("default_version"), schema="pg_catalog"
)
_INSTALLED = sa.table(
    "pg_extension",
    *(sa.column(name) for name in ("extname", "extversion", "extnamespace")),
    schema="pg_catalog",
)
_NAMESPACE = sa.table("pg_namespace", sa.column("oid"), sa.column("nspname"), schema="pg_catalog")

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ExtensionState:
    """What one database has of one extension.

    Attributes
    ----------
    name
        Name of the extension.
    available
        Version that ``CREATE EXTENSION`` would take; None if the server's machine lacks the package.
    installed
        Version in this database, None if it is not installed here.
    schema
        Schema that it is installed in.
    server_major
        Major version of the server, which the names of packages carry.
    """

    name: str
    available: str | None
    installed: str | None
    schema: str | None
    server_major: int

    @property
    def ready(self) -> bool:
        """Whether tapdb can work with it as it is."""
        return self.installed is not None and (self.name != "pg_sphere" or self.schema == _SCHEMA)

    @property
    def package(self) -> str:
        """Package of Debian, Ubuntu and apt.postgresql.org that brings it."""
        suffix = "-pgsphere" if self.name == "pg_sphere" else ""
        return f"postgresql-{self.server_major}{suffix}"

    def error(self) -> MissingExtensionError:
        """Return the error that says what is missing and what to do."""
        if self.installed is not None:
            return MissingExtensionError(
                self.name,
                f'it is installed in schema "{self.schema}", where our views do not look for it.',
                f"As its owner run: ALTER EXTENSION {self.name} SET SCHEMA {_SCHEMA};",
            )
        install = (
            "As a superuser run: tapdb extensions install (its SQL: tapdb extensions install --dry-run)."
        )
        if self.available is None:
            return MissingExtensionError(
                self.name,
                f"PostgreSQL {self.server_major} on the server's machine has no package with it.",
                f"Install it there (Debian, Ubuntu: sudo apt-get install {self.package}).\n{install}",
            )
        return MissingExtensionError(
            self.name,
            f"version {self.available} is on the server's machine, but not installed in this database.",
            install,
        )


def read_extensions(connection: sa.Connection) -> tuple[ExtensionState, ...]:
    """Return what the database has of each required extension.

    Parameters
    ----------
    connection
        Connection of any user.
    """
    offers = sa.select(_AVAILABLE.c.name, _AVAILABLE.c.default_version).where(
        _AVAILABLE.c.name.in_(REQUIRED_EXTENSIONS)
    )
    available = dict(connection.execute(offers).all())
    installed = {
        name: (version, schema)
        for name, version, schema in connection.execute(
            sa.select(_INSTALLED.c.extname, _INSTALLED.c.extversion, _NAMESPACE.c.nspname).join_from(
                _INSTALLED, _NAMESPACE, _NAMESPACE.c.oid == _INSTALLED.c.extnamespace
            )
        )
    }
    major = (
        int(connection.execute(sa.select(sa.func.current_setting("server_version_num"))).scalar_one())
        // 10000
    )
    return tuple(
        ExtensionState(name, available.get(name), *installed.get(name, (None, None)), server_major=major)
        for name in REQUIRED_EXTENSIONS
    )


def require_extensions(connection: sa.Connection) -> None:
    """Return if the database has all that tapdb stands on.

    Parameters
    ----------
    connection
        Connection of any user.

    Raises
    ------
    MissingExtensionError
        Raised for the first extension that is missing, or that sits in a schema where it is not found.
    """
    for state in read_extensions(connection):
        if not state.ready:
            raise state.error()


def install_extensions(connection: sa.Connection) -> tuple[str, ...]:
    """Install the extensions that are missing into schema ``public``; the caller commits.

    pg_sphere 1.2.0 is mended where the server refuses it as packaged (`mend_pg_sphere`).

    Parameters
    ----------
    connection
        Connection of a superuser.

    Returns
    -------
    installed
        Names of the extensions that were not there before.

    Raises
    ------
    MissingExtensionError
        Raised if the server's machine lacks a package, if the user may not install it, or if it sits in
        another schema.
    """
    return tuple(name for name, _ in _install(connection))


def install_statements(connection: sa.Connection) -> tuple[str, ...]:
    """Return the SQL that `install_extensions` would run; found by running it and rolling back.

    Parameters
    ----------
    connection
        Connection of a superuser.

    Raises
    ------
    MissingExtensionError
        Raised as by `install_extensions`.
    """
    with connection.begin_nested() as trial:
        statements = tuple(statement for _, statement in _install(connection))
        trial.rollback()
    return statements


def mend_pg_sphere(connection: sa.Connection) -> None:
    """Install pg_sphere 1.2.0 without the two operators that newer servers refuse; the caller commits.

    Parameters
    ----------
    connection
        Connection of a superuser. No file of the server is changed.
    """
    connection.exec_driver_sql(mend_statement(), execution_options={"no_parameters": True})


def create_statement(name: str) -> str:
    """Return the SQL that installs an extension as it is packaged."""
    statement = sql.SQL("CREATE EXTENSION {} SCHEMA {}").format(sql.Identifier(name), sql.Identifier(_SCHEMA))
    return statement.as_string() + ";"


def mend_statement() -> str:
    """Return the SQL of `mend_pg_sphere`."""
    text = files("tapdb_sql").joinpath(_MEND).read_text(encoding="utf-8")
    return text.partition("-- create\n")[2]


def _install(connection: sa.Connection) -> list[tuple[str, str]]:
    """Install what is missing; return names and the SQL that was run."""
    installed = []
    for state in read_extensions(connection):
        if state.ready:
            continue
        if state.installed is not None or state.available is None:
            raise state.error()
        try:
            installed.append((state.name, _create(connection, state.name)))
        except sa.exc.ProgrammingError as error:
            if not isinstance(error.orig, psycopg.errors.InsufficientPrivilege):
                raise
            raise state.error() from error
    return installed


def _create(connection: sa.Connection, name: str) -> str:
    """Install one extension and return how; the transaction stays usable when the server refuses."""
    statement = create_statement(name)
    try:
        with connection.begin_nested():
            connection.exec_driver_sql(statement)
    except sa.exc.DBAPIError as error:
        if name != "pg_sphere" or not isinstance(error.orig, psycopg.errors.InvalidFunctionDefinition):
            raise
        _log.info(
            "the server refuses the packaged pg_sphere (%s): mending it", error.orig.diag.message_primary
        )
    else:
        return statement
    mend_pg_sphere(connection)
    return mend_statement()
