"""The statements that publish a chunk: rows, update records, validity."""

from collections.abc import Iterable
from dataclasses import dataclass

from psycopg import sql

from ppdb_replay.replication.chunk import (
    ASSOCIATIONS,
    IMPLIED_ORDER,
    OBJECT_UPDATES,
    REPLICATED,
    UpdateRecord,
)
from ppdb_replay.replication.target import CHUNK_COLUMNS, Target

RECORDS = "PpdbUpdateRecord"
"""Name of the table; it stands beside dax_ppdb's PpdbReplicaChunk."""

_CREATE = """
CREATE TABLE {records} (
  apdb_replica_chunk bigint NOT NULL,
  update_time_ns bigint NOT NULL,
  update_order integer NOT NULL,
  update_type text NOT NULL,
  "diaObjectId" bigint,
  "diaSourceId" bigint,
  visit bigint,
  detector integer,
  "validityEndMjdTai" double precision,
  "nDiaSources" integer,
  "newDiaObjectId" bigint,
  "ssObjectId" bigint,
  "ssObjectReassocTimeMjdTai" double precision,
  "timeWithdrawnMjdTai" double precision,
  of_version {start_type}
)
"""
_INDEXES = {
    "PpdbUpdateRecord_identity": "CREATE UNIQUE INDEX {name} ON {records} "
    "(update_time_ns, update_order, update_type, "
    'coalesce("diaObjectId", 0), coalesce("diaSourceId", 0), coalesce(visit, 0), coalesce(detector, 0))',
    "PpdbUpdateRecord_object": 'CREATE INDEX {name} ON {records} ("diaObjectId") '
    'WHERE "diaObjectId" IS NOT NULL',
    "PpdbUpdateRecord_source": 'CREATE INDEX {name} ON {records} ("diaSourceId") '
    'WHERE "diaSourceId" IS NOT NULL',
}
_COMMENT = "Update records received from the APDB: what changed in which row, and when. Times are TAI."
_COLUMN_COMMENTS = {
    "update_time_ns": "When it happened: nanoseconds since 1970-01-01 00:00:00 TAI.",
    "newDiaObjectId": "New diaObjectId of a source.",
    "of_version": "Start of validity of the version of its DiaObject; NULL while there is none.",
}


def create_records_statements(schema: str, start_type: str) -> tuple[sql.Composed, ...]:
    """Return the statements that make the table of update records.

    Parameters
    ----------
    schema
        Database schema of the PPDB.
    start_type
        PostgreSQL type of a DiaObject's start of validity, as `Target` has it.
    """
    records = sql.Identifier(schema, RECORDS)
    return (
        sql.SQL(_CREATE).format(records=records, start_type=sql.SQL(start_type)),
        *(
            sql.SQL(text).format(name=sql.Identifier(name), records=records)
            for name, text in _INDEXES.items()
        ),
        sql.SQL("COMMENT ON TABLE {} IS {}").format(records, sql.Literal(_COMMENT)),
        *(
            sql.SQL("COMMENT ON COLUMN {}.{} IS {}").format(records, sql.Identifier(name), sql.Literal(text))
            for name, text in _COLUMN_COMMENTS.items()
        ),
    )


# When a record happened: Modified Julian Date, TAI.
UPDATED = "(record.update_time_ns + 1000000) / 86400e9::float8 + 40587"

# A record is about the version that was in force when it happened, or about the first if clocks disagree. A
# millisecond is allowed, since times in nanoseconds come from floating point numbers.
FIND_VERSIONS = """
UPDATE {records} record SET of_version = (
  SELECT coalesce(
    max(version.{start}) FILTER (
      WHERE version.{start} <= {updated}), min(version.{start}))
  FROM {objects} version WHERE version."diaObjectId" = record."diaObjectId")
WHERE record.of_version IS NULL AND record.update_type = ANY({object_updates}) AND record."diaObjectId" IN (
  SELECT "diaObjectId" FROM {stage_objects}
  UNION SELECT "diaObjectId" FROM {stage_records} WHERE update_type = ANY({object_updates}))
"""

UPDATE_OBJECTS = """
WITH concerned AS (
  SELECT "diaObjectId" FROM {stage_objects}
  UNION SELECT "diaObjectId" FROM {stage_records} WHERE update_type = ANY({object_updates})
), said AS (
  SELECT "diaObjectId", of_version,
    (array_agg("nDiaSources" ORDER BY update_time_ns DESC, update_order DESC)
      FILTER (WHERE "nDiaSources" IS NOT NULL))[1] AS number,
    (array_agg("validityEndMjdTai" ORDER BY update_time_ns DESC, update_order DESC)
      FILTER (WHERE "validityEndMjdTai" IS NOT NULL))[1] AS ended
  FROM {records} JOIN concerned USING ("diaObjectId")
  WHERE of_version IS NOT NULL
  GROUP BY "diaObjectId", of_version
), wanted AS (
  SELECT version."diaObjectId", version.{start},
    coalesce(said.number, version."nDiaSources") AS number,
    least(coalesce({ended}, version.{end}), lead(version.{start}) OVER (
      PARTITION BY version."diaObjectId" ORDER BY version.{start})) AS ended
  FROM {objects} version JOIN concerned USING ("diaObjectId")
  LEFT JOIN said ON said."diaObjectId" = version."diaObjectId" AND said.of_version = version.{start}
)
UPDATE {objects} version SET "nDiaSources" = wanted.number, {end} = wanted.ended
FROM wanted
WHERE version."diaObjectId" = wanted."diaObjectId" AND version.{start} = wanted.{start}
  AND (version."nDiaSources", version.{end}) IS DISTINCT FROM (wanted.number, wanted.ended)
"""

# A source belongs to a DiaObject or to a solar system object, never to both: the latest record tells.
UPDATE_SOURCES = """
WITH concerned AS (
  SELECT "diaSourceId" FROM {stage_sources}
  UNION SELECT "diaSourceId" FROM {stage_records} WHERE "diaSourceId" IS NOT NULL
), said AS (
  SELECT "diaSourceId",
    bool_or(update_type = ANY({associations})) AS associated,
    (array_agg("newDiaObjectId" ORDER BY update_time_ns DESC, update_order DESC)
      FILTER (WHERE update_type = ANY({associations})))[1] AS object,
    (array_agg("ssObjectId" ORDER BY update_time_ns DESC, update_order DESC)
      FILTER (WHERE update_type = ANY({associations})))[1] AS ssobject,
    (array_agg("ssObjectReassocTimeMjdTai" ORDER BY update_time_ns DESC, update_order DESC)
      FILTER (WHERE update_type = ANY({associations})))[1] AS reassociated,
    (array_agg("timeWithdrawnMjdTai" ORDER BY update_time_ns DESC, update_order DESC)
      FILTER (WHERE "timeWithdrawnMjdTai" IS NOT NULL))[1] AS withdrawn
  FROM {records} JOIN concerned USING ("diaSourceId")
  GROUP BY "diaSourceId"
), wanted AS (
  SELECT source."diaSourceId",
    CASE WHEN said.associated THEN said.object ELSE source."diaObjectId" END AS object,
    CASE WHEN said.associated THEN said.ssobject ELSE source."ssObjectId" END AS ssobject,
    CASE WHEN said.associated THEN {said_reassociated} ELSE source.{reassociated} END AS reassociated,
    coalesce({said_withdrawn}, source.{withdrawn}) AS withdrawn
  FROM {sources} source JOIN said USING ("diaSourceId")
)
UPDATE {sources} source SET
  "diaObjectId" = wanted.object, "ssObjectId" = wanted.ssobject, {reassociated} = wanted.reassociated,
  {withdrawn} = wanted.withdrawn
FROM wanted
WHERE source."diaSourceId" = wanted."diaSourceId"
  AND (source."diaObjectId", source."ssObjectId", source.{reassociated}, source.{withdrawn})
  IS DISTINCT FROM (wanted.object, wanted.ssobject, wanted.reassociated, wanted.withdrawn)
"""

UPDATE_FORCED = """
WITH concerned AS (
  SELECT "diaObjectId", visit, detector::integer FROM {stage_forced}
  UNION SELECT "diaObjectId", visit, detector FROM {stage_records}
  WHERE update_type = 'withdraw_diaforcedsource'
), said AS (
  SELECT "diaObjectId", visit, detector,
    (array_agg("timeWithdrawnMjdTai" ORDER BY update_time_ns DESC, update_order DESC))[1] AS withdrawn
  FROM {records} JOIN concerned USING ("diaObjectId", visit, detector)
  WHERE update_type = 'withdraw_diaforcedsource'
  GROUP BY "diaObjectId", visit, detector
)
UPDATE {forced} source SET {withdrawn} = {said_withdrawn}
FROM said
WHERE source."diaObjectId" = said."diaObjectId" AND source.visit = said.visit
  AND source.detector = said.detector AND source.{withdrawn} IS DISTINCT FROM {said_withdrawn}
"""

WAITING = """
SELECT count(*) FROM {records} record WHERE apdb_replica_chunk = %(chunk)s AND NOT CASE
  WHEN update_type = ANY({object_updates}) THEN of_version IS NOT NULL
  WHEN "diaSourceId" IS NOT NULL
    THEN EXISTS (SELECT FROM {sources} source WHERE source."diaSourceId" = record."diaSourceId")
  ELSE EXISTS (SELECT FROM {forced} source WHERE source."diaObjectId" = record."diaObjectId"
    AND source.visit = record.visit AND source.detector = record.detector)
END
"""


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

# A row that is there is left as it is. What updates change, and the number of the chunk, may differ.
_MEASURED = ("DiaSource", "DiaForcedSource")
_DROPPED = """
SELECT count(*) FROM {stage} staged JOIN {table} known ON ({known_key}) = ({staged_key})
WHERE ROW({known}) IS DISTINCT FROM ROW({staged})
"""

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
        Make the temporary tables, replacing those that exist.
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
    dropped
        Counts staged rows with other measurements than the row that is there, by the name of the table.
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
    dropped: dict[str, sql.Composed]


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
        dropped={name: _dropped(target, name) for name in _MEASURED},
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


def _dropped(target: Target, table: str) -> sql.Composed:
    """Return the statement that counts staged rows which differ from those that are there."""
    times = target.times
    updated = {"diaObjectId", "ssObjectId", times.reassociated, times.withdrawn} | CHUNK_COLUMNS
    measured = [one.name for one in target.columns[table] if one.name not in updated]

    def listed(side: str, names: Iterable[str]) -> sql.Composed:
        return sql.SQL(", ").join(sql.Identifier(side, name) for name in names)

    return sql.SQL(_DROPPED).format(
        stage=_stage(table),
        table=sql.Identifier(target.schema, table),
        **{f"{side}_key": listed(side, _JOINED[table]) for side in ("known", "staged")},
        **{side: listed(side, measured) for side in ("known", "staged")},
    )


def _stage(table: str) -> sql.Identifier:
    return sql.Identifier("pg_temp", _STAGE[table])


def _listed(names: Iterable[str]) -> sql.Composed:
    return sql.SQL(", ").join(map(sql.Identifier, names))
