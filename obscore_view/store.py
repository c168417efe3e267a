"""What is recorded of each view, in ``tapdb.view_definition`` and ``tapdb.dataset_type_mapping``."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping as MappingABC
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

from obscore_view.mapping import DatasetTypeMapping, ExtraColumn, Mapping
from obscore_view.objects import OwnObjects
from obscore_view.template import Template
from tapdb import __version__

__all__ = ["StoredView", "forget_view", "read_stored_views", "record_view"]

_definitions = sa.table(
    "view_definition",
    *map(sa.column, ("view_schema", "view_name", "registry_schema", "config_yaml", "config_sha256")),
    sa.column("fingerprint", JSONB()),
    *map(sa.column, ("geometry_mode", "software_version", "created_at")),
    schema="tapdb",
)
_mapping = sa.table(
    "dataset_type_mapping",
    *map(sa.column, ("view_schema", "view_name", "dataset_type", "registered")),
    sa.column("dimensions", sa.ARRAY(sa.Text())),
    *map(sa.column, ("dataproduct_type", "dataproduct_subtype", "calib_level", "o_ucd", "access_format")),
    *map(sa.column, ("obs_collection", "facility_name", "s_xel1", "s_xel2")),
    *map(sa.column, ("obs_id_fmt", "access_url_fmt", "obs_publisher_did_fmt")),
    sa.column("extra_columns", JSONB()),
    schema="tapdb",
)


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
    """

    schema: str
    name: str
    registry_schema: str
    config_yaml: str
    fingerprint: MappingABC[str, Any]
    objects: OwnObjects


def read_stored_views(connection: sa.Connection) -> tuple[StoredView, ...]:
    """Return what is recorded of all views, by name; nothing if the database has no tables of tapdb."""
    if connection.scalar(sa.select(sa.func.to_regclass("tapdb.view_definition"))) is None:
        return ()
    query = sa.select(_definitions).order_by(_definitions.c.view_schema, _definitions.c.view_name)
    return tuple(
        StoredView(
            row.view_schema,
            row.view_name,
            row.registry_schema,
            row.config_yaml,
            row.fingerprint["registry"],
            OwnObjects.from_json(row.fingerprint["objects"]),
        )
        for row in connection.execute(query)
    )


def record_view(connection: sa.Connection, mapping: Mapping, config_yaml: str, objects: OwnObjects) -> None:
    """Record a view that was just made, and its dataset-type mapping."""
    config, registry = mapping.config, mapping.registry
    name = {"view_schema": config.view_schema, "view_name": config.view_name}
    connection.execute(
        sa.insert(_definitions).values(
            **name,
            registry_schema=registry.schema,
            config_yaml=config_yaml,
            config_sha256=hashlib.sha256(config_yaml.encode()).hexdigest(),
            fingerprint={"registry": registry.fingerprint(objects.granted), "objects": objects.to_json()},
            geometry_mode=config.tapdb.geometry,
            software_version=__version__,
        )
    )
    for dataset_type in mapping.dataset_types:
        connection.execute(sa.insert(_mapping).values(**name, **_row(dataset_type, mapping)))


def forget_view(connection: sa.Connection, view: StoredView) -> None:
    """Delete what is recorded of a view."""
    connection.execute(
        sa.delete(_definitions).where(
            _definitions.c.view_schema == view.schema, _definitions.c.view_name == view.name
        )
    )


def _row(dataset_type: DatasetTypeMapping, mapping: Mapping) -> dict[str, Any]:
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
