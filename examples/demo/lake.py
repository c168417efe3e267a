"""The demonstration's history in files: written, brought up to date, and its records replayed from there."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import sqlalchemy as sa

from ppdb_replay import RecordedResult, ReplayRecord
from ppdb_replay.lake.answering import LakeReplayer
from ppdb_replay.lake.export import export_lake
from ppdb_replay.lake.opening import open_lake
from ppdb_replay.lake.refresh import refresh_lake
from tapdb.postgres.engine import checked_connection

from .show import Stage

__all__ = ["refresh_files", "replay_from_files", "write_files"]


def write_files(stage: Stage, url: sa.URL, folder: Path) -> None:
    """Write all versions into a lake, as ``tapdb ppdb lake export`` does."""
    with checked_connection(url) as connection:
        state = export_lake(connection, folder)
    stage.say(f"{folder} has all versions up to snapshot {state.snapshot_id} in HATS catalogues:")
    stage.say(", ".join(sorted(state.hats)))


def refresh_files(stage: Stage, url: sa.URL, folder: Path) -> None:
    """Add the snapshots since, as ``tapdb ppdb lake refresh`` does."""
    with checked_connection(url) as connection:
        done = refresh_lake(connection, folder)
    stage.say(f"{done.snapshots} snapshots are added to the lake, up to {done.state.snapshot_id}.")


def replay_from_files(folder: Path, captured: Mapping[str, RecordedResult]) -> dict[str, RecordedResult]:
    """Replay records from a lake, as ``tapdb replay run RECORD --lake DIR`` does, without the database."""
    with open_lake(folder) as lake:
        replayer = LakeReplayer(lake)
        return {
            name: replayer.replay(ReplayRecord.from_json(result.record.to_json()))
            for name, result in captured.items()
        }
