"""The SQL that makes a view and all that it stands on, or takes it away; nothing is executed here."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import reduce
from typing import Any

import sqlalchemy as sa
from psycopg import sql
from sqlalchemy.dialects import postgresql

from obscore_view.columns import ObsCoreColumn
from obscore_view.config.template import Literal, parse_template
from obscore_view.mapping import DatasetMapping
from obscore_view.select.kept_rows import SUMMARY
from obscore_view.select.kept_tables import SCHEMA, KeptTable, Watch, kept_tables, shown_regions
from obscore_view.select.relations import ranks_name, ranks_select
from obscore_view.select.statement import build_select, view_columns
from obscore_view.view.objects import (
    OwnObjects,
    did_index,
    did_lookup_tables,
    region_index,
    region_keys,
    statistics_name,
)

OWNER = sql.Identifier("tapdb_owner")
READER = sql.Identifier("tapdb_reader")
_TIMINGS = {
    "insert": "AFTER INSERT ON {table} REFERENCING NEW TABLE AS changed",
    "update": "AFTER UPDATE ON {table} REFERENCING OLD TABLE AS before NEW TABLE AS changed",
    "delete": "AFTER DELETE ON {table} REFERENCING OLD TABLE AS changed",
    "truncate": "AFTER TRUNCATE ON {table}",
}


@dataclass(frozen=True, slots=True)
class Script:
    """Statements to be run in one transaction.

    Attributes
    ----------
    statements
        SQL, one statement each, without semicolon.
    """

    statements: tuple[str, ...]

    def __str__(self) -> str:
        return "".join(f"{statement};\n" for statement in self.statements)


def render(query: sa.sql.expression.ClauseElement) -> sql.SQL:
    """Return a query as text with its constants written into it.

    A style of parameters in which neither ``%`` nor ``:`` is doubled: the text goes to the server as it
    stands.
    """
    dialect = postgresql.dialect(paramstyle="named")  # type: ignore[no-untyped-call]
    return sql.SQL(str(query.compile(dialect=dialect, compile_kwargs={"literal_binds": True})))


def create_script(mapping: DatasetMapping, *, existing: frozenset[str] = frozenset()) -> Script:
    """Return the statements that make the view, the tables and triggers behind it, its comments and grants.

    Parameters
    ----------
    mapping
        What to make.
    existing
        Names of kept tables that are there already, made for another view over the same registry.

    Raises
    ------
    MappingError
        Raised if the configuration asks for something that the registry does not have.
    """
    config, registry = mapping.config, mapping.registry
    view = sql.Identifier(config.view_schema, config.view_name)
    parts: list[sql.Composable] = list(_grants_on_registry(mapping))
    for kept in kept_tables(mapping):
        if kept.name in existing:
            continue
        parts += _make_kept(kept, registry.schema)
    if config.collection_rule.kind == "find-first":
        ranks = sql.Identifier(SCHEMA, ranks_name(mapping))
        parts += [
            sql.SQL("CREATE VIEW {} AS\n{}").format(ranks, render(ranks_select(mapping))),
            sql.SQL("ALTER VIEW {} OWNER TO {}").format(ranks, OWNER),
        ]
    if config.tapdb.geometry == "index":
        parts += _region_indexes(mapping)
    if config.tapdb.geometry != "none":
        parts += _identifier_indexes(mapping)
    parts += _statistics(mapping)
    parts.append(sql.SQL("CREATE VIEW {} AS\n{}").format(view, render(build_select(mapping))))
    parts.append(sql.SQL("ALTER VIEW {} OWNER TO {}").format(view, OWNER))
    parts.append(sql.SQL("GRANT SELECT ON {} TO {}").format(view, READER))
    parts += _comments(mapping, view, view_columns(mapping))
    return Script(tuple(part.as_string(None) for part in parts))


def drop_script(objects: OwnObjects, registry_schema: str, *, spared: frozenset[str] = frozenset()) -> Script:
    """Return the statements that take a view away with all that was made for it.

    Grants on the registry are left.

    Never with CASCADE: what others have built on the view stops it.

    Parameters
    ----------
    objects
        What was made.
    registry_schema
        Schema of the registry.
    spared
        Names of kept tables that stay, for other views.
    """
    parts: list[sql.Composable] = []
    sources = {f"{name}_source" for name in spared}
    for schema, name in reversed(objects.views):
        if name not in sources:
            parts.append(sql.SQL("DROP VIEW IF EXISTS {}").format(sql.Identifier(schema, name)))
    for table, trigger in objects.triggers:
        if trigger.rpartition("_")[0] not in spared:
            parts.append(
                sql.SQL("DROP TRIGGER IF EXISTS {} ON {}").format(
                    sql.Identifier(trigger), sql.Identifier(registry_schema, table)
                )
            )
    for schema, name in objects.tables:
        if name not in spared:
            parts.append(sql.SQL("DROP TABLE IF EXISTS {}").format(sql.Identifier(schema, name)))
    parts += [
        sql.SQL("DROP STATISTICS IF EXISTS {}").format(sql.Identifier(schema, name))
        for schema, name in objects.statistics
    ]
    parts += [
        sql.SQL("DROP INDEX IF EXISTS {}").format(sql.Identifier(registry_schema, name))
        for name in objects.indexes
    ]
    return Script(tuple(part.as_string(None) for part in parts))


def refill_script(kept: KeptTable, registry_schema: str) -> Script:
    """Return the statements that rebuild the rows and triggers of a kept table; others may go on using it.

    Parameters
    ----------
    kept
        The table.
    registry_schema
        Schema of the registry.
    """
    table, source = sql.Identifier(SCHEMA, kept.name), sql.Identifier(SCHEMA, kept.source)
    key = sql.SQL(", ").join(map(sql.Identifier, kept.key))
    parts: list[sql.Composable] = []
    for watch in kept.watches:
        parts += [
            sql.SQL("DROP TRIGGER IF EXISTS {} ON {}").format(
                sql.Identifier(kept.trigger(event)), sql.Identifier(registry_schema, watch.table)
            )
            for event in _TIMINGS
        ]
        parts += _triggers(kept, watch, registry_schema)
    parts += [
        sql.SQL("DELETE FROM {}").format(table),
        sql.SQL("INSERT INTO {} SELECT * FROM {} ORDER BY {}").format(table, source, key),
        sql.SQL("ANALYZE {}").format(table),
    ]
    return Script(tuple(part.as_string(None) for part in parts))


def butler_tables(mapping: DatasetMapping) -> tuple[str, ...]:
    """Return the tables of the registry that the view, its tables or its triggers may read."""
    registry = mapping.registry
    elements = {name for name in registry.universe.elements if name in registry.columns}
    always = {"collection", "collection_chain", "dataset", "dataset_type", SUMMARY, *elements}
    files = mapping.config.tapdb.datastore_tables or registry.datastore_tables
    tags = {place.tags_table for one in mapping.dataset_types for place in one.places}
    return tuple(sorted({*always, *files, *tags}))


def _grants_on_registry(mapping: DatasetMapping) -> Iterable[sql.Composable]:
    schema = mapping.registry.schema
    tables = sql.SQL(", ").join(sql.Identifier(schema, table) for table in butler_tables(mapping))
    yield sql.SQL("GRANT USAGE ON SCHEMA {} TO {}").format(sql.Identifier(schema), OWNER)
    yield sql.SQL("GRANT SELECT ON {} TO {}").format(tables, OWNER)


def _make_kept(kept: KeptTable, registry_schema: str) -> Iterable[sql.Composable]:
    table, source = sql.Identifier(SCHEMA, kept.name), sql.Identifier(SCHEMA, kept.source)
    key = sql.SQL(", ").join(map(sql.Identifier, kept.key))
    yield sql.SQL("CREATE VIEW {} AS\n{}").format(source, render(kept.select))
    yield sql.SQL("ALTER VIEW {} OWNER TO {}").format(source, OWNER)
    yield sql.SQL("CREATE TABLE {} AS SELECT * FROM {} WITH NO DATA").format(table, source)
    # Triggers first: they lock Butler's table against changes until the end, so that none is missed.
    for watch in kept.watches:
        yield from _triggers(kept, watch, registry_schema)
    # In the order of the key: regions of one visit lie side by side, on the sky and on disk.
    yield sql.SQL("INSERT INTO {} SELECT * FROM {} ORDER BY {}").format(table, source, key)
    yield sql.SQL("ALTER TABLE {} ADD PRIMARY KEY ({}) WITH (fillfactor = 100)").format(table, key)
    for column in kept.indexed:
        yield sql.SQL("CREATE INDEX ON {} ({})").format(table, sql.Identifier(column))
    if kept.polygon is not None:
        polygon = sql.Identifier(kept.polygon)
        yield sql.SQL("CREATE INDEX ON {} USING gist ({}) WITH (fillfactor = 100)").format(table, polygon)
        yield sql.SQL("ALTER TABLE {} ALTER COLUMN {} SET (n_distinct = -1)").format(table, polygon)
    if kept.related:
        yield sql.SQL("CREATE STATISTICS {} (ndistinct) ON {} FROM {}").format(table, key, table)
        yield sql.SQL("ALTER STATISTICS {} OWNER TO {}").format(table, OWNER)
    yield sql.SQL("ALTER TABLE {} OWNER TO {}").format(table, OWNER)
    yield sql.SQL("COMMENT ON TABLE {} IS {}").format(
        table, sql.Literal(f"Kept equal to {SCHEMA}.{kept.source} by triggers.")
    )
    yield sql.SQL("ANALYZE {}").format(table)


def _triggers(kept: KeptTable, watch: Watch, registry_schema: str) -> Iterable[sql.Composable]:
    arguments = [
        f'"{SCHEMA}"."{kept.name}"',
        f'"{SCHEMA}"."{kept.source}"',
        ", ".join(f'"{column}"' for column in kept.key),
        watch.lock,
        *(f"{mine}={theirs}" for mine, theirs in watch.columns),
    ]
    for event, timing in _TIMINGS.items():
        yield sql.SQL(
            "CREATE TRIGGER {name} {timing} FOR EACH STATEMENT EXECUTE FUNCTION tapdb.keep_rows({arguments})"
        ).format(
            name=sql.Identifier(kept.trigger(event)),
            timing=sql.SQL(timing).format(table=sql.Identifier(registry_schema, watch.table)),
            arguments=sql.SQL(", ").join(map(sql.Literal, arguments)),
        )


def _region_indexes(mapping: DatasetMapping) -> Iterable[sql.Composable]:
    """Return the indexes over the decoded regions on Butler's own tables."""
    for element in shown_regions(mapping):
        yield sql.SQL("CREATE INDEX {} ON {} USING gist (tapdb.pgs_region(region))").format(
            sql.Identifier(region_index(mapping, element)), sql.Identifier(mapping.registry.schema, element)
        )


def _identifier_indexes(mapping: DatasetMapping) -> Iterable[sql.Composable]:
    """Return the indexes by which a dataset is found from its obs_publisher_did.

    Hash indexes: they hold four bytes of each identifier, however long it is.
    """
    for table, text in did_lookup_tables(mapping).items():
        uuid = sa.cast(sa.column("dataset_id", sa.Uuid()), sa.Text())
        parts: list[sa.ColumnElement[Any]] = [
            sa.literal(part.text, sa.Text()) if isinstance(part, Literal) else uuid
            for part in parse_template(text).parts
        ]
        expression = reduce(lambda left, right: left.concat(right), parts)
        yield sql.SQL("CREATE INDEX {} ON {} USING hash (({}))").format(
            sql.Identifier(did_index(mapping, table)),
            sql.Identifier(mapping.registry.schema, table),
            render(expression),
        )


def _statistics(mapping: DatasetMapping) -> Iterable[sql.Composable]:
    """Return the statistics that tell the planner how many regions there are to be joined with datasets.

    Without them it takes keys to repeat where hardly one does, and memoizes a million misses.
    """
    for table, columns in region_keys(mapping).items():
        name = sql.Identifier(SCHEMA, statistics_name(mapping, table))
        tags = sql.Identifier(mapping.registry.schema, table)
        listed = sql.SQL(", ").join(map(sql.Identifier, columns))
        yield sql.SQL("CREATE STATISTICS {} (ndistinct) ON {} FROM {}").format(name, listed, tags)
        yield sql.SQL("ALTER STATISTICS {} OWNER TO {}").format(name, OWNER)
        yield sql.SQL("ANALYZE {}").format(tags)


def _comments(
    mapping: DatasetMapping, view: sql.Composable, columns: tuple[ObsCoreColumn, ...]
) -> Iterable[sql.Composable]:
    about = (
        f"ObsCore 1.1 over the Butler registry in schema {mapping.registry.schema}, one row a dataset; live."
    )
    yield sql.SQL("COMMENT ON VIEW {} IS {}").format(view, sql.Literal(about))
    for column in columns:
        unit = f" [{column.unit}]" if column.unit else ""
        yield sql.SQL("COMMENT ON COLUMN {}.{} IS {}").format(
            view, sql.Identifier(column.name), sql.Literal(f"{column.description}{unit}")
        )
