"""Millions of datasets for benchmarks: a survey is written with COPY, past Butler's own Python.

Butler cannot tell the rows from its own, but for two things: there are none in ``*_skypix_overlap`` tables,
so that Butler's own region queries do not find the visits, and there are no files.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import numpy as np
import psycopg
import sqlalchemy as sa
from psycopg import sql

from .camera import LSSTCAM, detectors
from .content import Pointing
from .layout import FIRST_RUN, RAW_RUN
from .survey import dimension_rows, region_lines, survey_pointings

__all__ = ["Growth", "grow"]

_FORMATTER = "lsst.daf.butler.formatters.json.JsonFormatter"
_STORAGE_CLASS = "StructuredDataDict"
_WHOLE_FILE = "__NULL_STRING__"
_NS_TO_INGEST = 120_000_000_000


@dataclass(frozen=True, slots=True)
class Growth:
    """How many rows were added to a repository."""

    visits: int
    regions: int
    visit_images: int
    raws: int


@dataclass(frozen=True, slots=True)
class _Target:
    """Where datasets of one type in one run are registered."""

    dataset_type: str
    run: str
    dimension: str
    type_id: int
    run_id: int
    tags: str
    datastore: str


def grow(url: sa.URL, schema: str = "butler", *, visits: int = 5300, raw_exposures: int = 500) -> Growth:
    """Add visits, each with 189 detector regions and visit images, to a repository of the newest layout.

    Call it again to add more: the visits are numbered on, and are the same in every repository.

    Parameters
    ----------
    url
        Database, as a superuser: while rows are copied, no foreign key is checked and no trigger fires.
    schema
        Schema of a repository that `examples.lsstcam.make_repository` made.
    visits
        How many visits to add.
    raw_exposures
        How many of their exposures get raws too.
    """
    dsn = url.set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(dsn) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT set_config('search_path', quote_ident(%s), true)", [schema])
        cursor.execute("SET LOCAL session_replication_role = replica")
        pointings = survey_pointings(_count_grown(cursor), visits)
        images = _find_target(cursor, "visit_image", FIRST_RUN, "visit")
        raws = _find_target(cursor, "raw", RAW_RUN, "exposure")
        tables = ("dataset", "file_datastore_records", "dataset_location", "visit_detector_region")
        with _without_plain_indexes(cursor, (*tables, images.tags, raws.tags)):
            _copy_dimensions(cursor, pointings)
            _copy_datasets(cursor, images, pointings)
            _copy_datasets(cursor, raws, pointings[:raw_exposures])
        for table in (*tables, images.tags, raws.tags, "visit", "exposure", "visit_definition"):
            cursor.execute(sql.SQL("ANALYZE {}").format(sql.Identifier(table)))
    chips = len(detectors(LSSTCAM))
    return Growth(visits, visits * chips, visits * chips, min(visits, raw_exposures) * chips)


def _count_grown(cursor: psycopg.Cursor[Any]) -> int:
    """Return how many visits of the survey there are; its nights come before those of the other content."""
    row = cursor.execute(
        "SELECT count(*) FROM visit WHERE instrument = %s AND day_obs < 20260301", [LSSTCAM]
    ).fetchone()
    assert row is not None
    return int(row[0])


def _find_target(cursor: psycopg.Cursor[Any], dataset_type: str, run: str, dimension: str) -> _Target:
    row = cursor.execute(
        """SELECT t.id, c.collection_id, t.tag_association_table, l.datastore_name
           FROM dataset_type t, collection c, (SELECT datastore_name FROM dataset_location LIMIT 1) l
           WHERE t.name = %s AND c.name = %s""",
        [dataset_type, run],
    ).fetchone()
    assert row is not None, (dataset_type, run)
    return _Target(dataset_type, run, dimension, *row)


@contextmanager
def _without_plain_indexes(cursor: psycopg.Cursor[Any], tables: Iterable[str]) -> Iterator[None]:
    """Drop the indexes that no constraint needs, and build them again at the end, which is faster by far."""
    found = cursor.execute(
        """SELECT i.indexrelid::regclass::text, pg_get_indexdef(i.indexrelid)
           FROM pg_index i
           WHERE i.indrelid = ANY(%s::regclass[])
             AND NOT EXISTS (
               SELECT FROM pg_constraint c WHERE c.conindid = i.indexrelid AND c.conrelid = i.indrelid)""",
        [list(tables)],
    ).fetchall()
    for name, _ in found:
        cursor.execute(sql.SQL("DROP INDEX {}").format(sql.Identifier(name)))
    yield
    for _, definition in found:
        cursor.execute(definition)


def _copy_dimensions(cursor: psycopg.Cursor[Any], pointings: Sequence[Pointing]) -> None:
    nights = cursor.execute("SELECT id FROM day_obs WHERE instrument = %s", [LSSTCAM]).fetchall()
    for table, columns, rows in dimension_rows(pointings, frozenset(row[0] for row in nights)):
        with cursor.copy(_copy_statement(table, columns)) as copy:
            for row in rows:
                copy.write_row(row)
    _copy_blocks(
        cursor,
        "visit_detector_region",
        ("instrument", "detector", "visit", "region"),
        region_lines(pointings),
    )


def _copy_datasets(cursor: psycopg.Cursor[Any], target: _Target, pointings: Sequence[Pointing]) -> None:
    """Copy one dataset for each detector of each pointing into the tables that know of datasets."""
    ids = [_dataset_ids(target, pointing) for pointing in pointings]
    visits = list(zip(pointings, ids, strict=True))
    _copy_blocks(
        cursor,
        "dataset",
        ("id", "dataset_type_id", "ingest_date", "run_id"),
        (
            "".join(
                f"{uuid}\t{target.type_id}\t{pointing.end_tai_ns + _NS_TO_INGEST}\t{target.run_id}\n"
                for uuid in uuids
            )
            for pointing, uuids in visits
        ),
    )
    _copy_blocks(
        cursor,
        target.tags,
        ("dataset_type_id", "dataset_id", "collection_id", "instrument", "detector", target.dimension),
        (
            "".join(
                f"{target.type_id}\t{uuid}\t{target.run_id}\t{LSSTCAM}\t{detector}\t{pointing.id}\n"
                for detector, uuid in enumerate(uuids)
            )
            for pointing, uuids in visits
        ),
    )
    _copy_blocks(
        cursor,
        "file_datastore_records",
        ("dataset_id", "path", "formatter", "storage_class", "component", "file_size"),
        (_record_lines(target, pointing, uuids) for pointing, uuids in visits),
    )
    _copy_blocks(
        cursor,
        "dataset_location",
        ("datastore_name", "dataset_id"),
        ("".join(f"{target.datastore}\t{uuid}\n" for uuid in uuids) for _, uuids in visits),
    )


def _dataset_ids(target: _Target, pointing: Pointing) -> list[str]:
    """Return version 7 UUIDs, as Butler makes them: they grow with the time of ingest; the rest is seeded."""
    milliseconds = (pointing.end_tai_ns + _NS_TO_INGEST) // 1_000_000
    seed = np.random.default_rng([pointing.id, target.type_id])
    random = seed.integers(0, 2**63, size=(len(detectors(LSSTCAM)), 2))
    return [
        str(
            UUID(
                int=(milliseconds + detector) << 80
                | 0x7 << 76
                | (int(high) & 0xFFF) << 64
                | 0x2 << 62
                | int(low) & (1 << 62) - 1
            )
        )
        for detector, (high, low) in enumerate(random)
    ]


def _record_lines(target: _Target, pointing: Pointing, uuids: list[str]) -> str:
    sizes = np.random.default_rng(pointing.id).integers(20_000_000, 60_000_000, size=len(uuids))
    folder = (
        f"{target.run}/{target.dataset_type}/{pointing.day_obs}/{pointing.physical_filter}/{pointing.obs_id}"
    )
    return "".join(
        f"{uuid}\t{folder}/{target.dataset_type}_{pointing.obs_id}_{chip.full_name}.json\t{_FORMATTER}"
        f"\t{_STORAGE_CLASS}\t{_WHOLE_FILE}\t{size}\n"
        for chip, uuid, size in zip(detectors(LSSTCAM), uuids, sizes.tolist(), strict=True)
    )


def _copy_blocks(
    cursor: psycopg.Cursor[Any], table: str, columns: Sequence[str], blocks: Iterable[str]
) -> None:
    with cursor.copy(_copy_statement(table, columns)) as copy:
        for block in blocks:
            copy.write(block)


def _copy_statement(table: str, columns: Sequence[str]) -> sql.Composed:
    names = sql.SQL(", ").join(map(sql.Identifier, columns))
    return sql.SQL("COPY {} ({}) FROM STDIN").format(sql.Identifier(table), names)
