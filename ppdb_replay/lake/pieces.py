"""Rows in any order become sorted Parquet files of similar size, in steps that can be interrupted.

Rows are staged chunk by chunk on this machine, each chunk sorted. When all are there, pixels of HEALPix (or
ranges of identifiers) are chosen so that each has about as many rows, and each is gathered from all chunks.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import mkstemp
from typing import TYPE_CHECKING, Any

from ppdb_replay.lake.contract import PIXEL, PIXEL_ORDER, LakeTable
from ppdb_replay.lake.layout import (
    pixel_file,
    relations_of,
    sort_order,
    table_folder,
)
from ppdb_replay.lake.storage import LakeStore

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

_BATCH = 4096
_ROWS = 500_000
_DEEPEST = 12
_FACES = 12
_CHILDREN = 4
_NO_KEY = 2**63 - 1
_ROW_GROUP = 65_536
_ROW_GROUP_BY_OBJECT = 20_480
_WORKERS = max(1, min(4, len(os.sched_getaffinity(0))))
_DICTIONARY = ("string", "large_string", "int16", "int32")
_FLOATS = ("float", "double")


@dataclass(frozen=True, slots=True)
class Piece:
    """Rows that one file is to hold.

    Attributes
    ----------
    file
        Its name within the folder of the table.
    first, last
        Keys of its rows: from the first one to before the last one; `None` for all that follow.
    pixel
        Order and number of its pixel; `None` if it has none.
    """

    file: str
    first: int | None
    last: int | None
    pixel: tuple[int, int] | None = None


class StagedTable:
    """Rows of a table that wait to be written.

    Parameters
    ----------
    folder
        Folder of this machine for them.
    table
        The table.
    piece_rows
        About how many rows a file is to have.
    """

    def __init__(self, folder: Path, table: LakeTable, piece_rows: int = _ROWS) -> None:
        self._folder = folder / table.name
        self._folder.mkdir(parents=True, exist_ok=True)
        self._table = table
        self._piece_rows = piece_rows

    def rows(self, chunk: str) -> int | None:
        """Return how many rows a chunk has; `None` if it was not staged, or not to its end."""
        try:
            content = json.loads(self._mark(chunk).read_text())
        except FileNotFoundError:
            return None
        return int(content["rows"])

    def add(self, chunk: str, parts: Iterable[pa.Table]) -> int:
        """Stage the rows of a chunk; return how many there were."""
        rows = 0
        number = 0
        for part in parts:
            rows += part.num_rows
            for relation in relations_of(self._table):
                self._write(f"{chunk}-{number}.{relation}", relation, part)
            number += 1
        draft = self._mark(chunk).with_suffix(".draft")
        draft.write_text(json.dumps({"rows": rows, "parts": number}))
        draft.replace(self._mark(chunk))
        return rows

    def _mark(self, chunk: str) -> Path:
        return self._folder / f"{chunk}.json"

    def _write(self, name: str, relation: str, part: pa.Table) -> None:
        import numpy as np  # noqa: PLC0415 - with pyarrow, for those who have a lake
        import pyarrow as pa  # noqa: PLC0415 - as above
        from pyarrow import ipc  # noqa: PLC0415 - as above

        keys = _keys(part, sort_order(self._table, relation)[0])
        order = np.argsort(keys, kind="stable")
        np.save(self._folder / f"{name}.npy", keys[order])
        options = ipc.IpcWriteOptions(compression="lz4")
        with ipc.new_file(self._folder / f"{name}.arrow", part.schema, options=options) as writer:
            writer.write_table(part.combine_chunks().take(pa.array(order)), max_chunksize=_BATCH)

    def _parts(self, relation: str) -> list[Path]:
        """Return the staged files of a relation, without what their names end with."""
        marks = [(one, json.loads(one.read_text())["parts"]) for one in sorted(self._folder.glob("*.json"))]
        return [
            self._folder / f"{mark.stem}-{number}.{relation}"
            for mark, parts in marks
            for number in range(parts)
        ]

    def count(self) -> int:
        """Return how many rows with a position are staged."""
        keys = self._all_keys(self._table.name)
        return _count(keys, 0, _NO_KEY)

    def schema(self) -> pa.Schema:
        """Return the columns of the rows, as they are in all files."""
        import pyarrow as pa  # noqa: PLC0415 - as above
        from pyarrow import ipc  # noqa: PLC0415 - as above

        with pa.memory_map(f"{self._parts(self._table.name)[0]}.arrow") as source:
            return ipc.open_file(source).schema

    def _all_keys(self, relation: str) -> list[np.ndarray[Any, Any]]:
        import numpy as np  # noqa: PLC0415 - as above

        return [np.load(f"{part}.npy", mmap_mode="r") for part in self._parts(relation)]

    def pieces(self, relation: str) -> tuple[Piece, ...]:
        """Return what files the staged rows of a relation make."""
        keys = self._all_keys(relation)
        if relation == self._table.name and self._table.position:
            return (*_pixels(keys, self._piece_rows), *_nowhere(keys))
        return _ranges(keys, self._piece_rows)

    def gather(self, relation: str, piece: Piece) -> pa.Table:
        """Return the rows of a piece, sorted."""
        import numpy as np  # noqa: PLC0415 - as above
        import pyarrow as pa  # noqa: PLC0415 - as above
        from pyarrow import ipc  # noqa: PLC0415 - as above

        slices = []
        for part in self._parts(relation):
            keys = np.load(f"{part}.npy", mmap_mode="r")
            begin, end = _span(keys, piece.first, piece.last)
            if begin == end:
                continue
            with pa.memory_map(f"{part}.arrow") as source:
                reader = ipc.open_file(source)
                batches = [reader.get_batch(one) for one in range(begin // _BATCH, (end - 1) // _BATCH + 1)]
            slices.append(pa.Table.from_batches(batches).slice(begin % _BATCH, end - begin))
        rows = pa.concat_tables(slices).combine_chunks()
        first, second = sort_order(self._table, relation)
        return rows.take(pa.array(np.lexsort((rows[second].to_numpy(), _keys(rows, first)))))


def _keys(rows: pa.Table, column: str) -> np.ndarray[Any, Any]:
    """Return the numbers by which rows are sorted; those that have none come last."""
    import numpy as np  # noqa: PLC0415 - as above
    import pyarrow as pa  # noqa: PLC0415 - as above

    if not pa.types.is_integer(rows.schema.field(column).type):
        return np.zeros(rows.num_rows, dtype=np.int64)
    keys: np.ndarray[Any, Any] = rows[column].cast(pa.int64()).fill_null(_NO_KEY).to_numpy()
    return keys


def _span(keys: np.ndarray[Any, Any], first: int | None, last: int | None) -> tuple[int, int]:
    import numpy as np  # noqa: PLC0415 - as above

    begin = 0 if first is None else int(np.searchsorted(keys, first))
    return begin, len(keys) if last is None else int(np.searchsorted(keys, last))


def _count(keys: Sequence[np.ndarray[Any, Any]], first: int, last: int) -> int:
    return sum(end - begin for begin, end in (_span(one, first, last) for one in keys))


def _pixels(keys: Sequence[np.ndarray[Any, Any]], rows: int) -> Iterator[Piece]:
    """Yield the largest pixels that have no more rows than wanted (HATS 1.0, section 2: partitioning)."""
    waiting = [(0, face) for face in reversed(range(_FACES))]
    while waiting:
        order, pixel = waiting.pop()
        width = _CHILDREN ** (PIXEL_ORDER - order)
        count = _count(keys, pixel * width, (pixel + 1) * width)
        if count > rows and order < _DEEPEST:
            waiting += [(order + 1, _CHILDREN * pixel + child) for child in reversed(range(_CHILDREN))]
        elif count:
            yield Piece(pixel_file(order, pixel), pixel * width, (pixel + 1) * width, (order, pixel))


def _nowhere(keys: Sequence[np.ndarray[Any, Any]]) -> Iterator[Piece]:
    """Yield the rows without a position, which no pixel has."""
    if any(end > begin for begin, end in (_span(one, _NO_KEY, None) for one in keys)):
        yield Piece("nowhere/rows.parquet", _NO_KEY, None)


def _ranges(keys: Sequence[np.ndarray[Any, Any]], rows: int) -> tuple[Piece, ...]:
    """Return ranges of keys with about as many rows as wanted."""
    import numpy as np  # noqa: PLC0415 - as above

    total = sum(map(len, keys))
    if not total:
        return ()
    sample = np.sort(np.concatenate([one[::_BATCH] for one in keys]))
    step = max(1, round(len(sample) * rows / total))
    inner = sorted({int(one) for one in sample[step::step]} - {int(sample[0]), _NO_KEY})
    edges = [None, *inner, None]
    found = []
    for number in range(len(edges) - 1):
        first, last = edges[number], edges[number + 1]
        # The name says what is in it: another run may choose other ranges.
        piece = Piece(f"from-{_named(first)}-to-{_named(last)}.parquet", first, last)
        if any(end > begin for begin, end in (_span(one, piece.first, piece.last) for one in keys)):
            found.append(piece)
    return tuple(found)


def _named(edge: int | None) -> str:
    return "any" if edge is None else str(edge)


def write_pieces(
    store: LakeStore,
    staged: StagedTable,
    table: LakeTable,
    generation: str,
    told: Callable[[str], None],
) -> tuple[tuple[str, str], ...]:
    """Write the files of all relations of a table; those that are there stay.

    Parameters
    ----------
    store
        Where the lake lies.
    staged
        The rows.
    table
        The table.
    generation
        What the folder of these files is called.
    told
        Called with the name of each file that was written.

    Returns
    -------
    tuple
        Relation and name of each file.
    """
    written = []
    work: list[Callable[[], str]] = []
    for relation in relations_of(table):
        folder = table_folder(relation, generation)
        there = {one.name for one in store.files(folder)}
        for piece in staged.pieces(relation):
            name = f"{folder}/{piece.file}"
            written.append((relation, name))
            if name not in there:
                work.append(_job(store, staged, table, relation, piece, name))
        # Of an earlier run with files of another size: a HATS catalogue has no others.
        named = {name for _, name in written}
        store.delete(name for name in there if name.endswith(".parquet") and name not in named)
    run_all(work, told)
    return tuple(written)


def _job(
    store: LakeStore, staged: StagedTable, table: LakeTable, relation: str, piece: Piece, name: str
) -> Callable[[], str]:
    def run() -> str:
        rows = staged.gather(relation, piece)
        store.put(
            write_parquet(store.staging, rows, sort_order(table, relation), relation != table.name), name
        )
        return name

    return run


def run_all(work: Iterable[Callable[[], str]], told: Callable[[str], None]) -> None:
    """Run jobs on all processors, few at a time; the first error ends it."""
    waiting: set[Future[str]] = set()
    with ThreadPoolExecutor(_WORKERS) as pool:
        try:
            for job in work:
                waiting.add(pool.submit(job))
                if len(waiting) > _WORKERS:
                    waiting = _tell(waiting, told)
            while waiting:
                waiting = _tell(waiting, told)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _tell(waiting: set[Future[str]], told: Callable[[str], None]) -> set[Future[str]]:
    done, rest = wait(waiting, return_when=FIRST_COMPLETED)
    for one in done:
        told(one.result())
    return rest


def write_parquet(folder: Path, rows: pa.Table, order: Sequence[str], by_object: bool) -> Path:  # noqa: FBT001 - one use
    """Write sorted rows into a file of a folder that nobody reads yet, and return it."""
    import pyarrow.parquet as pq  # noqa: PLC0415 - as above

    folder.mkdir(parents=True, exist_ok=True)
    number, name = mkstemp(suffix=".parquet", dir=folder)
    os.close(number)
    file = Path(name)
    names = rows.schema.names
    pq.write_table(
        rows,
        file,
        compression="zstd",
        row_group_size=_ROW_GROUP_BY_OBJECT if by_object else _ROW_GROUP,
        # Numbers that hardly repeat take longer and more room with one.
        use_dictionary=[one.name for one in rows.schema if str(one.type) in _DICTIONARY],
        write_statistics=[one for one in names if not _has_nan(rows, one)],
        sorting_columns=[pq.SortingColumn(names.index(one)) for one in order],
        # DuckDB does not look at them; a check does.
        write_page_checksum=True,
    )
    file.chmod(0o644)
    return file


def _has_nan(rows: pa.Table, column: str) -> bool:
    """Return whether a column has NaN, which statistics leave out and DuckDB takes for the largest number."""
    import pyarrow.compute as pc  # noqa: PLC0415 - as above

    if str(rows.schema.field(column).type) not in _FLOATS:
        return False
    return bool(pc.any(pc.is_nan(rows[column])).as_py())


def write_catalogue(
    store: LakeStore, staged: StagedTable, table: LakeTable, generation: str, facts: dict[str, str]
) -> str | None:
    """Write what makes the files of a table a HATS catalogue; return its folder, or `None` without rows.

    Parameters
    ----------
    store
        Where the lake lies.
    staged
        The rows, whose files are written.
    table
        The table.
    generation
        What the folder of these files is called.
    facts
        Properties of our own.
    """
    pixels = [one.pixel for one in staged.pieces(table.name) if one.pixel]
    if table.position is None or not pixels:
        return None
    folder = table_folder(table.name, generation)
    rows = staged.count()
    properties = {
        "obs_collection": table.name,
        "dataproduct_type": "source" if table.by_object else "object",
        "hats_nrows": str(rows),
        "hats_col_ra": table.position[0],
        "hats_col_dec": table.position[1],
        "hats_col_healpix": PIXEL,
        "hats_col_healpix_order": str(PIXEL_ORDER),
        "hats_order": str(max(order for order, _ in pixels)),
        "hats_npix_suffix": ".parquet",
        "hats_builder": "tapdb",
        "hats_creation_date": datetime.now(UTC).strftime("%Y-%m-%dT%H:%MUTC"),
        "hats_version": "v1.0",
        "moc_sky_fraction": format(sum(_CHILDREN**-order for order, _ in pixels) / _FACES, ".6g"),
        **facts,
    }
    listed = "".join(f"{order},{pixel}\n" for order, pixel in pixels)
    texts = {
        "partition_info.csv": f"Norder,Npix\n{listed}",
        "hats.properties": "#HATS catalog\n"
        + "".join(f"{name}={value}\n" for name, value in properties.items()),
    }
    _put_schema(store, staged.schema(), f"{folder}/dataset/_common_metadata")
    for name, text in texts.items():
        draft = store.staging / f"{table.name}.{name}"
        draft.write_text(text)
        store.put(draft, f"{folder}/{name}")
    return folder


def _put_schema(store: LakeStore, schema: pa.Schema, name: str) -> None:
    import pyarrow.parquet as pq  # noqa: PLC0415 - as above

    draft = store.staging / "_common_metadata"
    pq.write_metadata(schema, draft)
    store.put(draft, name)
