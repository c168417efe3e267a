"""What the commands of ``tapdb obscore`` share: options, and a configuration."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import click
import psycopg
import sqlalchemy as sa

from obscore_view.config.model import ObsCoreConfig
from obscore_view.config.parse import keep_options, parse_config, read_config, with_options
from obscore_view.errors import FillingRefusedError
from obscore_view.view.fill import BATCH_MS, Filling, alone_at_work
from obscore_view.view.store import RECORDS, StoredView, read_stored_views
from tapdb.cli.output import progress_bar
from tapdb.errors import SettingsError
from tapdb.hooks.derived import create_last
from tapdb.postgres.engine import (
    DatabaseRefusedError,
    checked_connection,
    notes_of,
    refusal,
    translate_database_errors,
)
from tapdb.postgres.locks import LockTimeoutError, is_lock_timeout, lock_holders
from tapdb.postgres.roles import missing_rights
from tapdb.settings import read_settings

config_option = click.option(
    "-c",
    "--config",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="ObsCore configuration (YAML), as daf_butler and dax_obscore read it.  [env: TAPDB_OBSCORE_CONFIG]",
)
registry_schema_option = click.option(
    "--registry-schema",
    metavar="SCHEMA",
    help="Database schema of the Butler registry; by default what the configuration says, or the only "
    "registry in the database.  [env: TAPDB_REGISTRY_SCHEMA]",
)
view_option = click.option("--view", metavar="SCHEMA.NAME", help="View to work on.")
geometry_option = click.option(
    "--geometry",
    type=click.Choice(["table", "none"]),
    help="What makes the view fast, in place of what the configuration says: a narrow row for each dataset, "
    "kept by triggers on Butler's tables, or nothing.",
)


batch_option = click.option(
    "--batch-ms",
    type=click.IntRange(min=1),
    default=BATCH_MS,
    show_default=True,
    help="Milliseconds that a batch is to take, while which those wait who delete or change its rows.",
)


@contextmanager
def filling_session(
    url: str | None, title: str, *, batch_ms: int = BATCH_MS, describe: bool = False
) -> Iterator[tuple[sa.Connection, Filling]]:
    """Give a connection, and what fills kept tables on it in short transactions; one such session at a time.

    Parameters
    ----------
    url
        Database; the environment counts if it is not given.
    title
        What is done, for the progress.
    batch_ms
        Milliseconds that a batch is to take.
    describe
        Whether the rows of TAP_SCHEMA are brought up to date in the transaction that lets readers see a view.

    Raises
    ------
    FillingUnderWayError
        Raised if another session is filling.
    LockTimeoutError
        Raised if another session holds a lock that is needed, longer than ``TAPDB_LOCK_TIMEOUT_MS``.
    FillingRefusedError
        Raised for all else that the database refuses and that has no error of its own.
    """
    timeout_ms = read_settings().lock_timeout_ms
    comment = {"comment": click.get_current_context().command_path}
    with (
        translate_database_errors(),
        checked_connection(url, application_name="tapdb obscore") as connection,
        alone_at_work(connection),
        progress_bar(title) as show,
    ):
        filling = Filling(
            connection,
            timeout_ms=timeout_ms,
            batch_ms=batch_ms,
            show=show,
            before_commit=(lambda one: create_last(one, comment)) if describe else None,
        )
        try:
            yield connection, filling
        except sa.exc.DBAPIError as error:
            if is_lock_timeout(error.orig):
                connection.rollback()
                outcome = "What is done stays done: tapdb obscore fill goes on with it."
                raise LockTimeoutError(timeout_ms, "", lock_holders(connection), outcome) from error
            found = refusal(error.orig) if isinstance(error.orig, psycopg.Error) else None
            if type(found) is DatabaseRefusedError:
                raise FillingRefusedError(found.reason, notes_of(error)) from error
            raise


@dataclass(frozen=True, slots=True)
class GivenConfig:
    """A configuration that the user named.

    Attributes
    ----------
    config
        The configuration, with options of the command line in it.
    text
        Its text, to be recorded.
    by_option
        Whether it was named on the command line, not by the environment.
    """

    config: ObsCoreConfig
    text: str
    by_option: bool

    def over(self, stored: StoredView) -> "GivenConfig":
        """Return the configuration with the options that a view of this name was made with."""
        if self.view != f"{stored.schema}.{stored.name}":
            return self
        text = keep_options(self.text, stored.config_yaml)
        return self if text == self.text else replace(self, config=parse_config(text), text=text)

    def in_force(self, connection: sa.Connection) -> "GivenConfig":
        """Return the configuration with the options of a view that there is, as far as that may be read."""
        given = self
        for one in () if missing_rights(connection, RECORDS) else read_stored_views(connection):
            given = given.over(one)
        return given

    @property
    def view(self) -> str:
        """Name of its view, ``schema.name`` in lower case."""
        return f"{self.config.view_schema}.{self.config.view_name}"


def given_config(
    path: Path | None, *, view: str | None = None, geometry: str | None = None
) -> GivenConfig | None:
    """Return the configuration that the command line or else the environment names; None if neither does.

    Raises
    ------
    ConfigError
        Raised if it cannot be used.
    """
    chosen = path or read_settings().obscore_config
    if chosen is None or chosen == Path():
        # An option that is given as nothing is no path.
        return None
    config = read_config(chosen)
    text = chosen.read_text(encoding="utf-8")
    changed = with_options(text, view=view, geometry=geometry)
    if changed != text:
        config, text = parse_config(changed, source=f"{chosen} with the options of the command line"), changed
    return GivenConfig(config, text, by_option=path is not None)


def required_config(path: Path | None, *, view: str | None, geometry: str | None) -> GivenConfig:
    """Return the configuration that was named.

    Raises
    ------
    SettingsError
        Raised if none was.
    ConfigError
        Raised if it cannot be used.
    """
    given = given_config(path, view=view, geometry=geometry)
    if given is None:
        raise SettingsError(
            "-c/--config",
            "no ObsCore configuration was named",
            "name one, set TAPDB_OBSCORE_CONFIG, or write a first one: tapdb obscore init -o obscore.yaml",
        )
    return given
