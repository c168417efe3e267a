"""The views of the observing log, over the schemas that there are: tables, or foreign ones of another server.

What is not there is NULL, and is told.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import sqlalchemy as sa
from psycopg import sql

from prompt_products.errors import ProductRefusedError
from prompt_products.observing_log.log_columns import (
    DATASETS,
    EXPOSURES,
    FROM_MESSAGES,
    FROM_TABLES,
    INSTRUMENTS,
    NAMES,
    RELATIONS,
    SCHEMA,
)
from prompt_products.over_obscore import (
    Product,
    PublicationRecord,
    SourceColumn,
    publish,
    read_publication,
    unpublish,
    view_columns,
)
from tapdb.sources import execute_composed

MESSAGES = "exposurelog"
"""Schema of the exposure log, where no other is named."""

LOG = Product(
    name="log",
    columns=(
        SourceColumn("dataset_id", "uuid", ("registry_dataset_id",)),
        SourceColumn("obs_publisher_did", "text", ("obs_publisher_did",)),
        SourceColumn("dataproduct_subtype", "text", ("dataproduct_subtype",)),
        SourceColumn("instrument", "text", ("instrument_name",)),
        SourceColumn("visit", "bigint", ("lsst_visit", "visit")),
        SourceColumn("exposure", "bigint", ("lsst_exposure", "exposure")),
    ),
    derived=MappingProxyType({}),
    views=MappingProxyType({}),
)
"""What the log takes of an ObsCore view."""

_NEEDED = frozenset({"exposure_id", "day_obs", "seq_num"})
_OF_MESSAGES = frozenset({"instrument", "obs_id", "message_text", "exposure_flag", "date_added"})
# A summary of messages is made only where a query asks for one of its columns.
_SUMMARIES = {
    "message_count": "SELECT count(*) FROM {messages} m WHERE {which}",
    "exposure_flag": (
        "SELECT (ARRAY['none', 'questionable', 'junk'])[max(array_position("
        "ARRAY['none', 'questionable', 'junk'], m.exposure_flag::text))] FROM {messages} m WHERE {which}"
    ),
    "messages": (
        "SELECT string_agg(m.message_text, E'\\n' ORDER BY m.date_added) FROM {messages} m WHERE {which}"
    ),
}


@dataclass(frozen=True, slots=True)
class PublishedLog:
    """What the log is made of.

    Attributes
    ----------
    publication
        What is recorded of it.
    instruments
        Instruments whose exposures it has.
    absent
        Tables that there are not, or that lack what the log needs.
    """

    publication: PublicationRecord
    instruments: tuple[str, ...]
    absent: tuple[str, ...]


def publish_log(connection: sa.Connection, view: str, messages: str = MESSAGES) -> PublishedLog:
    """Make the views of the log over an ObsCore view and the schemas that there are.

    Parameters
    ----------
    connection
        Connection of a member of ``tapdb_owner``, in a transaction; ``tapdb_owner`` reads the schemas.
    view
        Schema and name of the ObsCore view.
    messages
        Schema of the exposure log.

    Raises
    ------
    ProductRefusedError
        Raised if there is no such view, or no exposures of ConsDB.
    """
    unpublish_log(connection, forget=False)
    publication = publish(connection, LOG, view, {"messages": messages})
    there: dict[str, tuple[str, ...]] = {}
    absent: list[str] = []
    summary = view_columns(connection, messages, "message")
    if not summary >= _OF_MESSAGES:
        absent.append(f"{messages}.message")
    else:
        _require_right(connection, messages, "message")
    parts = []
    for end, instrument in INSTRUMENTS.items():
        columns = {
            alias: view_columns(connection, f"{kind}_{end}", table)
            for alias, (kind, table) in RELATIONS.items()
        }
        if not columns["e"] >= _NEEDED:
            absent.append(f"cdb_{end}.exposure")
            continue
        for alias in "qf":
            if not columns[alias] >= {"day_obs", "seq_num"}:
                absent.append(f"{RELATIONS[alias][0]}_{end}.{RELATIONS[alias][1]}")
                columns[alias] = frozenset()
        _require_readable(connection, end, [alias for alias in "eqf" if columns[alias]])
        there[instrument] = (end,)
        shown = (messages, summary) if summary >= _OF_MESSAGES else None
        parts.append(_part(end, instrument, columns, shown))
    if not parts:
        raise ProductRefusedError(
            LOG.name,
            "the database has no exposures of ConsDB: "
            + ", ".join(f"cdb_{end}.exposure" for end in INSTRUMENTS),
            "load ConsDB here, or import its schemas by postgres_fdw",
        )
    for statement in _statements(parts):
        execute_composed(connection, statement)
    return PublishedLog(publication, tuple(there), tuple(absent))


def unpublish_log(connection: sa.Connection, *, forget: bool = True) -> None:
    """Take the views of the log away; the record of it stays if it is not to be forgotten."""
    for name in (DATASETS, EXPOSURES):
        execute_composed(connection, sql.SQL("DROP VIEW IF EXISTS {}").format(sql.Identifier(SCHEMA, name)))
    unpublish(connection, LOG, forget=forget)


def log_tables(connection: sa.Connection) -> frozenset[str]:
    """Return the names of the views of the log that there are."""
    return frozenset(name for name in (EXPOSURES, DATASETS) if view_columns(connection, SCHEMA, name))


def refresh_log(connection: sa.Connection) -> tuple[str, ...]:
    """Make the log again if it is published; return what is in the way, for a person, or nothing."""
    found = read_publication(connection, LOG.name)
    if found is None:
        return ()
    if not view_columns(connection, found.schema, found.view):
        unpublish_log(connection, forget=False)
        return ("the observing log is not published: its ObsCore view is gone; it comes back with it",)
    try:
        publish_log(connection, found.full_name, str(found.options.get("messages", MESSAGES)))
    except ProductRefusedError as error:
        unpublish_log(connection, forget=False)
        return (str(error),)
    return ()


def _require_readable(connection: sa.Connection, end: str, aliases: Iterable[str]) -> None:
    for alias in aliases:
        kind, table = RELATIONS[alias]
        _require_right(connection, f"{kind}_{end}", table)


def _require_right(connection: sa.Connection, schema: str, table: str) -> None:
    """Check that the owner of the views reads a table."""
    relation = sql.Identifier(schema, table).as_string(None)
    may = sa.select(
        sa.and_(
            sa.func.has_schema_privilege("tapdb_owner", schema, "USAGE"),
            sa.func.has_table_privilege("tapdb_owner", relation, "SELECT"),
        )
    )
    if not connection.scalar(may):
        raise ProductRefusedError(
            LOG.name,
            f"tapdb_owner may not read {schema}.{table}",
            f'GRANT USAGE ON SCHEMA "{schema}" TO tapdb_owner; '
            f'GRANT SELECT ON ALL TABLES IN SCHEMA "{schema}" TO tapdb_owner',
        )


def _part(
    end: str,
    instrument: str,
    columns: Mapping[str, frozenset[str]],
    messages: tuple[str, frozenset[str]] | None,
) -> sql.Composable:
    """Return the rows of one instrument."""
    taken: list[sql.Composable] = [sql.SQL("{}::text AS instrument_name").format(sql.Literal(instrument))]
    for name, alias, column, kind, *_ in FROM_TABLES:
        value = (
            sql.SQL("{}.{}").format(sql.Identifier(alias), sql.Identifier(column))
            if column in columns[alias]
            else sql.SQL("NULL")
        )
        taken.append(sql.SQL("{}::{} AS {}").format(value, _trusted(kind), sql.Identifier(name)))
    for name, kind, *_ in FROM_MESSAGES:
        value = sql.SQL("NULL")
        if messages is not None and "exposure_name" in columns["e"]:
            schema, known = messages
            which = sql.SQL("m.instrument = {} AND m.obs_id = e.exposure_name").format(
                sql.Literal(instrument)
            )
            if "is_valid" in known:
                which = sql.SQL("{} AND m.is_valid").format(which)
            value = sql.SQL("({})").format(
                _trusted(_SUMMARIES[name]).format(messages=sql.Identifier(schema, "message"), which=which)
            )
        taken.append(sql.SQL("{}::{} AS {}").format(value, _trusted(kind), sql.Identifier(name)))
    source = sql.SQL("{} AS e").format(sql.Identifier(f"cdb_{end}", "exposure"))
    for alias in "qf":
        if columns[alias]:
            kind, table = RELATIONS[alias]
            source = sql.SQL("{} LEFT JOIN {} AS {} USING (day_obs, seq_num)").format(
                source, sql.Identifier(f"{kind}_{end}", table), sql.Identifier(alias)
            )
    return sql.SQL("SELECT {} FROM {}").format(sql.SQL(", ").join(taken), source)


def _statements(parts: list[sql.Composable]) -> Iterator[sql.Composable]:
    exposures, datasets = sql.Identifier(SCHEMA, EXPOSURES), sql.Identifier(SCHEMA, DATASETS)
    yield sql.SQL("CREATE VIEW {} AS {}").format(exposures, sql.SQL(" UNION ALL ").join(parts))
    names = sql.SQL(", ").join(sql.SQL("l.{}").format(sql.Identifier(name)) for name in NAMES)
    # In two parts, by the index of each column: a condition on either of them would use none.
    halves = [
        sql.SQL(
            "SELECT s.dataset_id, s.obs_publisher_did, s.dataproduct_subtype, {} FROM {}() AS s "
            "JOIN {} AS l ON l.exposure = {} AND l.instrument_name = s.instrument"
        ).format(names, LOG.function, exposures, sql.SQL(key))
        for key in ("s.visit", "s.exposure AND s.visit IS NULL")
    ]
    yield sql.SQL("CREATE VIEW {} AS {}").format(datasets, sql.SQL(" UNION ALL ").join(halves))
    for view in (exposures, datasets):
        yield sql.SQL("ALTER VIEW {} OWNER TO tapdb_owner").format(view)
        yield sql.SQL("REVOKE ALL ON {} FROM PUBLIC").format(view)
        yield sql.SQL("GRANT SELECT ON {} TO tapdb_reader").format(view)


def _trusted(text: str) -> sql.SQL:
    return sql.SQL(text)
