"""How long it takes to compare all versions of all rows with the digests that were noted of them."""

from __future__ import annotations

import time

import sqlalchemy as sa

from ppdb_replay.versions.verify import verify
from tapdb.postgres.engine import create_engine

__all__ = ["verifying_figures"]


def verifying_figures(url: sa.URL) -> dict[str, float]:
    """Return how long ``tapdb ppdb verify`` takes over a whole database, in seconds.

    Parameters
    ----------
    url
        Database with versioned tables that nobody has tampered with.
    """
    engine = create_engine(url, read_only=True)
    with engine.connect() as connection:
        started = time.perf_counter()
        report = verify(connection)
        elapsed_s = time.perf_counter() - started
    engine.dispose()
    assert not report.tamperings, report.tamperings[0]
    return {"verify_s": elapsed_s, "verify_snapshots": float(report.snapshot_id)}
