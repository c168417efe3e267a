"""The table in which a PPDB keeps the update records that it received; nothing is executed here.

They are kept so that the latest one counts, in whatever order chunks come, and that one which comes before
its row is not lost.
"""

from __future__ import annotations

from psycopg import sql

__all__ = ["RECORDS", "create_records_statements"]

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
