"""The SQL by which a chunk gets into a PPDB; nothing is executed here.

Rows are staged in temporary tables. What then changes the PPDB is a handful of statements over whole sets,
under one lock. What records say is found anew for each row that the chunk concerns, from all records that
were ever received: so the order in which chunks come makes no difference.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from psycopg import sql

from ppdb_replay.replication.chunk import REPLICATED
from ppdb_replay.replication.record_statements import (
    FIND_VERSIONS,
    UPDATE_FORCED,
    UPDATE_OBJECTS,
    UPDATE_SOURCES,
    UPDATED,
    WAITING,
)
from ppdb_replay.replication.record_table import RECORDS
from ppdb_replay.replication.target import Target
from ppdb_replay.replication.update_record import ASSOCIATIONS, IMPLIED_ORDER, OBJECT_UPDATES, UpdateRecord

__all__ = ["PublishStatements", "publish_statements"]

_STAGE = {name: f"tapdb_stage_{name}" for name in (*REPLICATED, RECORDS)}

# By what the planner has to know them.
_JOINED = {
    "DiaObject": ("diaObjectId",),
    "DiaSource": ("diaSourceId",),
    "DiaForcedSource": ("diaObjectId", "visit", "detector"),
    RECORDS: ("diaObjectId", "diaSourceId", "update_type"),
}

# An SQL APDB writes 0 where a source has lost its DiaObject; the schema says that it is NULL then.
_STAGED_OBJECT = 'nullif(staged."diaObjectId", 0)'

# A staged version ends where the next one of the same chunk begins, at the latest. What an SQL APDB says
# itself is the state at the time of reading; an end before the start is what it makes of a late version.
_STAGED_END = """least(
  CASE WHEN staged.{end} > staged.{start} THEN staged.{end} END,
  lead(staged.{start}) OVER (PARTITION BY staged."diaObjectId" ORDER BY staged.{start}))"""

_INSERT = "INSERT INTO {table} ({columns}) SELECT {values} FROM {stage} staged ON CONFLICT DO NOTHING"

# A record that only a row stands for is not needed where the APDB has sent it.
_INSERT_RECORDS = """
INSERT INTO {records} (apdb_replica_chunk, {columns}) SELECT %(chunk)s, {columns} FROM {stage_records} staged
WHERE staged.update_order <> {implied} OR NOT EXISTS (
  SELECT FROM {records} known WHERE known."diaSourceId" = staged."diaSourceId"
    AND known."ssObjectId" = staged."ssObjectId" AND known.update_type = staged.update_type)
ON CONFLICT DO NOTHING
"""

_BOOK = """
INSERT INTO {chunks} (apdb_replica_chunk, last_update_time, unique_id, replica_time)
VALUES (%(chunk)s, %(last_update_time)s, %(unique_id)s, clock_timestamp())
ON CONFLICT (apdb_replica_chunk) DO UPDATE SET last_update_time = EXCLUDED.last_update_time,
  unique_id = EXCLUDED.unique_id, replica_time = EXCLUDED.replica_time
"""


@dataclass(frozen=True, slots=True)
class PublishStatements:
    """What is run for each chunk.

    Attributes
    ----------
    stages
        Make the temporary tables, anew if they are there.
    copies
        Fill them, by the name of the table.
    analyses
        Tell the planner what is in them.
    lock
        Lets one chunk be published at a time.
    copied
        Reads the unique id under which the chunk is booked.
    book
        Books the chunk.
    inserts
        Add staged rows that are not there yet, by the name of the table.
    find_versions
        Finds the version of its DiaObject that a record is about.
    updates
        Bring rows to what all records say, by the name of the table.
    waiting
        Counts records of the chunk whose row has not come yet.
    """

    stages: tuple[sql.Composed, ...]
    copies: dict[str, sql.Composed]
    analyses: sql.Composed
    lock: sql.Composed
    copied: sql.Composed
    book: sql.Composed
    inserts: dict[str, sql.Composed]
    find_versions: sql.Composed
    updates: dict[str, sql.Composed]
    waiting: sql.Composed


def publish_statements(target: Target) -> PublishStatements:
    """Return the statements for the tables of a PPDB."""
    names = _names(target)
    columns = {name: _listed([one.name for one in target.columns[name]]) for name in REPLICATED}
    columns[RECORDS] = _listed(UpdateRecord.column_names())

    def filled(text: str) -> sql.Composed:
        return sql.SQL(text).format(**names)

    return PublishStatements(
        stages=(
            sql.SQL("DROP TABLE IF EXISTS {}").format(sql.SQL(", ").join(map(_stage, _STAGE))),
            *(
                sql.SQL(
                    "CREATE TEMP TABLE {} ON COMMIT DELETE ROWS AS SELECT {} FROM {} WITH NO DATA"
                ).format(sql.Identifier(_STAGE[name]), columns[name], sql.Identifier(target.schema, name))
                for name in _STAGE
            ),
        ),
        copies={
            name: sql.SQL("COPY {} ({}) FROM STDIN").format(_stage(name), columns[name]) for name in _STAGE
        },
        analyses=sql.SQL("ANALYZE {}").format(
            sql.SQL(", ").join(
                sql.SQL("{} ({})").format(_stage(name), _listed(key)) for name, key in _JOINED.items()
            )
        ),
        lock=sql.SQL("SELECT pg_advisory_xact_lock(hashtextextended({}, 0))").format(
            sql.Literal(f"tapdb publishes in {target.schema}")
        ),
        copied=filled("SELECT unique_id FROM {chunks} WHERE apdb_replica_chunk = %(chunk)s FOR UPDATE"),
        book=filled(_BOOK),
        inserts={
            **{name: _insert(target, name, names, columns[name]) for name in REPLICATED},
            RECORDS: sql.SQL(_INSERT_RECORDS).format(columns=columns[RECORDS], **names),
        },
        find_versions=filled(FIND_VERSIONS),
        updates={
            "DiaObject": filled(UPDATE_OBJECTS),
            "DiaSource": filled(UPDATE_SOURCES),
            "DiaForcedSource": filled(UPDATE_FORCED),
        },
        waiting=filled(WAITING),
    )


def _names(target: Target) -> dict[str, sql.Composable]:
    """Return what the texts above leave open."""
    times = target.times
    tables = ("DiaObject", "DiaSource", "DiaForcedSource", RECORDS)
    short = ("objects", "sources", "forced", "records")
    return {
        **{one: sql.Identifier(target.schema, name) for one, name in zip(short, tables, strict=True)},
        **{f"stage_{one}": _stage(name) for one, name in zip(short, tables, strict=True)},
        "chunks": sql.Identifier(target.schema, "PpdbReplicaChunk"),
        "start": sql.Identifier(times.validity_start),
        "end": sql.Identifier(times.validity_end),
        "reassociated": sql.Identifier(times.reassociated),
        "withdrawn": sql.Identifier(times.withdrawn),
        "implied": sql.Literal(IMPLIED_ORDER),
        "associations": sql.Literal(list(ASSOCIATIONS)),
        "object_updates": sql.Literal(list(OBJECT_UPDATES)),
        "updated": _moment(UPDATED, is_mjd=times.is_mjd),
        "ended": _moment("said.ended", is_mjd=times.is_mjd),
        "said_reassociated": _moment("said.reassociated", is_mjd=times.is_mjd),
        "said_withdrawn": _moment("said.withdrawn", is_mjd=times.is_mjd),
    }


def _moment(mjd_tai: str, *, is_mjd: bool) -> sql.Composed:
    """Return an expression of a Modified Julian Date as the PPDB keeps times."""
    frame = "({})" if is_mjd else "(timestamp '1858-11-17' + ({}) * interval '1 day')"
    return sql.SQL(frame).format(sql.SQL(mjd_tai))


def _insert(
    target: Target, table: str, names: dict[str, sql.Composable], columns: sql.Composed
) -> sql.Composed:
    """Return the statement that adds the staged rows of a table."""
    special = {
        ("DiaObject", target.times.validity_end): _STAGED_END,
        ("DiaSource", "diaObjectId"): _STAGED_OBJECT,
    }
    values = [
        sql.SQL(special[table, one.name]).format(**names)
        if (table, one.name) in special
        else sql.Identifier("staged", one.name)
        for one in target.columns[table]
    ]
    return sql.SQL(_INSERT).format(
        table=sql.Identifier(target.schema, table),
        columns=columns,
        values=sql.SQL(", ").join(values),
        stage=_stage(table),
    )


def _stage(table: str) -> sql.Identifier:
    return sql.Identifier("pg_temp", _STAGE[table])


def _listed(names: Iterable[str]) -> sql.Composed:
    return sql.SQL(", ").join(map(sql.Identifier, names))
