"""What ObsCore gives to others: views rebuilt around a migration, described in TAP_SCHEMA."""

import json
import logging
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

import sqlalchemy as sa
import yaml

from obscore_view.check import check_view
from obscore_view.columns import (
    CALIB_LEVELS,
    DATAPRODUCT_TYPES,
    OBSCORE_COLUMNS,
    STANDARD_NAME,
    ObsCoreColumn,
    published_name,
)
from obscore_view.config.model import ObsCoreConfig, TapdbOptions
from obscore_view.config.parse import keep_options, parse_config, read_config, with_options
from obscore_view.errors import (
    CombinationError,
    ConfigError,
    ConfigProblem,
    MappingError,
    NotMigratedError,
    UnsupportedRegistryError,
)
from obscore_view.mapping import match_mapping
from obscore_view.registry.read import find_registry, read_registry, rights_to_read
from obscore_view.view.combining import CombinedView, read_combined_views
from obscore_view.view.fill import to_be_filled
from obscore_view.view.make import (
    combine_views,
    create_view,
    drop_combined_view,
    drop_view,
    is_migrated,
    stored_config,
    views_by_name,
)
from obscore_view.view.needed_rights import (
    rights_to_change_unread,
    rights_to_drop,
    rights_to_make,
    rights_to_make_unread,
)
from obscore_view.view.parts import fills_beside, want_view
from obscore_view.view.store import RECORDS, STAGES, StoredView, read_stored_views, registry_of
from tapdb.errors import MissingRegistryError, Place, spelled
from tapdb.hooks.descriptions import (
    ColumnDescription,
    KeyDescription,
    LinkProvider,
    SchemaDescription,
    StandardTable,
    TableDescription,
)
from tapdb.postgres.roles import Right, missing_rights

TABLE_UTYPE = "ivo://ivoa.net/std/obscore#table-1.1"
"""Utype of a table that follows ObsCore 1.1."""

_SCHEMA = "ivoa"
_HIDDEN = ("pgs_region", "pgs_center")
# Conditions on these are answered by the geometry beside them.
_SEARCHED_BY = {"s_region": "pgs_region", "s_ra": "pgs_center", "s_dec": "pgs_center"}
_PLACE = Place("obscore_view")
# Tables of exposures and visits of Rubin, where they are published beside a view: the column of ObsCore that
# configurations of Rubin have, the table, its column, and the schemas that have it.
_INSTRUMENTS = ("cdb_latiss", "cdb_lsstcam", "cdb_lsstcomcam", "cdb_lsstcomcamsim")
_OBSERVATIONS = (
    ("lsst_exposure", "exposure", "exposure_id", _INSTRUMENTS),
    ("lsst_visit", "visit1", "visit_id", _INSTRUMENTS),
    ("lsst_visit", "Visit", "visit", ("dp1", "dp2")),
)
_LOG = logging.getLogger(__name__)


def describe(connection: sa.Connection) -> Iterable[SchemaDescription]:
    """Return descriptions of all ObsCore views that were made here, and of any table ``ivoa.ObsCore``.

    Columns outside of the standard that a configuration adds are left to their comments.

    Parameters
    ----------
    connection
        Connection to the database.
    """
    made = {view.shown for view in read_stored_views(connection)}
    made |= {(view.schema, view.name) for view in read_combined_views(connection)}
    for (schema, name), columns in _existing(connection, made).items():
        yield SchemaDescription(
            name=schema,
            description="Tables that follow standards of the IVOA",
            tables=(
                TableDescription(
                    name=published_name(name),
                    description="ObsCore 1.1: a row for each dataset that can be retrieved",
                    utype=TABLE_UTYPE,
                    columns=tuple(_column(one) for one in OBSCORE_COLUMNS if one.name in columns),
                    keys=tuple(_keys(columns)),
                    hidden=frozenset(_HIDDEN),
                    place=_PLACE,
                ),
            ),
            place=_PLACE,
        )


def _existing(
    connection: sa.Connection, made: Collection[tuple[str, str]]
) -> dict[tuple[str, str], frozenset[str]]:
    """Return the names of columns, in lower case, of the views that were made and of ``ivoa.ObsCore``."""
    columns = sa.table(
        "columns",
        *(sa.column(name, sa.Text()) for name in ("table_schema", "table_name", "column_name")),
        schema="information_schema",
    )
    name = (columns.c.table_schema, columns.c.table_name)
    standard = sa.and_(name[0] == _SCHEMA, sa.func.lower(name[1]) == STANDARD_NAME.lower())
    query = (
        sa.select(*name, sa.func.array_agg(sa.func.lower(sa.cast(columns.c.column_name, sa.Text()))))
        .where(sa.or_(standard, sa.tuple_(*name).in_(list(made))))
        .group_by(*name)
        .order_by(*name)
    )
    return {(schema, table): frozenset(found) for schema, table, found in connection.execute(query)}


def _keys(columns: Collection[str]) -> Iterator[KeyDescription]:
    """Yield keys to tables of observations; one whose table is not published is left out there."""
    for column, table, target, schemas in _OBSERVATIONS:
        for schema in schemas if column in columns else ():
            yield KeyDescription(
                name=f"{column}_{schema}_{table.lower()}",
                columns=(column,),
                target_schema=schema,
                target_table=table,
                target_columns=(target,),
                description=f"The {'exposure' if table == 'exposure' else 'visit'} that a dataset belongs to",
            )


def _column(column: ObsCoreColumn) -> ColumnDescription:
    return ColumnDescription(
        name=column.name,
        datatype=column.datatype,
        arraysize=column.arraysize,
        xtype=column.xtype,
        unit=column.unit,
        ucd=column.ucd,
        utype=column.utype,
        description=column.description,
        principal=column.principal,
        std=column.std,
        index=column.index,
        searched_by=_SEARCHED_BY.get(column.name),
        place=_PLACE,
    )


STANDARD = StandardTable(
    standard="ObsCore 1.1",
    schema=_SCHEMA,
    name=STANDARD_NAME,
    columns=tuple(_column(one) for one in OBSCORE_COLUMNS if one.std),
    mandatory=frozenset(one.name for one in OBSCORE_COLUMNS if one.mandatory),
    not_null=frozenset(one.name for one in OBSCORE_COLUMNS if not one.nullable),
    values={"calib_level": tuple(CALIB_LEVELS), "dataproduct_type": DATAPRODUCT_TYPES},
)
"""The table that ObsCore 1.1 defines."""

LINKS = LinkProvider(identify="tapdb.identify_datasets", link="tapdb.link_datasets")
"""Links of datasets: their files, and others with the same data ID."""


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A view that is to be."""

    config: ObsCoreConfig
    text: str
    registry_schema: str | None

    @property
    def geometry(self) -> str:
        """What makes searches by position fast."""
        return self.config.tapdb.geometry


class ObsCoreViews:
    """All ObsCore views of a database, between the two halves of a migration."""

    options: Mapping[str, str] = MappingProxyType(
        {
            "obscore_config": "configuration of a view, a file",
            "registry_schema": "schema of the Butler registry",
            "geometry": "table or none, in place of what the configuration says",
        }
    )

    def __init__(self) -> None:
        self._dropped: tuple[StoredView, ...] = ()
        self._lasting: dict[str, StoredView] = {}
        self._combined: tuple[CombinedView, ...] = ()

    def note_lasting(self, connection: sa.Connection, options: Mapping[str, str]) -> None:  # noqa: ARG002
        """Note the views that are too large for being made again within an upgrade; they go on as they are.

        `tapdb obscore fill` makes new tables for them, beside what readers see.
        """
        for name, view in views_by_name(connection, STAGES).items():
            try:
                mapping = match_mapping(stored_config(view), read_registry(connection, view.registry_schema))
            except (MissingRegistryError, UnsupportedRegistryError, ConfigError, MappingError):
                # It cannot be made again in either way.
                continue
            if view.stage != "published" or fills_beside(connection, mapping):
                self._lasting[name] = view

    def drop(self, connection: sa.Connection) -> None:
        """Take all views away, and remember them."""
        views = views_by_name(connection, STAGES)
        self._dropped = tuple(one for name, one in views.items() if name not in self._lasting)
        self._combined = read_combined_views(connection)
        for combined in self._combined:
            drop_combined_view(connection, combined)
        for view in self._dropped:
            drop_view(connection, view)

    def create(self, connection: sa.Connection, options: Mapping[str, str]) -> None:
        """Make the views again that there were, and one more if a configuration is given or there was none.

        A view over a large registry is noted only, for `tapdb obscore fill`, and one that is there stays.

        Options: ``obscore_config``, a file, in place of the recorded configuration of the view of that name;
        ``registry_schema``; ``geometry``, in place of what the configuration says. Without a configuration
        the first view is made from that of Butler's own live table, if the registry has one. At a revision
        that lacks what views stand on, none is made.

        Raises
        ------
        ConfigError
            Raised if there is no configuration, or one that cannot be used.
        MissingRegistryError, UnsupportedRegistryError, MappingError
            Raised if the database will not do.
        """
        before = {(one.schema, one.name): one for one in self._dropped}
        for wanted in _wanted(connection, (*self._dropped, *self._lasting.values()), options):
            name = (wanted.config.view_schema, wanted.config.view_name)
            if (lasting := self._lasting.get(".".join(name))) is not None:
                _say_lasting(lasting, wanted)
                continue
            if not is_migrated(connection, wanted.config):
                _LOG.warning(
                    "%s.%s is not made: this tapdb needs a later revision for it. Upgrade to head, or let "
                    "the tapdb of this revision make it: tapdb obscore create -c CONFIG",
                    *name,
                )
                continue
            if name in before:
                was = stored_config(before[name])
                if was.tapdb.geometry != wanted.geometry:
                    _LOG.warning("%s.%s: geometry: %s -> %s", *name, was.tapdb.geometry, wanted.geometry)
                if wanted.config.is_restricted and not was.is_restricted:
                    # A migration restores grants: those of readers on a view that they may not read any more.
                    remedy = "leave the option out, and then: tapdb obscore refresh -c CONFIG"
                    problem = f"the view {'.'.join(name)} was for all readers, and is not to be"
                    raise ConfigError([ConfigProblem(problem, remedy, "tapdb.release")])
            schema = wanted.registry_schema or wanted.config.tapdb.registry_schema
            mapping = match_mapping(
                wanted.config, read_registry(connection, find_registry(connection, schema))
            )
            if fills_beside(connection, mapping):
                want_view(connection, mapping, wanted.text)
                _LOG.warning("%s.%s is yet to be made, beside those who write: tapdb obscore fill", *name)
                continue
            create_view(
                connection,
                wanted.config,
                registry_schema=wanted.registry_schema,
                config_yaml=wanted.text,
            )
        self._combine_again(connection)

    def _combine_again(self, connection: sa.Connection) -> None:
        """Make the views again that show several others as one, where these are there."""
        for one in self._combined:
            try:
                combine_views(connection, one)
            except (NotMigratedError, CombinationError) as error:
                _LOG.warning(
                    "%s is not made again (%s); once it can be: %s",
                    *(one.full_name, str(error).splitlines()[0], one.command),
                )

    def needed_rights(self, connection: sa.Connection, options: Mapping[str, str]) -> tuple[Right, ...]:
        """Return the rights that `drop` and `create` need; what cannot be read yet is taken to be needed.

        Raises
        ------
        ConfigError, MissingRegistryError, UnsupportedRegistryError
            Raised if a view could not be made, before anything is changed.
        """
        given = options.get("obscore_config")
        chosen = read_config(given).tapdb if given else TapdbOptions()
        schema, mode = (
            options.get("registry_schema", chosen.registry_schema),
            options.get("geometry", chosen.geometry),
        )
        if missing_rights(connection, RECORDS):
            return rights_to_change_unread(connection, mode)
        stored = read_stored_views(connection)
        if not stored and missing_rights(connection, rights_to_read(find_registry(connection, schema))):
            # The configuration may stand in the registry.
            return rights_to_make_unread(find_registry(connection, schema), mode)
        rights = [right for view in stored for right in rights_to_drop(view)]
        for wanted in _wanted(connection, stored, options):
            config = wanted.config
            before = {(one.schema, one.name): one.registry_schema for one in stored}
            registry_schema = (
                wanted.registry_schema
                or config.tapdb.registry_schema
                or before.get((config.view_schema, config.view_name))
            )
            mapping = match_mapping(config, read_registry(connection, registry_schema))
            rights += rights_to_make(connection, mapping)
        return tuple(rights)

    def is_current(self, connection: sa.Connection, options: Mapping[str, str]) -> bool:
        """Return whether the views that there are are those that `create` would make; nothing is changed."""
        stored = {(one.schema, one.name): one for one in read_stored_views(connection)}
        if not stored:
            return False
        for wanted in _wanted(connection, tuple(stored.values()), options):
            view = stored.get((wanted.config.view_schema, wanted.config.view_name))
            if view is None or wanted.registry_schema not in {None, view.registry_schema}:
                return False
            findings = check_view(connection, view, wanted.config)
            if any(one.severity == "error" for one in findings):
                return False
        return True

    def describe_offline(self) -> str:
        """Return what a DBA has to run when the migration is a script."""
        return (
            "The ObsCore view is generated from the registry. Before this script: tapdb obscore drop --all. "
            "After it: tapdb obscore create -c CONFIG, or the SQL that tapdb obscore plan -c CONFIG prints."
        )


def _say_lasting(view: StoredView, wanted: _Wanted) -> None:
    """Say what is to be done about a view that an upgrade has left as it is."""
    if to_be_filled(view):
        _LOG.warning(
            "%s goes on as it is; new tables for it are filled by: tapdb obscore fill", view.full_name
        )
    if wanted.text != view.config_yaml:
        _LOG.warning(
            "%s keeps its configuration; the other one is for: tapdb obscore refresh -c CONFIG",
            view.full_name,
        )


def _wanted(
    connection: sa.Connection, stored: tuple[StoredView, ...], options: Mapping[str, str]
) -> tuple[_Wanted, ...]:
    """Return the views that are to be, given those that there are or were."""
    wanted = {
        (one.schema, one.name): _Wanted(stored_config(one), one.config_yaml, one.registry_schema)
        for one in stored
    }
    schema = options.get("registry_schema")
    given = options.get("obscore_config")
    if given:
        config, text = read_config(given), Path(given).read_text(encoding="utf-8")
        if before := wanted.get((config.view_schema, config.view_name)):
            text = keep_options(text, before.text)
            config = parse_config(text, source=given)
            (view,) = (
                one for one in stored if one.name == config.view_name and one.schema == config.view_schema
            )
            schema = schema or registry_of(view, config)
        wanted[config.view_schema, config.view_name] = _Wanted(config, text, schema)
    elif not wanted:
        text = _live_config(connection, schema)
        config = parse_config(text, source="configuration of Butler's live ObsCore table")
        wanted[config.view_schema, config.view_name] = _Wanted(config, text, schema)
    return tuple(_with_geometry(one, options.get("geometry"), given) for one in wanted.values())


def _with_geometry(wanted: _Wanted, mode: str | None, source: str | None) -> _Wanted:
    if mode is None:
        return wanted
    text = with_options(wanted.text, geometry=mode)
    return replace(wanted, config=parse_config(text, source=source or "configuration"), text=text)


def _live_config(connection: sa.Connection, schema: str | None) -> str:
    """Return the configuration of daf_butler's live ObsCore table, which the registry records."""
    schema = find_registry(connection, schema)
    attributes = sa.table("butler_attributes", sa.column("name"), sa.column("value"), schema=schema)
    found = connection.scalar(sa.select(attributes.c.value).where(attributes.c.name == "config:obscore.json"))
    if found is None:
        problem = ConfigProblem(
            f'no ObsCore configuration was given, and the registry in schema "{schema}" records none',
            f"name a file by {spelled('obscore_config', 'TAPDB_OBSCORE_CONFIG')}; write a first one: tapdb "
            f"obscore init -o FILE; {spelled('obscore')}off migrates without a view",
        )
        raise ConfigError([problem])
    return yaml.safe_dump(json.loads(found), sort_keys=False, allow_unicode=True)
