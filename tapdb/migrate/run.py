"""One run of Alembic: one transaction, derived objects rebuilt around it, errors that are one message.

``migrations/env.py`` calls `run`. What differs from Alembic's usual environment is in the order of `_change`.
"""

import logging
import sys
from collections.abc import Iterator, Mapping
from configparser import Error as IniError
from configparser import InterpolationError
from contextlib import AbstractContextManager, contextmanager, nullcontext
from logging.config import fileConfig
from pathlib import Path
from typing import Any

import psycopg
import sqlalchemy as sa
from alembic import context
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.runtime.plugins import Plugin
from alembic.script import ScriptDirectory
from alembic.util import CommandError

from tapdb import __version__
from tapdb.errors import DatabaseNotReadyError, SettingsError, TapdbError, options_spelled
from tapdb.extras import INTERRUPTED, say_interrupted
from tapdb.hooks.derived import (
    DerivedObjects,
    check_options,
    create_derived,
    drop_derived,
    load_derived,
    note_lasting,
    rights_of_derived,
    without_current,
)
from tapdb.migrate import autogenerate
from tapdb.migrate.drift import drift_error, require_comparison_rights
from tapdb.migrate.options import MigrationOptions, read_options, spelled_after_x, without_contradictions
from tapdb.postgres.catalog import CatalogDifference
from tapdb.postgres.engine import checked_connection, driver_connection, notes_of, translate_database_errors
from tapdb.postgres.extensions import require_extensions
from tapdb.postgres.locks import (
    MIGRATION_LOCK,
    LockTimeoutError,
    is_lock_timeout,
    lock_holders,
    set_lock_timeout,
    take_migration_lock,
)
from tapdb.postgres.roles import (
    Right,
    missing_rights,
    read_grants,
    remaining_roles,
    require_migration_rights,
    require_rights,
    restore_grants,
)
from tapdb.settings import LOG_FORMAT, environment_names_database, parse_url
from tapdb.sources import execute_text, frozen_folder

PROGRESS_LOGGERS = ("alembic", "tapdb")
"""Loggers whose messages tell the person who migrates how far it is."""

INI_URL = "sqlalchemy.url"
"""Option of an ini file that names the database, if nothing else does."""

INSTALLED_FOLDER = "tapdb_migrations"
"""Name of the folder of migrations in an installed package; in a clone it is ``migrations``."""

_LOGGING_SECTIONS = frozenset({"loggers", "handlers", "formatters"})
_UNUSABLE_LOGGING = (
    *(AttributeError, ImportError, IniError, KeyError, NameError, OSError),
    *(RuntimeError, SyntaxError, TypeError, ValueError),
)
"""What Python raises for sections of logging that it cannot use: their values are Python."""

_VERSION_TABLE: dict[str, Any] = {
    "target_metadata": sa.MetaData(),
    "version_table": "alembic_version",
    "version_table_schema": "tapdb",
    "autogenerate_plugins": [autogenerate.PLUGIN],
}
_READ_REVISION = (Right("USAGE", "tapdb"), Right("SELECT", "tapdb", "alembic_version"))
_COMPARING = frozenset({"check", "revision"})
_SCRIPT_HEADER = (
    "-- One transaction: all of it or nothing. Run it with psql -v ON_ERROR_STOP=1 -f FILE, in a database",
    "-- that has btree_gist and pg_sphere, as a superuser or as one who may create roles and schemas.",
)

_log = logging.getLogger(__name__)

Plugin.setup_plugin_from_module(autogenerate, autogenerate.PLUGIN)


class UnknownRevisionError(DatabaseNotReadyError):
    """The database is at a revision that this release does not have.

    Parameters
    ----------
    revision
        Where the database is.
    """

    def __init__(self, revision: str) -> None:
        self.revision = revision
        super().__init__(
            f"the database is at revision {revision}, which this release of tapdb ({__version__}) does not "
            "have: another, probably newer, release has migrated it\n"
            "Install that release and run the command again. Nothing was changed."
        )


def alembic_config(connection: sa.Connection | None = None, **options: str) -> Config:
    """Return Alembic's configuration, as in ``command.upgrade(alembic_config(connection), "head")``.

    Parameters
    ----------
    connection
        Connection to migrate on. If it is in a transaction already, the migration becomes a part of that,
        to be committed by the caller. Without it the connection is made from ``url=`` or the environment.
    options
        As after ``alembic -x``: ``registry_schema``, ``obscore_config``, ``obscore="off"``, ...
    """
    # Alembic would take the standard output of the time when it was imported.
    config = Config(stdout=sys.stdout, output_buffer=sys.stdout)
    config.set_main_option("script_location", str(frozen_folder().parent).replace("%", "%%"))
    config.attributes["connection"] = connection
    config.attributes["options"] = options
    return config


def run() -> None:
    """Run the command that Alembic was called for.

    Raises
    ------
    CommandError
        Raised for every error of ours and of the database; the cause is the error itself.
    SystemExit
        Raised instead on the command line, after the message was printed, with the exit code of the error:
        Alembic's own would be 255.
    """
    with _one_message(context.config):
        pairs = (text.partition("=") for text in context.get_x_argument())
        written = without_contradictions((f"-x {name}", name, value) for name, _, value in pairs)
        options = read_options(context.config.attributes.get("options", {}) | written)
        if context.is_offline_mode():
            _write_script(options)
        else:
            _run_connected(context.config, options)


def require_clone(folder: Path) -> None:
    """Check that a revision may be written to a folder of migrations.

    Raises
    ------
    CommandError
        Raised if the folder belongs to an installed package, which the next installation replaces.
    """
    if folder.name == INSTALLED_FOLDER:
        raise CommandError(
            f"revisions are written in a clone of tapdb, not in the installed package {folder}; nothing was "
            "written"
        )


def configure_logging(config: Config) -> None:
    """Log as an ini file says; if it has no sections about that, progress and warnings on standard error."""
    sections = config.file_config.sections()
    if config.config_file_name is not None and _LOGGING_SECTIONS.issubset(sections):
        with _one_message(config):
            try:
                fileConfig(config.config_file_name, disable_existing_loggers=False)
            except _UNUSABLE_LOGGING as error:
                raise SettingsError(
                    f"logging in {config.config_file_name}",
                    f"cannot be set up: {type(error).__name__}: {error}",
                    "mend its sections, as Python's logging.config reads them, or leave them out",
                ) from error
        return
    logging.basicConfig(format=LOG_FORMAT, stream=sys.stderr)
    for name in PROGRESS_LOGGERS:
        logging.getLogger(name).setLevel(logging.INFO)


def current_revision(connection: sa.Connection, script: ScriptDirectory) -> str | None:
    """Return the revision that a database is at; `None` if it was never migrated.

    Raises
    ------
    MissingRightsError
        Raised if the user may not read it.
    UnknownRevisionError
        Raised if this release does not have that revision.
    """
    require_rights(connection, "read its revision", _READ_REVISION)
    options = {name: _VERSION_TABLE[name] for name in ("version_table", "version_table_schema")}
    migration = MigrationContext.configure(connection, opts=options)
    _require_known(migration.get_current_heads(), script)
    return migration.get_current_revision()


def _require_known(heads: tuple[str, ...], script: ScriptDirectory) -> None:
    known = {one.revision for one in script.walk_revisions()}
    for revision in heads:
        if revision not in known:
            raise UnknownRevisionError(revision)


def _run_connected(config: Config, options: MigrationOptions) -> None:
    with _connection(config, options) as connection:
        try:
            with connection.begin_nested() if connection.in_transaction() else connection.begin():
                context.configure(connection=connection, **_VERSION_TABLE)
                command = _command()
                if command in {"upgrade", "downgrade", "stamp", "ensure_version"}:
                    _change(connection, command, options)
                else:
                    _look(connection, config, command, options)
        except sa.exc.DBAPIError as error:
            if is_lock_timeout(error.orig):
                raise LockTimeoutError(
                    options.lock_timeout_ms, notes_of(error), lock_holders(connection)
                ) from error
            raise


def _change(connection: sa.Connection, command: str, options: MigrationOptions) -> None:
    """Migrate, with the derived objects dropped before and made again after."""
    derived = load_derived(options.others) if command in {"upgrade", "downgrade"} else {}
    check_options(derived, options.others)
    take_migration_lock(connection)
    set_lock_timeout(connection, options.lock_timeout_ms)
    # `stamp --purge` is for a revision that nobody knows; who may not read the revision is told so below.
    if not context.get_context().opts.get("purge") and not missing_rights(connection, _READ_REVISION):
        _require_known(context.get_context().get_current_heads(), _script())
    if command == "upgrade":
        require_migration_rights(connection, rights_of_derived(connection, derived, options.others))
        require_extensions(connection)
    else:
        require_migration_rights(connection)
    execute_text(connection, _environment_text("enter"))
    grants = read_grants(connection)
    heads = context.get_context().get_current_heads()
    if derived and heads and not _steps():
        # No revision will run, so skip rebuilding objects that are already current.
        derived = without_current(connection, derived, options.others)
    if heads:
        if command == "upgrade":
            note_lasting(connection, derived, options.others)
        drop_derived(connection, derived)
    with context.begin_transaction():
        context.run_migrations()
    if context.get_context().get_current_heads():
        create_derived(connection, derived, options.others)
        restore_grants(connection, grants)
    elif command != "ensure_version":
        execute_text(connection, _environment_text("leave"))
        for role in remaining_roles(connection):
            _log.info("when no database needs role %s any more, a superuser runs: DROP ROLE %s;", role, role)


def _look(connection: sa.Connection, config: Config, command: str, options: MigrationOptions) -> None:
    """Run a command that changes nothing, such as ``check`` and ``current``."""
    set_lock_timeout(connection, options.lock_timeout_ms)
    if command in _COMPARING and missing_rights(connection, _READ_REVISION):
        require_comparison_rights(connection)
    require_rights(connection, "read its revision", _READ_REVISION)
    heads = context.get_context().get_current_heads()
    try:
        _require_known(heads, _script())
    except UnknownRevisionError as error:
        if command == "current":
            config.print_stdout("%s", error.revision)
        raise
    if command == "current" and not heads:
        _log.warning("the database has no revision: it was never migrated, or downgraded to base")
    if command == "check":
        _require_newest(heads, _script())
    context.get_context().opts["dont_mutate"] = True
    with context.begin_transaction():
        context.run_migrations()
    drift: dict[str, tuple[CatalogDifference, ...]] = context.get_context().opts.get(autogenerate.DRIFT, {})
    config.attributes[autogenerate.DRIFT] = drift
    if command == "check" and drift and config.cmd_opts is not None:
        # On the command line a difference is exit code 1 and readable; Python gets Alembic's own exception.
        raise SystemExit(str(drift_error(drift)))


def _require_newest(heads: tuple[str, ...], script: ScriptDirectory) -> None:
    newest = script.get_current_head()
    if heads != (newest,):
        at = f"at revision {', '.join(heads)}" if heads else "not migrated"
        raise DatabaseNotReadyError(
            f"the database is {at}; the newest revision is {newest}\nRun tapdb migrate upgrade."
        )


def _write_script(options: MigrationOptions) -> None:
    """Write the SQL of an upgrade or downgrade to standard output instead of running it."""
    context.configure(
        dialect_name="postgresql", dialect_opts={"paramstyle": "named"}, literal_binds=True, **_VERSION_TABLE
    )
    derived = load_derived(options.others)
    check_options(derived, options.others)
    steps = _steps()
    if not steps:
        _log.warning("nothing to do: no revision has to be run, so there is no script")
        return
    to_base = _command() == "downgrade" and bool(steps) and not steps[-1].to_revisions
    write = context.get_context().impl.static_output
    write("\n".join([*_SCRIPT_HEADER, *_by_hand(derived)]))
    with context.begin_transaction():
        context.execute(sa.select(sa.func.pg_advisory_xact_lock(MIGRATION_LOCK)))
        context.execute(
            sa.select(sa.func.set_config("lock_timeout", str(options.lock_timeout_ms), sa.true()))
        )
        write(_environment_text("enter").strip())
        context.run_migrations()
        if to_base:
            write(_environment_text("leave").strip())


def _by_hand(derived: Mapping[str, DerivedObjects]) -> list[str]:
    """Return, as SQL comments, what a script cannot do about derived objects."""
    texts = [objects.describe_offline() for objects in derived.values()]
    return [f"-- {line}".rstrip() for text in texts for line in text.splitlines()]


def _command() -> str:
    """Return the name of the function of `alembic.command` that is running."""
    function = context.get_context().opts["fn"]
    return str(function.__qualname__.partition(".")[0])


def _steps() -> tuple[Any, ...]:
    """Return the revisions that will be run, as Alembic's steps."""
    migration = context.get_context()
    return tuple(migration.opts["fn"](migration.get_current_heads(), migration))


def _script() -> ScriptDirectory:
    script: ScriptDirectory = context.get_context().opts["script"]
    return script


def _environment_text(name: str) -> str:
    return (Path(_script().dir) / f"{name}.sql").read_text(encoding="utf-8")


@contextmanager
def _connection(config: Config, options: MigrationOptions) -> Iterator[sa.Connection]:
    """Give the connection to work on: the caller's or a new one."""
    given: sa.Connection | None = config.attributes.get("connection")
    if given is None:
        with (
            checked_connection(_target(config, options), application_name="alembic (tapdb)") as connection,
            _plain(connection),
        ):
            yield connection
    else:
        with _plain(given):
            yield given


def _target(config: Config, options: MigrationOptions) -> str | sa.URL | None:
    """Return what names the database: an option, else the environment, else the ini file."""
    file = config.config_file_name or "the configuration of Alembic"
    try:
        written = config.get_main_option(INI_URL)
    except InterpolationError:
        # Its message would repeat the password.
        raise SettingsError(
            f"{INI_URL} in {file}", "has a % that does not stand for itself", "write %% for each %"
        ) from None
    if not written:
        return options.url
    if options.url is not None or environment_names_database():
        _log.info("%s in %s is not used: an option or the environment names the database", INI_URL, file)
        return options.url
    return parse_url(written, source=f"{INI_URL} in {file}")


@contextmanager
def _plain(connection: sa.Connection) -> Iterator[None]:
    """Keep psycopg from preparing texts that hold several statements, and log what the server has to say."""
    driver = driver_connection(connection)
    threshold, driver.prepare_threshold = driver.prepare_threshold, None
    driver.add_notice_handler(_log_notice)
    try:
        yield
    finally:
        driver.remove_notice_handler(_log_notice)
        driver.prepare_threshold = threshold


def _log_notice(diagnostic: psycopg.errors.Diagnostic) -> None:
    level = logging.WARNING if diagnostic.severity_nonlocalized == "WARNING" else logging.INFO
    # Frozen texts end in a colon where PostgreSQL gives no detail.
    _log.log(level, "%s", (diagnostic.message_primary or "").rstrip(": "))


def _spelled(config: Config) -> AbstractContextManager[None]:
    """Return within what messages name options: as after ``alembic -x``, or as the caller has them."""
    return nullcontext() if config.cmd_opts is None else options_spelled(spelled_after_x)


@contextmanager
def _one_message(config: Config) -> Iterator[None]:
    """Turn errors of ours and of the database into one message, without a traceback."""
    try:
        with _spelled(config), translate_database_errors():
            yield
    except KeyboardInterrupt:
        if config.cmd_opts is None:
            raise
        say_interrupted()
        raise SystemExit(INTERRUPTED) from None
    except TapdbError as error:
        if config.cmd_opts is None:
            raise CommandError(str(error)) from error
        sys.stderr.write(f"Error: {error}\n")
        raise SystemExit(error.exit_code) from error
