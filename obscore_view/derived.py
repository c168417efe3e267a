"""The ObsCore views as derived objects: a migration takes them away first and makes them again at its end."""

from __future__ import annotations

import json
from collections.abc import Mapping as MappingABC
from pathlib import Path

import sqlalchemy as sa
import yaml

from obscore_view.config import ObsCoreConfig, parse_config, read_config
from obscore_view.errors import ConfigError, ConfigProblem
from obscore_view.registry import find_registry
from obscore_view.store import StoredView, read_stored_views
from obscore_view.view import create_view, drop_view, stored_config

__all__ = ["ObsCoreViews"]


class ObsCoreViews:
    """All ObsCore views of a database, between the two halves of a migration."""

    def __init__(self) -> None:
        self._dropped: tuple[StoredView, ...] = ()

    def drop(self, connection: sa.Connection) -> None:
        """Take all views away, and remember them."""
        self._dropped = read_stored_views(connection)
        for view in self._dropped:
            drop_view(connection, view)

    def create(self, connection: sa.Connection, options: MappingABC[str, str]) -> None:
        """Make the views again that there were, and one more if a configuration is given or there was none.

        Options: ``obscore_config``, a file, in place of the recorded configuration of the view of that name;
        ``registry_schema``; ``geometry``, in place of what the configuration says. Without a configuration
        the first view is made from that of Butler's own live table, if the registry has one.

        Raises
        ------
        ConfigError
            Raised if there is no configuration, or one that cannot be used.
        MissingRegistryError, UnsupportedRegistryError, MappingError
            Raised if the database will not do.
        """
        wanted: dict[tuple[str, str], tuple[ObsCoreConfig, str | None, str | None]] = {
            (one.schema, one.name): (stored_config(one), one.config_yaml, one.registry_schema)
            for one in self._dropped
        }
        schema = options.get("registry_schema")
        given = options.get("obscore_config")
        if given:
            config, text = read_config(given), Path(given).read_text(encoding="utf-8")
            wanted[config.view_schema, config.view_name] = (config, text, schema)
        elif not wanted:
            text = _live_config(connection, schema)
            config = parse_config(text, source="configuration of Butler's live ObsCore table")
            wanted[config.view_schema, config.view_name] = (config, text, schema)
        for config, yaml_text, registry_schema in wanted.values():
            chosen, recorded = config, yaml_text
            if mode := options.get("geometry"):
                recorded = _with_geometry(yaml_text, mode)
                chosen = parse_config(recorded, source=given or "configuration")
            create_view(connection, chosen, registry_schema=registry_schema, config_yaml=recorded)

    def describe_offline(self) -> str:
        """Return what a DBA has to run when the migration is a script."""
        return (
            "The ObsCore view is generated from the registry. Before this script: tapdb obscore drop --all. "
            "After it: tapdb obscore create -c CONFIG, or the SQL that tapdb obscore plan -c CONFIG prints."
        )


def _live_config(connection: sa.Connection, schema: str | None) -> str:
    """Return the configuration of daf_butler's live ObsCore table, which the registry records."""
    schema = find_registry(connection, schema)
    attributes = sa.table("butler_attributes", sa.column("name"), sa.column("value"), schema=schema)
    found = connection.scalar(sa.select(attributes.c.value).where(attributes.c.name == "config:obscore.json"))
    if found is None:
        problem = ConfigProblem(
            f'no ObsCore configuration was given, and the registry in schema "{schema}" records none',
            "name a file: -x obscore_config=FILE or TAPDB_OBSCORE_CONFIG; "
            "-x obscore=off migrates without a view",
        )
        raise ConfigError([problem])
    return yaml.safe_dump(json.loads(found), sort_keys=False, allow_unicode=True)


def _with_geometry(text: str | None, mode: str) -> str:
    content = yaml.safe_load(text or "{}")
    content.setdefault("tapdb", {})["geometry"] = mode
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True)
