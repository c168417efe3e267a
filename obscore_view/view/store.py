"""What is recorded of each view, in ``tapdb.view_definition`` and ``tapdb.dataset_type_mapping``."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
import yaml
from psycopg import sql
from psycopg.types.json import Jsonb

from obscore_view.config.model import ObsCoreConfig
from obscore_view.config.template import Template
from obscore_view.mapping import DatasetMapping, DatasetTypeMapping, ExtraColumn
from obscore_view.select.kept_layout import kept_note
from obscore_view.select.kept_rows import dataset_type_mapping, view_definition
from obscore_view.view.script import OwnObjects, Script
from tapdb import __version__
from tapdb.postgres.roles import Right, require_rights

RECORDS = tuple(
    Right("SELECT", "tapdb", table.name) for table in (view_definition, dataset_type_mapping, kept_note)
)
"""The rights that reading the records of views needs."""


@dataclass(frozen=True, slots=True)
class StoredView:
    """What is recorded of a view.

    Attributes
    ----------
    schema, name
        Name of the view.
    registry_schema
        Schema of the registry under it.
    config_yaml
        Its configuration.
    fingerprint
        What the registry was like when the view was made (`Registry.fingerprint`).
    objects
        What the view consists of.
    software_version
        Version of tapdb that made it.
    """

    schema: str
    name: str
    registry_schema: str
    config_yaml: str
    fingerprint: Mapping[str, Any]
    objects: OwnObjects
    software_version: str


def read_stored_views(connection: sa.Connection) -> tuple[StoredView, ...]:
    """Return what is recorded of all views, by name; nothing if the database has no tables of tapdb.

    Raises
    ------
    MissingRightsError
        Raised if the user may not read the records.
    """
    if connection.scalar(sa.select(sa.func.to_regclass("tapdb.view_definition"))) is None:
        return ()
    require_rights(connection, "read which ObsCore views there are", RECORDS)
    query = sa.select(view_definition).order_by(view_definition.c.view_schema, view_definition.c.view_name)
    return tuple(
        StoredView(
            row.view_schema,
            row.view_name,
            row.registry_schema,
            row.config_yaml,
            row.fingerprint["registry"],
            OwnObjects.from_json(row.fingerprint["objects"]),
            row.software_version,
        )
        for row in connection.execute(query)
    )


def registry_of(view: StoredView, config: ObsCoreConfig) -> str:
    """Return the registry that a view is to have by a configuration: as before, unless that says another."""
    recorded = (yaml.safe_load(view.config_yaml) or {}).get("tapdb") or {}
    said = config.tapdb.registry_schema
    return view.registry_schema if said in {None, recorded.get("registry_schema")} else said


def record_script(mapping: DatasetMapping, config_yaml: str, objects: OwnObjects) -> Script:
    """Return the statements that record a view which was just made, and its dataset-type mapping."""
    config, registry = mapping.config, mapping.registry
    name = {"view_schema": config.view_schema, "view_name": config.view_name}
    definition = {
        **name,
        "registry_schema": registry.schema,
        "config_yaml": config_yaml,
        "config_sha256": hashlib.sha256(config_yaml.encode()).hexdigest(),
        "fingerprint": {"registry": registry.fingerprint(objects.granted), "objects": objects.to_json()},
        "geometry_mode": config.tapdb.geometry,
        "software_version": __version__,
    }
    rows = (_insert("dataset_type_mapping", row) for row in mapping_rows(mapping))
    return Script((_insert("view_definition", definition), *rows))


def mapping_rows(mapping: DatasetMapping) -> list[dict[str, Any]]:
    """Return the rows of ``tapdb.dataset_type_mapping`` for a view."""
    name = {"view_schema": mapping.config.view_schema, "view_name": mapping.config.view_name}
    return [
        name | {"number": number} | _row(dataset_type, mapping)
        for number, dataset_type in enumerate(mapping.dataset_types, start=1)
    ]


def forget_script(view: StoredView) -> Script:
    """Return the statement that deletes what is recorded of a view."""
    statement = sql.SQL("DELETE FROM {} WHERE view_schema = {} AND view_name = {}").format(
        sql.Identifier("tapdb", "view_definition"), sql.Literal(view.schema), sql.Literal(view.name)
    )
    return Script((statement.as_string(None),))


def _insert(table: str, row: Mapping[str, Any]) -> str:
    values = (Jsonb(value) if isinstance(value, dict) else value for value in row.values())
    statement = sql.SQL("INSERT INTO {} ({}) VALUES ({})").format(
        sql.Identifier("tapdb", table),
        sql.SQL(", ").join(map(sql.Identifier, row)),
        sql.SQL(", ").join(map(sql.Literal, values)),
    )
    return statement.as_string(None)


def _row(dataset_type: DatasetTypeMapping, mapping: DatasetMapping) -> dict[str, Any]:
    registered = mapping.registry.dataset_types.get(dataset_type.name)
    return {
        "dataset_type": dataset_type.name,
        "registered": registered is not None,
        "dimensions": list(registered.required) if registered is not None else None,
        "facility_name": mapping.config.facility_name,
        **dataset_type.constants,
        "obs_id_fmt": _text(dataset_type.obs_id),
        "access_url_fmt": _text(dataset_type.access_url),
        "obs_publisher_did_fmt": _text(dataset_type.obs_publisher_did),
        "extra_columns": {name: _extra(column) for name, column in dataset_type.extra_columns.items()},
    }


def _text(template: Template | None) -> str | None:
    return None if template is None else template.text


def _extra(column: ExtraColumn) -> Any:
    if isinstance(column.value, Template):
        return {
            "template": column.value.text,
            "type": column.type.value if column.type is not None else "string",
        }
    return column.value
