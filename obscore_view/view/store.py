"""What is recorded of each view, in ``tapdb.view_definition`` and ``tapdb.dataset_type_mapping``."""

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import sqlalchemy as sa
import yaml
from psycopg import sql
from psycopg.types.json import Jsonb

from obscore_view.config.model import ObsCoreConfig
from obscore_view.config.template import Template
from obscore_view.mapping import DatasetMapping, DatasetTypeMapping, ExtraColumn
from obscore_view.select.kept_rows import dataset_type_mapping, view_definition
from obscore_view.select.kept_tables import kept_base, kept_note
from obscore_view.view.published import released_names
from obscore_view.view.script import OwnObjects, Script, count_steps
from tapdb import __version__
from tapdb.postgres.roles import Right, require_rights

COMBINED = "combined_view"
"""Table of the views that show several as one."""

RECORDS = tuple(
    Right("SELECT", "tapdb", name)
    for name in (view_definition.name, dataset_type_mapping.name, kept_note.name, COMBINED)
)
"""The rights that reading the records of views needs."""


Stage = Literal["wanted", "filling", "published", "leaving"]
"""What a set of kept tables is to a view."""

STAGES: tuple[Stage, ...] = ("wanted", "filling", "published", "leaving")
PUBLISHED: tuple[Stage, ...] = ("published",)
_OF_REVISION_0003 = frozenset({"kept", "stage", "progress"})


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
    statements
        How many statements keep its own tables.
    kept
        What begins the names of its kept tables; nothing if it has none, or older software made them.
    stage
        Readers see what is published; others are to be made (wanted), are being filled, or go (leaving).
    progress
        How far it is filled; None if nothing is being filled.
    staged
        Whether the database records stages: those of revision 0002 and before do not.
    released
        Names of the view of what is released, as `released_names` has them; None if there is none.
    """

    schema: str
    name: str
    registry_schema: str
    config_yaml: str
    fingerprint: Mapping[str, Any]
    objects: OwnObjects
    software_version: str
    statements: int = 0
    kept: str = ""
    stage: Stage = "published"
    progress: Mapping[str, Any] | None = None
    staged: bool = True
    released: Mapping[str, str] | None = None

    @property
    def full_name(self) -> str:
        """Schema and name, with a dot between them."""
        return f"{self.schema}.{self.name}"

    @property
    def published(self) -> tuple[tuple[str, str], ...]:
        """Schema and name of the views that readers see, that with all rows last."""
        found = self.released
        names = () if found is None else (("tapdb", found["guarded"]), (found["schema"], found["name"]))
        return (*names, (self.schema, self.name))

    @property
    def shown(self) -> tuple[str, str]:
        """Schema and name of the view that readers see: of what is released, if there is one."""
        return self.published[-2 if self.released else -1]

    @property
    def key(self) -> tuple[str, str, str]:
        """What tells it from all others that are recorded."""
        return (self.schema, self.name, self.kept)


def read_stored_views(
    connection: sa.Connection, stages: Collection[Stage] = PUBLISHED
) -> tuple[StoredView, ...]:
    """Return what is recorded of all views, by name; nothing if the database has no tables of tapdb.

    Parameters
    ----------
    connection
        Connection.
    stages
        In which stage.

    Raises
    ------
    MissingRightsError
        Raised if the user may not read the records.
    """
    if connection.scalar(sa.select(sa.func.to_regclass("tapdb.view_definition"))) is None:
        return ()
    require_rights(connection, "read which ObsCore views there are", RECORDS)
    staged = connection.scalar(sa.select(sa.func.to_regclass("tapdb.keeping"))) is not None
    columns = [one for one in view_definition.c if staged or one.name not in _OF_REVISION_0003]
    query = sa.select(*columns).order_by(view_definition.c.view_schema, view_definition.c.view_name)
    if staged:
        query = query.where(view_definition.c.stage.in_(stages)).order_by(view_definition.c.kept)
    found = []
    for row in connection.execute(query):
        view = StoredView(
            row.view_schema,
            row.view_name,
            row.registry_schema,
            row.config_yaml,
            row.fingerprint["registry"],
            OwnObjects.from_json(row.fingerprint["objects"]),
            row.software_version,
            row.fingerprint.get("statements", 0),
            staged=staged,
            released=row.fingerprint.get("released"),
        )
        found.append(replace(view, kept=row.kept, stage=row.stage, progress=row.progress) if staged else view)
    return tuple(found)


def registry_of(view: StoredView, config: ObsCoreConfig) -> str:
    """Return the registry that a view is to have by a configuration: as before, unless that says another."""
    recorded = (yaml.safe_load(view.config_yaml) or {}).get("tapdb") or {}
    said = config.tapdb.registry_schema
    return view.registry_schema if said in {None, recorded.get("registry_schema")} else said


def record_script(
    mapping: DatasetMapping, config_yaml: str, objects: OwnObjects, stage: Stage = "published"
) -> Script:
    """Return the statements that record a view which was just made, and its dataset-type mapping."""
    config, registry = mapping.config, mapping.registry
    name = {"view_schema": config.view_schema, "view_name": config.view_name}
    released, presence = config.released_view, config.tapdb.presence
    definition = {
        **name,
        "registry_schema": registry.schema,
        "config_yaml": config_yaml,
        "config_sha256": hashlib.sha256(config_yaml.encode()).hexdigest(),
        "fingerprint": {
            "registry": registry.fingerprint(objects.granted),
            "objects": objects.to_json(),
            "statements": count_steps(mapping) if objects.tables else 0,
            **({} if released is None else {"released": released_names(released)}),
            **(
                {}
                if presence is None
                else {"presence": {name: one.model_dump(mode="json") for name, one in presence.items()}}
            ),
        },
        "geometry_mode": config.tapdb.geometry,
        "software_version": __version__,
        "kept": kept_base(mapping),
        "stage": stage,
    }
    rows = (_insert("dataset_type_mapping", row) for row in mapping_rows(mapping))
    return Script((_insert("view_definition", definition), *rows))


def mapping_rows(mapping: DatasetMapping) -> list[dict[str, Any]]:
    """Return the rows of ``tapdb.dataset_type_mapping`` for a view."""
    name = {"view_schema": mapping.config.view_schema, "view_name": mapping.config.view_name}
    kept = kept_base(mapping)
    return [
        name | {"number": number if kept else None} | _row(dataset_type, mapping) | {"kept": kept}
        for number, dataset_type in enumerate(mapping.dataset_types, start=1)
    ]


def forget_script(view: StoredView) -> Script:
    """Return the statement that deletes what is recorded of a view."""
    # A view of revision 0002 and before has no sets of kept tables.
    of_set = sql.SQL(" AND kept = {}").format(sql.Literal(view.kept)) if view.staged else sql.SQL("")
    statement = sql.SQL("DELETE FROM {} WHERE view_schema = {} AND view_name = {}{}").format(
        sql.Identifier("tapdb", "view_definition"), sql.Literal(view.schema), sql.Literal(view.name), of_set
    )
    return Script((statement.as_string(None),))


def move_script(view: StoredView, stage: Stage) -> str:
    """Return the statement that puts a view into another stage."""
    statement = sql.SQL(
        "UPDATE {} SET stage = {}, progress = NULL WHERE view_schema = {} AND view_name = {} AND kept = {}"
    )
    values = map(sql.Literal, (stage, *view.key))
    return statement.format(sql.Identifier("tapdb", "view_definition"), *values).as_string(None)


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
