"""Whether the files of a lake are all there, and are what was written."""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from psycopg import sql

from ppdb_replay.lake.contract import LAKE_SCHEMA
from ppdb_replay.lake.layout import TABLES, relations_of
from ppdb_replay.lake.opening import OpenLake, open_lake
from ppdb_replay.lake.publishing import Progress
from ppdb_replay.lake.storage import LakeStore, open_store


@dataclass(frozen=True, slots=True)
class LakeFault:
    """What is wrong with a file of a lake.

    Attributes
    ----------
    file
        Name of the file, relative to the lake.
    problem
        What was found.
    """

    file: str
    problem: str


def check_lake(
    where: str | Path, *, deep: bool = False, progress: Progress | None = None
) -> tuple[LakeFault, ...]:
    """Return what is wrong with the files that the newest state of a lake needs.

    Parameters
    ----------
    where
        Its folder, or ``s3://BUCKET/PREFIX``.
    deep
        Whether every file is read, and its pages are compared with their checksums (CRC-32, Parquet).
    progress
        Called with how many files are done, how many there are, and which is next; only if they are read.

    Raises
    ------
    LakeUnreadableError
        Raised if there is no lake, or its catalog cannot be read.
    MissingExtraError
        Raised if DuckDB or an extension is not installed.
    """
    store = open_store(where)
    with open_lake(where) as lake:
        needed = dict(_needed(lake, store))
    return tuple(_faults(store, needed, deep=deep, progress=progress))


def _needed(lake: OpenLake, store: LakeStore) -> Iterator[tuple[str, int]]:
    frame = sql.SQL("SELECT data_file, data_file_size_bytes FROM ducklake_list_files({}, {})")
    for table in lake.tables.values():
        for relation in relations_of(table):
            listed = frame.format(sql.Literal(LAKE_SCHEMA), sql.Literal(relation)).as_string()
            for file, size in lake.connection.cursor().execute(listed).fetchall():
                yield file.removeprefix(store.url), size


def _faults(
    store: LakeStore, needed: dict[str, int], *, deep: bool, progress: Progress | None
) -> Iterator[LakeFault]:
    found = {one.name: one.size for one in store.files(TABLES)}
    with tempfile.TemporaryDirectory(prefix="tapdb-lake-") as folder:
        copy = Path(folder) / "copy.parquet"
        for done, (name, size) in enumerate(sorted(needed.items())):
            if name not in found:
                yield LakeFault(name, "is not there")
            elif found[name] != size:
                yield LakeFault(name, f"has {found[name]} bytes, and {size} were written")
            elif deep:
                if progress is not None:
                    progress(done, len(needed), name)
                store.get(name, copy)
                if problem := _damage(copy):
                    yield LakeFault(name, f"is damaged: {problem}")


def _damage(file: Path) -> str:
    """Return what keeps the rows of a file from being read; empty if nothing does."""
    import pyarrow as pa  # noqa: PLC0415 - for those who have a lake
    import pyarrow.parquet as pq  # noqa: PLC0415

    try:
        with pq.ParquetFile(file, page_checksum_verification=True) as content:
            for _ in content.iter_batches():
                pass
    except (OSError, pa.ArrowException) as error:
        return str(error)
    return ""
