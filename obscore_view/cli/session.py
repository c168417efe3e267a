"""What the commands of ``tapdb obscore`` share: options, and a configuration."""

from dataclasses import dataclass, replace
from pathlib import Path

import click
import sqlalchemy as sa

from obscore_view.config.model import ObsCoreConfig
from obscore_view.config.parse import keep_options, parse_config, read_config, with_options
from obscore_view.view.store import RECORDS, StoredView, read_stored_views
from tapdb.errors import SettingsError
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
