"""What a query gains between two positions of a journal: rows that it finds now, and did not find then.

A position is a snapshot of PostgreSQL, and until when what is released was seen. Nothing is remembered of
rows that have been given out: the journal tells how the rows were that have changed since, and the query is
evaluated on these and on what they are now. So a position is all that it takes to go on, on any connection.
"""

import time
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Self, cast

import psycopg
from psycopg import sql
from psycopg.rows import namedtuple_row

from adql import (
    ColumnMetadata,
    CompiledQuery,
    Limits,
    Metadata,
    OutputColumn,
    Query,
    Server,
    TableMetadata,
    to_postgres,
    walk,
)
from adql import tree as adql_tree
from adql.names import Identifier
from adql.types import value_type
from prompt_products.errors import (
    JournalLostError,
    JournalNotKeptError,
    PositionError,
    QueryNotWatchedError,
    StandbyNotWatchedError,
)
from tap_query.errors import TooManyRowsGainedError
from tap_query.execute import Session, fetch
from tap_query.watching import GainedRows, WatchLimits

_DATASET = "tapdb_watched_dataset"
_NOW, _THEN = "tapdb_watched", "tapdb_watched_then"
_STORED = frozenset({"access_estsize", "presence", "replaced_by"})
_BY_TIME = frozenset({"data_rights"})
# Looks for what has been released take at most this part of the time, and are at least so far apart.
_PART_OF_TIME, _LOOK_AGAIN_S = 0.02, 5.0

_SNAPSHOT = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"
_STATE = """
SELECT s.number, s.is_complete, s.has_news, s.sees_until = 'infinity' AS sees_all, s.sees_until::text,
  pg_current_snapshot()::text AS snapshot, pg_is_in_recovery() AS is_standby
FROM (SELECT) x LEFT JOIN LATERAL tapdb.journal_state(%s, %s, %s) s ON true
"""
_GAINED = """
WITH tapdb_change AS MATERIALIZED (
  SELECT c.dataset_id, c.was FROM tapdb.journal_changes({schema}, {name}, {since}, {released}, {until}) c
), {now} AS MATERIALIZED (
  SELECT v.* FROM {shown} v WHERE v.registry_dataset_id = ANY (ARRAY(SELECT c.dataset_id FROM tapdb_change c))
), {then} AS MATERIALIZED (
  SELECT r.* FROM tapdb_change c CROSS JOIN LATERAL jsonb_populate_record(NULL::{shown}, c.was) r
  WHERE c.was IS NOT NULL AND {was_released}
)
SELECT n.* FROM ({found_now}) n
WHERE n.{dataset} NOT IN (SELECT t.{dataset} FROM ({found_then}) t)
LIMIT {most}
"""
_WAS_RELEASED = "(c.was ->> 'obs_release_date')::timestamp <= {}::timestamp"


@dataclass(frozen=True, slots=True)
class JournalPosition:
    """Up to where rows are known.

    Attributes
    ----------
    journal
        Number of the journal.
    snapshot
        Snapshot of PostgreSQL: ``xmin:xmax:xip,...``.
    released
        Until when what is released was seen, UTC; ``infinity`` for a role that sees all rows.
    """

    journal: int
    snapshot: str
    released: str

    def __str__(self) -> str:
        return f"{self.journal}/{self.snapshot}/{self.released.replace(' ', 'T')}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the position of a text.

        Raises
        ------
        PositionError
            Raised if the text is no position.
        """
        try:
            number, snapshot, released = text.split("/")
            low, high, running = snapshot.split(":")
            if not int(low) <= int(high) or any(map(_negative, running.split(",") if running else ())):
                raise PositionError(text)
            if released != "infinity":
                datetime.fromisoformat(released)
            return cls(int(number), snapshot, released)
        except ValueError as error:
            raise PositionError(text) from error


def _negative(text: str) -> bool:
    return int(text) < 0


class JournalWatch:
    """A query over one view whose journal is kept.

    Parameters
    ----------
    query
        What `adql.parse` returned.
    metadata
        What is published, as the role sees it that watches.
    server
        What the database can do.
    limits
        What a look may take.

    Raises
    ------
    AdqlError
        Raised for a query that cannot be used.
    QueryNotWatchedError
        Raised for a query that is not over one table, with conditions on its row.
    """

    def __init__(self, query: Query, metadata: Metadata, server: Server, limits: WatchLimits) -> None:
        select, named = _one_select(query)
        # What is wrong with it is said of the query as it was sent.
        compiled = to_postgres(query, metadata, Limits(max_rows=None), server=server)
        (table,) = metadata.find_tables(named.name)
        self._schema, self._name = table.sql_schema or "", table.sql_name
        self._limits = limits
        self._looked_at, self._pause_s = float("-inf"), _LOOK_AGAIN_S
        _require_kept_columns(select, table)
        self.columns: tuple[OutputColumn, ...] = compiled.columns
        hidden = adql_tree.Output(adql_tree.Column(Identifier(_DATASET)), Identifier(_DATASET))
        server = replace(server, inline=True)
        self._now = self._compiled(
            replace(query, body=replace(select, items=(*select.items, hidden))), table, metadata, server, _NOW
        )
        self._then = self._compiled(
            replace(query, body=replace(select, items=(hidden,))), table, metadata, server, _THEN
        )

    @staticmethod
    def _compiled(
        query: Query, table: TableMetadata, metadata: Metadata, server: Server, name: str
    ) -> CompiledQuery:
        """Return a query over the rows of a table of WITH that stands for a published one."""
        dataset = ColumnMetadata(_DATASET, value_type("char", "36", "uuid"), "registry_dataset_id")
        rows = replace(table, sql_schema=None, sql_name=name, guarded=None, columns=(*table.columns, dataset))
        published = Metadata((rows,), metadata.functions)
        return to_postgres(query, published, Limits(max_rows=None), server=server)

    def gained(self, connection: psycopg.Connection[Any], since: str | None) -> GainedRows:
        """Return the rows gained since a position, as `tap_query.watching.WatchedQuery` says.

        Parameters
        ----------
        connection, since
            As there.

        Raises
        ------
        JournalLostError
            Raised if the journal does not reach back to the position.
        JournalNotKeptError
            Raised if no journal of the view is kept, or the role may not read the view.
        PositionError
            Raised if `since` is no position.
        QueryFailedError
            Raised if the database stops with an error.
        TooManyRowsGainedError
            Raised if there are more rows than the limits allow.
        StandbyNotWatchedError
            Raised if the server is a standby.
        """
        known = None if since is None else JournalPosition.parse(since)
        try:
            return self._look(connection, known)
        finally:
            if not connection.closed:
                connection.rollback()

    def _look(self, connection: psycopg.Connection[Any], known: JournalPosition | None) -> GainedRows:
        with connection.cursor(row_factory=namedtuple_row) as cursor:
            cursor.execute(_SNAPSHOT)
            since = None if known is None else known.snapshot
            # The outer join has a row.
            state: Any = cursor.execute(_STATE, (self._schema, self._name, since)).fetchone()
        if state.is_standby:
            raise StandbyNotWatchedError
        if state.number is None:
            raise JournalNotKeptError(f"{self._schema}.{self._name}")
        if known is None:
            return self._nothing(JournalPosition(state.number, state.snapshot, state.sees_until))
        if known.journal != state.number or not state.is_complete:
            raise JournalLostError(str(known), f"{self._schema}.{self._name}")
        # A role that sees all rows from now on, or no more, gains or loses none by that.
        begins = state.sees_all != (known.released == "infinity")
        looks = not state.sees_all and time.monotonic() >= self._looked_at + self._pause_s
        until = state.sees_until if looks or state.sees_all or begins else known.released
        if not state.has_news and not looks:
            return self._nothing(JournalPosition(state.number, state.snapshot, until))
        started = time.monotonic()
        released = until if begins else known.released
        found = self._run(connection, known.snapshot, released, until, looks=looks)
        if looks:
            self._looked_at = time.monotonic()
            self._pause_s = max(_LOOK_AGAIN_S, (self._looked_at - started) / _PART_OF_TIME)
        position = JournalPosition(state.number, state.snapshot, until)
        return GainedRows(self.columns, [row[:-1] for row in found], str(position))

    def _nothing(self, position: JournalPosition) -> GainedRows:
        return GainedRows(self.columns, (), str(position))

    def _run(
        self, connection: psycopg.Connection[Any], since: str, released: str, until: str, *, looks: bool
    ) -> list[tuple[Any, ...]]:
        sees_all = until == "infinity"
        statement = sql.SQL(_GAINED).format(
            schema=sql.Literal(self._schema),
            name=sql.Literal(self._name),
            since=sql.Literal(since),
            released=sql.Literal(released if looks else None),
            until=sql.Literal(until if looks else None),
            now=sql.Identifier(_NOW),
            then=sql.Identifier(_THEN),
            shown=sql.Identifier(self._schema, self._name),
            was_released=sql.SQL("true")
            if sees_all
            else sql.SQL(_WAS_RELEASED).format(sql.Literal(released)),
            dataset=sql.Identifier(_DATASET),
            found_now=_sql(self._now),
            found_then=_sql(self._then),
            most=sql.Literal(None if self._limits.max_rows is None else self._limits.max_rows + 1),
        )
        compiled = replace(self._now, sql=statement.as_string(connection), checked=None)
        # What is released while somebody looks comes with the next look for it, and not twice.
        settings = {} if sees_all else {"tapdb.release_instant": until}
        session = Session(timeout_ms=self._limits.timeout_ms, settings=settings)
        most = self._limits.max_rows
        found = fetch(connection, compiled, max_rows=most, session=session)
        if most is not None and found.overflow:
            raise TooManyRowsGainedError(most)
        return found.rows


def _sql(compiled: CompiledQuery) -> sql.SQL:
    """Return a query, whose constants are written into it, as a part of another."""
    return sql.SQL(cast("Any", compiled.sql))


def _one_select(query: Query) -> tuple[adql_tree.Select, adql_tree.Table]:
    """Return the SELECT of a query over one table, and the table.

    Raises
    ------
    QueryNotWatchedError
        Raised for all other queries, with the name of what it has.
    """
    select = query.body
    if not isinstance(select, adql_tree.Select):
        raise QueryNotWatchedError("UNION, EXCEPT or INTERSECT")
    found = {
        "WITH": query.common_tables,
        "ORDER BY": query.order_by,
        "OFFSET": query.offset is not None,
        "TOP": select.top is not None,
        "DISTINCT": select.quantifier.upper() == "DISTINCT",
        "GROUP BY": select.group_by,
        "HAVING": select.having is not None,
        "a join": len(select.tables) != 1 or isinstance(select.tables[0], adql_tree.JoinedTable),
        "a subquery": any(isinstance(node, Query) and node is not query for node in walk(query)),
        "an aggregate": any(isinstance(node, adql_tree.Aggregate) for node in walk(query)),
    }
    for shape, is_there in found.items():
        if is_there:
            raise QueryNotWatchedError(shape)
    (table,) = select.tables
    if not isinstance(table, adql_tree.Table):
        raise QueryNotWatchedError("a subquery")
    return select, table


def _require_kept_columns(select: adql_tree.Select, table: TableMetadata) -> None:
    """Check that conditions are on columns whose changes the journal tells.

    Raises
    ------
    QueryNotWatchedError
        Raised if one is not.
    """
    names = {one.name.lower() for one in table.columns}
    loose = _STORED | _BY_TIME | ({"access_url"} if "presence" in names else set())
    for node in walk(select.where) if select.where is not None else ():
        if isinstance(node, adql_tree.Column) and node.name.text.lower() in loose:
            raise QueryNotWatchedError(f"a condition on {node.name.text}, which changes without the view")
