"""What versions cost a replicator: chunks of a real APDB, written to both sides in turn."""

from __future__ import annotations

import time
from collections.abc import Mapping
from random import Random
from statistics import median
from typing import Any

import psycopg
import sqlalchemy as sa

from benchmarks.obscore.archive import connect, step
from benchmarks.obscore.timing import Stopwatch
from examples.apdb import Survey, make_apdb, store_visit, update_all_kinds
from ppdb_replay.replication.apdb_source import list_chunks, read_chunk, read_columns
from ppdb_replay.replication.chunk import Chunk
from ppdb_replay.replication.chunk_writer import ChunkWriter, open_writer, write_chunk
from ppdb_replay.replication.target import find_target

__all__ = ["measure_replication"]

_VISITS_A_CHUNK = 2
_SEED = 20_261_121


def measure_replication(
    url: sa.URL, sides: Mapping[str, str], *, objects: int = 1500, chunks: int = 12
) -> dict[str, float]:
    """Return how long replication takes with and without versions, and their ratio.

    ``replicate`` is a chunk from the APDB to the commit, ``write`` the part of it after it was read, and
    ``publish`` the time for which others cannot publish. ``replicate_seal_ms`` is what it took after the
    commit to make the digests of the versions; ``replicate`` and ``write`` hold it.

    Parameters
    ----------
    url
        Database with empty tables of a PPDB on both sides; the APDB is made there too.
    sides
        Database schema of the side ``versioned`` and of the side ``latest``.
    objects
        Objects in the field of the survey; about two thirds are detected in each visit.
    chunks
        Chunks, of two visits and updates of all kinds each. The first on each side only warms up.
    """
    watch = Stopwatch()
    random = Random(_SEED)
    rows = 0
    sealing_ms: list[float] = []
    with connect(url) as connection, step(f"{chunks} chunks of an APDB replicated to both sides"):
        survey = make_apdb(url, objects=objects, asteroids=20)
        for number in range(chunks):
            made = _next_chunks(survey)
            for side in random.sample(sorted(sides), len(sides)):
                writer = _writer(connection, sides[side], survey)
                for chunk in made:
                    began = time.perf_counter()
                    data = read_chunk(survey.replica, chunk)
                    read = time.perf_counter()
                    copied = write_chunk(writer, data)
                    ended = time.perf_counter()
                    assert copied is not None
                    # A chunk with hardly anything but updates says little.
                    if number and len(data.tables["DiaSource"]) > objects // 4:
                        watch.times["replicate", side].append((ended - began) * 1000)
                        watch.times["write", side].append((ended - read) * 1000)
                        watch.times["publish", side].append(copied.locked_s * 1000)
                        if side == "versioned":
                            sealing_ms.append(copied.sealing_s * 1000)
                        rows = sum(copied.inserted.values())
    figures = {"replicate_rows": rows, "replicate_seal_ms": median(sealing_ms)}
    return watch.figures("versioned", "latest") | figures


def _next_chunks(survey: Survey) -> list[Chunk]:
    """Observe on; return the chunks that are new, in order."""
    known = {one.id for one in list_chunks(survey.replica)}
    for _ in range(_VISITS_A_CHUNK):
        store_visit(survey)
    if known:
        update_all_kinds(survey, number=20)
    return [one for one in list_chunks(survey.replica) if one.id not in known]


def _writer(connection: psycopg.Connection[Any], schema: str, survey: Survey) -> ChunkWriter:
    with connection.transaction():
        target = find_target(connection, schema, read_columns(survey.replica))
    return open_writer(connection, target)
