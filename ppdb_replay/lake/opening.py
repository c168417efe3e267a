"""Opening a lake: DuckDB with its extensions, a catalog, and what it says of tables and snapshots."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from psycopg import sql

from ppdb_replay.errors import LakeUnreadableError
from ppdb_replay.lake.contract import LAKE_SCHEMA, LakeSnapshot, LakeTable
from ppdb_replay.lake.layout import OWN_SCHEMA, POINTER, LakeState, read_state, table_from
from ppdb_replay.lake.storage import LakeStore, open_store
from ppdb_replay.snapshot import Snapshot
from tapdb.extras import MissingExtraError, from_extra

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_EXTRA = "lake"
_PURPOSE = "a lake"
METADATA = f"__ducklake_metadata_{LAKE_SCHEMA}"
"""What DuckLake calls the database of its own tables."""

_SETTINGS = (
    "SET TimeZone = 'UTC'",
    # Light curves of a list of objects read the row groups that have one of them.
    "SET dynamic_or_filter_threshold = 5000",
)


@contextmanager
def connected_duckdb(store: LakeStore, *extensions: str) -> Iterator[DuckDBPyConnection]:
    """Give a connection to a new DuckDB in memory, which can read and write where a lake lies.

    Nothing is downloaded: extensions are files of Python packages, loaded by their paths.

    Parameters
    ----------
    store
        Where the lake lies.
    extensions
        Extensions beyond those that every lake needs.

    Raises
    ------
    MissingExtraError
        Raised if DuckDB or an extension is not installed.
    """
    with from_extra(_EXTRA, _PURPOSE):
        import duckdb  # noqa: PLC0415 - 60 MB, for those who have a lake
    offline = {"autoinstall_known_extensions": False, "autoload_known_extensions": False}
    remote = store.statements()
    # What does not fit into memory: a lake may be one that is only read.
    with tempfile.TemporaryDirectory(prefix="tapdb-lake-", ignore_cleanup_errors=True) as spilled:
        connection = duckdb.connect(config={**offline, "temp_directory": spilled})
        with closing(connection):
            _prepare(connection, remote, extensions, duckdb.__version__)
            yield connection


def _prepare(
    connection: DuckDBPyConnection, remote: Sequence[str], extensions: Sequence[str], version: str
) -> None:
    for name in ("ducklake", *(("httpfs",) if remote else ()), *extensions):
        load = sql.SQL("LOAD {}").format(sql.Literal(str(_extension_file(name, version))))
        connection.execute(load.as_string())
    for statement in (*_SETTINGS, *remote):
        connection.execute(statement)


def _extension_file(name: str, version: str) -> Path:
    package = f"duckdb_extension_{name}"
    spec = find_spec(package)
    for folder in () if spec is None else spec.submodule_search_locations or ():
        for file in Path(folder).glob(f"extensions/v{version}/*.duckdb_extension"):
            return file
    raise MissingExtraError(_PURPOSE, f"{package} for DuckDB {version}", _EXTRA)


def attach_catalog(connection: DuckDBPyConnection, file: Path, store: LakeStore, *, read_only: bool) -> None:
    """Attach a catalog as ``lake``.

    Parameters
    ----------
    connection
        What `connected_duckdb` gives.
    file
        The catalog, a file of this machine; made if it is not there.
    store
        Where the files of the tables are.
    read_only
        Whether nothing is written.
    """
    options: list[sql.Composable] = [sql.SQL("DATA_PATH {}").format(sql.Literal(store.url))]
    # A lake may have been moved, and rows are in files of their own alone.
    options += [sql.SQL("OVERRIDE_DATA_PATH true"), sql.SQL("DATA_INLINING_ROW_LIMIT 0")]
    if read_only:
        options.append(sql.SQL("READ_ONLY"))
    statement = sql.SQL("ATTACH {} AS {} ({})").format(
        sql.Literal(f"ducklake:{file}"), sql.Identifier(LAKE_SCHEMA), sql.SQL(", ").join(options)
    )
    connection.execute(statement.as_string())


def find_state(store: LakeStore) -> tuple[LakeState, str] | None:
    """Return what ``lake.json`` says, and the mark of this content; `None` if there is no lake."""
    found = store.read(POINTER)
    return None if found is None else (read_state(found[0], store.url), found[1])


def require_state(store: LakeStore) -> tuple[LakeState, str]:
    """Return what ``lake.json`` says, and the mark of this content.

    Raises
    ------
    LakeUnreadableError
        Raised if there is no lake.
    """
    found = find_state(store)
    if found is None:
        raise LakeUnreadableError(store.url, f"there is no {POINTER}; make it: tapdb ppdb lake export")
    return found


class OpenLake:
    """A lake that is open, at one state (`ppdb_replay.lake.contract.Lake`).

    Parameters
    ----------
    connection
        DuckDB with the catalog attached.
    state
        What ``lake.json`` says.
    """

    def __init__(self, connection: DuckDBPyConnection, state: LakeState) -> None:
        self._connection = connection
        self._state = state
        self._facts = dict(self._rows("SELECT name, value FROM {}.fact"))
        self._begun = dict(self._rows("SELECT name, from_snapshot FROM {}.known"))
        tables = [table_from(json.loads(text)) for (text,) in self._rows("SELECT description FROM {}.known")]
        self._tables = {table.name: table for table in tables}

    def _rows(self, frame: str, *parameters: Any) -> list[tuple[Any, ...]]:
        statement = sql.SQL(frame).format(sql.Identifier(METADATA, OWN_SCHEMA)).as_string()
        return self._connection.cursor().execute(statement, parameters).fetchall()

    @property
    def connection(self) -> DuckDBPyConnection:
        """Connection of this lake alone: only for reading, its time zone is UTC."""
        return self._connection

    @property
    def state(self) -> LakeState:
        """What ``lake.json`` said when it was opened."""
        return self._state

    @property
    def clock_id(self) -> str:
        """What tells the history of one database from that of all others."""
        return self._state.clock_id

    @property
    def collation(self) -> str:
        """Collation of the database."""
        return str(self._facts["collation"])

    @property
    def newest_snapshot(self) -> int:
        """Number of the newest snapshot whose versions are all there."""
        return self._state.snapshot_id

    @property
    def tables(self) -> Mapping[str, LakeTable]:
        """The versioned tables by their names without schema."""
        return self._tables

    @property
    def begun(self) -> dict[str, int]:
        """The versioned tables, with the snapshot from which their versions begin."""
        return dict(self._begun)

    def snapshot(self, snapshot_id: int) -> LakeSnapshot | None:
        """Return a snapshot of the lake; `None` if it has none of this number, or not yet."""
        rows = self._rows(
            "SELECT snapshot_id, t_mjd_tai, digest FROM {}.snapshot WHERE snapshot_id = ?", snapshot_id
        )
        return _snapshot(rows)

    def snapshot_at(self, t_mjd_tai: float) -> LakeSnapshot | None:
        """Return the last snapshot that was made up to a time; `None` before the first one."""
        frame = (
            "SELECT snapshot_id, t_mjd_tai, digest FROM {}.snapshot WHERE t_mjd_tai <= ? "
            "ORDER BY t_mjd_tai DESC LIMIT 1"
        )
        return _snapshot(self._rows(frame, t_mjd_tai))


def _snapshot(rows: list[tuple[Any, ...]]) -> LakeSnapshot | None:
    if not rows:
        return None
    number, time, digest = rows[0]
    return LakeSnapshot(Snapshot(number, time), digest)


_ATTEMPTS = 5


@contextmanager
def open_lake(where: str | Path) -> Iterator[OpenLake]:
    """Open a lake for reading, at its newest state; a refresh beside it changes nothing.

    Parameters
    ----------
    where
        Its folder, or ``s3://BUCKET/PREFIX``.

    Raises
    ------
    LakeUnreadableError
        Raised if there is no lake, or one that cannot be read.
    MissingExtraError
        Raised if DuckDB or an extension is not installed.
    """
    store = open_store(where)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tapdb-lake-")))
        catalog = folder / "catalog.ducklake"
        state = _get_catalog(store, catalog)
        connection = stack.enter_context(connected_duckdb(store))
        with files_needed(store.url):
            attach_catalog(connection, catalog, store, read_only=True)
            _confine(connection, store)
            lake = OpenLake(connection, state)
        yield lake


def _get_catalog(store: LakeStore, file: Path) -> LakeState:
    """Copy the newest catalog to this machine, once more if a refresh has removed it meanwhile."""
    for _ in range(_ATTEMPTS):
        state, _mark = require_state(store)
        with suppress(FileNotFoundError):
            store.get(state.catalog, file)
            return state
    raise LakeUnreadableError(store.url, f"{state.catalog} is not there, which {POINTER} names")


def _confine(connection: DuckDBPyConnection, store: LakeStore) -> None:
    """Let queries read the lake's files and no others."""
    allow = sql.SQL("SET allowed_directories = [{}]").format(sql.Literal(store.url)).as_string()
    connection.execute(allow)
    connection.execute("SET enable_external_access = false")


@contextmanager
def files_needed(where: str) -> Iterator[None]:
    """Say of errors of files, and of DuckDB, which lake they are of.

    Parameters
    ----------
    where
        The lake.

    Raises
    ------
    LakeUnreadableError
        Raised in their place.
    MissingExtraError
        Raised if DuckDB is not installed.
    """
    with from_extra(_EXTRA, _PURPOSE):
        import duckdb  # noqa: PLC0415 - as above
    try:
        yield
    except (OSError, duckdb.Error) as error:
        raise LakeUnreadableError(where, f"its files cannot be read or written: {error}") from error
