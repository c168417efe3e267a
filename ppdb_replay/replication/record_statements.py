"""The SQL that brings rows to what all update records say of them, with names left open.

`ppdb_replay.replication.publish_statements` fills them in. Rows that the chunk at hand
concerns are those it has staged, and those that its records are about.
"""

from __future__ import annotations

__all__ = [
    "FIND_VERSIONS",
    "UPDATED",
    "UPDATE_FORCED",
    "UPDATE_OBJECTS",
    "UPDATE_SOURCES",
    "WAITING",
]

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
      FILTER (WHERE "ssObjectId" IS NOT NULL))[1] AS ssobject,
    (array_agg("ssObjectReassocTimeMjdTai" ORDER BY update_time_ns DESC, update_order DESC)
      FILTER (WHERE "ssObjectId" IS NOT NULL))[1] AS reassociated,
    (array_agg("timeWithdrawnMjdTai" ORDER BY update_time_ns DESC, update_order DESC)
      FILTER (WHERE "timeWithdrawnMjdTai" IS NOT NULL))[1] AS withdrawn
  FROM {records} JOIN concerned USING ("diaSourceId")
  GROUP BY "diaSourceId"
), wanted AS (
  SELECT source."diaSourceId",
    CASE WHEN said.associated THEN said.object ELSE source."diaObjectId" END AS object,
    coalesce(said.ssobject, source."ssObjectId") AS ssobject,
    coalesce({said_reassociated}, source.{reassociated}) AS reassociated,
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
