"""The next state of a lake: a catalog of one's own, changed at will, and shown to readers all at once.

The catalog is a copy on this machine. Files of tables that it adds are named by nobody until it is put beside
the others and ``lake.json`` names it: a process that dies before has changed nothing.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from psycopg import sql

from ppdb_replay.lake.contract import LAKE_SCHEMA, LakeSnapshot, LakeTable
from ppdb_replay.lake.layout import (
    CATALOGS,
    OWN_SCHEMA,
    POINTER,
    TABLES,
    LakeState,
    catalog_name,
    create_statements,
    relations_of,
)
from ppdb_replay.lake.opening import METADATA, OpenLake, attach_catalog
from ppdb_replay.lake.storage import LakeStore

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

KEEP_S = 86_400.0
"""How long files stay that a newer state needs no longer, for those who have an older one open: a day."""

_OWN_TABLES = (
    "CREATE TABLE {}.fact (name VARCHAR, value VARCHAR)",
    "CREATE TABLE {}.known (name VARCHAR, from_snapshot BIGINT, description VARCHAR)",
    "CREATE TABLE {}.snapshot (snapshot_id BIGINT, t_mjd_tai DOUBLE, digest VARCHAR)",
)
_OPTIONS = {"parquet_compression": "zstd", "parquet_row_group_size": "65536"}


class Draft:
    """A catalog that is to become the next state of a lake.

    Parameters
    ----------
    store
        Where the lake lies.
    duck
        DuckDB with the catalog attached.
    file
        The catalog.
    state, mark
        What ``lake.json`` says, and the mark of this content; `None` if there is no lake yet.
    """

    def __init__(
        self,
        store: LakeStore,
        duck: DuckDBPyConnection,
        file: Path,
        state: LakeState | None,
        mark: str | None,
    ) -> None:
        self.store = store
        self.duck = duck
        self._file = file
        self._state = state
        self._mark = mark
        self._is_attached = True

    def run(self, frame: str, *names: sql.Composable, **named: sql.Composable) -> list[tuple[Any, ...]]:
        """Run a statement, and return its rows."""
        statement = sql.SQL(frame).format(*names, **named).as_string()
        return self.duck.execute(statement).fetchall()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit what is run within all at once, or nothing of it."""
        self.duck.execute("BEGIN")
        try:
            yield
        except BaseException:
            self.duck.execute("ROLLBACK")
            raise
        self.duck.execute("COMMIT")

    def add_files(self, files: Iterable[tuple[str, str]]) -> None:
        """Let relations have files that are there.

        Parameters
        ----------
        files
            Relation and name of each.
        """
        for relation, name in files:
            self.run(
                "CALL ducklake_add_data_files({}, {}, {})",
                sql.Literal(LAKE_SCHEMA),
                sql.Literal(relation),
                sql.Literal(self.store.url + name),
            )

    def make_tables(self, tables: Iterable[LakeTable]) -> None:
        """Make the relations of tables, empty."""
        for table in tables:
            for statement in create_statements(table):
                self.duck.execute(statement)

    def write_facts(
        self,
        tables: Mapping[LakeTable, int] | Sequence[tuple[LakeTable, int]],
        snapshots: Sequence[LakeSnapshot],
        collation: str,
    ) -> None:
        """Note what the database says.

        Parameters
        ----------
        tables
            All tables, and the snapshot from which the versions of each begin.
        snapshots
            Snapshots that are new.
        collation
            Collation of the database.
        """
        own = sql.Identifier(METADATA, OWN_SCHEMA)
        if not self._state:
            self.run("CREATE SCHEMA {}", own)
            for frame in _OWN_TABLES:
                self.run(frame, own)
        for name in ("fact", "known"):
            self.run("DELETE FROM {}", sql.Identifier(METADATA, OWN_SCHEMA, name))
        self._insert("fact", [("collation", collation)])
        pairs = tables.items() if isinstance(tables, Mapping) else tables
        self._insert("known", [(one.name, begun, json.dumps(asdict(one))) for one, begun in pairs])
        self._insert(
            "snapshot",
            [(one.snapshot.snapshot_id, one.snapshot.t_mjd_tai, one.digest) for one in snapshots],
        )

    def _insert(self, name: str, rows: Sequence[tuple[Any, ...]]) -> None:
        if not rows:
            return
        import pyarrow as pa  # noqa: PLC0415 - for those who have a lake

        columns = {f"c{place}": list(values) for place, values in enumerate(zip(*rows, strict=True))}
        self.duck.register("own_rows", pa.table(columns))
        self.run("INSERT INTO {} SELECT * FROM own_rows", sql.Identifier(METADATA, OWN_SCHEMA, name))
        self.duck.unregister("own_rows")

    def merge_small_files(self, tables: Iterable[LakeTable], limit: int) -> None:
        """Make one file of those that refreshes have added to a relation, where they are many.

        Parameters
        ----------
        tables
            The tables.
        limit
            How many files may stay.
        """
        for relation in (name for table in tables for name in relations_of(table)):
            lake, name = sql.Literal(LAKE_SCHEMA), sql.Literal(relation)
            found = self.run("SELECT data_file FROM ducklake_list_files({}, {})", lake, name)
            if sum("/ducklake-" in file for (file,) in found) > limit:
                self.run("CALL ducklake_merge_adjacent_files({}, {})", lake, name)

    def clean(self, keep_s: float) -> None:
        """Remove files that no state needs: of states that were replaced long ago, and of what was killed.

        Before the draft is changed: what a change makes superfluous is still needed by those who read.

        Parameters
        ----------
        keep_s
            How long they stay, in seconds.
        """
        lake, before = sql.Literal(LAKE_SCHEMA), sql.Literal(f"{keep_s} seconds")
        for function in ("ducklake_cleanup_old_files", "ducklake_delete_orphaned_files"):
            frame = "SELECT count(*) FROM {}({}, older_than => now() - {}::INTERVAL)"
            self.run(frame, sql.Identifier(function), lake, before)

    def forget(self) -> None:
        """Let the catalog know no state but its newest: files of others are noted as to be removed."""
        # Counted: Python needs another package for the times that it returns.
        frame = "SELECT count(*) FROM ducklake_expire_snapshots({}, older_than => now())"
        self.run(frame, sql.Literal(LAKE_SCHEMA))

    def detach(self) -> None:
        """Write all of the catalog into its file, and leave it."""
        if self._is_attached:
            self._is_attached = False
            self.run("DETACH {}", sql.Identifier(LAKE_SCHEMA))

    def publish(self, following: LakeState) -> LakeState:
        """Show readers the catalog.

        Parameters
        ----------
        following
            What ``lake.json`` is to say; the name of the catalog is filled in.

        Raises
        ------
        LakeBusyError
            Raised if another process has published a state meanwhile.
        """
        if self._state is not None:
            self.forget()
        self.detach()
        # Files that DuckLake has written itself.
        self.store.settle(f"{TABLES}/*/ducklake-*")
        name = catalog_name(following.snapshot_id, secrets.token_hex(4))
        values = {one: getattr(following, one) for one in LakeState.__dataclass_fields__}
        before = {} if self._state is None else {self._state.catalog: time.time()}
        values |= {"catalog": name, "superseded": {**following.superseded, **before}}
        shown = LakeState(**values)
        self.store.put(self._file, name)
        self.store.replace(POINTER, shown.to_bytes(), self._mark)
        return shown


@contextmanager
def begin_draft(
    store: LakeStore, duck: DuckDBPyConnection, state: LakeState | None, mark: str | None
) -> Iterator[Draft]:
    """Give the catalog of the newest state to change, or an empty one.

    Parameters
    ----------
    store
        Where the lake lies.
    duck
        What `ppdb_replay.lake.opening.connected_duckdb` gives.
    state, mark
        What ``lake.json`` says, and the mark of this content; `None` if there is no lake yet.
    """
    folder = store.staging / f"draft-{os.getpid()}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    file = folder / "catalog.ducklake"
    try:
        if state is not None:
            store.get(state.catalog, file)
        attach_catalog(duck, file, store, read_only=False)
        draft = Draft(store, duck, file, state, mark)
        try:
            if state is None:
                for name, value in _OPTIONS.items():
                    place = sql.Identifier(LAKE_SCHEMA)
                    draft.run("CALL {}.set_option({}, {})", place, sql.Literal(name), sql.Literal(value))
            yield draft
        finally:
            draft.detach()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def lake_of(draft: Draft, state: LakeState) -> OpenLake:
    """Return what a draft's catalog says of tables and snapshots."""
    return OpenLake(draft.duck, state)


def remove_old_catalogs(store: LakeStore, state: LakeState, keep_s: float) -> None:
    """Remove catalogs that were replaced long ago, and what is left of HATS catalogues without files.

    Parameters
    ----------
    store
        Where the lake lies.
    state
        What ``lake.json`` says.
    keep_s
        How long catalogs stay, in seconds.
    """
    now = time.time()
    young = {name for name, at in state.superseded.items() if now - at < keep_s}
    kept = {state.catalog, *young}
    store.delete(
        one.name for one in store.files(CATALOGS) if one.name not in kept and now - one.written >= keep_s
    )
    files: dict[str, list[str]] = {}
    for one in store.files(TABLES):
        parts = one.name.split("/")
        if len(parts) > _GENERATION_PARTS:
            files.setdefault("/".join(parts[:_GENERATION_PARTS]), []).append(one.name)
    for folder, names in files.items():
        if folder not in state.hats.values() and not any(name.endswith(".parquet") for name in names):
            store.delete(names)
    store.tidy(TABLES)


_GENERATION_PARTS = 3

Progress = Callable[[int, int, str], None]
"""Called with how much is done, of how much, and what is at hand."""
