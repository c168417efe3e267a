"""What is kept of the coverage of a view: its record, the triggers that note what changes, and folding.

All else is SQL: ``sql/functions/tapdb.note_coverage.sql`` notes, ``tapdb.coverage_changes.sql`` reads notes,
``tapdb.fold_coverage.sql`` folds them.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from psycopg import sql
from sqlalchemy.dialects.postgresql import OID

from prompt_products.errors import CoverageNotKeptError, CoverageRefusedError
from tapdb.sources import execute_composed

SCHEMA = "tapdb"
PUBLISHED_SCHEMA = "ivoa"
PUBLISHED = (
    "coverage",
    "last_night",
    "coverage_growth",
    "template_coverage",
    "visit_templates",
    "obscore_summary",
)
"""Views that are published as they stand in schema ``tapdb``, in the order in which they are made."""

NIGHT_HOURS = 12.0
"""Hour UTC at which an observing day of Rubin Observatory begins (SITCOMTN-032)."""

TEMPLATES = (
    "template_coadd",
    "goodSeeingCoadd",
    "goodSeeingTemplate",
)
DIFFERENCES = ("difference_image", "goodSeeingDiff_differenceExp")
IMAGES = ("visit_image", "preliminary_visit_image", "calexp", "initial_pvi", "pvi")
"""Dataset types of templates, of difference images and of what these are made from, in pipelines of Rubin."""

NIGHTS = (
    "day_obs",
    "lsst_day_obs",
    "of_visit_day_obs",
    "of_exposure_day_obs",
)
"""Columns of kept observations with the observing day, YYYYMMDD; the first that there is counts."""

_VISITS = ("lsst_visit", "visit", "of_view_visit")
_REGIONS_AT_ONCE = 20_000
_TRIGGERS = {
    "dataset": ("insert", "update", "delete"),
    "observation": ("update", "delete"),
    "region": ("update", "delete"),
}
_TIMINGS = {
    "insert": "AFTER INSERT ON {table} REFERENCING NEW TABLE AS changed",
    "update": "AFTER UPDATE ON {table} REFERENCING OLD TABLE AS gone NEW TABLE AS changed",
    "delete": "AFTER DELETE ON {table} REFERENCING OLD TABLE AS gone",
}

coverage_view = sa.table(
    "coverage_view",
    *map(sa.column, ("kept", "view_schema", "view_name", "registry_schema", "regions", "observed")),
    sa.column("ingested"),
    *(sa.column(name, sa.ARRAY(sa.Text())) for name in ("images", "differences", "templates")),
    *map(sa.column, ("night_hours", "filled_at")),
    schema=SCHEMA,
)
_view_definition = sa.table(
    "view_definition",
    *map(sa.column, ("view_schema", "view_name", "registry_schema", "kept", "stage")),
    sa.column("fingerprint", sa.JSON()),
    schema=SCHEMA,
)
_dataset_type = sa.table(
    "dataset_type_mapping",
    *map(sa.column, ("view_schema", "view_name", "kept", "dataset_type", "number")),
    schema=SCHEMA,
)
_delta = sa.table("coverage_delta", *map(sa.column, ("kept", "is_again", "is_all")), schema=SCHEMA)


@dataclass(frozen=True, slots=True)
class KeptCoverage:
    """What is recorded of a view whose coverage is kept.

    Attributes
    ----------
    view
        Schema and name of the view.
    base, regions
        What begins the names of its kept tables; the kept table of its regions.
    images, differences, templates
        Dataset types of images of visits, of difference images and of templates.
    night_hours
        Hour UTC at which an observing day begins.
    filled_at
        When its coverage was made from all datasets; None until then.
    is_current
        Whether readers of the view see the kept tables that the coverage is made from, with all triggers.
    """

    view: str
    base: str
    regions: str
    images: tuple[str, ...]
    differences: tuple[str, ...]
    templates: tuple[str, ...]
    night_hours: float
    filled_at: datetime | None
    is_current: bool


def can_keep(connection: sa.Connection) -> bool:
    """Return whether the database has the tables of coverage: those of revision 0012."""
    return connection.scalar(sa.select(sa.func.to_regclass("tapdb.coverage_view"))) is not None


def read_kept(connection: sa.Connection) -> tuple[KeptCoverage, ...]:
    """Return the views whose coverage is kept, by name; nothing if the database has no tables for it."""
    if not can_keep(connection):
        return ()
    found = []
    query = sa.select(coverage_view).order_by(coverage_view.c.view_schema, coverage_view.c.view_name)
    for row in connection.execute(query):
        published = _published(connection, row.view_schema, row.view_name)
        found.append(
            KeptCoverage(
                view=f"{row.view_schema}.{row.view_name}",
                base=row.kept,
                regions=row.regions,
                images=tuple(row.images),
                differences=tuple(row.differences),
                templates=tuple(row.templates),
                night_hours=row.night_hours,
                filled_at=row.filled_at,
                is_current=published is not None
                and published.kept == row.kept
                and _has_triggers(connection, row.kept, row.regions),
            )
        )
    return tuple(found)


def require_kept(connection: sa.Connection, view: str | None = None) -> tuple[KeptCoverage, ...]:
    """Return the views whose coverage is kept, or the one that is named.

    Raises
    ------
    CoverageNotKeptError
        Raised if there is none.
    """
    found = read_kept(connection)
    if view is not None:
        found = tuple(one for one in found if one.view == view.lower())
    if not found:
        raise CoverageNotKeptError(view or "")
    return found


def keep(
    connection: sa.Connection,
    view: str,
    *,
    templates: Sequence[str] = TEMPLATES,
    differences: Sequence[str] = DIFFERENCES,
    images: Sequence[str] = IMAGES,
    night_hours: float = NIGHT_HOURS,
) -> KeptCoverage:
    """Let triggers note what changes of the coverage of a view, from now on; `rebuild` makes what there is.

    The kept tables of the view are locked against changes until the transaction ends.

    Parameters
    ----------
    connection
        Connection of a member of ``tapdb_owner``, in a transaction.
    view
        Schema and name of a view in mode ``table``.
    templates, differences, images
        Dataset types that are templates, difference images, and what these are made from.
    night_hours
        Hour UTC at which an observing day begins, where Butler's own is not a column of the view.

    Raises
    ------
    CoverageRefusedError
        Raised if there is no such view, or coverage of it cannot be kept.
    """
    schema, _, name = view.lower().partition(".")
    published = _published(connection, schema, name)
    if published is None:
        raise CoverageRefusedError(view, "there is no such ObsCore view", "make it: tapdb obscore create")
    base = published.kept
    tables = {what: f"{base}_{what}" for what in ("dataset", "observation")}
    columns = {what: _columns(connection, SCHEMA, table) for what, table in tables.items()}
    if not base or not columns["dataset"]:
        raise CoverageRefusedError(
            view, "it has no kept tables", "make it in mode table: tapdb obscore refresh --geometry table"
        )
    if "data_id" in columns["dataset"]:
        raise CoverageRefusedError(
            view,
            "it shows of each data ID the first that is found, and what is found changes with the order of "
            "collections",
            "make a view of RUN or TAGGED collections beside it",
        )
    registry = _columns(connection, published.registry_schema, "dataset")
    regions = _region_table(connection, base, published.registry_schema)
    observed = observed_statement(columns["observation"], night_hours)
    values = {
        "view_schema": schema,
        "view_name": name,
        "registry_schema": published.registry_schema,
        "regions": regions,
        "observed": observed,
        "ingested": _ingested(registry, night_hours),
        "images": list(images),
        "differences": list(differences),
        "templates": list(templates),
        "night_hours": night_hours,
    }
    for before in read_kept(connection):
        if before.view == f"{schema}.{name}":
            drop(connection, before, last=False)
    connection.execute(sa.insert(coverage_view).values(kept=base, **values))
    for statement in _make_triggers(base, regions):
        execute_composed(connection, statement)
    publish(connection)
    return next(one for one in read_kept(connection) if one.base == base)


def drop(connection: sa.Connection, kept: KeptCoverage, *, last: bool = True) -> None:
    """Keep the coverage of a view no more, and forget what there is of it.

    Parameters
    ----------
    connection, kept
        Connection in a transaction, and what is kept.
    last
        Whether the published views go too if no coverage is kept any more.
    """
    for statement in _drop_triggers(connection, kept.base, kept.regions):
        execute_composed(connection, statement)
    for table in ("coverage_delta", "coverage_group", "coverage_total", "coverage_view"):
        gone = sa.table(table, sa.column("kept"), schema=SCHEMA)
        connection.execute(sa.delete(gone).where(gone.c.kept == kept.base))
    others = sa.select(sa.func.count()).select_from(coverage_view)
    if not connection.scalar(others.where(coverage_view.c.regions == kept.regions)):
        mocs = sa.table("region_moc", sa.column("regions"), schema=SCHEMA)
        connection.execute(sa.delete(mocs).where(mocs.c.regions == kept.regions))
    if last and not connection.scalar(others):
        unpublish(connection)


def kept_bases(connection: sa.Connection) -> dict[str, str]:
    """Return what begins the names of the kept tables of each view whose coverage is kept, by its name.

    Members of ``tapdb_service`` may read it.
    """
    if not can_keep(connection):
        return {}
    name = coverage_view.c.view_schema.concat(".").concat(coverage_view.c.view_name)
    rows = connection.execute(sa.select(sa.cast(name, sa.Text()), coverage_view.c.kept))
    return dict(sorted((view, base) for view, base in rows))


def fold(connection: sa.Connection, base: str) -> int | None:
    """Fold what has come into the rows of coverage; the caller commits.

    Parameters
    ----------
    connection
        Connection of a member of ``tapdb_owner`` or ``tapdb_service``.
    base
        What begins the names of the kept tables of the view.

    Returns
    -------
    taken
        How many notes there were; None if another session folds them.
    """
    taken: int | None = connection.scalar(sa.select(sa.func.tapdb.fold_coverage(base)))
    return taken


def rebuild(connection: sa.Connection, kept: KeptCoverage) -> None:
    """Make the coverage of a view again from all of its datasets.

    MOCs of regions that lack one are made first: `make_mocs` makes them in short transactions before.

    Parameters
    ----------
    connection, kept
        Connection of a member of ``tapdb_owner``, and what is kept.
    """
    for _ in make_mocs(connection, kept):
        pass
    connection.execute(sa.insert(_delta).values(kept=kept.base, is_again=True, is_all=True))
    fold(connection, kept.base)


def make_mocs(connection: sa.Connection, kept: KeptCoverage) -> Iterator[int]:
    """Make the MOCs of all regions that lack one; yield after each batch how many it has made.

    The caller may commit after each.
    """
    regions = sa.table(kept.regions, sa.column("region", sa.Integer()), schema=SCHEMA)
    last = connection.scalar(sa.select(sa.func.max(regions.c.region))) or 0
    for first in range(0, last + 1, _REGIONS_AT_ONCE):
        some = sa.select(sa.func.array_agg(regions.c.region)).where(
            regions.c.region.between(first, first + _REGIONS_AT_ONCE - 1)
        )
        made = sa.func.tapdb.make_region_mocs(kept.regions, some.scalar_subquery())
        yield connection.scalar(sa.select(made)) or 0


def publish(connection: sa.Connection) -> None:
    """Make the views in schema ``ivoa``, as they stand in schema ``tapdb``; readers may read them.

    A reader sees what is of views whose rows the reader may see, all of them: the rest would tell of what is
    not released. They are barriers, so that no error tells of it either.
    """
    readable = sql.SQL("obscore_table IN (SELECT tapdb.readable_views())")
    for name in PUBLISHED:
        ours, published = sql.Identifier(SCHEMA, name), sql.Identifier(PUBLISHED_SCHEMA, name)
        columns = [one for one in _columns(connection, SCHEMA, name) if one != "kept"]
        for statement in (
            sql.SQL("CREATE OR REPLACE VIEW {} WITH (security_barrier) AS SELECT {} FROM {} WHERE {}").format(
                published, sql.SQL(", ").join(map(sql.Identifier, columns)), ours, readable
            ),
            sql.SQL("ALTER VIEW {} OWNER TO tapdb_owner").format(published),
            sql.SQL("GRANT SELECT ON {} TO tapdb_reader").format(published),
        ):
            execute_composed(connection, statement)


def unpublish(connection: sa.Connection) -> None:
    """Take the views in schema ``ivoa`` away."""
    for name in reversed(PUBLISHED):
        view = sql.Identifier(PUBLISHED_SCHEMA, name)
        execute_composed(connection, sql.SQL("DROP VIEW IF EXISTS {}").format(view))


def table_numbers(connection: sa.Connection, kept: KeptCoverage) -> tuple[int, ...]:
    """Return PostgreSQL's numbers of the kept tables of a view: others if they are made again."""
    tables = dict.fromkeys(table for _, table, _ in _on_tables(kept.base, kept.regions))
    numbers = [
        sa.cast(
            sa.cast(sa.func.to_regclass(sql.Identifier(SCHEMA, one).as_string(None)), OID()), sa.BigInteger()
        )
        for one in tables
    ]
    return tuple(number or 0 for number in connection.execute(sa.select(*numbers)).one())


def trigger_statements(kept: KeptCoverage) -> tuple[sql.Composable, ...]:
    """Return what makes the triggers on the kept tables of a view."""
    return tuple(_make_triggers(kept.base, kept.regions))


def drop_trigger_statements(connection: sa.Connection, kept: KeptCoverage) -> tuple[sql.Composable, ...]:
    """Return what takes the triggers from the kept tables that are there."""
    return tuple(_drop_triggers(connection, kept.base, kept.regions))


def _published(connection: sa.Connection, schema: str, name: str) -> Any:
    """Return the row of a view as readers see it; None if there is none."""
    view = _view_definition.c
    query = sa.select(view.kept, view.registry_schema)
    here = sa.and_(view.view_schema == schema, view.view_name == name, view.stage == "published")
    return connection.execute(query.where(here)).one_or_none()


def _columns(connection: sa.Connection, schema: str, table: str) -> dict[str, str]:
    """Return the columns of a relation with their types; none if there is no such relation."""
    columns = sa.table(
        "columns",
        *map(sa.column, ("table_schema", "table_name", "column_name", "data_type", "ordinal_position")),
        schema="information_schema",
    ).c
    query = sa.select(sa.cast(columns.column_name, sa.Text()), sa.cast(columns.data_type, sa.Text()))
    here = query.where(columns.table_schema == schema, columns.table_name == table)
    rows = connection.execute(here.order_by(columns.ordinal_position))
    return {row[0]: row[1] for row in rows}


def _region_table(connection: sa.Connection, base: str, registry: str) -> str:
    """Return the kept table of the regions of a registry, as the record of the view names it."""
    definition = sa.table(
        "view_definition", sa.column("kept"), sa.column("fingerprint", sa.JSON()), schema=SCHEMA
    )
    found = connection.scalar(sa.select(definition.c.fingerprint).where(definition.c.kept == base))
    names = [name for _, name in (found or {}).get("objects", {}).get("footprints", ())]
    return names[0] if names else f"{registry}_region"


def observed_statement(columns: Collection[str], night_hours: float) -> str:
    """Return the SELECT of what coverage takes of kept observations; ``%s`` is the relation with them."""

    def first(names: Sequence[str], kind: str) -> sql.Composable:
        found = next((name for name in names if name in columns), None)
        if found is None:
            return sql.SQL("NULL::{}").format(sql.SQL(kind))
        return sql.SQL("o.{}::{}").format(sql.Identifier(found), sql.SQL(kind))

    night = sql.SQL("tapdb.night({}, {})").format(
        first(("t_min",), "double precision"), sql.Literal(night_hours)
    )
    return (
        sql.SQL(
            "SELECT o.observation, {instrument} AS instrument, {band} AS band, "
            "coalesce({day}, {night}) AS day_obs, {t_min} AS t_min, {t_max} AS t_max, {visit} AS visit "
            "FROM %s o"
        )
        .format(
            instrument=first(("instrument_name",), "text"),
            band=first(("em_filter_name",), "text"),
            day=first(NIGHTS, "integer"),
            night=night,
            t_min=first(("t_min",), "double precision"),
            t_max=first(("t_max",), "double precision"),
            visit=first(_VISITS, "bigint"),
        )
        .as_string(None)
    )


def _ingested(columns: dict[str, str], night_hours: float) -> str:
    """Return the expression of the night in which a row ``ds`` of Butler's datasets came."""
    mjd = sql.SQL("tapdb.utc_mjd(ds.ingest_date)")
    if columns.get("ingest_date") != "bigint":
        mjd = sql.SQL("extract(epoch FROM ds.ingest_date)::double precision / 86400 + 40587")
    return sql.SQL("tapdb.night({}, {})").format(mjd, sql.Literal(night_hours)).as_string(None)


def _trigger_name(base: str, event: str) -> str:
    """Return the name of a trigger; those of several views stand on one table of regions."""
    return f"tapdb_coverage_{event}_{base}"[:63]


def _on_tables(base: str, regions: str) -> Iterator[tuple[str, str, str]]:
    """Yield what a kept table is, its name, and each event that is noted of it."""
    for what, events in _TRIGGERS.items():
        table = regions if what == "region" else f"{base}_{what}"
        yield from ((what, table, event) for event in events)


def _make_triggers(base: str, regions: str) -> Iterator[sql.Composable]:
    for what, table, event in _on_tables(base, regions):
        name, relation = sql.Identifier(_trigger_name(base, event)), sql.Identifier(SCHEMA, table)
        yield sql.SQL(
            "CREATE OR REPLACE TRIGGER {} {} FOR EACH STATEMENT EXECUTE FUNCTION tapdb.note_coverage({}, {})"
        ).format(
            name,
            sql.SQL(_TIMINGS[event]).format(table=relation),
            sql.Literal(base),
            sql.Literal(what),
        )
        # What applies a subscription fires only what is ALWAYS enabled.
        yield sql.SQL("ALTER TABLE {} ENABLE ALWAYS TRIGGER {}").format(relation, name)


def _drop_triggers(connection: sa.Connection, base: str, regions: str) -> Iterator[sql.Composable]:
    for _, table, event in _on_tables(base, regions):
        relation = sql.Identifier(SCHEMA, table)
        if connection.scalar(sa.select(sa.func.to_regclass(relation.as_string(None)))) is not None:
            yield sql.SQL("DROP TRIGGER IF EXISTS {} ON {}").format(
                sql.Identifier(_trigger_name(base, event)), relation
            )


def _has_triggers(connection: sa.Connection, base: str, regions: str) -> bool:
    """Return whether all triggers of a view's coverage are there."""
    triggers = sa.table("pg_trigger", *map(sa.column, ("tgname", "tgrelid")), schema="pg_catalog").c
    wanted = {
        (sql.Identifier(SCHEMA, table).as_string(None), _trigger_name(base, event))
        for _, table, event in _on_tables(base, regions)
    }
    query = sa.select(sa.func.count()).where(
        sa.or_(
            *(
                sa.and_(triggers.tgname == name, triggers.tgrelid == sa.func.to_regclass(relation))
                for relation, name in sorted(wanted)
            )
        )
    )
    return connection.scalar(query) == len(wanted)
