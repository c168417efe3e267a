"""What is kept of rows that change: every version, from the snapshot that wrote it to its end."""

from __future__ import annotations

import psycopg
import sqlalchemy as sa

from ppdb_replay.versions.clock import read_snapshot


def connect(url: sa.URL) -> psycopg.Connection[tuple[object, ...]]:
    return psycopg.connect(url.set(drivername="postgresql").render_as_string(hide_password=False))


def test_an_insert_an_update_and_a_delete_each_make_a_snapshot(ppdb_database: sa.URL) -> None:
    with connect(ppdb_database) as connection:
        first = read_snapshot(connection).snapshot_id
        insert = (
            'INSERT INTO ppdb."DiaForcedSource" ("diaForcedSourceId", "diaObjectId", ra, dec, visit, '
            'detector, "midpointMjdTai", "timeProcessedMjdTai") VALUES (1, 7, 10, 20, 3, 4, 61000, 61000)'
        )
        connection.execute(insert)
        connection.commit()
        connection.execute('UPDATE ppdb."DiaForcedSource" SET "psfFlux" = 5')
        connection.commit()
        connection.execute('DELETE FROM ppdb."DiaForcedSource"')
        connection.commit()
        rows = connection.execute(
            'SELECT "psfFlux", snap_from, snap_to FROM ppdb_history."DiaForcedSource" ORDER BY snap_from'
        ).fetchall()
        assert rows == [(None, first + 1, first + 2), (5, first + 2, first + 3)]
        assert read_snapshot(connection).snapshot_id == first + 3
