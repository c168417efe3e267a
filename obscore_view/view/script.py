"""All that a view consists of, and the SQL that makes it or takes it away; nothing is executed here.

The names are recorded when a view is made, so that all can be dropped later.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache, reduce
from typing import Any

import sqlalchemy as sa
from psycopg import sql

from obscore_view.config.template import DatasetId, Literal, parse_template
from obscore_view.mapping import DatasetMapping
from obscore_view.registry.snapshot import Registry
from obscore_view.select.kept_layout import KeptLayout
from obscore_view.select.kept_sources import (
    KeptRegions,
    anchor_source_select,
    collection_source_select,
    dataset_source_select,
    region_prefix,
    region_source,
    region_source_select,
    shown_regions,
)
from obscore_view.select.kept_tables import SCHEMA, region_table, shortened
from obscore_view.select.relations import ranks_name, ranks_select
from obscore_view.select.statement import kept_layout
from obscore_view.view.keeping import AGAIN, Step, ViewSteps, region_steps
from obscore_view.view.published import (
    DIALECT,
    OWNER,
    RelationName,
    publish,
    published_views,
    render,
)


@dataclass(frozen=True, slots=True)
class OwnObjects:
    """Names of the objects of one view, in the order in which they are made.

    Attributes
    ----------
    views
        Schema and name of each view, the published one last.
    tables
        Schema and name of each kept table.
    footprints
        Those of them that all views over the same registry share: the regions.
    triggers
        Butler's table and name of each trigger on it.
    indexes, statistics
        Indexes and statistics on Butler's tables; revision 0002 and before made some.
    granted
        Butler's tables that tapdb's owner may read.
    """

    views: tuple[RelationName, ...]
    tables: tuple[RelationName, ...]
    footprints: tuple[RelationName, ...]
    triggers: tuple[RelationName, ...]
    statistics: tuple[RelationName, ...]
    indexes: tuple[str, ...]
    granted: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the names as JSON."""
        return asdict(self)

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> OwnObjects:
        """Return the names that `to_json` gave; older software recorded fewer kinds."""
        pairs = {
            name: tuple((first, second) for first, second in content.get(name, ()))
            for name in cls.__slots__[:5]
        }
        return cls(**pairs, indexes=tuple(content["indexes"]), granted=tuple(content["granted"]))


def objects_of_view(mapping: DatasetMapping, granted: tuple[str, ...]) -> OwnObjects:
    """Return the names of the objects that a mapping's view consists of."""
    config, registry = mapping.config, mapping.registry
    published = published_views(config)
    if config.tapdb.geometry == "none":
        ranks = config.collection_rule.kind == "find-first"
        views = [(SCHEMA, ranks_name(mapping))] if ranks else []
        return OwnObjects((*views, *published), (), (), (), (), (), granted)
    layout = kept_layout(mapping)
    regions = (SCHEMA, region_table(registry).name)
    sources = [(SCHEMA, region_source(registry, one)) for one in shown_regions(mapping)]
    sources += [(SCHEMA, layout.names.source(of)) for of in own_sources(layout)]
    names = layout.names
    own = [(SCHEMA, one.name) for one in (names.collection, names.observation, names.dataset)]
    touched = dict.fromkeys((one.relation, trigger_name(one.event)) for one in kept_steps(layout))
    return OwnObjects(
        views=(*sources, *published),
        tables=(regions, *own),
        footprints=(regions,),
        triggers=tuple(touched),
        statistics=(),
        indexes=(),
        granted=granted,
    )


@lru_cache(maxsize=16)
def own_sources(layout: KeptLayout) -> Mapping[str, sa.Select[Any]]:
    """Return the SELECTs that a view's own kept tables are equal to, by what they are of."""
    found: dict[str, sa.Select[Any]] = {"collection": collection_source_select(layout.mapping)}
    for place in layout.places:
        found[place.place.tags_table] = dataset_source_select(layout, place)
        if place.anchor is not None:
            found.setdefault(f"{place.prefix}_{place.anchor}", anchor_source_select(layout, place))
    return found


@lru_cache(maxsize=16)
def kept_steps(layout: KeptLayout) -> tuple[Step, ...]:
    """Return what keeps the tables of a view, the regions first."""
    registry = layout.mapping.registry
    regions = [step for one in shown_regions(layout.mapping) for step in region_steps(registry, one)]
    return (*(one for one in regions if one.event != AGAIN), *ViewSteps(layout).steps())


def count_steps(mapping: DatasetMapping) -> int:
    """Return how many statements keep the tables of a view that are its own."""
    layout = kept_layout(mapping)
    return sum(one.kept == layout.names.base for one in kept_steps(layout))


def trigger_name(event: str) -> str:
    """Return the name of the trigger for an event, on each of Butler's tables."""
    return f"tapdb_{event.lower()}"


_TIMINGS = {
    "INSERT": "AFTER INSERT ON {table} REFERENCING NEW TABLE AS changed",
    "UPDATE": "AFTER UPDATE ON {table} REFERENCING OLD TABLE AS gone NEW TABLE AS changed",
    "DELETE": "AFTER DELETE ON {table} REFERENCING OLD TABLE AS gone",
    "TRUNCATE": "AFTER TRUNCATE ON {table}",
}


@dataclass(frozen=True, slots=True)
class Script:
    """Statements to be run in one transaction.

    Attributes
    ----------
    statements
        SQL, one statement each, without semicolon.
    what
        What they do, in words.
    before, locked
        Statements that are run first; then tables of Butler's are locked against writing at one moment, by
        schema and name, so that they are locked for as short as can be.
    alone
        Whether each statement is a transaction of its own instead.
    """

    statements: tuple[str, ...]
    what: str = ""
    before: tuple[str, ...] = ()
    locked: tuple[RelationName, ...] = ()
    alone: bool = False

    def __str__(self) -> str:
        return "".join(f"{statement};\n" for statement in self.statements)


def create_script(
    mapping: DatasetMapping,
    *,
    existing: frozenset[RelationName] = frozenset(),
    decode_again: bool = False,
) -> Script:
    """Return the statements that make the view, the tables and triggers behind it, its comments and grants.

    Parameters
    ----------
    mapping
        What to make.
    existing
        Kept tables and sources that are there already, made for another view over the same registry.
    decode_again
        Whether the regions in these are decoded again.

    Raises
    ------
    MappingError
        Raised if the configuration asks for something that the registry does not have.
    """
    config = mapping.config
    parts: list[sql.Composable] = list(grants_on_registry(mapping))
    if config.tapdb.geometry == "table":
        layout = kept_layout(mapping)
        if (SCHEMA, region_table(mapping.registry).name) not in existing:
            existing = frozenset()
        parts += make_kept(layout, existing)
        parts += keep_from_now(layout, existing, decode_again=decode_again)
        parts += _fill(layout, existing, decode_again=decode_again)
        parts += keys_of_datasets(layout)
        parts += [one.statement() for one in question_indexes(layout, existing)]
        parts += analyses(layout)
    elif config.collection_rule.kind == "find-first":
        parts += _make_view(ranks_name(mapping), ranks_select(mapping))
    parts += publish(mapping)
    return Script(tuple(part.as_string(None) for part in parts))


def drop_script(
    objects: OwnObjects, registry_schema: str, *, spared: frozenset[RelationName] = frozenset()
) -> Script:
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
        Schema and name of views and tables, Butler's table and name of triggers that stay, for other views.
    """
    # Views of revision 0002 and before have no table of datasets, and none of statements that keep it.
    gone = {name.removesuffix("_dataset") for _, name in objects.tables if name.endswith("_dataset")}
    if gone:
        gone |= {name for schema, name in objects.footprints if (schema, name) not in spared}
    bases = sql.SQL(", ").join(map(sql.Literal, sorted(gone)))
    parts: list[sql.Composable] = [
        sql.SQL("DROP VIEW IF EXISTS {}").format(sql.Identifier(*name))
        for name in reversed(objects.views)
        if name not in spared
    ]
    parts += [
        drop_trigger(registry_schema, table, trigger)
        for table, trigger in objects.triggers
        if (table, trigger) not in spared
    ]
    parts += [
        sql.SQL("DELETE FROM {} WHERE registry_schema = {} AND kept IN ({})").format(
            sql.Identifier(SCHEMA, table), sql.Literal(registry_schema), bases
        )
        for table in ("keeping", "kept_note")
        if gone
    ]
    parts += [
        sql.SQL("DROP TABLE IF EXISTS {}").format(sql.Identifier(*name))
        for name in reversed(objects.tables)
        if name not in spared
    ]
    parts += [
        sql.SQL("DROP STATISTICS IF EXISTS {}").format(sql.Identifier(*name)) for name in objects.statistics
    ]
    parts += [
        sql.SQL("DROP INDEX IF EXISTS {}").format(sql.Identifier(registry_schema, name))
        for name in objects.indexes
    ]
    return Script(tuple(part.as_string(None) for part in parts))


def drop_trigger(registry_schema: str, table: str, trigger: str) -> sql.Composable:
    """Return the statement that takes a trigger from one of Butler's tables."""
    return sql.SQL("DROP TRIGGER IF EXISTS {} ON {}").format(
        sql.Identifier(trigger), sql.Identifier(registry_schema, table)
    )


def butler_tables(mapping: DatasetMapping) -> tuple[str, ...]:
    """Return the tables of the registry that the view, its tables or its triggers may read."""
    registry = mapping.registry
    elements = {name for name in registry.universe.elements if name in registry.columns}
    always = {"collection", "collection_chain", "dataset", "dataset_type", *elements}
    files = mapping.config.tapdb.datastore_tables or registry.datastore_tables
    tags = {place.tags_table for one in mapping.dataset_types for place in one.places}
    for rule in (mapping.config.tapdb.presence or {}).values():
        others = map(registry.dataset_types.get, filter(None, (rule.replaced_by, *rule.made_from)))
        tags |= {one.tags_table for one in others if one is not None}
    return tuple(sorted({*always, *files, *tags}))


def grants_on_registry(mapping: DatasetMapping) -> Iterable[sql.Composable]:
    """Return what lets the owner of a view read Butler's tables."""
    schema = mapping.registry.schema
    tables = sql.SQL(", ").join(sql.Identifier(schema, table) for table in butler_tables(mapping))
    yield sql.SQL("GRANT USAGE ON SCHEMA {} TO {}").format(sql.Identifier(schema), OWNER)
    yield sql.SQL("GRANT SELECT ON {} TO {}").format(tables, OWNER)


def _make_view(name: str, select: sa.Select[Any]) -> Iterable[sql.Composable]:
    view = sql.Identifier(SCHEMA, name)
    yield sql.SQL("CREATE OR REPLACE VIEW {} AS\n{}").format(view, render(select))
    yield sql.SQL("ALTER VIEW {} OWNER TO {}").format(view, OWNER)


def _make_table(table: sa.TableClause, about: str) -> Iterable[sql.Composable]:
    """Return what makes a kept table; the first column of a table with a ``key`` numbers its rows."""
    first = table.c.keys()[0]
    columns = []
    for column in table.c:
        kind = column.type.compile(dialect=DIALECT)
        rest = " GENERATED ALWAYS AS IDENTITY" if "key" in table.c and column.name == first else ""
        rest += " NOT NULL" if column.name in _ALWAYS_THERE else ""
        rest += " DEFAULT false" if isinstance(column.type, sa.Boolean) else ""
        columns.append(sql.SQL("{} {}").format(sql.Identifier(column.name), sql.SQL(f"{kind}{rest}")))
    name = sql.Identifier(SCHEMA, table.name)
    yield sql.SQL("CREATE TABLE {} ({})").format(name, sql.SQL(", ").join(columns))
    yield sql.SQL("ALTER TABLE {} OWNER TO {}").format(name, OWNER)
    yield sql.SQL("COMMENT ON TABLE {} IS {}").format(name, sql.Literal(about))
    if "key" in table.c:
        yield sql.SQL("ALTER TABLE {} ADD PRIMARY KEY ({})").format(name, sql.Identifier(first))
        # Only ever looked up by equality; half the size of a B-tree.
        yield sql.SQL("CREATE INDEX ON {} USING hash (key)").format(name)


_ALWAYS_THERE = frozenset({"key", "dataset_id", "observation", "collection", "type", "is_loaded"})
"""Columns of kept tables that are never NULL."""


def make_kept(layout: KeptLayout, existing: frozenset[RelationName]) -> Iterable[sql.Composable]:
    """Return what makes the kept tables, empty, and the views that say what they are to hold."""
    registry, names = layout.mapping.registry, layout.names
    regions = region_table(registry)
    if (SCHEMA, regions.name) not in existing:
        yield from _make_table(regions, f"Regions in the Butler registry {registry.schema}, decoded.")
    for shown in shown_regions(layout.mapping):
        if (SCHEMA, region_source(registry, shown)) not in existing:
            yield from _make_view(region_source(registry, shown), region_source_select(registry, shown))
    view = f"{layout.mapping.config.view_schema}.{layout.mapping.config.view_name}"
    yield from _make_table(names.collection, f"Collections that {view} looks into.")
    yield from _make_table(layout.kept_observation, f"Observations of the datasets in {view}.")
    yield from _make_table(names.dataset, f"A row for each dataset that {view} may show.")
    for of, select in own_sources(layout).items():
        yield from _make_view(names.source(of), select)


def keep_from_now(
    layout: KeptLayout,
    existing: frozenset[RelationName],
    *,
    decode_again: bool = False,
    stages: Collection[bool] = (True, False),
    triggers: bool = True,
) -> Iterable[sql.Composable]:
    """Return what keeps the tables from now on: the statements, and Butler's triggers that run them.

    Parameters
    ----------
    layout
        The kept tables.
    existing
        Sources of regions that are kept already.
    decode_again
        Whether what keeps these is made again too.
    stages
        Which of the steps are taken: those of what datasets refer to (`Step.first`), or the others.
    triggers
        Whether the triggers are made too, for which the tables are locked.
    """
    schema = layout.mapping.registry.schema
    regions = region_table(layout.mapping.registry).name
    sources = {region_source(layout.mapping.registry, one): one for one in shown_regions(layout.mapping)}
    kept_already = {one.relation for name, one in sources.items() if (SCHEMA, name) in existing}
    if decode_again and kept_already:
        for table in ("keeping", "kept_note"):
            yield sql.SQL(
                "DELETE FROM {} WHERE registry_schema = {} AND kept = {} AND relation IN ({})"
            ).format(
                sql.Identifier(SCHEMA, table),
                sql.Literal(schema),
                sql.Literal(regions),
                sql.SQL(", ").join(map(sql.Literal, sorted(kept_already))),
            )
        kept_already = set()
    insert = sql.SQL(
        "INSERT INTO {} (registry_schema, relation, event, kept, place, statement, settles) VALUES ({})"
    )
    touched: dict[tuple[str, str], None] = {}
    for place, step in enumerate(kept_steps(layout), start=1):
        if step.first not in stages:
            continue
        touched[step.relation, step.event] = None
        if step.kept == regions and step.relation in kept_already:
            continue
        # Statements on regions come before those of any view.
        number = place if step.kept == regions else 1000 + place
        values = (schema, step.relation, step.event, step.kept, number)
        text = step.statement.as_string(None)
        yield insert.format(
            sql.Identifier(SCHEMA, "keeping"),
            sql.SQL(", ").join(map(sql.Literal, (*values, text, step.settles))),
        )
    yield from make_triggers(schema, touched) if triggers else ()


def make_triggers(schema: str, touched: Iterable[tuple[str, str]]) -> Iterable[sql.Composable]:
    """Return what makes the triggers for events of Butler's tables."""
    for relation, event in touched:
        yield sql.SQL(
            "CREATE OR REPLACE TRIGGER {} {} FOR EACH STATEMENT EXECUTE FUNCTION tapdb.keep()"
        ).format(
            sql.Identifier(trigger_name(event)),
            sql.SQL(_TIMINGS[event]).format(table=sql.Identifier(schema, relation)),
        )


def _fill(
    layout: KeptLayout, existing: frozenset[RelationName], *, decode_again: bool
) -> Iterable[sql.Composable]:
    """Return what fills the kept tables."""
    registry = layout.mapping.registry
    regions = region_table(registry)
    table = sql.Identifier(SCHEMA, regions.name)
    values = sql.SQL(", ").join(sql.Identifier(one.name) for one in regions.c if one.name != "region")
    for shown in shown_regions(layout.mapping):
        name = region_source(registry, shown)
        if (SCHEMA, name) not in existing:
            # In the order of the key: regions of one visit lie side by side, on the sky and on disk.
            yield sql.SQL("INSERT INTO {} ({values}) SELECT {values} FROM {} ORDER BY key").format(
                table, sql.Identifier(SCHEMA, name), values=values
            )
        elif decode_again:
            yield regions_again(registry, shown)
    if (SCHEMA, regions.name) not in existing:
        yield sql.SQL("ALTER TABLE {} ALTER COLUMN pgs_region SET (n_distinct = -1)").format(table)
    yield sql.SQL("ANALYZE {}").format(table)
    yield sql.SQL("ANALYZE {}").format(sql.Identifier(SCHEMA, "dataset_type_mapping"))
    yield from ViewSteps(layout).fill()


def keys_of_datasets(layout: KeptLayout) -> Iterable[sql.Composable]:
    """Return the indexes of datasets by which they are kept."""
    table = layout.names.dataset
    dataset = sql.Identifier(SCHEMA, table.name)
    key = ("dataset_id", "collection") if "data_id" in table.c else ("dataset_id",)
    yield sql.SQL("ALTER TABLE {} ADD PRIMARY KEY ({})").format(
        dataset, sql.SQL(", ").join(map(sql.Identifier, key))
    )
    yield _by_observation(table.name).statement()
    # Twenty datasets an observation, for the planner: of the two ends of a time it takes each for a half of
    # the archive, and what has both for a quarter, where it is what one visit has.
    yield sql.SQL("ALTER TABLE {} ALTER COLUMN observation SET (n_distinct = -0.05)").format(dataset)


def names_of_keys(layout: KeptLayout) -> tuple[str, ...]:
    """Return the names of the indexes of datasets by which they are kept."""
    table = layout.names.dataset.name
    return (f"{table}_pkey", _by_observation(table).name)


@dataclass(frozen=True, slots=True)
class KeptIndex:
    """An index that questions need and keeping does not.

    Attributes
    ----------
    table
        Kept table.
    what
        What its name says.
    on
        What follows the name of the table in CREATE INDEX.
    """

    table: str
    what: str
    on: sql.Composable

    @property
    def name(self) -> str:
        """Its name."""
        return shortened(f"{self.table}_{self.what}", longest="")

    def statement(self, how: str = "") -> sql.Composable:
        """Return what makes it; ``CONCURRENTLY`` keeps no writer from its table meanwhile."""
        return sql.SQL("CREATE INDEX {}{} ON {} {}").format(
            sql.SQL(how), sql.Identifier(self.name), sql.Identifier(SCHEMA, self.table), self.on
        )


def _by_observation(table: str) -> KeptIndex:
    # With the time: what ends after one is looked for before that by an index alone.
    return KeptIndex(table, "observation_idx", sql.SQL("(observation, detector, t_min)"))


def question_indexes(layout: KeptLayout, existing: frozenset[RelationName]) -> Iterable[KeptIndex]:
    """Return the indexes of the kept tables, less those by which rows are kept."""
    regions, names = region_table(layout.mapping.registry), layout.names
    if (SCHEMA, regions.name) not in existing:
        how = "USING gist (pgs_region) WITH (fillfactor = 100)"
        yield KeptIndex(regions.name, "pgs_region_idx", sql.SQL(how))
    for column in layout.searched:
        kind = sql.SQL(" text_pattern_ops" if column == "obs_id" else "")
        on = sql.SQL("({}{})").format(sql.Identifier(column), kind)
        yield KeptIndex(names.observation.name, f"{column}_idx", on)
    dataset = names.dataset.name
    yield KeptIndex(dataset, "region_idx", sql.SQL("(region)"))
    if "t_min" in layout.kept:
        yield KeptIndex(dataset, "t_min_idx", sql.SQL("(t_min)"))
        yield KeptIndex(dataset, "t_min_idx1", sql.SQL("(t_min DESC NULLS LAST)"))
    if "data_id" in names.dataset.c:
        yield KeptIndex(dataset, "data_id_idx", sql.SQL("(data_id)"))
    for number, text in enumerate(did_formats(layout.mapping)):
        uuid = sa.cast(sa.column("dataset_id", sa.Uuid()), sa.Text())
        parts: list[sa.ColumnElement[Any]] = [
            sa.literal(part.text, sa.Text()) if isinstance(part, Literal) else uuid
            for part in parse_template(text).parts
        ]
        expression = reduce(lambda left, right: left.concat(right), parts)
        # Four bytes of each identifier, however long it is.
        on = sql.SQL("USING hash (({}))").format(render(expression))
        yield KeptIndex(dataset, f"expr_idx{number or ''}", on)


def analyses(layout: KeptLayout) -> Iterable[sql.Composable]:
    """Return what tells the planner about the tables of a view."""
    names = layout.names
    for one in (names.collection, names.observation, names.dataset):
        yield sql.SQL("ANALYZE {}").format(sql.Identifier(SCHEMA, one.name))


def regions_again(registry: Registry, regions: KeptRegions) -> sql.Composable:
    """Return what decodes the regions of a table again; those that stay keep their numbers."""
    # Pixels of one level come from several tables, and none is lost.
    lost = f"{region_prefix(regions.element)}%" if regions.relation == regions.element else ""
    table = region_table(registry)
    values = [sql.Identifier(one.name) for one in table.c if one.name != "region"]
    return sql.SQL(
        "WITH wanted AS MATERIALIZED (SELECT {values} FROM {source}), "
        "lost AS (DELETE FROM {kept} r WHERE r.key LIKE {prefix} "
        "AND NOT EXISTS (SELECT FROM wanted w WHERE w.key = r.key)), "
        "come AS (INSERT INTO {kept} ({values}) SELECT {values} FROM wanted w "
        "WHERE NOT EXISTS (SELECT FROM {kept} r WHERE r.key = w.key)) "
        "UPDATE {kept} r SET {set} FROM wanted w WHERE w.key = r.key"
    ).format(
        kept=sql.Identifier(SCHEMA, table.name),
        source=sql.Identifier(SCHEMA, region_source(registry, regions)),
        values=sql.SQL(", ").join(values),
        prefix=sql.Literal(lost),
        set=sql.SQL(", ").join(sql.SQL("{0} = w.{0}").format(one) for one in values),
    )


def did_formats(mapping: DatasetMapping) -> tuple[str, ...]:
    """Return the format strings of obs_publisher_did that have nothing but the UUID in them."""
    templates = [one.obs_publisher_did for one in mapping.dataset_types]
    found = {one.text for one in templates if one is not None and one.references == (DatasetId(),)}
    return tuple(sorted(found))
