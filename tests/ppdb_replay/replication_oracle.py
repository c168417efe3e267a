"""What a PPDB holds after replication, by plain Python over what `ApdbReplica` gives, row by row.

Written from the description of the semantics (docs/ppdb-replication.md), with nothing of ppdb_replay.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, LiteralString, TypeAlias

import psycopg
from lsst.dax.apdb import ApdbReplica, ApdbUpdateRecord
from lsst.dax.apdb.apdbSchema import ApdbTables
from psycopg import sql
from psycopg.rows import dict_row

__all__ = ["KEYS", "Content", "Oracle", "read_content"]

Row: TypeAlias = dict[str, Any]
Content: TypeAlias = Mapping[str, Mapping[tuple[Any, ...], Row]]

KEYS = {
    "DiaObject": ("diaObjectId", "validityStartMjdTai"),
    "DiaSource": ("diaSourceId",),
    "DiaForcedSource": ("diaObjectId", "visit", "detector"),
}
_OBJECT_UPDATES = {"close_diaobject_validity", "update_n_dia_sources"}


@dataclass
class Oracle:
    """The state of a PPDB, chunk by chunk."""

    rows: dict[str, dict[tuple[Any, ...], Row]] = field(default_factory=lambda: {name: {} for name in KEYS})
    records: dict[tuple[Any, ...], ApdbUpdateRecord] = field(default_factory=dict)
    versions: dict[tuple[Any, ...], float] = field(default_factory=dict)

    def take(self, apdb: ApdbReplica, chunk_ids: Iterable[int]) -> None:
        """Take chunks from an APDB, in the given order, as it has them now."""
        for chunk_id in chunk_ids:
            for name, key in KEYS.items():
                data = apdb.getTableDataChunks(ApdbTables[name], [chunk_id])
                for values in data.rows():
                    row = dict(zip(data.column_names(), values, strict=True))
                    row.pop("apdb_replica_chunk")
                    self.rows[name].setdefault(tuple(row[one] for one in key), row)
            for record in apdb.getUpdateRecordChunks([chunk_id]):
                identity = (
                    record.update_time_ns,
                    record.update_order,
                    record.update_type,
                    record.record_id(),
                )
                self.records[identity] = record
            self._find_versions()

    def content(self) -> Content:
        """Return the rows as they are after all that was taken."""
        rows = {name: {key: dict(row) for key, row in table.items()} for name, table in self.rows.items()}
        for row in rows["DiaSource"].values():
            row["diaObjectId"] = row["diaObjectId"] or None
        for row in rows["DiaObject"].values():
            if (
                row["validityEndMjdTai"] is not None
                and row["validityEndMjdTai"] <= row["validityStartMjdTai"]
            ):
                row["validityEndMjdTai"] = None
        for identity, record in sorted(self.records.items(), key=lambda one: one[0][:2]):
            key: tuple[Any, ...] = tuple(value for _, value in record.record_id())
            if record.update_type in _OBJECT_UPDATES:
                key = (*key, self.versions.get(identity))
            target = rows[record.apdb_table.name].get(key)
            if target is not None:
                target.update(record.record_payload())
                if record.update_type == "reassign_diasource_to_ssobject":
                    target["diaObjectId"] = None
                if record.update_type == "reassign_diasource_to_diaobject":
                    target["ssObjectId"] = target["ssObjectReassocTimeMjdTai"] = None
        _end_versions(rows["DiaObject"])
        return rows

    def _find_versions(self) -> None:
        for identity, record in self.records.items():
            if record.update_type in _OBJECT_UPDATES and identity not in self.versions:
                (object_id,) = (value for _, value in record.record_id())
                updated = record.update_time_ns / 86_400e9 + 40_587.0
                starts = sorted(start for one, start in self.rows["DiaObject"] if one == object_id)
                before = [start for start in starts if start <= updated + 1e-8]
                if starts:
                    self.versions[identity] = before[-1] if before else starts[0]


def _end_versions(versions: dict[tuple[Any, ...], Row]) -> None:
    """Let each version end where the next one begins, at the latest."""
    for (object_id, start), (next_id, next_start) in pairwise(sorted(versions)):
        if next_id == object_id:
            row = versions[object_id, start]
            row["validityEndMjdTai"] = min(row["validityEndMjdTai"] or next_start, next_start)


def read_content(
    connection: psycopg.Connection[Any], schema: str = "ppdb", *, where: LiteralString = "true", **values: Any
) -> Content:
    """Return the rows of the replicated tables of a database, without the columns of their versions."""
    content = {}
    for name, key in KEYS.items():
        statement = sql.SQL("SELECT * FROM {} WHERE {}").format(sql.Identifier(schema, name), sql.SQL(where))
        with connection.transaction(), connection.cursor(row_factory=dict_row) as cursor:
            rows = cursor.execute(statement, values).fetchall()
        hidden = {"snap_from", "snap_to", "pixelId"}
        content[name] = {
            tuple(row[one] for one in key): {
                column: value for column, value in row.items() if column not in hidden
            }
            for row in rows
        }
    return content
