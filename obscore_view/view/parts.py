"""What fills a set of kept tables, part by part, and puts it in the place of another; nothing is run here.

A part is a transaction, or a pass over one of Butler's tables in batches of pages, each a transaction. From
the moment that the tables are there, triggers keep what is in them; a batch locks the rows that it reads, so
that none of them changes under it.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import sqlalchemy as sa
from psycopg import sql
from psycopg.types.json import Jsonb

from obscore_view.mapping import DatasetMapping
from obscore_view.select.kept_layout import KeptLayout
from obscore_view.select.kept_rows import footprint_key, view_definition
from obscore_view.select.kept_sources import KeptRegions, region_prefix, region_source, shown_regions
from obscore_view.select.kept_tables import SCHEMA, region_table
from obscore_view.select.statement import kept_layout
from obscore_view.view import changes
from obscore_view.view.combining import around
from obscore_view.view.keeping import AGAIN, ViewSteps, region_steps
from obscore_view.view.make import reusable_footprints, run_script, stored_config
from obscore_view.view.published import RelationName, publish
from obscore_view.view.script import (
    OwnObjects,
    Script,
    analyses,
    butler_tables,
    grants_on_registry,
    keep_from_now,
    kept_steps,
    keys_of_datasets,
    make_kept,
    make_triggers,
    names_of_keys,
    objects_of_view,
    question_indexes,
    regions_again,
)
from obscore_view.view.store import (
    STAGES,
    StoredView,
    forget_script,
    move_script,
    read_stored_views,
    record_script,
)
from tapdb import __version__
from tapdb.postgres.roles import Right, missing_rights

LARGE = 30_000
"""Most rows of Butler's tables that a view is filled from in one transaction; more are filled in batches.

Counted, since files are no measure: PostgreSQL 16 and later make them longer in advance.
"""

_PRINTED_BATCH_PAGES = 64


@dataclass(frozen=True, slots=True)
class Pass:
    """A walk through one of Butler's tables, from which kept tables are filled.

    Attributes
    ----------
    what
        What is filled, in words.
    table
        Schema and name.
    statements
        What is done with the rows of a batch; they are the relations ``changed`` and ``gone``.
    """

    what: str
    table: RelationName
    statements: tuple[sql.Composable, ...]

    def batch(self, first: int, end: int | None) -> Script:
        """Return what fills from some pages of the table; without an end, from all that there are then.

        Their rows are locked by a statement of its own: those after it see what was committed until then,
        and nobody changes the rows before the batch is committed. A lock is not waited for, so that there is
        no deadlock with who has it.
        """
        upper = sql.SQL("" if end is None else " AND ctid < {}::tid").format(sql.Literal(f"({end},0)"))
        rows = sql.SQL("{} WHERE ctid >= {}::tid{} FOR SHARE NOWAIT").format(
            sql.Identifier(*self.table), sql.Literal(f"({first},0)"), upper
        )
        lock = sql.SQL("SELECT count(*) FROM (SELECT FROM {}) l").format(rows)
        given = sql.SQL("WITH changed AS (SELECT * FROM {}), gone AS (SELECT * FROM changed) ").format(rows)
        return Script(tuple(changes.as_text([lock, *(given + one for one in self.statements)])))


Part = Script | Pass


def fill_parts(mapping: DatasetMapping, existing: frozenset[RelationName], *, again: bool) -> Iterator[Part]:
    """Yield what prepares and fills a set of kept tables, in order.

    Parameters
    ----------
    mapping
        What the view is to be made from.
    existing
        Tables and sources of regions that are there already.
    again
        Whether the regions in these are decoded again.
    """
    layout = kept_layout(mapping)
    regions = region_table(mapping.registry)
    if (SCHEMA, regions.name) not in existing:
        existing = frozenset()
    yield _prepared(layout, existing, again=again)
    yield from _region_parts(layout, existing, again=again)
    yield from _observation_parts(layout)
    yield from _dataset_parts(layout)
    yield from map(_packed, names_of_keys(layout))
    for one in question_indexes(layout, existing):
        statements = changes.as_text([_drop_index(one.name), one.statement("CONCURRENTLY ")])
        yield Script(tuple(statements), what=f"index {one.name}", alone=True)
    yield Script(tuple(changes.as_text([_strays(layout), *analyses(layout)])), what="statistics")


def _packed(index: str) -> Script:
    """Return what makes an index again that has been filled row by row: a fourth less of it."""
    rest = [_drop_index(f"{index}{suffix}") for suffix in ("_ccnew", "_ccold")]
    again = sql.SQL("REINDEX INDEX CONCURRENTLY {}").format(sql.Identifier(SCHEMA, index))
    return Script(tuple(changes.as_text([*rest, again])), what=f"index {index}", alone=True)


def _drop_index(name: str) -> sql.Composable:
    # One that was not finished is not valid.
    return sql.SQL("DROP INDEX IF EXISTS {}").format(sql.Identifier(SCHEMA, name))


def _prepared(layout: KeptLayout, existing: frozenset[RelationName], *, again: bool) -> Script:
    """Return what makes the tables, empty, and keeps regions and observations from then on."""
    mapping = layout.mapping
    regions = sql.Identifier(SCHEMA, region_table(mapping.registry).name)
    parts = [*grants_on_registry(mapping), *make_kept(layout, existing), *keys_of_datasets(layout)]
    if not existing:
        parts.append(sql.SQL("ALTER TABLE {} ALTER COLUMN pgs_region SET (n_distinct = -1)").format(regions))
    parts += keep_from_now(layout, existing, decode_again=again, stages=(True,), triggers=False)
    return replace(_begun(layout, first=True), before=tuple(changes.as_text(parts)), what="tables")


def _begun(layout: KeptLayout, *, first: bool) -> Script:
    """Return what makes the triggers that keep what datasets refer to, or the others."""
    schema = layout.mapping.registry.schema
    touched = dict.fromkeys((one.relation, one.event) for one in kept_steps(layout) if one.first is first)
    locked = tuple(sorted({(schema, relation) for relation, _ in touched}))
    return Script(tuple(changes.as_text(make_triggers(schema, touched))), locked=locked)


def _region_parts(layout: KeptLayout, existing: frozenset[RelationName], *, again: bool) -> Iterator[Part]:
    registry = layout.mapping.registry
    for shown in shown_regions(layout.mapping):
        there = (SCHEMA, region_source(registry, shown)) in existing
        if there and not again:
            continue
        steps = [*region_steps(registry, shown)]
        events = {one.event for one in steps}
        if there and AGAIN not in events:
            # Pixels have no records.
            yield Script((regions_again(registry, shown).as_string(None),), what=f"regions: {shown.element}")
            continue
        event = AGAIN if there else "INSERT"
        statements = tuple(one.statement for one in steps if one.event == event)
        yield Pass(f"regions: {shown.element}", (registry.schema, shown.relation), statements)
        if there:
            yield Script((_lost(layout, shown).as_string(None),), what=f"regions: {shown.element}")
    yield Script(
        tuple(
            changes.as_text(
                sql.SQL("ANALYZE {}").format(sql.Identifier(SCHEMA, name))
                for name in (region_table(registry).name, "dataset_type_mapping")
            )
        ),
        what="statistics",
    )


def _lost(layout: KeptLayout, shown: KeptRegions) -> sql.Composable:
    """Return what deletes kept regions whose records are gone."""
    registry = layout.mapping.registry
    columns = [sql.Identifier("b", name) for name in footprint_key(registry, shown.element)]
    prefix = region_prefix(shown.element)
    key = sql.SQL(" || '/' || ").join(
        [sql.Literal(prefix[:-1]), *(one + sql.SQL("::text") for one in columns)]
    )
    return sql.SQL(
        "DELETE FROM {} r WHERE r.key LIKE {} AND NOT EXISTS (SELECT FROM {} b WHERE {} = r.key)"
    ).format(
        sql.Identifier(SCHEMA, region_table(registry).name),
        sql.Literal(f"{prefix}%"),
        sql.Identifier(registry.schema, shown.relation),
        key,
    )


def _observation_parts(layout: KeptLayout) -> Iterator[Part]:
    schema, base = layout.mapping.registry.schema, layout.names.base
    found: dict[str, list[sql.Composable]] = {}
    for one in kept_steps(layout):
        if one.first and one.kept == base and one.event == "INSERT":
            found.setdefault(one.relation, []).append(one.statement)
    for relation, statements in found.items():
        yield Pass(f"observations: {relation}", (schema, relation), tuple(statements))
    name = sql.Identifier(SCHEMA, layout.names.observation.name)
    yield Script((sql.SQL("ANALYZE {}").format(name).as_string(None),), what="statistics")


def _dataset_parts(layout: KeptLayout) -> Iterator[Part]:
    """Yield what keeps datasets from then on, and fills them."""
    schema, base = layout.mapping.registry.schema, layout.names.base
    collections, *_ = ViewSteps(layout).fill()
    keep = keep_from_now(layout, frozenset(), stages=(False,), triggers=False)
    begun = _begun(layout, first=False)
    yield replace(
        begun,
        before=tuple(changes.as_text(keep)),
        statements=(*begun.statements, collections.as_string(None)),
        what="collections",
    )
    name = sql.Identifier(SCHEMA, layout.names.collection.name)
    yield Script((sql.SQL("ANALYZE {}").format(name).as_string(None),), what="statistics")
    for table in dict.fromkeys(one.place.tags_table for one in layout.places):
        statements = tuple(
            one.statement
            for one in kept_steps(layout)
            if one.relation == table and one.event == "INSERT" and one.kept == base and not one.first
        )
        yield Pass(f"datasets: {table}", (schema, table), statements)


def _strays(layout: KeptLayout) -> sql.Composable:
    """Return what deletes datasets of collections that were given up while they were filled in."""
    return sql.SQL(
        "DELETE FROM {} d WHERE NOT EXISTS (SELECT FROM {} k WHERE k.collection = d.collection)"
    ).format(
        sql.Identifier(SCHEMA, layout.names.dataset.name),
        sql.Identifier(SCHEMA, layout.names.collection.name),
    )


def want_view(connection: sa.Connection, mapping: DatasetMapping, config_yaml: str) -> None:
    """Record that a view is to be made later; nothing else is done, and nothing is locked."""
    nothing = OwnObjects((), (), (), (), (), (), ())
    run_script(connection, record_script(mapping, config_yaml, nothing, "wanted"))


@dataclass(frozen=True, slots=True)
class Preparation:
    """What makes the tables of a set, and what is recorded of it then."""

    mapping: DatasetMapping
    script: Script
    progress: dict[str, Any]

    @property
    def name(self) -> str:
        """Schema and name of the view."""
        return f"{self.mapping.config.view_schema}.{self.mapping.config.view_name}"

    def view(self) -> StoredView:
        """Return the set as it will be recorded."""
        config, registry = self.mapping.config, self.mapping.registry
        objects = objects_of_view(self.mapping, butler_tables(self.mapping))
        return StoredView(
            *(config.view_schema, config.view_name, registry.schema, ""),
            *(registry.fingerprint(objects.granted), objects, __version__),
            kept=self.mapping.kept,
            stage="filling",
            progress=self.progress,
        )


def plan_preparation(
    connection: sa.Connection,
    mapping: DatasetMapping,
    config_yaml: str | None,
    old: StoredView | None,
    *,
    again: bool = False,
) -> Preparation:
    """Return what makes the tables for a view, empty, under names that are free; nothing is changed.

    Parameters
    ----------
    connection, mapping, config_yaml
        Connection, what the view is to be made from, and the text of its configuration.
    old
        The view as readers see it, if there is one.
    again
        Whether regions are decoded again in any case.
    """
    config = mapping.config
    recorded = read_stored_views(connection, STAGES)
    others = [one for one in recorded if one.stage != "wanted"]
    mapping = replace(mapping, kept=changes.free_base(mapping, {one.kept for one in others}))
    shared = {name for one in others for name in changes.shared_objects(one.objects)}
    objects = objects_of_view(mapping, butler_tables(mapping))
    mine = shared & changes.shared_objects(objects)
    existing = frozenset(name for name in mine if changes.is_there(connection, name))
    again = again or (old is not None and not reusable_footprints(old, config))
    first = next(fill_parts(mapping, existing, again=again))
    assert isinstance(first, Script)  # noqa: S101  a set begins with its tables
    wanted = [
        one
        for one in recorded
        if one.stage == "wanted" and (one.schema, one.name) == (config.view_schema, config.view_name)
    ]
    statements = (
        *(line for one in wanted for line in forget_script(one).statements),
        *record_script(mapping, config_yaml or changes.as_yaml(config), objects, "filling").statements,
        *first.before,
    )
    progress = {"existing": sorted(map(list, existing)), "again": again, "done": 1}
    return Preparation(mapping, replace(first, before=statements), progress)


def plan_swap(connection: sa.Connection, view: StoredView, mapping: DatasetMapping) -> Script:
    """Return what lets readers see a set that has been filled, in place of what they see now."""
    old = next((one for one in changes.siblings(connection, view) if one.stage == "published"), None)
    schemas = {mapping.config.shown_view[0], *((view.schema,) if old is None else ())}
    statements = [
        line for name in sorted(schemas) for line in changes.as_text(changes.make_schema(connection, name))
    ]
    statements += changes.as_text(changes.let_owner_use_pg_sphere(connection))
    before, after = around(connection, view.full_name, mapping)
    statements += before
    if old is not None:
        for name in old.published:
            statements.append(sql.SQL("DROP VIEW {}").format(sql.Identifier(*name)).as_string(None))
        statements.append(move_script(old, "leaving"))
        if old.kept:
            unkept = sql.SQL("DELETE FROM {} WHERE registry_schema = {} AND kept = {}").format(
                sql.Identifier(SCHEMA, "keeping"), sql.Literal(old.registry_schema), sql.Literal(old.kept)
            )
            statements.append(unkept.as_string(None))
    statements += [move_script(view, "published"), *changes.as_text(publish(mapping))]
    statements += changes.as_text([changes.selectivity("eqsel")])
    if old is not None:
        statements += changes.grants_as_before(connection, old, mapping)
    return Script((*statements, *after), what="swap")


def read_tables(layout: KeptLayout) -> frozenset[RelationName]:
    """Return Butler's tables that a set is filled from, as its passes have them."""
    regions = (one.relation for one in shown_regions(layout.mapping))
    anchors = (one.anchor for one in layout.places if one.anchor is not None)
    tags = (one.place.tags_table for one in layout.places)
    return frozenset((layout.mapping.registry.schema, one) for one in (*regions, *anchors, *tags))


def fills_beside(connection: sa.Connection, mapping: DatasetMapping) -> bool:
    """Return whether a view is large enough for being filled in batches; not if that may not be counted.

    What rights are missing is said before anything is made.
    """
    if mapping.config.tapdb.geometry == "none":
        return False
    tables = read_tables(kept_layout(mapping))
    if missing_rights(connection, [Right("SELECT", *table) for table in tables]):
        return False
    rows = 0
    for table in tables:
        some = sa.select(sa.literal(1)).select_from(_relation(table)).limit(LARGE + 1).subquery()
        rows += connection.scalar(sa.select(sa.func.count()).select_from(some)) or 0
        if rows > LARGE:
            return True
    return False


def _relation(table: RelationName) -> sa.TableClause:
    schema, name = table
    return sa.table(name, schema=schema)


def _size(connection: sa.Connection, table: RelationName) -> int:
    name = sql.Identifier(*table).as_string(None)
    return connection.scalar(sa.select(sa.func.pg_relation_size(sa.func.to_regclass(name)))) or 0


def pages_of(connection: sa.Connection, table: RelationName) -> int:
    """Return how many pages a table has."""
    setting = connection.scalar(sa.select(sa.func.current_setting("block_size")))
    return -(-_size(connection, table) // int(setting or 8192))


def file_of(connection: sa.Connection, table: RelationName) -> int:
    """Return the number of a table's file, which changes when all of the table is written again."""
    name = sql.Identifier(*table).as_string(None)
    return connection.scalar(sa.select(sa.func.pg_relation_filenode(sa.func.to_regclass(name)))) or 0


def fill_script(
    connection: sa.Connection, view: StoredView, plan: Preparation | None = None
) -> Iterator[Script]:
    """Yield what is left to do for a set, as scripts for psql; nothing is changed.

    Parameters
    ----------
    connection
        Connection.
    view
        What is recorded of the set; of the view, if the set is yet to be prepared.
    plan
        What prepares it.
    """
    progress = dict(view.progress or {}) if plan is None else plan.progress
    mapping = mapping_of(connection, view) if plan is None else plan.mapping
    if plan is not None:
        yield _recorded(plan.script, mapping, progress)
        view = replace(view, kept=mapping.kept, stage="filling")
    parts = parts_of(mapping, progress)
    for number, part in enumerate(parts[progress["done"] :], start=progress["done"] + 1):
        if isinstance(part, Pass):
            # The table may be longer by the time when this is run: the last batch has no end.
            starts = (*range(0, pages_of(connection, part.table), _PRINTED_BATCH_PAGES),) or (0,)
            for first, end in zip(starts, (*starts[1:], None), strict=True):
                yield replace(part.batch(first, end), what=part.what)
        script = part if isinstance(part, Script) else Script((), what=part.what)
        yield _recorded(script, mapping, progress | {"done": number})
    yield changes.settled(view.registry_schema)
    yield plan_swap(connection, view, mapping)
    beside = (one for one in read_stored_views(connection, STAGES) if one.full_name == view.full_name)
    for old in (one for one in beside if one.stage in {"published", "leaving"}):
        needed = changes.triggers_of_others(connection, old) | {*objects_of_view(mapping, ()).triggers}
        leaving = replace(old, stage="leaving")
        removal = changes.plan_removal(
            connection, leaving, keep_schema=True, triggers=frozenset(needed), beside=(view,)
        )
        yield replace(removal, what="what it stood on")


def _recorded(part: Script, mapping: DatasetMapping, progress: dict[str, Any]) -> Script:
    return replace(part, before=(*part.before, record_progress(mapping, progress)))


def mapping_of(connection: sa.Connection, view: StoredView) -> DatasetMapping:
    """Return what a set is made from, under the names of its tables."""
    return changes.plan_view(
        connection, stored_config(view), registry_schema=view.registry_schema, kept=view.kept
    )


def parts_of(mapping: DatasetMapping, progress: dict[str, Any]) -> tuple[Part, ...]:
    """Return what prepares and fills a set, by what is recorded of it."""
    existing = frozenset((schema, name) for schema, name in progress["existing"])
    return tuple(fill_parts(mapping, existing, again=progress["again"]))


def record_progress(mapping: DatasetMapping, progress: dict[str, Any]) -> str:
    """Return the statement that records how far a set is filled."""
    config = mapping.config
    statement = sql.SQL(
        "UPDATE {} SET progress = {} WHERE view_schema = {} AND view_name = {} AND kept = {}"
    ).format(
        sql.Identifier(SCHEMA, view_definition.name),
        sql.Literal(Jsonb(progress)),
        *map(sql.Literal, (config.view_schema, config.view_name, mapping.kept)),
    )
    return statement.as_string(None)
