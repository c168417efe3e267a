"""What is kept of the journal of a view: its record, the triggers that append to it, its entries.

All else is SQL: ``sql/functions/tapdb.note_journal.sql`` appends, ``tapdb.journal_changes.sql`` reads,
``tapdb.prune_journal.sql`` deletes what is old.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import sqlalchemy as sa
from psycopg import sql

from prompt_products.coverage.keeping import NIGHT_HOURS
from prompt_products.errors import JournalNotKeptError, JournalRefusedError
from tapdb.sources import execute_composed

AGE = timedelta(days=7)
"""How old entries may become before workers of the queue delete them."""

_SCHEMA = "tapdb"
_TRIGGERS = {
    "dataset": ("insert", "update", "delete"),
    "observation": ("update", "delete"),
    "region": ("update", "delete"),
    "collection": ("update", "delete"),
}
_TIMINGS = {
    "insert": "AFTER INSERT ON {table} REFERENCING NEW TABLE AS changed",
    "update": "AFTER UPDATE ON {table} REFERENCING OLD TABLE AS gone NEW TABLE AS changed",
    "delete": "AFTER DELETE ON {table} REFERENCING OLD TABLE AS gone",
}
_journal_view = sa.table(
    "journal_view",
    *map(sa.column, ("number", "kept", "view_schema", "view_name", "shown_schema", "shown_name", "regions")),
    *map(sa.column, ("night_hours", "wakes")),
    schema=_SCHEMA,
)
_journal = sa.table(
    "journal",
    *map(sa.column, ("kept", "transaction", "entry", "written_at", "event", "nights", "datasets")),
    sa.column("types", sa.ARRAY(sa.SmallInteger())),
    schema=_SCHEMA,
)
_view_definition = sa.table(
    "view_definition",
    *map(sa.column, ("view_schema", "view_name", "registry_schema", "kept", "stage")),
    sa.column("fingerprint", sa.JSON()),
    schema=_SCHEMA,
)
_dataset_type = sa.table(
    "dataset_type_mapping", *map(sa.column, ("kept", "dataset_type", "number")), schema=_SCHEMA
)


@dataclass(frozen=True, slots=True)
class KeptJournal:
    """What is recorded of a view whose journal is kept.

    Attributes
    ----------
    number
        Number of the journal; a journal that is begun again has another.
    view, shown
        Schema and name of the view with all rows, and of the one that readers see.
    base, regions
        What begins the names of its kept tables; the kept table of its regions.
    night_hours
        Hour UTC at which an observing day begins.
    wakes
        Whether each commit sends a NOTIFY.
    is_current
        Whether the view is made of the kept tables that the journal is of, and all triggers are there.
    """

    number: int
    view: str
    shown: str
    base: str
    regions: str
    night_hours: float
    wakes: bool
    is_current: bool


def can_keep(connection: sa.Connection) -> bool:
    """Return whether the database has the tables of journals: those of revision 0016."""
    return connection.scalar(sa.select(sa.func.to_regclass("tapdb.journal_view"))) is not None


def read_journals(connection: sa.Connection) -> tuple[KeptJournal, ...]:
    """Return the journals that are kept, by name of the view; none if the database has no tables for it."""
    if not can_keep(connection):
        return ()
    found = []
    query = sa.select(_journal_view).order_by(_journal_view.c.view_schema, _journal_view.c.view_name)
    for row in connection.execute(query):
        published = _published(connection, row.view_schema, row.view_name)
        found.append(
            KeptJournal(
                number=row.number,
                view=f"{row.view_schema}.{row.view_name}",
                shown=f"{row.shown_schema}.{row.shown_name}",
                base=row.kept,
                regions=row.regions,
                night_hours=row.night_hours,
                wakes=row.wakes,
                is_current=published is not None
                and published.kept == row.kept
                and _has_triggers(connection, row.kept, row.regions),
            )
        )
    return tuple(found)


def require_journal(connection: sa.Connection, view: str) -> KeptJournal:
    """Return the journal of a view, named as readers see it or as the one with all rows.

    Raises
    ------
    JournalNotKeptError
        Raised if there is none.
    """
    found = read_journals(connection)
    for one in found:
        if view.lower() in {one.view, one.shown}:
            return one
    raise JournalNotKeptError(view, [one.shown for one in found])


def keep(
    connection: sa.Connection, view: str, *, night_hours: float = NIGHT_HOURS, wakes: bool = True
) -> KeptJournal:
    """Keep the journal of a view from now on; a journal of it that is there already is begun again.

    The kept tables of the view are locked against changes until the transaction ends.

    Parameters
    ----------
    connection
        Connection of a member of ``tapdb_owner``, in a transaction.
    view
        Schema and name of a view in mode ``table``: the one that readers see, or the one with all rows.
    night_hours
        Hour UTC at which an observing day begins.
    wakes
        Whether each commit sends a NOTIFY; without it those who watch look by the clock.

    Raises
    ------
    JournalRefusedError
        Raised if there is no such view, or no journal of it can be kept.
    """
    published = _named(connection, view)
    if published is None:
        raise JournalRefusedError(view, "there is no such ObsCore view", "make it: tapdb obscore create")
    base = published.kept
    kind = sa.func.to_regclass(sql.Identifier(_SCHEMA, f"{base}_dataset").as_string(None))
    if not base or connection.scalar(sa.select(kind)) is None:
        raise JournalRefusedError(
            view, "it has no kept tables", "make it in mode table: tapdb obscore refresh --geometry table"
        )
    if _finds_first(connection, base):
        raise JournalRefusedError(
            view,
            "it shows of each data ID the first that is found, and what is found changes with the order of "
            "collections",
            "make a view of RUN or TAGGED collections beside it",
        )
    released = published.fingerprint.get("released") or {}
    regions = _region_table(published)
    for before in read_journals(connection):
        if before.view == f"{published.view_schema}.{published.view_name}":
            drop(connection, before)
    connection.execute(
        sa.insert(_journal_view).values(
            kept=base,
            view_schema=published.view_schema,
            view_name=published.view_name,
            shown_schema=released.get("schema", published.view_schema),
            shown_name=released.get("name", published.view_name),
            regions=regions,
            night_hours=night_hours,
            wakes=wakes,
        )
    )
    kept = next(one for one in read_journals(connection) if one.base == base)
    for statement in trigger_statements(kept):
        execute_composed(connection, statement)
    return next(one for one in read_journals(connection) if one.base == base)


def drop(connection: sa.Connection, kept: KeptJournal) -> None:
    """Keep the journal of a view no more, and delete its entries."""
    for statement in drop_trigger_statements(connection, kept):
        execute_composed(connection, statement)
    for table in (_journal, _journal_view):
        connection.execute(sa.delete(table).where(table.c.kept == kept.base))


def prune(connection: sa.Connection, age: timedelta = AGE) -> int:
    """Delete entries that are older than an age; return how many. The caller commits.

    Parameters
    ----------
    connection
        Connection of a member of ``tapdb_owner`` or ``tapdb_service``.
    age
        How old they may be.
    """
    deleted: int = connection.scalar(sa.select(sa.func.tapdb.prune_journal(age))) or 0
    return deleted


ENTRY = ("transaction", "written_at", "event", "dataset_types", "nights", "datasets")
"""Columns of `read_entries`."""


def read_entries(
    connection: sa.Connection, kept: KeptJournal, *, most: int, after: int = 0
) -> Sequence[dict[str, Any]]:
    """Return what transactions have brought, the newest first.

    Parameters
    ----------
    connection
        Connection of a member of ``tapdb_owner``.
    kept
        The journal.
    most
        How many entries.
    after
        Only entries of transactions with a larger number.
    """
    names = (
        sa.select(sa.func.array_agg(sa.func.distinct(_dataset_type.c.dataset_type)))
        .where(
            _dataset_type.c.kept == _journal.c.kept, _dataset_type.c.number == sa.func.any(_journal.c.types)
        )
        .scalar_subquery()
    )
    number = sa.cast(sa.cast(_journal.c.transaction, sa.Text()), sa.BigInteger())
    query = (
        sa.select(
            number.label("transaction"),
            _journal.c.written_at,
            _journal.c.event,
            names.label("dataset_types"),
            _journal.c.nights,
            sa.cast(_journal.c.datasets, sa.ARRAY(sa.Text())).label("datasets"),
        )
        .where(_journal.c.kept == kept.base, number > after)
        .order_by(_journal.c.entry.desc())
        .limit(most)
    )
    return [dict(row) for row in connection.execute(query).mappings()]


def table_numbers(connection: sa.Connection, kept: KeptJournal) -> tuple[int, ...]:
    """Return PostgreSQL's numbers of the kept tables of a view: others if they are made again."""
    tables = sorted({table for _, table, _ in _on_tables(kept)})
    relation = sa.table("pg_class", *map(sa.column, ("oid", "relname", "relnamespace")), schema="pg_catalog")
    space = sa.table("pg_namespace", *map(sa.column, ("oid", "nspname")), schema="pg_catalog")
    query = (
        sa.select(sa.cast(relation.c.oid, sa.BigInteger()))
        .join_from(relation, space, space.c.oid == relation.c.relnamespace)
        .where(space.c.nspname == _SCHEMA, relation.c.relname.in_(tables))
        .order_by(relation.c.relname)
    )
    return tuple(connection.scalars(query))


def trigger_statements(kept: KeptJournal) -> Iterator[sql.Composable]:
    """Yield what makes the triggers on the kept tables of a view."""
    for what, table, event in _on_tables(kept):
        name, relation = sql.Identifier(_trigger_name(kept.base, event)), sql.Identifier(_SCHEMA, table)
        yield sql.SQL(
            "CREATE OR REPLACE TRIGGER {} {} FOR EACH STATEMENT "
            "EXECUTE FUNCTION tapdb.note_journal({}, {}, {}, {})"
        ).format(
            name,
            sql.SQL(_TIMINGS[event]).format(table=relation),
            *map(sql.Literal, (kept.base, what, "on" if kept.wakes else "off", str(kept.night_hours))),
        )
        # What applies a subscription fires only what is ALWAYS enabled.
        yield sql.SQL("ALTER TABLE {} ENABLE ALWAYS TRIGGER {}").format(relation, name)


def drop_trigger_statements(connection: sa.Connection, kept: KeptJournal) -> Iterator[sql.Composable]:
    """Yield what takes the triggers from the kept tables that are there."""
    for _, table, event in _on_tables(kept):
        relation = sql.Identifier(_SCHEMA, table)
        if connection.scalar(sa.select(sa.func.to_regclass(relation.as_string(None)))) is not None:
            name = sql.Identifier(_trigger_name(kept.base, event))
            yield sql.SQL("DROP TRIGGER IF EXISTS {} ON {}").format(name, relation)


def _named(connection: sa.Connection, view: str) -> Any:
    """Return the row of a view that is named as readers see it, or as the one with all rows."""
    schema, _, name = view.lower().partition(".")
    for row in connection.execute(sa.select(_view_definition).where(_view_definition.c.stage == "published")):
        released = row.fingerprint.get("released") or {}
        if (schema, name) in {
            (row.view_schema, row.view_name),
            (released.get("schema"), released.get("name")),
        }:
            return row
    return None


def _published(connection: sa.Connection, schema: str, name: str) -> Any:
    """Return the row of a view as readers see it; None if there is none."""
    view = _view_definition.c
    here = sa.and_(view.view_schema == schema, view.view_name == name, view.stage == "published")
    return connection.execute(sa.select(view.kept).where(here)).one_or_none()


def _finds_first(connection: sa.Connection, base: str) -> bool:
    columns = sa.table(
        "columns", *map(sa.column, ("table_schema", "table_name", "column_name")), schema="information_schema"
    ).c
    here = (columns.table_schema == _SCHEMA, columns.table_name == f"{base}_dataset")
    query = sa.select(sa.func.count()).where(*here, columns.column_name == "data_id")
    return bool(connection.scalar(query))


def _region_table(published: Any) -> str:
    """Return the kept table of the regions of a registry, as the record of the view names it."""
    names = [name for _, name in published.fingerprint.get("objects", {}).get("footprints", ())]
    return names[0] if names else f"{published.registry_schema}_region"


def _trigger_name(base: str, event: str) -> str:
    """Return the name of a trigger; those of several views stand on one table of regions."""
    return f"tapdb_journal_{event}_{base}"[:63]


def _on_tables(kept: KeptJournal) -> Iterator[tuple[str, str, str]]:
    """Yield what a kept table is, its name, and each event of it that is noted."""
    for what, events in _TRIGGERS.items():
        table = kept.regions if what == "region" else f"{kept.base}_{what}"
        yield from ((what, table, event) for event in events)


def _has_triggers(connection: sa.Connection, base: str, regions: str) -> bool:
    """Return whether all triggers of a journal are there."""
    triggers = sa.table("pg_trigger", *map(sa.column, ("tgname", "tgrelid")), schema="pg_catalog").c
    kept = KeptJournal(0, "", "", base, regions, 0, wakes=False, is_current=False)
    wanted = {
        (sql.Identifier(_SCHEMA, table).as_string(None), _trigger_name(base, event))
        for _, table, event in _on_tables(kept)
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
