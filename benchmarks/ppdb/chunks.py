"""Chunks as replication brings them: rows of Python, which its own writer puts into both sides."""

from __future__ import annotations

import time
from dataclasses import dataclass
from random import Random
from uuid import UUID

import sqlalchemy as sa
from psycopg import sql

from benchmarks.obscore.archive import connect
from benchmarks.obscore.timing import Stopwatch
from benchmarks.ppdb.stream import FIRST_NIGHT_MJD_TAI, SIDES, STAGE, Stream, fill_stage
from ppdb_replay.replication.chunk import REPLICATED, Chunk, ChunkData, TableRows
from ppdb_replay.replication.chunk_writer import open_writer, write_chunk
from ppdb_replay.replication.target import find_target

__all__ = ["write_chunks"]

_SEED = 20_261_121
_CHUNK_S = 600


@dataclass(frozen=True, slots=True)
class _Size:
    """Rows of one chunk: about what six visits bring, so that fixed costs do not count for much."""

    objects: int = 2_000
    sources: int = 2


def write_chunks(url: sa.URL, stream: Stream, rounds: int, watch: Stopwatch) -> None:
    """Write chunks to both sides in turn, and note the times.

    Parameters
    ----------
    url
        Database in which the nights have been written.
    stream
        What the nights have brought.
    rounds
        Chunks; one more is written before, untimed.
    watch
        Is told the times of the transactions, under the key ``ingest_chunk``.
    """
    size = _Size(min(_Size().objects, stream.objects))
    random = Random(_SEED)
    chunks = [_chunk(url, stream, number, size) for number in range(rounds + 1)]
    columns = {name: chunks[0].tables[name].columns for name in REPLICATED}
    writers = {}
    for side, schema in SIDES.items():
        connection = connect(url)
        writers[side] = open_writer(connection, find_target(connection, schema, columns))
    for number, chunk in enumerate(chunks):
        for side in random.sample(sorted(SIDES), 2):
            started = time.perf_counter()
            copied = write_chunk(writers[side], chunk)
            if number:
                watch.add("ingest_chunk", side, started)
            assert copied is not None
            assert copied.inserted["DiaSource"] == size.objects * size.sources
    for writer in writers.values():
        writer.connection.close()


def _chunk(url: sa.URL, stream: Stream, number: int, size: _Size) -> ChunkData:
    """Return new versions of objects, new sources, and forced sources at the places of all of them."""
    night = stream.nights + number
    small = Stream(stream.objects, 1, size.sources, nights=stream.objects // size.objects)
    first_id = 2 * stream.nights * stream.sources_a_night + number * small.sources_a_night
    tables: dict[str, TableRows] = {}
    with connect(url) as connection:
        for name in ("DiaObject", "DiaSource"):
            fill_stage(connection, small, night, name, first_id=first_id)
            cursor = connection.execute(sql.SQL("SELECT * FROM {}").format(sql.Identifier(STAGE, name)))
            assert cursor.description is not None
            names = tuple(column.name for column in cursor.description)
            tables[name] = TableRows(names, cursor.fetchall())
    sources = tables["DiaSource"]
    place = {name: number for number, name in enumerate(sources.columns)}
    forced = {
        "diaForcedSourceId": "diaSourceId",
        "diaObjectId": "diaObjectId",
        "ra": "ra",
        "dec": "dec",
        "visit": "diaSourceId",
        "detector": "detector",
        "psfFlux": "psfFlux",
        "psfFluxErr": "psfFluxErr",
        "midpointMjdTai": "midpointMjdTai",
        "scienceFlux": "psfFlux",
        "scienceFluxErr": "psfFluxErr",
        "band": "band",
        "timeProcessedMjdTai": "timeProcessedMjdTai",
        "timeWithdrawnMjdTai": "timeWithdrawnMjdTai",
    }
    rows = [tuple(row[place[name]] for name in forced.values()) for row in sources.rows]
    tables["DiaForcedSource"] = TableRows(tuple(forced), rows)
    start_s = (FIRST_NIGHT_MJD_TAI + night - 40_587) * 86_400
    chunk = Chunk(start_s // _CHUNK_S * _CHUNK_S, float(start_s), UUID(int=number + 1))
    return ChunkData(chunk, tables, ())
