"""Kill what writes a lake, again and again, at random moments: ``python -m tests.ppdb_replay.lake_killing``.

Modules are imported once, and each try is a fork of this process, which has made no thread.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import astropy.coordinates
import cdshealpix.nested
import duckdb
import numpy as np
import pyarrow.compute
import pyarrow.ipc
import pyarrow.parquet

from ppdb_replay.lake.export import export_lake
from ppdb_replay.lake.opening import find_state, open_lake
from ppdb_replay.lake.refresh import compact_lake, refresh_lake
from ppdb_replay.lake.storage import open_store
from tapdb.postgres.engine import checked_connection, driver_connection
from tests.ppdb_replay.lake_rows import assert_same

__all__ = ["main"]

_IMPORTED = (
    astropy.coordinates,
    cdshealpix.nested,
    duckdb,
    np,
    pyarrow.compute,
    pyarrow.ipc,
    pyarrow.parquet,
)
_SEED = 20_261_201


def main(kind: str, where: str, kills: int) -> dict[str, int]:
    """Kill a number of times, then let it end.

    Parameters
    ----------
    kind
        ``export``, ``refresh`` or ``compact``.
    where
        The lake.
    kills
        How many are killed.

    Returns
    -------
    dict
        How many were killed, and how many of these had left something.
    """
    work = {"export": _export, "refresh": _refresh, "compact": _compact}[kind]
    dice = random.Random(_SEED)
    store = open_store(where)
    killed = half_done = states = 0
    seconds = 1.5 * _seconds_to_a_state(where) if kind == "refresh" else 0.3
    for _ in range(kills):
        before, files = find_state(store), _files(Path(where))
        child = _fork(lambda: work(where))
        if kind != "refresh":
            _wait_for_files(Path(where), files)
        time.sleep(dice.uniform(0.1, seconds))
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        if not os.WIFSIGNALED(status) and os.waitstatus_to_exitcode(status):
            raise SystemExit(f"it failed by itself: {status}")
        killed += os.WIFSIGNALED(status)
        states += find_state(store) != before
        half_done += _files(Path(where)) != files
        if kind != "refresh" and find_state(store) != before:
            break
        if find_state(store) != before:
            _check(where)
    if kind != "export" or find_state(store) is None:
        work(where)
    return {"killed": killed, "half_done": half_done, "states": states}


def _seconds_to_a_state(where: str) -> float:
    """Return how long a refresh takes until it shows something; it is killed then."""
    store = open_store(where)
    before = find_state(store)
    started = time.monotonic()
    child = _fork(lambda: _refresh(where))
    while find_state(store) == before:
        time.sleep(0.02)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return time.monotonic() - started


def _wait_for_files(folder: Path, before: set[Path]) -> None:
    """Wait until something was written: on a busy machine that takes longer than what follows."""
    for _ in range(1000):
        if _files(folder) - before - {folder / ".lock"}:
            return
        time.sleep(0.01)


def _files(folder: Path) -> set[Path]:
    return {one for one in folder.rglob("*") if one.is_file()}


def _check(where: str) -> None:
    """Compare what readers see with the database."""
    if find_state(open_store(where)) is None:
        return
    with open_lake(where) as lake, checked_connection() as connection:
        assert_same(lake, driver_connection(connection))


def _fork(work: Callable[[], object]) -> int:
    child = os.fork()
    if child:
        return child
    try:
        work()
    except BaseException as error:  # noqa: BLE001 - said, and told by the exit code
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
        sys.stderr.flush()
        os._exit(1)
    os._exit(0)


def _export(where: str) -> None:
    with checked_connection() as connection:
        export_lake(connection, where, chunk_rows=40, piece_rows=16)


def _refresh(where: str) -> None:
    with checked_connection() as connection:
        refresh_lake(connection, where, batch_rows=1, keep_s=0)


def _compact(where: str) -> None:
    compact_lake(where, piece_rows=30, keep_s=0)


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(sys.argv[1], str(Path(sys.argv[2])), int(sys.argv[3]))))
